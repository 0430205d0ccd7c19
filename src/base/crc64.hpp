// CRC-64/NVME: polynomial 0xad93d23594c93659, reflected in and out, initial value and final xor all ones.
// The check value of "123456789" is 0xae8b14860a799888.
//
// Incremental: crc64(crc64(seed, a), b) == crc64(seed, a followed by b), and crc64(0, a) is the standard's
// value. Any other seed gives a family of checksums that does not accept the bytes of another seed (log
// identity, epoch, position). Carry-less multiplication is used where the processor has it, tables otherwise;
// both give the same value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace bop {

[[nodiscard]] std::uint64_t crc64(std::uint64_t seed, std::span<const std::byte> bytes) noexcept;
[[nodiscard]] inline std::uint64_t crc64(std::uint64_t seed, std::string_view text) noexcept {
  return crc64(seed, std::as_bytes(std::span(text)));
}

// The implementations by themselves, for tests and benchmarks.
[[nodiscard]] std::uint64_t crc64_by_tables(std::uint64_t seed, std::span<const std::byte> bytes) noexcept;
// Precondition (asserted): crc64_has_folding().
[[nodiscard]] std::uint64_t crc64_by_folding(std::uint64_t seed, std::span<const std::byte> bytes) noexcept;
[[nodiscard]] bool crc64_has_folding() noexcept;
// Precondition (asserted): crc64_has_wide_folding(), four times the width (AVX-512).
[[nodiscard]] std::uint64_t crc64_by_wide_folding(std::uint64_t seed,
                                                  std::span<const std::byte> bytes) noexcept;
[[nodiscard]] bool crc64_has_wide_folding() noexcept;
// "vpclmulqdq", "pclmulqdq" or "tables": what crc64 uses.
[[nodiscard]] std::string_view crc64_kind() noexcept;

}  // namespace bop
