// A piece of an archived segment: one range of its object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace bop::aof {

inline constexpr std::uint64_t kMaxPieceBytes = 256U << 10U;

using PieceBytes = std::shared_ptr<const std::vector<std::byte>>;

}  // namespace bop::aof
