// Binary forms, all integers big-endian, as PostgreSQL's send and receive functions define them:
//   bool 1 byte; int2, int4, int8, oid, xid, reg* their width; float4, float8 IEEE 754; text types, json,
//   unknown the bytes; jsonb and jsonpath one byte version 1 and the text; bytea the bytes; uuid 16 bytes;
//   date int32 days; time, timestamp, timestamptz int64 microseconds; timetz int64 and int32 seconds west;
//   interval int64 microseconds, int32 days, int32 months; numeric: numeric_binary.cpp; arrays: int32
//   dimensions, int32 flags (1 = has NULL), oid of the element, per dimension int32 count and int32 lower
//   bound, then per element int32 length (-1 NULL) and bytes; bit, varbit int32 number of bits and the bits;
//   inet, cidr one byte each of family (2, 3), mask, is cidr, number of bytes, then those; macaddr, macaddr8
//   the bytes; money int64; ranges one byte of flags (1 empty, 2 and 4 inclusive, 8 and 16 infinite bounds),
//   then for each bound that is finite int32 length and bytes; multiranges int32 count, then each int32
//   length and range.
#include <bit>

#include "sql/types/array.hpp"
#include "sql/types/bit_string.hpp"
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

template <class T>
Result<T> whole(std::string_view in) {
  const bool short_message = in.size() < sizeof(T);
  const auto v = take_be<T>(in);
  if (short_message) return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
  if (!in.empty()) return fail(ErrorCode::kInvalidBinaryRepresentation, "incorrect binary data format");
  return *v;
}

template <class T>
Result<OwnedValue> integer(std::string_view in) {
  BOP_LET(v, whole<T>(in));
  return OwnedValue::of_int(v);
}

Result<OwnedValue> timestamp(std::string_view in) {
  BOP_LET(t, whole<std::int64_t>(in));
  if (!is_infinite_timestamp(t) && !in_timestamp_range(t)) return std::unexpected(timestamp_out_of_range());
  return OwnedValue::of_int(t);
}

bool is_oid_like(Oid type) {
  switch (type) {
    case types::kOid:
    case types::kXid:
    case types::kCid:
    case types::kRegproc:
    case types::kRegprocedure:
    case types::kRegoper:
    case types::kRegoperator:
    case types::kRegclass:
    case types::kRegtype:
    case types::kRegnamespace:
    case types::kRegrole:
    case types::kRegcollation: return true;
    default: return false;
  }
}

constexpr std::uint8_t kFamilyV4 = 2, kFamilyV6 = 3;

Result<OwnedValue> parse_inet(std::string_view in, bool cidr) {
  const auto bad = [&](std::string_view what) {
    return fail(ErrorCode::kInvalidBinaryRepresentation, "invalid {} in external \"{}\" value", what,
                cidr ? "cidr" : "inet");
  };
  const auto family = take_be<std::uint8_t>(in);
  const auto bits = take_be<std::uint8_t>(in);
  const auto is_cidr = take_be<std::uint8_t>(in);
  const auto length = take_be<std::uint8_t>(in);
  if (!family || !bits || !is_cidr || !length)
    return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
  if (*family != kFamilyV4 && *family != kFamilyV6) return bad("address family");
  Inet made;
  made.v6 = *family == kFamilyV6;
  if (*bits > made.max_bits()) return bad("bits");
  if (*length != made.bytes()) return bad("length");
  if (in.size() < static_cast<std::size_t>(*length))
    return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
  if (in.size() > static_cast<std::size_t>(*length))
    return fail(ErrorCode::kInvalidBinaryRepresentation, "incorrect binary data format");
  made.bits = *bits;
  for (std::size_t i = 0; i < in.size(); ++i) made.address[i] = static_cast<std::uint8_t>(in[i]);
  if (cidr && made.has_host_bits()) {
    return std::unexpected(Error(ErrorCode::kInvalidBinaryRepresentation, "invalid external \"cidr\" value")
                               .detail("Value has bits set to right of mask."));
  }
  return OwnedValue::of_text(made.stored());
}

