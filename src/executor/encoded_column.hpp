// Values of one column in little memory, each of them to be had at once.
//
// Numbers: the distance from the least one, in as few bytes as the largest takes (0, 1, 2, 4 or 8: "frame of
// reference", Goldstein et al., ICDE 1998). Texts: where they repeat, a byte that tells which. Floats are
// kept as numbers of the same bits.
//
// Threads: any number; nothing changes once it is made.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace bop::executor {

__extension__ using Wide = __int128;

static_assert(std::endian::native == std::endian::little);

class EncodedColumn;
using EncodedColumnPtr = std::shared_ptr<const EncodedColumn>;

class EncodedColumn {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // Of memory.
  [[nodiscard]] std::uint64_t bytes() const noexcept;

  [[nodiscard]] bool has_nulls() const noexcept { return !nulls_.empty(); }
  [[nodiscard]] bool is_null(std::size_t row) const noexcept {
    return !nulls_.empty() && (nulls_[row / 64] >> row % 64 & 1U) != 0;
  }

  // Of numbers that have 64 bits. What is null is some number between them.
  [[nodiscard]] std::int64_t least() const noexcept { return least_; }
  [[nodiscard]] std::int64_t largest() const noexcept { return largest_; }
  // Rows that follow each other from `from` on, or those of `rows`; `T` holds all values.
  template <class T>
  void numbers(std::size_t from, std::span<T> out) const {
    each_width([&](const auto* codes) {
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = value_of<T>(codes[from + i]);
    });
    if (width_ == 0) std::ranges::fill(out, static_cast<T>(least_));
  }
  template <class T>
  void numbers(std::span<const std::uint32_t> rows, T* out) const {
    each_width([&](const auto* codes) {
      for (std::size_t i = 0; i < rows.size(); ++i) out[i] = value_of<T>(codes[rows[i]]);
    });
    if (width_ == 0) std::fill_n(out, rows.size(), static_cast<T>(least_));
  }
  // Of numbers of more than 64 bits.
  [[nodiscard]] bool is_wide() const noexcept { return !wide_.empty(); }
  [[nodiscard]] Wide wide(std::size_t row) const noexcept { return wide_[row]; }
  // Of texts.
  [[nodiscard]] std::string_view text(std::size_t row) const noexcept { return choice(choice_of(row)); }
  // The texts that there are, by number; how many of them is at most size().
  [[nodiscard]] bool has_choices() const noexcept { return !choices_.empty(); }
  [[nodiscard]] std::size_t choices() const noexcept { return ends_.size() - 1; }
  [[nodiscard]] std::size_t choice_of(std::size_t row) const noexcept {
    return choices_.empty() ? row : choices_[row];
  }
  [[nodiscard]] std::string_view choice(std::size_t number) const noexcept {
    return {heap_.data() + ends_[number], ends_[number + 1] - ends_[number]};
  }

 private:
  friend class ColumnEncoder;

  // (Where the least is the least of all, the sum goes round as the difference did.)
  template <class T, class Code>
  [[nodiscard]] T value_of(Code code) const noexcept {
    return static_cast<T>(static_cast<std::uint64_t>(least_) + code);
  }
  template <class F>
  void each_width(const F& with) const {
    switch (width_) {
      case 1: with(codes_.data()); break;
      case 2: with(reinterpret_cast<const std::uint16_t*>(codes_.data())); break;
      case 4: with(reinterpret_cast<const std::uint32_t*>(codes_.data())); break;
      case 8: with(reinterpret_cast<const std::uint64_t*>(codes_.data())); break;
      default: break;
    }
  }

  std::size_t size_ = 0;
  std::vector<std::uint64_t> nulls_;  // bits; empty: there are none
  std::int64_t least_ = 0;
  std::int64_t largest_ = 0;
  unsigned width_ = 0;
  std::vector<std::uint8_t> codes_;
  std::vector<Wide> wide_;
  std::vector<char> heap_;
  std::vector<std::uint32_t> ends_;    // where a text ends in the heap, behind a zero
  std::vector<std::uint8_t> choices_;  // numbers of texts
};

// Takes values of one kind, row after row, and makes a column of them.
class ColumnEncoder {
 public:
  enum class Kind : std::uint8_t { kNumbers, kWide, kTexts };
  explicit ColumnEncoder(Kind kind) : kind_(kind) {}

  void add_null();
  void add_number(std::int64_t value);
  void add_wide(Wide value);
  void add_text(std::string_view text);
  // What was added is gone then.
  [[nodiscard]] EncodedColumnPtr finish();

 private:
  void finish_numbers(EncodedColumn& out) const;
  void finish_texts(EncodedColumn& out);

  Kind kind_;
  std::size_t rows_ = 0;
  std::vector<std::uint32_t> nulls_;  // rows
  std::vector<std::int64_t> numbers_;
  std::vector<Wide> wide_;
  std::vector<char> heap_;
  std::vector<std::uint32_t> ends_{0};
};

}  // namespace bop::executor
