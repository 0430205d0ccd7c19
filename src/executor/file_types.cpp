#include "executor/file_types.hpp"

#include <charconv>

#include <fmt/format.h>

#include "executor/translate.hpp"
#include "sql/types/types.hpp"

namespace bop::executor {

namespace {

constexpr std::string_view kMicrosecondsTo2000 = "946684800000000";
constexpr std::string_view kMostMicroseconds = "9223372036854775807";
constexpr std::string_view kLeastMicroseconds = "(-9223372036854775807 - 1)";

// "DECIMAL(10,2)".
bool read_decimal(std::string_view type, int& precision, int& scale) {
  constexpr std::string_view kBegin = "DECIMAL(";
  if (!type.starts_with(kBegin) || !type.ends_with(')')) return false;
  const char* end = type.data() + type.size();
  const auto [comma, bad] = std::from_chars(type.data() + kBegin.size(), end, precision);
  if (bad != std::errc() || *comma != ',') return false;
  return std::from_chars(comma + 1, end, scale).ec == std::errc();
}

std::string text_form(std::string_view value) {
  return fmt::format("CASE WHEN contains({0}, chr(0)) THEN error('a text has a zero byte') ELSE {0} END",
                     value);
}

// `finite`: some instant, which the infinite ones lie before or behind.
std::string timestamp_form(std::string_view value, std::string_view finite) {
  return fmt::format(
      "CASE WHEN isinf({0}) THEN CASE WHEN {0} > {4} THEN {1} ELSE {2} END "
      "ELSE epoch_us({0}) - {3} END",
      value, kMostMicroseconds, kLeastMicroseconds, kMicrosecondsTo2000, finite);
}

}  // namespace

Result<sql::FileColumn> file_column(std::string name, std::string_view type) {
  const std::string c = sql::executor_name(name);
  const auto column = [&](Oid oid, std::string form, std::int32_t typmod = -1) {
    return sql::FileColumn{.name = name, .type = oid, .typmod = typmod, .form = std::move(form)};
  };
  const auto cast = [&](std::string_view to) { return fmt::format("CAST({} AS {})", c, to); };
  if (int precision = 0, scale = 0; read_decimal(type, precision, scale))
    return column(types::kNumeric, cast(type), ((precision << 16) | scale) + 4);
  if (type.starts_with("ENUM(")) return column(types::kText, text_form(cast("VARCHAR")));
  if (type == "BOOLEAN") return column(types::kBool, cast("BOOLEAN"));
  if (type == "TINYINT" || type == "UTINYINT" || type == "SMALLINT")
    return column(types::kInt2, cast("SMALLINT"));
  if (type == "USMALLINT" || type == "INTEGER") return column(types::kInt4, cast("INTEGER"));
  if (type == "UINTEGER" || type == "BIGINT") return column(types::kInt8, cast("BIGINT"));
  if (type == "UBIGINT" || type == "HUGEINT" || type == "UHUGEINT")
    return column(types::kNumeric, cast("VARCHAR"));
  if (type == "FLOAT") return column(types::kFloat4, cast("FLOAT"));
  if (type == "DOUBLE") return column(types::kFloat8, cast("DOUBLE"));
  if (type == "VARCHAR") return column(types::kText, text_form(cast("VARCHAR")));
  if (type == "JSON") return column(types::kJson, text_form(cast("VARCHAR")));
  if (type == "BLOB") return column(types::kBytea, cast("BLOB"));
  if (type == "UUID")
    return column(types::kUuid, fmt::format("unhex(replace({}, '-', ''))", cast("VARCHAR")));
  if (type == "DATE") {
    return column(
        types::kDate,
        fmt::format("CASE WHEN isinf({0}) THEN CASE WHEN {0} > DATE '2000-01-01' THEN 2147483647 ELSE "
                    "-2147483648 END ELSE CAST(datediff('day', DATE '2000-01-01', {0}) AS INTEGER) END",
                    cast("DATE")));
  }
  if (type == "TIME")
    return column(types::kTime, fmt::format("datediff('microsecond', TIME '00:00:00', {})", cast("TIME")));
  if (type == "TIMESTAMP" || type == "TIMESTAMP_S" || type == "TIMESTAMP_MS" || type == "TIMESTAMP_NS")
    return column(types::kTimestamp, timestamp_form(cast("TIMESTAMP"), "TIMESTAMP '2000-01-01'"));
  if (type == "TIMESTAMP WITH TIME ZONE") {
    return column(types::kTimestamptz, timestamp_form(c, "make_timestamptz(0)"));
  }
  if (type == "INTERVAL") {
    return column(
        types::kInterval,
        fmt::format("concat(CAST(datepart('year', {0}) * 12 + datepart('month', {0}) AS VARCHAR), ' ', "
                    "CAST(datepart('day', {0}) AS VARCHAR), ' ', CAST(datepart('hour', {0}) * 3600000000 "
                    "+ datepart('minute', {0}) * 60000000 + datepart('microsecond', {0}) AS VARCHAR))",
                    cast("INTERVAL")));
  }
  return fail(ErrorCode::kNotImplemented,
              "column \"{}\" of the file is of the type {}, which is not implemented", name, type);
}

Result<WrittenColumn> written_column(Oid type, std::int32_t typmod, std::string_view c) {
  switch (type) {
    case types::kBool: return WrittenColumn{"BOOLEAN", std::string(c)};
    case types::kInt2: return WrittenColumn{"SMALLINT", std::string(c)};
    case types::kInt4: return WrittenColumn{"INTEGER", std::string(c)};
    case types::kInt8:
    case types::kOid: return WrittenColumn{"BIGINT", std::string(c)};
    case types::kFloat4: return WrittenColumn{"FLOAT", std::string(c)};
    case types::kFloat8: return WrittenColumn{"DOUBLE", std::string(c)};
    case types::kNumeric: {
      const auto travels = column_type(type, typmod);
      if (travels && travels->physical == Physical::kDecimal)
        return WrittenColumn{fmt::format("DECIMAL({},{})", travels->precision, travels->scale),
                             std::string(c)};
      return fail(ErrorCode::kNotImplemented,
                  "writing a numeric of unknown precision and scale is not implemented; cast it");
    }
    case types::kText:
    case types::kVarchar:
    case types::kBpchar:
    case types::kName:
    case types::kJson:
    case types::kJsonb: return WrittenColumn{"VARCHAR", std::string(c)};
    case types::kBytea: return WrittenColumn{"BLOB", std::string(c)};
    case types::kUuid: {
      const std::string hex = fmt::format("hex({})", c);
      return WrittenColumn{"UUID", fmt::format("CAST(lower({0}) AS UUID)", hex)};
    }
    case types::kDate:
      return WrittenColumn{"DATE",
                           fmt::format("CASE {0} WHEN 2147483647 THEN DATE 'infinity' WHEN -2147483648 THEN "
                                       "DATE '-infinity' ELSE DATE '2000-01-01' + {0} END",
                                       c)};
    case types::kTime:
      return WrittenColumn{"TIME", fmt::format("CASE {0} WHEN 86400000000 THEN TIME '24:00:00' ELSE "
                                               "CAST(make_timestamp({0}) AS TIME) END",
                                               c)};
    case types::kTimestamp:
    case types::kTimestamptz: {
      const bool zoned = type == types::kTimestamptz;
      const std::string_view name = zoned ? "TIMESTAMPTZ" : "TIMESTAMP";
      return WrittenColumn{
          zoned ? "TIMESTAMP WITH TIME ZONE" : "TIMESTAMP",
          fmt::format("CASE {0} WHEN {1} THEN {4} 'infinity' WHEN {2} THEN {4} '-infinity' ELSE "
                      "{5}({0} + {3}) END",
                      c, kMostMicroseconds, kLeastMicroseconds, kMicrosecondsTo2000, name,
                      zoned ? "make_timestamptz" : "make_timestamp")};
    }
    default:
      return fail(ErrorCode::kNotImplemented,
                  "writing a column of type {} into a file is not implemented; cast it", format_type(type));
  }
}

}  // namespace bop::executor
