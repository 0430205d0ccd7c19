// The fields of dates and times that extract, date_part and date_trunc name.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.hpp"
#include "sql/types/codec.hpp"
#include "sql/types/numeric.hpp"

namespace bop {

// kDatePart is date_part() of a date, which goes through timestamp and so accepts more than extract() does.
enum class FieldSource : std::uint8_t { kTimestamp, kTimestamptz, kDate, kDatePart, kTime, kInterval };

// nullopt where PostgreSQL answers NULL (a part of infinity). Errors: 22023 unit not recognized, 0A000 not
// supported.
[[nodiscard]] Result<std::optional<Numeric>> extract_field(std::string_view unit, const Value& v,
                                                           FieldSource source, const CodecContext& context);
[[nodiscard]] Result<std::int64_t> truncate_timestamp(std::string_view unit, std::int64_t t,
                                                      std::string_view type);

struct IsoWeek {
  std::int64_t year;
  int week;
};
[[nodiscard]] IsoWeek iso_week(std::int64_t date);  // days since 2000-01-01

}  // namespace bop
