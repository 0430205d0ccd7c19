#include "executor/encoded_column.hpp"

#include <limits>
#include <unordered_map>

#include "base/assert.hpp"

namespace bop::executor {

std::uint64_t EncodedColumn::bytes() const noexcept {
  return sizeof(*this) + nulls_.capacity() * sizeof(nulls_[0]) + codes_.capacity() +
         wide_.capacity() * sizeof(Wide) + heap_.capacity() + ends_.capacity() * sizeof(ends_[0]) +
         choices_.capacity();
}

void ColumnEncoder::add_null() {
  nulls_.push_back(static_cast<std::uint32_t>(rows_++));
  switch (kind_) {
    case Kind::kNumbers: numbers_.push_back(0); break;
    case Kind::kWide: wide_.push_back(0); break;
    case Kind::kTexts: ends_.push_back(ends_.back()); break;
  }
}

void ColumnEncoder::add_number(std::int64_t value) {
  ++rows_;
  numbers_.push_back(value);
}

void ColumnEncoder::add_wide(Wide value) {
  ++rows_;
  wide_.push_back(value);
}

void ColumnEncoder::add_text(std::string_view text) {
  BOP_ASSERT(heap_.size() + text.size() <= std::numeric_limits<std::uint32_t>::max());
  ++rows_;
  heap_.insert(heap_.end(), text.begin(), text.end());
  ends_.push_back(static_cast<std::uint32_t>(heap_.size()));
}

void ColumnEncoder::finish_numbers(EncodedColumn& out) const {
  // What is null lies between the others.
  bool is_first = true;
  auto null = nulls_.begin();
  for (std::size_t row = 0; row < rows_; ++row) {
    if (null != nulls_.end() && *null == row) {
      ++null;
      continue;
    }
    out.least_ = is_first ? numbers_[row] : std::min(out.least_, numbers_[row]);
    out.largest_ = is_first ? numbers_[row] : std::max(out.largest_, numbers_[row]);
    is_first = false;
  }
  const std::uint64_t range =
      static_cast<std::uint64_t>(out.largest_) - static_cast<std::uint64_t>(out.least_);
  out.width_ = range == 0 ? 0 : range <= 0xff ? 1 : range <= 0xffff ? 2 : range <= 0xffffffff ? 4 : 8;
  out.codes_.resize(rows_ * out.width_);
  null = nulls_.begin();
  for (std::size_t row = 0; row < rows_ && out.width_ > 0; ++row) {
    std::uint64_t code = static_cast<std::uint64_t>(numbers_[row]) - static_cast<std::uint64_t>(out.least_);
    if (null != nulls_.end() && *null == row) {
      ++null;
      code = 0;
    }
    // (Little-endian: its lower bytes are the first.)
    std::memcpy(out.codes_.data() + row * out.width_, &code, out.width_);
  }
}

void ColumnEncoder::finish_texts(EncodedColumn& out) {
  std::unordered_map<std::string_view, std::uint8_t> numbers;
  std::vector<std::string_view> texts;
  std::vector<std::uint8_t> choices;
  constexpr std::size_t kMostChoices = 255;
  for (std::size_t row = 0; row < rows_; ++row) {
    const std::string_view text(heap_.data() + ends_[row], ends_[row + 1] - ends_[row]);
    const auto [at, is_new] = numbers.try_emplace(text, static_cast<std::uint8_t>(texts.size()));
    if (is_new) {
      texts.push_back(text);
      // Few of many, or they are not worth a number.
      if (texts.size() > kMostChoices || texts.size() > rows_ / 4 + 1) break;
    }
    choices.push_back(at->second);
  }
  if (choices.size() < rows_) {
    heap_.shrink_to_fit();
    ends_.shrink_to_fit();
    out.heap_ = std::move(heap_);
    out.ends_ = std::move(ends_);
    return;
  }
  out.ends_.push_back(0);
  for (const std::string_view text : texts) {
    out.heap_.insert(out.heap_.end(), text.begin(), text.end());
    out.ends_.push_back(static_cast<std::uint32_t>(out.heap_.size()));
  }
  choices.shrink_to_fit();
  out.choices_ = std::move(choices);
}

EncodedColumnPtr ColumnEncoder::finish() {
  auto out = std::make_shared<EncodedColumn>();
  out->size_ = rows_;
  if (!nulls_.empty()) {
    out->nulls_.resize((rows_ + 63) / 64);
    for (const std::uint32_t row : nulls_) out->nulls_[row / 64] |= std::uint64_t{1} << row % 64;
  }
  switch (kind_) {
    case Kind::kNumbers: finish_numbers(*out); break;
    case Kind::kWide:
      wide_.shrink_to_fit();
      out->wide_ = std::move(wide_);
      break;
    case Kind::kTexts: finish_texts(*out); break;
  }
  *this = ColumnEncoder(kind_);
  return out;
}

}  // namespace bop::executor
