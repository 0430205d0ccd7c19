// How the folding works. In the reflected order, bit 0 of the first byte is the highest power. Sixteen bytes
// are X = A * x^64 + B with A the first eight. To move X over D more bits of message, X * x^D has to be known
// modulo P: A * (x^(D+64) mod P) + B * (x^D mod P), two carry-less products of 64 by 64 bits. A product of
// two reflected numbers comes out multiplied by x, hence the constants below are x^(D+63) and x^(D-1). Eight
// accumulators are folded over 1024 bits at a time, then into one over 128 bits, whose sixteen bytes are
// finally taken as a message by the tables. Background: Gopal et al., "Fast CRC Computation for Generic
// Polynomials Using PCLMULQDQ", 2009.
#include "base/crc64.hpp"

#include <array>
#include <bit>
#include <cstring>

#include "base/assert.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bop {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kPolynomial = 0x9a6c9329ac4bc9b5;  // reflected
constexpr std::size_t kSlices = 16;

consteval std::array<std::array<std::uint64_t, 256>, kSlices> make_tables() {
  std::array<std::array<std::uint64_t, 256>, kSlices> tables{};
  for (std::uint64_t byte = 0; byte < 256; ++byte) {
    std::uint64_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint64_t previous = tables[slice - 1][byte];
      tables[slice][byte] = (previous >> 8) ^ tables[0][previous & 0xff];
    }
  }
  return tables;
}
constexpr auto kTables = make_tables();

std::uint64_t load(const std::byte* at) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// `crc` is the register itself: not yet inverted.
std::uint64_t by_tables(std::uint64_t crc, const std::byte* at, std::size_t size) noexcept {
  for (; size >= 16; at += 16, size -= 16) {
    const std::uint64_t first = load(at) ^ crc;
    const std::uint64_t second = load(at + 8);
    std::uint64_t next = 0;
    for (unsigned i = 0; i < 8; ++i) {
      next ^= kTables[15 - i][(first >> (8 * i)) & 0xff];
      next ^= kTables[7 - i][(second >> (8 * i)) & 0xff];
    }
    crc = next;
  }
  if (size >= 8) {
    const std::uint64_t word = load(at) ^ crc;
    std::uint64_t next = 0;
    for (unsigned i = 0; i < 8; ++i) next ^= kTables[7 - i][(word >> (8 * i)) & 0xff];
    crc = next;
    at += 8;
    size -= 8;
  }
  for (; size > 0; ++at, --size) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ std::to_integer<std::uint64_t>(*at)) & 0xff];
  }
  return crc;
}

#if defined(__x86_64__)

// x^power modulo the polynomial, reflected.
consteval std::uint64_t x_to(unsigned power) {
  std::uint64_t value = 1ULL << 63;
  for (unsigned i = 0; i < power; ++i) value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
  return value;
}
struct FoldConstants {
  std::uint64_t low, high;
};
consteval FoldConstants fold_over(unsigned bits) { return {x_to(bits + 63), x_to(bits - 1)}; }
constexpr FoldConstants kOver128 = fold_over(128);
constexpr FoldConstants kOver256 = fold_over(256);
constexpr FoldConstants kOver384 = fold_over(384);
constexpr FoldConstants kOver512 = fold_over(512);
constexpr FoldConstants kOver1024 = fold_over(1024);
constexpr FoldConstants kOver2048 = fold_over(2048);

#define BOP_FOLDING [[gnu::target("pclmul,sse4.1")]]
#define BOP_WIDE_FOLDING [[gnu::target("pclmul,sse4.1,avx512f,avx512dq,vpclmulqdq")]]

BOP_FOLDING inline __m128i load_128(const std::byte* at) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}
BOP_FOLDING inline __m128i constants_128(FoldConstants k) noexcept {
  return _mm_set_epi64x(static_cast<long long>(k.high), static_cast<long long>(k.low));
}
BOP_FOLDING inline __m128i fold_128(__m128i value, __m128i constants) noexcept {
  return _mm_xor_si128(_mm_clmulepi64_si128(value, constants, 0x00),
                       _mm_clmulepi64_si128(value, constants, 0x11));
}

BOP_FOLDING std::uint64_t finish(__m128i value, const std::byte* at, std::size_t size) noexcept {
  const __m128i over_128 = constants_128(kOver128);
  for (; size >= 16; at += 16, size -= 16) value = _mm_xor_si128(fold_128(value, over_128), load_128(at));
  alignas(16) std::byte rest[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(rest), value);
  return by_tables(by_tables(0, rest, sizeof(rest)), at, size);
}

