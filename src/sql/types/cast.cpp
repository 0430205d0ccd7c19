#include <algorithm>
#include <cmath>
#include <optional>

#include "sql/types/array.hpp"
#include "sql/types/bytes.hpp"
#include "sql/types/codec.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/float.hpp"
#include "sql/types/interval.hpp"
#include "sql/types/json.hpp"
#include "sql/types/network.hpp"
#include "sql/types/numeric.hpp"
#include "sql/types/range.hpp"
#include "sql/types/record.hpp"
#include "sql/types/user_types.hpp"

namespace bop {
namespace {

struct IntegerRange {
  std::int64_t low, high;
  std::string_view name;
};

const IntegerRange* integer_range(Oid type) {
  static constexpr IntegerRange kSmall{INT16_MIN, INT16_MAX, "smallint"},
      kInt{INT32_MIN, INT32_MAX, "integer"}, kBig{INT64_MIN, INT64_MAX, "bigint"},
      kOidRange{0, UINT32_MAX, "OID"};
  switch (type) {
    case types::kInt2: return &kSmall;
    case types::kInt4: return &kInt;
    case types::kInt8: return &kBig;
    case types::kOid:
    case types::kRegproc:
    case types::kRegprocedure:
    case types::kRegoper:
    case types::kRegoperator:
    case types::kRegclass:
    case types::kRegtype:
    case types::kRegnamespace:
    case types::kRegrole:
    case types::kRegcollation: return &kOidRange;
    default: return nullptr;
  }
}

bool is_float(Oid t) { return t == types::kFloat4 || t == types::kFloat8; }

Result<OwnedValue> float_to_integer(double v, const IntegerRange& range) {
  const double r = std::nearbyint(v);  // half to even
  // 2^63 is a double, INT64_MAX is not: compare below the first that is too large.
  if (!(r >= static_cast<double>(range.low) && r < static_cast<double>(range.high) + 1.0) || std::isnan(v)) {
    return fail(ErrorCode::kNumericOutOfRange, "{} out of range", range.name);
  }
  return OwnedValue::of_int(static_cast<std::int64_t>(r));
}

Result<OwnedValue> to_float4(double v) {
  const auto f = static_cast<float>(v);
  if (std::isinf(f) && !std::isinf(v))
    return fail(ErrorCode::kNumericOutOfRange, "value out of range: overflow");
  if (f == 0 && v != 0) return fail(ErrorCode::kNumericOutOfRange, "value out of range: underflow");
  return stored_float(f);
}

Result<OwnedValue> to_integer(Oid from, const Value& v, Oid to) {
  const IntegerRange& range = *integer_range(to);
  if (const IntegerRange* source = integer_range(from); source != nullptr || from == types::kBool) {
    std::int64_t i = v.integer;
    if (range.name == "OID" && source != nullptr && source->name != "bigint") {
      i = static_cast<std::uint32_t>(i);  // integer to oid keeps the bits
    } else if (source != nullptr && source->name == "OID" && range.name == "integer") {
      i = static_cast<std::int32_t>(i);
    }
    if (i < range.low || i > range.high)
      return fail(ErrorCode::kNumericOutOfRange, "{} out of range", range.name);
    return OwnedValue::of_int(i);
  }
  if (is_float(from)) return float_to_integer(float_of(v), range);
  if (from == types::kNumeric) {
    BOP_LET(i, Numeric::parse_stored(v.bytes).to_int(range.low, range.high, range.name));
    return OwnedValue::of_int(i);
  }
  return OwnedValue::null();
}

Result<OwnedValue> json_scalar_to(Oid to, const Value& v, const CodecContext& context) {
  const Json j = parse_stored_json(v.bytes);
  if (j.type == Json::Type::kNumber && to != types::kBool) {
    return cast(types::kNumeric, to, Value::of_text(j.text), true, context);
  }
  if (j.type == Json::Type::kBool && to == types::kBool) return OwnedValue::of_bool(j.boolean);
  constexpr std::string_view kNames[] = {"null", "string", "numeric", "boolean", "array", "object"};
  const std::string_view kind = j.type == Json::Type::kArray || j.type == Json::Type::kObject
                                    ? (j.type == Json::Type::kArray ? "array" : "object")
                                    : kNames[static_cast<std::size_t>(j.type)];
  return fail(ErrorCode::kInvalidArgument, "cannot cast jsonb {} to type {}", kind, format_type(to));
}

Result<OwnedValue> between_datetimes(Oid from, Oid to, const Value& v, const CodecContext& context) {
  const auto date_to_timestamp = [](std::int64_t d) -> Result<std::int64_t> {
    if (d == kDateInfinity) return kTimestampInfinity;
    if (d == kDateMinusInfinity) return kTimestampMinusInfinity;
    if (d > kEndTimestamp / kUsPerDay - 1) {
      return fail(ErrorCode::kDatetimeOutOfRange, "date out of range for timestamp");
    }
    return d * kUsPerDay;
  };
  const auto timestamp_to_date = [](std::int64_t t) {
    return t == kTimestampInfinity        ? kDateInfinity
           : t == kTimestampMinusInfinity ? kDateMinusInfinity
                                          : floor_div64(t, kUsPerDay);
  };
  const auto time_of = [](std::int64_t t) { return t - floor_div64(t, kUsPerDay) * kUsPerDay; };
  switch (from) {
    case types::kDate: {
      BOP_LET(t, date_to_timestamp(v.integer));
      if (to == types::kTimestamp) return OwnedValue::of_int(t);
      if (to == types::kTimestamptz) return OwnedValue::of_int(from_local(t, context));
      break;
    }
    case types::kTimestamp:
      if (to == types::kTimestamptz) return OwnedValue::of_int(from_local(v.integer, context));
      if (to == types::kDate) return OwnedValue::of_int(timestamp_to_date(v.integer));
      if (to == types::kTime)
        return is_infinite_timestamp(v.integer) ? OwnedValue::null() : OwnedValue::of_int(time_of(v.integer));
      break;
    case types::kTimestamptz: {
      std::int32_t offset = 0;
      const std::int64_t local = to_local(v.integer, context, nullptr, &offset);
      if (to == types::kTimestamp) return OwnedValue::of_int(local);
      if (to == types::kDate) return OwnedValue::of_int(timestamp_to_date(local));
      if (is_infinite_timestamp(v.integer)) return OwnedValue::null();
      if (to == types::kTime) return OwnedValue::of_int(time_of(local));
      if (to == types::kTimetz) return OwnedValue::of_text(TimeTz{time_of(local), -offset}.stored());
      break;
    }
    case types::kTime: {
      if (to == types::kInterval) return OwnedValue::of_text(Interval{0, 0, v.integer}.stored());
      if (to == types::kTimetz) {
        std::int32_t offset = 0;
        (void)to_local(context.transaction_timestamp, context, nullptr, &offset);
        return OwnedValue::of_text(TimeTz{v.integer, -offset}.stored());
      }
      break;
    }
    case types::kTimetz:
      if (to == types::kTime) return OwnedValue::of_int(TimeTz::of_stored(v.bytes).us);
      break;
    case types::kInterval:
      if (to == types::kTime) return OwnedValue::of_int(time_of(Interval::of_stored(v.bytes).us));
      break;
    default: break;
  }
  return OwnedValue::null();
}

bool is_datetime(Oid t) {
  switch (t) {
    case types::kDate:
    case types::kTime:
    case types::kTimetz:
    case types::kTimestamp:
    case types::kTimestamptz:
    case types::kInterval: return true;
    default: return false;
  }
}

bool is_textual(Oid t) {
  const TypeInfo* info = find_type(t);
  return info != nullptr &&
         (info->category == 'S' || t == types::kUnknown || t == types::kCstring || t == types::kChar);
}

Result<OwnedValue> money_of(const Value& v, Oid from) {
  Numeric amount = from == types::kNumeric ? Numeric::parse_stored(v.bytes) : Numeric::of_int(v.integer);
  BOP_LET(cents, Numeric::multiply(amount, Numeric::of_int(100)));
  BOP_LET(whole, cents.rounded(0).to_int(INT64_MIN, INT64_MAX, "bigint"));
  return OwnedValue::of_int(whole);
}

OwnedValue numeric_of_money(std::int64_t cents) {
  const std::uint64_t size =
      cents < 0 ? 0 - static_cast<std::uint64_t>(cents) : static_cast<std::uint64_t>(cents);
  return OwnedValue::of_text(fmt::format("{}{}.{:02}", cents < 0 ? "-" : "", size / 100, size % 100));
}

Result<OwnedValue> integer_of_bits(std::string_view bits, bool wide) {
  if (bits.size() > (wide ? 64U : 32U)) {
    return fail(ErrorCode::kNumericOutOfRange, "{} out of range", wide ? "bigint" : "integer");
  }
  std::uint64_t value = 0;
  for (const char bit : bits) value = value << 1 | (bit == '1' ? 1U : 0U);
  return OwnedValue::of_int(wide ? static_cast<std::int64_t>(value) : static_cast<std::int32_t>(value));
}

// Casts of pg_cast that belong to no family.
std::optional<Result<OwnedValue>> cast_special(Oid from, Oid to, const Value& v) {
  if (to == types::kMoney) return money_of(v, from);
  if (from == types::kMoney && to == types::kNumeric) return numeric_of_money(v.integer);
  if (from == types::kBit && (to == types::kInt4 || to == types::kInt8))
    return integer_of_bits(v.bytes, to == types::kInt8);
  if (to == types::kBit && (from == types::kInt4 || from == types::kInt8))  // bit(1); others: coerce.cpp
    return OwnedValue::of_text((v.integer & 1) != 0 ? "1" : "0");
  if (from == types::kInet && to == types::kCidr) {
    Inet network = Inet::of_stored(v.bytes);
    network.fill_host(false);
    return OwnedValue::of_text(network.stored());
  }
  if (from == types::kMacaddr && to == types::kMacaddr8) {
    std::string bytes(v.bytes);
    bytes.insert(3, "\xff\xfe");
    return OwnedValue::of_blob(std::move(bytes));
  }
  if (from == types::kMacaddr8 && to == types::kMacaddr) {
    if (v.bytes.substr(3, 2) != "\xff\xfe") {
      return std::unexpected(
          error(ErrorCode::kNumericOutOfRange, "macaddr8 data out of range to convert to macaddr")
              .hint(
                  "Only addresses that have FF and FE as values in the 4th and 5th bytes from the left, for "
                  "example xx:xx:xx:ff:fe:xx:xx:xx, are eligible to be converted from macaddr8 to macaddr."));
    }
    return OwnedValue::of_blob(std::string(v.bytes.substr(0, 3)) + std::string(v.bytes.substr(5)));
  }
  if (is_range(from) && multirange_of(from) == to)
    return OwnedValue::of_text(stored_multirange(to, ranges_of_stored(from, v.bytes)));
  return std::nullopt;
}

// bit(n) wants just n bits, bit varying(n) at most n; an explicit cast makes them fit.
Result<OwnedValue> fit_bits(Oid type, std::int32_t length, OwnedValue value, bool explicit_cast) {
  const std::string& bits = value.bytes();
  const auto wanted = static_cast<std::size_t>(length);
  if (bits.size() == wanted || (type == types::kVarbit && bits.size() < wanted)) return value;
  if (!explicit_cast && type == types::kBit) {
    return fail(ErrorCode::kStringLengthMismatch, "bit string length {} does not match type bit({})",
                bits.size(), length);
  }
  if (!explicit_cast) {
    return fail(ErrorCode::kStringTooLong, "bit string too long for type bit varying({})", length);
  }
  std::string fitted = bits;
  fitted.resize(wanted, '0');
  return OwnedValue::of_text(std::move(fitted));
}

}  // namespace

Result<OwnedValue> cast(Oid from, Oid to, const Value& v, bool explicit_cast, const CodecContext& context) {
  if (v.is_null() || from == to) return OwnedValue(v);
  if (const UserType* user = find_user_type(to); user != nullptr && user->definition().kind == 'd') {
    const UserType::Definition& d = user->definition();
    BOP_LET(converted, cast(from, d.base, v, explicit_cast, context));
    return apply_typmod(d.base, d.base_typmod, std::move(converted), explicit_cast);
  }
  from = base_type(from);
  if (from == to) return OwnedValue(v);
  // Text on either side goes through the text form; char(n) lost its blanks when it was stored.
  if (is_textual(from)) {
    if (to == types::kText || to == types::kVarchar) return OwnedValue(v);
    if (from == types::kChar && to == types::kInt4) {
      return OwnedValue::of_int(v.bytes.empty() ? 0 : static_cast<signed char>(v.bytes[0]));
    }
    if (to == types::kJson || to == types::kJsonb || to != types::kUnknown)
      return parse_text(to, -1, v.bytes, context);
    return OwnedValue(v);
  }
  if (from == types::kBool && is_textual(to) && to != types::kChar && to != types::kUnknown) {
    return OwnedValue::of_text(v.as_bool() ? "true" : "false");
  }
  if (from == types::kInt4 && to == types::kChar) {
    if (v.integer < -128 || v.integer > 127)
      return fail(ErrorCode::kNumericOutOfRange, "\"char\" out of range");
    return OwnedValue::of_text(v.integer == 0 ? std::string() : std::string(1, static_cast<char>(v.integer)));
  }
  if (is_textual(to)) {
    std::string text;
    if (from == types::kInet) {
      text = v.bytes;  // a cast keeps the mask that inet's output leaves out
    } else {
      encode_text(from, -1, v, context, text);
    }
    return to == types::kText || to == types::kVarchar ? OwnedValue::of_text(std::move(text))
                                                       : parse_text(to, -1, text, context);
  }
  if (from == types::kJsonb && to != types::kJson && cast_context(from, to) != CastContext::kNone) {
    return json_scalar_to(to, v, context);
  }
  if ((from == types::kJsonb && to == types::kJson) || (from == types::kJson && to == types::kJsonb)) {
    return parse_text(to, -1, v.bytes, context);
  }
  const bool from_array = is_true_array(from) || from == types::kInt2Vector || from == types::kOidVector;
  if (from_array && is_true_array(to) && cast_context(from, to) != CastContext::kNone) {
    Array a = parse_stored_array(from, v.bytes);
    for (OwnedValue& e : a.elements) {
      BOP_LET(converted, cast(element_of(from), element_of(to), e, explicit_cast, context));
      e = std::move(converted);
    }
    return OwnedValue::of_text(stored_array(to, a));
  }
  if (cast_context(from, to) != CastContext::kNone) {
    if (const auto special = cast_special(from, to, v)) return *special;
    if (to == types::kBool && integer_range(from) != nullptr) return OwnedValue::of_bool(v.integer != 0);
    if (integer_range(to) != nullptr && (integer_range(from) != nullptr || is_float(from) ||
                                         from == types::kNumeric || from == types::kBool)) {
      return to_integer(from, v, to);
    }
    if (to == types::kNumeric) {
      if (integer_range(from) != nullptr) return OwnedValue::of_text(Numeric::of_int(v.integer).to_text());
      if (from == types::kFloat8) return OwnedValue::of_text(Numeric::of_double(float_of(v)).to_text());
      if (from == types::kFloat4)
        return OwnedValue::of_text(Numeric::of_float(static_cast<float>(float_of(v))).to_text());
    }
    if (is_float(to)) {
      if (from == types::kNumeric) return parse_text(to, -1, v.bytes, context);
      const double d = float_of(v);
      return to == types::kFloat4 ? to_float4(d) : Result<OwnedValue>(stored_float(d));
    }
    if (is_datetime(from) && is_datetime(to)) return between_datetimes(from, to, v, context);
    if (to == types::kInt2Vector || to == types::kOidVector || from == types::kInt2Vector ||
        from == types::kOidVector) {
      const Array a = parse_stored_array(from, v.bytes);
      return OwnedValue::of_text(stored_array(to, a));
    }
    return OwnedValue(v);
  }
  return fail(ErrorCode::kCannotCoerce, "cannot cast type {} to {}", format_type(from), format_type(to));
}

OwnedValue padded(Oid type, std::int32_t typmod, const Value& value) {
  const auto length = char_typmod(typmod);
  if (value.is_null() || !length) return OwnedValue(value);
  if (type == types::kBpchar) {
    const std::size_t count = utf8_count(value.bytes), wanted = static_cast<std::size_t>(*length);
    std::string text(value.bytes);
    if (count < wanted) text.append(wanted - count, ' ');
    return OwnedValue::of_text(std::move(text));
  }
  if (element_of(type) == types::kBpchar && is_true_array(type)) {
    Array a = parse_stored_array(type, value.bytes);
    for (OwnedValue& e : a.elements) e = padded(types::kBpchar, typmod, e);
    return OwnedValue::of_text(stored_array(types::kTextArray, a));
  }
  return OwnedValue(value);
}

Result<OwnedValue> apply_typmod(Oid type, std::int32_t typmod, OwnedValue value, bool explicit_cast) {
  if (typmod < 0 || value.is_null()) return value;
  switch (type) {
    case types::kVarchar:
    case types::kBpchar: {
      const auto limit = char_typmod(typmod);
      if (!limit) return value;
      const std::string& s = value.bytes();
      const std::size_t end = utf8_offset(s, static_cast<std::size_t>(*limit));
      if (end == s.size()) return value;
      // What is cut off silently: blanks, or anything under an explicit cast.
      if (!explicit_cast && s.find_first_not_of(' ', end) != s.npos) {
        return fail(ErrorCode::kStringTooLong, "value too long for type {}({})", find_type(type)->sql_name,
                    *limit);
      }
      std::string cut = s.substr(0, end);
      if (type == types::kBpchar) cut.resize(cut.find_last_not_of(' ') + 1);
      return OwnedValue::of_text(std::move(cut));
    }
    case types::kNumeric: {
      const auto limit = numeric_typmod(typmod);
      if (!limit) return value;
      const Numeric n = Numeric::parse_stored(value.bytes());
      if (n.is_nan()) return value;
      const auto overflow = [&](std::string detail) -> Result<OwnedValue> {
        return std::unexpected(
            Error(ErrorCode::kNumericOutOfRange, "numeric field overflow").detail(std::move(detail)));
      };
      if (!n.is_finite()) {
        return overflow(fmt::format("A field with precision {}, scale {} cannot hold an infinite value.",
                                    limit->precision, limit->scale));
      }
      const Numeric rounded = n.rounded(limit->scale);
      const int digits = limit->precision - limit->scale;
      if (!rounded.is_zero() && rounded.coefficient().digit_count() - rounded.scale() > digits) {
        return overflow(
            fmt::format("A field with precision {}, scale {} must round to an absolute value less than {}{}.",
                        limit->precision, limit->scale, digits != 0 ? "10^" : "", digits != 0 ? digits : 1));
      }
      return OwnedValue::of_text(rounded.to_text());
    }
    case types::kBit:
    case types::kVarbit: return fit_bits(type, typmod, std::move(value), explicit_cast);
    case types::kTime: return OwnedValue::of_int(round_fraction(value.integer(), typmod));
    case types::kTimestamp:
    case types::kTimestamptz:
      if (is_infinite_timestamp(value.integer())) return value;
      return OwnedValue::of_int(round_fraction(value.integer(), typmod));
    case types::kTimetz: {
      TimeTz t = TimeTz::of_stored(value.bytes());
      t.us = round_fraction(t.us, typmod);
      return OwnedValue::of_text(t.stored());
    }
    case types::kInterval: {
      Interval i = cut_to_fields(Interval::of_stored(value.bytes()), typmod >> 16 & 0x7fff);
      const int digits = typmod & 0xffff;
      if (digits <= 6) i.us = round_fraction(i.us, digits);
      return OwnedValue::of_text(i.stored());
    }
    default: break;
  }
  if (is_true_array(type)) {
    Array a = parse_stored_array(type, value.bytes());
    for (OwnedValue& e : a.elements) {
      BOP_LET(fitted, apply_typmod(element_of(type), typmod, std::move(e), explicit_cast));
      e = std::move(fitted);
    }
    return OwnedValue::of_text(stored_array(type, a));
  }
  return value;
}

int compare(Oid type, const Value& a, const Value& b) noexcept {
  type = base_type(type);
  const auto order = [](auto x, auto y) { return x < y ? -1 : y < x ? 1 : 0; };
  switch (type) {
    case types::kNumeric: return Numeric::compare_stored(a.bytes, b.bytes);
    case types::kInterval:
      return Interval::compare(Interval::of_stored(a.bytes), Interval::of_stored(b.bytes));
    case types::kTimetz: {
      const TimeTz x = TimeTz::of_stored(a.bytes), y = TimeTz::of_stored(b.bytes);
      return x.utc() != y.utc() ? order(x.utc(), y.utc()) : order(x.west, y.west);
    }
    case types::kInet:
    case types::kCidr:
      return a.bytes == b.bytes ? 0 : Inet::compare(Inet::of_stored(a.bytes), Inet::of_stored(b.bytes));
    case types::kJsonb:
      return a.bytes == b.bytes ? 0 : compare_json(parse_stored_json(a.bytes), parse_stored_json(b.bytes));
    case types::kFloat4:
    case types::kFloat8: {
      const double x = float_of(a), y = float_of(b);
      if (std::isnan(x) || std::isnan(y)) return order(std::isnan(x), std::isnan(y));
      return order(x, y);
    }
    default: break;
  }
  if (a.kind == Value::Kind::kInt && b.kind == Value::Kind::kInt) return order(a.integer, b.integer);
  if (subtype_of_range(type) != 0) return compare_range_values(type, a.bytes, b.bytes);
  if (type == types::kRecord) return compare_records(a.bytes, b.bytes);
  if (element_of(type) != 0) return compare_arrays(type, a.bytes, b.bytes);
  const int c = a.bytes.compare(b.bytes);
  return (c > 0) - (c < 0);
}

}  // namespace bop
