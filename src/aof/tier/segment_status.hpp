// How far a segment has come in its life.
#pragma once

#include <cstdint>
#include <string_view>

namespace bop::aof {

enum class SegmentStatus : std::uint8_t {
  kActive = 1,     // being written
  kFinalized = 2,  // sealed
  kArchived = 3,   // sealed, and its object is published
};

[[nodiscard]] constexpr std::string_view name_of(SegmentStatus status) noexcept {
  switch (status) {
    case SegmentStatus::kActive: return "active";
    case SegmentStatus::kFinalized: return "finalized";
    case SegmentStatus::kArchived: return "archived";
  }
  return "unknown";
}

}  // namespace bop::aof