BOP_FOLDING std::uint64_t by_folding(std::uint64_t crc, const std::byte* at, std::size_t size) noexcept {
  if (size < 32) return by_tables(crc, at, size);
  const __m128i start = _mm_cvtsi64_si128(static_cast<long long>(crc));
  if (size < 256) return finish(_mm_xor_si128(load_128(at), start), at + 16, size - 16);
  __m128i lanes[8];
  for (int i = 0; i < 8; ++i) lanes[i] = load_128(at + 16 * i);
  lanes[0] = _mm_xor_si128(lanes[0], start);
  at += 128;
  size -= 128;
  const __m128i over_1024 = constants_128(kOver1024);
  for (; size >= 128; at += 128, size -= 128) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i)
      lanes[i] = _mm_xor_si128(fold_128(lanes[i], over_1024), load_128(at + 16 * i));
  }
  const __m128i over_128 = constants_128(kOver128);
  for (int i = 1; i < 8; ++i) lanes[i] = _mm_xor_si128(fold_128(lanes[i - 1], over_128), lanes[i]);
  return finish(lanes[7], at, size);
}

BOP_WIDE_FOLDING inline __m512i fold_512(__m512i value, __m512i constants, __m512i next) noexcept {
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(value, constants, 0x00),
                                   _mm512_clmulepi64_epi128(value, constants, 0x11), next, 0x96);
}
BOP_WIDE_FOLDING inline __m512i constants_512(FoldConstants k) noexcept {
  return _mm512_broadcast_i32x4(
      _mm_set_epi64x(static_cast<long long>(k.high), static_cast<long long>(k.low)));
}

BOP_WIDE_FOLDING std::uint64_t by_wide_folding(std::uint64_t crc, const std::byte* at,
                                               std::size_t size) noexcept {
  if (size < 512) return by_folding(crc, at, size);
  __m512i lanes[4];
  for (int i = 0; i < 4; ++i) lanes[i] = _mm512_loadu_si512(at + 64 * i);
  lanes[0] =
      _mm512_xor_si512(lanes[0], _mm512_zextsi128_si512(_mm_cvtsi64_si128(static_cast<long long>(crc))));
  at += 256;
  size -= 256;
  const __m512i over_2048 = constants_512(kOver2048);
  for (; size >= 256; at += 256, size -= 256) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) lanes[i] = fold_512(lanes[i], over_2048, _mm512_loadu_si512(at + 64 * i));
  }
  const __m512i over_512 = constants_512(kOver512);
  for (int i = 1; i < 4; ++i) lanes[i] = fold_512(lanes[i - 1], over_512, lanes[i]);
  __m128i value = _mm512_extracti32x4_epi32(lanes[3], 3);
  value = _mm_xor_si128(value, fold_128(_mm512_extracti32x4_epi32(lanes[3], 0), constants_128(kOver384)));
  value = _mm_xor_si128(value, fold_128(_mm512_extracti32x4_epi32(lanes[3], 1), constants_128(kOver256)));
  value = _mm_xor_si128(value, fold_128(_mm512_extracti32x4_epi32(lanes[3], 2), constants_128(kOver128)));
  return finish(value, at, size);
}

const bool kHasFolding = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
const bool kHasWideFolding = kHasFolding && __builtin_cpu_supports("avx512f") &&
                             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("vpclmulqdq");

#else

constexpr bool kHasFolding = false;
constexpr bool kHasWideFolding = false;
std::uint64_t by_folding(std::uint64_t crc, const std::byte* at, std::size_t size) noexcept {
  return by_tables(crc, at, size);
}
std::uint64_t by_wide_folding(std::uint64_t crc, const std::byte* at, std::size_t size) noexcept {
  return by_tables(crc, at, size);
}

#endif

}  // namespace

std::uint64_t crc64_by_tables(std::uint64_t seed, std::span<const std::byte> bytes) noexcept {
  return ~by_tables(~seed, bytes.data(), bytes.size());
}

std::uint64_t crc64_by_folding(std::uint64_t seed, std::span<const std::byte> bytes) noexcept {
  BOP_ASSERT(kHasFolding);
  return ~by_folding(~seed, bytes.data(), bytes.size());
}

std::uint64_t crc64_by_wide_folding(std::uint64_t seed, std::span<const std::byte> bytes) noexcept {
  BOP_ASSERT(kHasWideFolding);
  return ~by_wide_folding(~seed, bytes.data(), bytes.size());
}

bool crc64_has_folding() noexcept { return kHasFolding; }
bool crc64_has_wide_folding() noexcept { return kHasWideFolding; }

std::string_view crc64_kind() noexcept {
  return kHasWideFolding ? "vpclmulqdq" : kHasFolding ? "pclmulqdq" : "tables";
}

std::uint64_t crc64(std::uint64_t seed, std::span<const std::byte> bytes) noexcept {
  if (kHasWideFolding) return ~by_wide_folding(~seed, bytes.data(), bytes.size());
  if (kHasFolding) return ~by_folding(~seed, bytes.data(), bytes.size());
  return ~by_tables(~seed, bytes.data(), bytes.size());
}

}  // namespace bop
