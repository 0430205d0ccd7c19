// Strong types for the numbers that must not mix (docs/architecture.md, "The words").
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace bop {

template <class Tag, class Rep>
struct StrongNumber {
  Rep value{};
  constexpr StrongNumber() = default;
  constexpr explicit StrongNumber(Rep v) : value(v) {}
  friend constexpr auto operator<=>(const StrongNumber&, const StrongNumber&) = default;
  [[nodiscard]] constexpr StrongNumber next() const { return StrongNumber(static_cast<Rep>(value + 1)); }
};

// Index of a record in its group's log; strictly increasing; 0 = "before the first record".
using Lsn = StrongNumber<struct LsnTag, std::uint64_t>;
// Commit sequence number: the Lsn of the newest commit that a reader may see.
using Csn = Lsn;
using Term = StrongNumber<struct TermTag, std::uint64_t>;
// A timeline is one uninterrupted history of a log; a rewind or restore starts the next.
using Timeline = StrongNumber<struct TimelineTag, std::uint32_t>;
using DatabaseId = StrongNumber<struct DatabaseIdTag, std::uint32_t>;
// SQLite page number, 1-based.
using PageNo = StrongNumber<struct PageNoTag, std::uint32_t>;
using ByteOffset = StrongNumber<struct ByteOffsetTag, std::uint64_t>;
using Epoch = StrongNumber<struct EpochTag, std::uint64_t>;
// Object identifier of the PostgreSQL catalog.
using Oid = std::uint32_t;

inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::size_t kPageReservedBytes = 32;
inline constexpr std::size_t kPageUsableBytes = kPageBytes - kPageReservedBytes;

}  // namespace bop

template <class Tag, class Rep>
struct std::hash<bop::StrongNumber<Tag, Rep>> {
  std::size_t operator()(const bop::StrongNumber<Tag, Rep>& n) const noexcept {
    return std::hash<Rep>{}(n.value);
  }
};
