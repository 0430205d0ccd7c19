#include "base/error.hpp"

#include <algorithm>
#include <array>

#include "base/assert.hpp"

namespace bop {
namespace {

constexpr ErrorCodeInfo kTable[] = {
#define BOP_ERROR_CODE(name, number, sqlstate, mysql_errno, boyo_category, meaning) \
  {ErrorCode::k##name, #name, sqlstate, mysql_errno, boyo_category, meaning},
#include <bop/error_codes.def>
#undef BOP_ERROR_CODE
};
constexpr std::size_t kNumbers = 1000;
constexpr std::uint16_t kNone = 0xffff;

// Position in kTable by number.
consteval std::array<std::uint16_t, kNumbers> by_number() {
  std::array<std::uint16_t, kNumbers> index{};
  index.fill(kNone);
  for (std::size_t i = 0; i < std::size(kTable); ++i) {
    index[static_cast<std::size_t>(kTable[i].code)] = static_cast<std::uint16_t>(i);
  }
  return index;
}
constexpr auto kIndex = by_number();

}  // namespace

const ErrorCodeInfo& info(ErrorCode code) noexcept {
  const auto number = static_cast<std::size_t>(code);
  BOP_ASSERT(number < kNumbers && kIndex[number] != kNone);
  return kTable[kIndex[number]];
}

ErrorCode code_of_sqlstate(std::string_view sqlstate) noexcept {
  const auto* row = std::ranges::find(kTable, sqlstate, &ErrorCodeInfo::sqlstate);
  return row == std::end(kTable) ? ErrorCode::kInternal : row->code;
}

const ErrorFields& Error::fields() const noexcept {
  static const ErrorFields kEmpty;
  return fields_ ? *fields_ : kEmpty;
}

ErrorFields& Error::mut() {
  if (!fields_) {
    fields_ = std::make_shared<ErrorFields>();
  } else if (fields_.use_count() > 1) {
    fields_ = std::make_shared<ErrorFields>(*fields_);
  }
  return *fields_;
}

}  // namespace bop
