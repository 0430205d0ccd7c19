// Keys whose bytes sort as their parts do.
//
// A table of libmdbx compares keys as unsigned bytes, the shorter one of equal beginnings first. Encoding of
// the parts, one behind the other:
//
//   unsigned integers, strong numbers   big-endian, in the width of the type
//   signed integers                     the same, with the highest bit turned over
//   text                                each byte; 0x00 as 0x00 0xff; at the end 0x00 0x00
//
// So (1, "a") < (1, "ab") < (2, ""). Whoever reads a key must know its parts: KeyReader takes them in order.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/ids.hpp"

namespace bop::mdbx {

// A key of at most kMaxBytes. One that grew longer is not valid() and refused wherever it is used.
class Key {
 public:
  static constexpr std::size_t kMaxBytes = 480;

  template <class... Parts>
  [[nodiscard]] static Key of(const Parts&... parts) noexcept {
    Key key;
    (key.add(parts), ...);
    return key;
  }

  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Key& add(T value) noexcept {
    using Bits = std::make_unsigned_t<T>;
    auto bits = static_cast<Bits>(value);
    if constexpr (std::is_signed_v<T>) bits ^= static_cast<Bits>(std::numeric_limits<T>::min());
    for (std::size_t i = sizeof(T); i-- > 0;) push(static_cast<std::byte>(bits >> (8 * i)));
    return *this;
  }
  template <class Tag, class Rep>
  Key& add(StrongNumber<Tag, Rep> number) noexcept {
    return add(number.value);
  }
  Key& add(std::string_view text) noexcept {
    for (const char c : text) {
      push(static_cast<std::byte>(c));
      if (c == '\0') push(std::byte{0xff});
    }
    push(std::byte{0});
    push(std::byte{0});
    return *this;
  }

  [[nodiscard]] bool valid() const noexcept { return !too_long_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return std::span(bytes_).first(size_); }

 private:
  void push(std::byte byte) noexcept {
    if (size_ == kMaxBytes) {
      too_long_ = true;
    } else {
      bytes_[size_++] = byte;
    }
  }

  std::array<std::byte, kMaxBytes> bytes_;
  std::uint16_t size_ = 0;
  bool too_long_ = false;
};

// Takes a key apart. Whatever does not fit, or is left at the end, makes done() false; the values read so far
// mean nothing then.
class KeyReader {
 public:
  explicit KeyReader(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

  template <std::integral T>
    requires(!std::same_as<T, bool>)
  KeyReader& take(T& value) noexcept {
    using Bits = std::make_unsigned_t<T>;
    Bits bits = 0;
    if (rest_.size() < sizeof(T)) return fail();
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bits = static_cast<Bits>(static_cast<Bits>(sizeof(T) > 1 ? bits << 8U : 0) |
                               std::to_integer<std::uint8_t>(rest_[i]));
    }
    if constexpr (std::is_signed_v<T>) bits ^= static_cast<Bits>(std::numeric_limits<T>::min());
    value = static_cast<T>(bits);
    rest_ = rest_.subspan(sizeof(T));
    return *this;
  }
  template <class Tag, class Rep>
  KeyReader& take(StrongNumber<Tag, Rep>& number) noexcept {
    return take(number.value);
  }
  KeyReader& take(std::string& text) {
    text.clear();
    while (!rest_.empty()) {
      const auto byte = rest_.front();
      rest_ = rest_.subspan(1);
      if (byte != std::byte{0}) {
        text.push_back(static_cast<char>(byte));
        continue;
      }
      if (rest_.empty()) return fail();
      const auto mark = rest_.front();
      rest_ = rest_.subspan(1);
      if (mark == std::byte{0}) return *this;
      if (mark != std::byte{0xff}) return fail();
      text.push_back('\0');
    }
    return fail();
  }
  // Everything was there, and nothing else.
  [[nodiscard]] bool done() const noexcept { return !failed_ && rest_.empty(); }

 private:
  KeyReader& fail() noexcept {
    failed_ = true;
    rest_ = {};
    return *this;
  }

  std::span<const std::byte> rest_;
  bool failed_ = false;
};

}  // namespace bop::mdbx
