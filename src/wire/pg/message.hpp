// Reading and writing the bodies of messages (protocol.hpp).
//
// MessageReader never reads behind the body: a read that does not fit sets `failed()` and answers zeros.
// MessageWriter appends one message to a buffer and completes its length when it goes out of scope; it
// allocates only through the buffer.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/assert.hpp"
#include "wire/pg/protocol.hpp"

namespace bop::wire::pg {

static_assert(std::endian::native == std::endian::little);

template <class Integer>
[[nodiscard]] Integer load_big_endian(const char* from) noexcept {
  std::make_unsigned_t<Integer> raw;
  std::memcpy(&raw, from, sizeof raw);
  if constexpr (sizeof raw == 2) raw = __builtin_bswap16(raw);
  if constexpr (sizeof raw == 4) raw = __builtin_bswap32(raw);
  return static_cast<Integer>(raw);
}

template <class Integer>
void append_big_endian(std::string& out, Integer value) {
  auto raw = static_cast<std::make_unsigned_t<Integer>>(value);
  if constexpr (sizeof raw == 2) raw = __builtin_bswap16(raw);
  if constexpr (sizeof raw == 4) raw = __builtin_bswap32(raw);
  char bytes[sizeof raw];
  std::memcpy(bytes, &raw, sizeof raw);
  out.append(bytes, sizeof raw);
}

inline void store_length(std::string& out, std::size_t at, std::size_t length) {
  BOP_ASSERT(length <= std::numeric_limits<std::int32_t>::max());
  const std::uint32_t raw = __builtin_bswap32(static_cast<std::uint32_t>(length));
  std::memcpy(out.data() + at, &raw, sizeof raw);
}

class MessageReader {
 public:
  explicit MessageReader(std::string_view body) : rest_(body) {}

  template <class Integer>
  [[nodiscard]] Integer integer() noexcept {
    if (rest_.size() < sizeof(Integer)) return fail<Integer>();
    const auto value = load_big_endian<Integer>(rest_.data());
    rest_.remove_prefix(sizeof(Integer));
    return value;
  }
  [[nodiscard]] char byte() noexcept {
    if (rest_.empty()) return fail<char>();
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  [[nodiscard]] std::string_view bytes(std::size_t length) noexcept {
    if (rest_.size() < length) return fail<std::string_view>();
    const std::string_view out = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return out;
  }
  // Up to the zero byte, which is consumed.
  [[nodiscard]] std::string_view string() noexcept {
    const std::size_t zero = rest_.find('\0');
    if (zero == rest_.npos) return fail<std::string_view>();
    const std::string_view out = rest_.substr(0, zero);
    rest_.remove_prefix(zero + 1);
    return out;
  }
  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  // Everything was read and nothing was missing.
  [[nodiscard]] bool complete() const noexcept { return !failed_ && rest_.empty(); }

 private:
  template <class T>
  T fail() noexcept {
    failed_ = true;
    rest_ = {};
    return T{};
  }
  std::string_view rest_;
  bool failed_ = false;
};

class MessageWriter {
 public:
  MessageWriter(std::string& out, Backend type) : MessageWriter(out, static_cast<char>(type)) {}
  MessageWriter(std::string& out, Frontend type) : MessageWriter(out, static_cast<char>(type)) {}
  ~MessageWriter() { store_length(out_, begin_, out_.size() - begin_); }
  MessageWriter(const MessageWriter&) = delete;
  MessageWriter& operator=(const MessageWriter&) = delete;

  template <class Integer>
  MessageWriter& integer(Integer value) {
    append_big_endian(out_, value);
    return *this;
  }
  MessageWriter& byte(char c) {
    out_.push_back(c);
    return *this;
  }
  MessageWriter& bytes(std::string_view text) {
    out_.append(text);
    return *this;
  }
  // A zero byte inside would end the string for the reader, so the text is cut there.
  MessageWriter& string(std::string_view text) {
    out_.append(text.substr(0, text.find('\0')));
    out_.push_back('\0');
    return *this;
  }

 private:
  MessageWriter(std::string& out, char type) : out_(out) {
    out_.push_back(type);
    begin_ = out_.size();
    out_.append(4, '\0');
  }
  std::string& out_;
  std::size_t begin_ = 0;
};

}  // namespace bop::wire::pg