void append_inet(const Inet& v, bool cidr, std::string& out) {
  out += static_cast<char>(v.v6 ? kFamilyV6 : kFamilyV4);
  out += static_cast<char>(v.bits);
  out += cidr ? '\1' : '\0';
  out += static_cast<char>(v.bytes());
  for (int i = 0; i < v.bytes(); ++i) out += static_cast<char>(v.address[static_cast<std::size_t>(i)]);
}

}  // namespace

Result<OwnedValue> parse_binary(Oid type, std::int32_t typmod, std::string_view in,
                                const CodecContext& context) {
  if (const UserType* user = find_user_type(type); user != nullptr && user->definition().kind == 'd') {
    return parse_binary(user->definition().base, user->definition().base_typmod, in, context);
  }
  const auto fitted = [&](Result<OwnedValue> v) -> Result<OwnedValue> {
    if (!v || typmod < 0) return v;
    return apply_typmod(type, typmod, *std::move(v), false);
  };
  switch (type) {
    case types::kBool: {
      BOP_LET(v, whole<std::uint8_t>(in));
      return OwnedValue::of_bool(v != 0);
    }
    case types::kInt2: return integer<std::int16_t>(in);
    case types::kInt4: return integer<std::int32_t>(in);
    case types::kInt8:
    case types::kXid8: return integer<std::int64_t>(in);
    case types::kFloat4: {
      BOP_LET(v, whole<std::uint32_t>(in));
      return stored_float(std::bit_cast<float>(v));
    }
    case types::kFloat8: {
      BOP_LET(v, whole<std::uint64_t>(in));
      return stored_float(std::bit_cast<double>(v));
    }
    case types::kNumeric: {
      BOP_LET(v, Numeric::parse_binary(in));
      return fitted(OwnedValue::of_text(v.to_text()));
    }
    case types::kBytea: return OwnedValue::of_blob(std::string(in));
    case types::kBit:
    case types::kVarbit: {
      BOP_LET(bits, parse_bits_binary(in));
      return fitted(OwnedValue::of_text(std::move(bits)));
    }
    case types::kInet:
    case types::kCidr: return parse_inet(in, type == types::kCidr);
    case types::kMacaddr:
    case types::kMacaddr8: {
      const std::size_t size = type == types::kMacaddr ? 6 : 8;
      if (in.size() < size) return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
      if (in.size() > size)
        return fail(ErrorCode::kInvalidBinaryRepresentation, "incorrect binary data format");
      return OwnedValue::of_blob(std::string(in));
    }
    case types::kMoney: return integer<std::int64_t>(in);
    case types::kUuid:
      if (in.size() < 16) return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
      if (in.size() > 16)
        return fail(ErrorCode::kInvalidBinaryRepresentation, "incorrect binary data format");
      return OwnedValue::of_blob(std::string(in));
    case types::kDate: {
      BOP_LET(d, whole<std::int32_t>(in));
      if (!is_infinite_date(d) && (d < kMinDate || d > kMaxDate)) {
        return fail(ErrorCode::kDatetimeOutOfRange, "date out of range");
      }
      return OwnedValue::of_int(d);
    }
    case types::kTime: {
      BOP_LET(t, whole<std::int64_t>(in));
      if (t < 0 || t > kUsPerDay) return fail(ErrorCode::kDatetimeOutOfRange, "time out of range");
      return fitted(OwnedValue::of_int(t));
    }
    case types::kTimestamp:
    case types::kTimestamptz: return fitted(timestamp(in));
    case types::kTimetz: {
      const auto us = take_be<std::int64_t>(in);
      const auto west = take_be<std::int32_t>(in);
      if (!us || !west) return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
      if (!in.empty()) return fail(ErrorCode::kInvalidBinaryRepresentation, "incorrect binary data format");
      if (*us < 0 || *us > kUsPerDay) return fail(ErrorCode::kDatetimeOutOfRange, "time out of range");
      if (*west <= -16 * 3600 || *west >= 16 * 3600) {
        return fail(ErrorCode::kInvalidTimeZoneDisplacement, "time zone displacement out of range");
      }
      return fitted(OwnedValue::of_text(TimeTz{*us, *west}.stored()));
    }
    case types::kInterval: {
      const auto us = take_be<std::int64_t>(in);
      const auto days = take_be<std::int32_t>(in);
      const auto months = take_be<std::int32_t>(in);
      if (!us || !days || !months)
        return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
      if (!in.empty()) return fail(ErrorCode::kInvalidBinaryRepresentation, "incorrect binary data format");
      return fitted(OwnedValue::of_text(Interval{*months, *days, *us}.stored()));
    }
    case types::kJsonpath:
    case types::kJsonb: {
      const auto version = take_be<std::uint8_t>(in);
      if (!version) return fail(ErrorCode::kProtocolViolation, "no data left in message");
      if (*version != 1) {
        return fail(ErrorCode::kInternal, "unsupported {} version number {}", format_type(type), *version);
      }
      return parse_text(type, typmod, in, context);
    }
    default: break;
  }
  if (is_oid_like(type)) return integer<std::uint32_t>(in);
  if (subtype_of_range(type) != 0) return parse_range_binary(type, in, context);
  if (is_true_array(type) || type == types::kInt2Vector || type == types::kOidVector) {
    BOP_LET(a, parse_array_binary(type, typmod, in, context));
    return OwnedValue::of_text(stored_array(type, a));
  }
  const TypeInfo* t = find_type(type);
  if (t == nullptr || t->receive == "-" || type == types::kRecord) {
    return fail(ErrorCode::kUndefinedFunction, "no binary input function available for type {}",
                format_type(type));
  }
  return parse_text(type, typmod, in, context);
}

