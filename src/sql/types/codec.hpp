// Text and binary forms of every type, type modifiers and casts, as PostgreSQL 15 does them.
//
// `parse_*` make stored values from outside bytes and never trust them: every error is a Result with
// PostgreSQL's message and SQLSTATE. `encode_*` append the form of a stored value; they never fail for a
// value that `parse_*` made. A NULL value has no form: callers handle NULL before. Thread-safe; a
// CodecContext belongs to one session.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "sql/types/types.hpp"
#include "sql/types/value.hpp"

namespace bop {

class TimeZone;  // sql/types/timezone.hpp

enum class DateOrder : std::uint8_t { kYmd, kDmy, kMdy };
enum class DateStyle : std::uint8_t { kIso, kSql, kPostgres, kGerman };
enum class IntervalStyle : std::uint8_t { kPostgres, kPostgresVerbose, kSqlStandard, kIso8601 };
enum class ByteaOutput : std::uint8_t { kHex, kEscape };

// Names behind regclass, regtype, regproc, regnamespace, regrole... Implemented by the catalog.
class ObjectNames {
 public:
  virtual ~ObjectNames() = default;
  // OID of what `name` says for the reg* type `kind`; errors as PostgreSQL (42P01, 42704, 42883, 3F000).
  [[nodiscard]] virtual Result<Oid> resolve(Oid kind, std::string_view name) const = 0;
  // The name as regclassout and its siblings print it, quoted and qualified as needed; the number if unknown.
  [[nodiscard]] virtual std::string name_of(Oid kind, Oid object) const = 0;
};

struct CodecContext {
  const TimeZone* zone = nullptr;  // nullptr = UTC
  DateStyle date_style = DateStyle::kIso;
  DateOrder date_order = DateOrder::kMdy;
  IntervalStyle interval_style = IntervalStyle::kPostgres;
  ByteaOutput bytea_output = ByteaOutput::kHex;
  int extra_float_digits = 1;
  std::int64_t transaction_timestamp = 0;  // microseconds since 2000-01-01 UTC; now(), 'now', 'today'
  std::int64_t statement_timestamp = 0;
  const ObjectNames* names =
      nullptr;  // nullptr: reg* types accept and print numbers (regtype: built-in types)
};

[[nodiscard]] Result<OwnedValue> parse_text(Oid type, std::int32_t typmod, std::string_view text,
                                            const CodecContext& context);
[[nodiscard]] Result<OwnedValue> parse_binary(Oid type, std::int32_t typmod, std::string_view bytes,
                                              const CodecContext& context);
void encode_text(Oid type, std::int32_t typmod, const Value& value, const CodecContext& context,
                 std::string& out);
void encode_binary(Oid type, std::int32_t typmod, const Value& value, const CodecContext& context,
                   std::string& out);

// char(n) is kept without its blanks: the text with them, of an array a text[] of them. Of other types, or
// where the modifier tells no length, the value as it is.
[[nodiscard]] OwnedValue padded(Oid type, std::int32_t typmod, const Value& value);
// Fits a value to a type modifier: an assignment refuses what is too long (22001), an explicit cast cuts it.
[[nodiscard]] Result<OwnedValue> apply_typmod(Oid type, std::int32_t typmod, OwnedValue value,
                                              bool explicit_cast);
// Converts between types (then use apply_typmod). 42846 when no cast exists.
[[nodiscard]] Result<OwnedValue> cast(Oid from, Oid to, const Value& value, bool explicit_cast,
                                      const CodecContext& context);
// PostgreSQL's btree order of two values of one type, neither NULL; what the collations of SQLite answer.
[[nodiscard]] int compare(Oid type, const Value& a, const Value& b) noexcept;

}  // namespace bop
