// Little-endian fields one after the other, as the manifest, the register and the index keep them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "aof/reader.hpp"

namespace bop::aof {

class ByteSink {
 public:
  explicit ByteSink(std::vector<std::byte>& out) : out_(&out) {}

  template <class T>
    requires std::is_integral_v<T>
  void number(T value) {
    const std::size_t at = out_->size();
    out_->resize(at + sizeof value);
    std::memcpy(out_->data() + at, &value, sizeof value);
  }
  void bytes(std::span<const std::byte> value) { out_->insert(out_->end(), value.begin(), value.end()); }
  // u32 length, then the bytes.
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    bytes(std::as_bytes(std::span(value)));
  }
  void zeros_to(std::size_t multiple) { out_->resize((out_->size() + multiple - 1) / multiple * multiple); }

 private:
  std::vector<std::byte>* out_;
};

// Reading behind the end makes it bad for good and gives zeros; ask good() once, at the end.
class ByteSource {
 public:
  explicit ByteSource(std::span<const std::byte> in) : in_(in) {}

  template <class T>
    requires std::is_integral_v<T>
  [[nodiscard]] T number() {
    T value{};
    if (const auto from = take(sizeof value); !from.empty()) std::memcpy(&value, from.data(), sizeof value);
    return value;
  }
  [[nodiscard]] std::span<const std::byte> bytes(std::size_t size) { return take(size); }
  [[nodiscard]] std::string text(std::size_t longest) {
    const auto size = number<std::uint32_t>();
    if (size > longest) good_ = false;
    const auto from = take(size);
    return {reinterpret_cast<const char*>(from.data()), from.size()};
  }
  [[nodiscard]] std::size_t left() const noexcept { return in_.size(); }
  // Everything was there, and nothing is left.
  [[nodiscard]] bool good() const noexcept { return good_ && in_.empty(); }
  [[nodiscard]] bool ran_out() const noexcept { return !good_; }

 private:
  std::span<const std::byte> take(std::size_t size) {
    if (!good_ || size > in_.size()) {
      good_ = false;
      return {};
    }
    const auto taken = in_.first(size);
    in_ = in_.subspan(size);
    return taken;
  }

  std::span<const std::byte> in_;
  bool good_ = true;
};

// A link to an entry: index, term, checksum, 3 x u64.
inline void put(ByteSink& sink, const RecordLink& link) {
  sink.number(link.index.value);
  sink.number(link.term.value);
  sink.number(link.checksum);
}
[[nodiscard]] inline RecordLink take_link(ByteSource& source) {
  RecordLink link;
  link.index = Lsn(source.number<std::uint64_t>());
  link.term = Term(source.number<std::uint64_t>());
  link.checksum = source.number<std::uint64_t>();
  return link;
}

}  // namespace bop::aof