void encode_binary(Oid type, std::int32_t typmod, const Value& v, const CodecContext& context,
                   std::string& out) {
  type = base_type(type);
  switch (type) {
    case types::kBool: out += v.as_bool() ? '\1' : '\0'; return;
    case types::kInt2: put_be(out, static_cast<std::int16_t>(v.integer)); return;
    case types::kInt4:
    case types::kDate: put_be(out, static_cast<std::int32_t>(v.integer)); return;
    case types::kInt8:
    case types::kXid8:
    case types::kMoney:
    case types::kTime:
    case types::kTimestamp:
    case types::kTimestamptz: put_be(out, v.integer); return;
    case types::kBit:
    case types::kVarbit: append_bits_binary(v.bytes, out); return;
    case types::kInet:
    case types::kCidr: append_inet(Inet::of_stored(v.bytes), type == types::kCidr, out); return;
    case types::kFloat4: put_be(out, std::bit_cast<std::uint32_t>(static_cast<float>(float_of(v)))); return;
    case types::kFloat8: put_be(out, std::bit_cast<std::uint64_t>(float_of(v))); return;
    case types::kNumeric: Numeric::parse_stored(v.bytes).append_binary(out); return;
    case types::kBytea:
    case types::kMacaddr:
    case types::kMacaddr8:
    case types::kUuid: out += v.bytes; return;
    case types::kTimetz: {
      const TimeTz t = TimeTz::of_stored(v.bytes);
      put_be(out, t.us);
      put_be(out, t.west);
      return;
    }
    case types::kInterval: {
      const Interval i = Interval::of_stored(v.bytes);
      put_be(out, i.us);
      put_be(out, i.days);
      put_be(out, i.months);
      return;
    }
    case types::kJsonpath:
    case types::kJsonb:
      out += '\1';
      out += v.bytes;
      return;
    case types::kVoid: return;
    default: break;
  }
  if (subtype_of_range(type) != 0) return append_range_binary(type, v.bytes, context, out);
  if (is_oid_like(type) && v.kind == Value::Kind::kInt) {
    put_be(out, static_cast<std::uint32_t>(v.integer));
    return;
  }
  if (is_true_array(type) || type == types::kInt2Vector || type == types::kOidVector) {
    Array a = parse_stored_array(type, v.bytes);
    if (element_of(type) == types::kBpchar) {
      for (OwnedValue& e : a.elements) e = padded(types::kBpchar, typmod, e);
    }
    append_array_binary(type, a, context, out);
    return;
  }
  if (type == types::kRecord) return append_record_binary(parse_stored_record(v.bytes), context, out);
  encode_text(type, typmod, v, context, out);
}

}  // namespace bop
