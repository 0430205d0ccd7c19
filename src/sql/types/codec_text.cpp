#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "sql/types/array.hpp"
#include "sql/types/bit_string.hpp"
#include "sql/types/bytes.hpp"
#include "sql/types/codec.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/float.hpp"
#include "sql/types/interval.hpp"
#include "sql/types/json.hpp"
#include "sql/types/jsonpath.hpp"
#include "sql/types/money.hpp"
#include "sql/types/network.hpp"
#include "sql/types/numeric.hpp"
#include "sql/types/range.hpp"
#include "sql/types/record.hpp"
#include "sql/types/scalar.hpp"
#include "sql/types/user_types.hpp"

namespace bop {
namespace {

constexpr std::size_t kNameBytes = 63;

std::unexpected<Error> bad_syntax(std::string_view type, std::string_view text) {
  return fail(ErrorCode::kInvalidTextRepresentation, "invalid input syntax for type {}: \"{}\"", type, text);
}

Result<OwnedValue> parse_integer(std::string_view text, std::int64_t low, std::int64_t high,
                                 std::string_view type) {
  const std::string_view s = trim_space(text);
  std::size_t i = 0;
  const bool minus = !s.empty() && s[0] == '-';
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) ++i;
  if (i == s.size()) return bad_syntax(type, text);
  __int128 v = 0;
  for (; i < s.size(); ++i) {
    if (!is_digit(s[i])) return bad_syntax(type, text);
    if (v <= INT64_MAX) v = v * 10 + (s[i] - '0');
  }
  if (minus) v = -v;
  if (v < low || v > high) {
    return fail(ErrorCode::kNumericOutOfRange, "value \"{}\" is out of range for type {}", text, type);
  }
  return OwnedValue::of_int(static_cast<std::int64_t>(v));
}

// oid and its kin take what strtoul takes: negative numbers wrap.
Result<OwnedValue> parse_oid(std::string_view text, std::string_view type) {
  const std::string_view s = trim_space(text);
  auto wide = parse_integer(s, INT32_MIN, UINT32_MAX, type);
  if (!wide) {
    return wide.error().code() == ErrorCode::kNumericOutOfRange
               ? fail(ErrorCode::kNumericOutOfRange, "value \"{}\" is out of range for type {}", text, type)
               : bad_syntax(type, text);
  }
  return OwnedValue::of_int(static_cast<std::uint32_t>(wide->integer()));
}

Result<OwnedValue> parse_bool(std::string_view text) {
  const std::string s = lower_ascii(trim_space(text));
  const auto prefix = [&s](std::string_view word, std::size_t least) {
    return s.size() >= least && word.starts_with(s);
  };
  if (prefix("true", 1) || prefix("yes", 1) || s == "on" || s == "1") return OwnedValue::of_bool(true);
  if (prefix("false", 1) || prefix("no", 1) || prefix("off", 2) || s == "0")
    return OwnedValue::of_bool(false);
  return bad_syntax("boolean", text);
}

int hex_digit(char c) {
  c = ascii_lower(c);
  return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

Result<OwnedValue> parse_uuid(std::string_view text) {
  // 32 hexadecimal digits, a hyphen allowed after every four, braces around.
  std::string_view s = text;
  const bool braces = s.starts_with('{');
  if (braces) s.remove_prefix(1);
  std::string bytes;
  for (int i = 0; i < 16; ++i) {
    if (s.size() < 2 || hex_digit(s[0]) < 0 || hex_digit(s[1]) < 0) return bad_syntax("uuid", text);
    bytes += static_cast<char>(hex_digit(s[0]) * 16 + hex_digit(s[1]));
    s.remove_prefix(2);
    if (i % 2 == 1 && i < 15 && s.starts_with('-')) s.remove_prefix(1);
  }
  if (braces) {
    if (!s.starts_with('}')) return bad_syntax("uuid", text);
    s.remove_prefix(1);
  }
  if (!s.empty()) return bad_syntax("uuid", text);
  return OwnedValue::of_blob(std::move(bytes));
}

Result<OwnedValue> parse_bytea(std::string_view text) {
  if (text.starts_with("\\x")) {
    BOP_LET(bytes, decode_hex(text.substr(2)));
    return OwnedValue::of_blob(std::move(bytes));
  }
  BOP_LET(bytes, decode_escape(text));
  return OwnedValue::of_blob(std::move(bytes));
}

Result<OwnedValue> parse_reg(Oid type, std::string_view text, const CodecContext& context) {
  if (text == "-") return OwnedValue::of_int(0);
  if (!text.empty() && std::ranges::all_of(text, is_digit)) return parse_oid(text, "oid");
  if (context.names != nullptr) {
    BOP_LET(oid, context.names->resolve(type, text));
    return OwnedValue::of_int(oid);
  }
  if (type == types::kRegtype) {
    if (const TypeInfo* t = find_type(lower_ascii(text))) return OwnedValue::of_int(t->oid);
    return fail(ErrorCode::kUndefinedObject, "type \"{}\" does not exist", text);
  }
  return fail(ErrorCode::kNotImplemented, "names of type {} cannot be resolved here", format_type(type));
}

std::size_t name_length(std::string_view s) {
  if (s.size() <= kNameBytes) return s.size();
  std::size_t n = kNameBytes;
  while (n > 0 && (static_cast<unsigned char>(s[n]) & 0xc0) == 0x80) --n;
  return n;
}

// What a client sent as text; SQLite and the log keep it, so it must be UTF-8 without NUL.
Status check_text(std::string_view s) {
  const std::size_t bad = find_invalid_utf8(s);
  if (bad == std::string_view::npos) return {};
  const std::size_t n = std::min({utf8_length(s[bad]), s.size() - bad, std::size_t{4}});
  std::string hex;
  for (std::size_t i = 0; i < n; ++i)
    hex += fmt::format("{}0x{:02x}", i == 0 ? "" : " ", static_cast<unsigned char>(s[bad + i]));
  return fail(ErrorCode::kCharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": {}", hex);
}

// Constraints of a domain are not looked at here: plans do.
Result<OwnedValue> parse_user_type(const UserType& type, std::string_view text, const CodecContext& context) {
  const UserType::Definition& d = type.definition();
  if (d.kind == 'd') return parse_text(d.base, d.base_typmod, text, context);
  BOP_TRY(check_text(text));
  const EnumLabel* label = type.find_label(text);
  if (label == nullptr) {
    return fail(ErrorCode::kInvalidTextRepresentation, "invalid input value for enum {}: \"{}\"",
                format_type(d.oid), text);
  }
  return OwnedValue::of_int(label->ordinal);
}

void encode_user_type(const UserType& type, const Value& v, const CodecContext& context, std::string& out) {
  const UserType::Definition& d = type.definition();
  if (d.kind == 'd') return encode_text(d.base, d.base_typmod, v, context, out);
  if (const EnumLabel* label = type.find_ordinal(v.integer)) out += label->label;
}

}  // namespace

Result<std::string> decode_hex(std::string_view s) {
  std::string bytes;
  bytes.reserve(s.size() / 2);
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (is_space(s[i])) continue;
    const int high = hex_digit(s[i]);
    if (high < 0) {
      return fail(ErrorCode::kInvalidArgument, "invalid hexadecimal digit: \"{}\"",
                  s.substr(i, utf8_length(s[i])));
    }
    if (++i >= s.size())
      return fail(ErrorCode::kInvalidArgument, "invalid hexadecimal data: odd number of digits");
    const int low = hex_digit(s[i]);
    if (low < 0) {
      return fail(ErrorCode::kInvalidArgument, "invalid hexadecimal digit: \"{}\"",
                  s.substr(i, utf8_length(s[i])));
    }
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

Result<std::string> decode_escape(std::string_view s) {
  std::string bytes;
  const auto octal = [&](std::size_t i, char most) { return i < s.size() && s[i] >= '0' && s[i] <= most; };
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '\\') {
      bytes += s[i];
    } else if (i + 1 < s.size() && s[i + 1] == '\\') {
      bytes += '\\';
      ++i;
    } else if (octal(i + 1, '3') && octal(i + 2, '7') && octal(i + 3, '7')) {
      bytes += static_cast<char>((s[i + 1] - '0') * 64 + (s[i + 2] - '0') * 8 + (s[i + 3] - '0'));
      i += 3;
    } else {
      return fail(ErrorCode::kInvalidTextRepresentation, "invalid input syntax for type bytea");
    }
  }
  return bytes;
}

void encode_hex(std::string_view bytes, std::string& out) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : bytes) {
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
}

void encode_escape(std::string_view bytes, std::string& out) {
  for (const char c : bytes) {
    const auto b = static_cast<unsigned char>(c);
    if (c == '\\')
      out += "\\\\";
    else if (b < 0x20 || b > 0x7e)
      out += fmt::format("\\{:03o}", b);
    else
      out += c;
  }
}

Result<OwnedValue> parse_text(Oid type, std::int32_t typmod, std::string_view text,
                              const CodecContext& context) {
  if (const UserType* user = find_user_type(type)) return parse_user_type(*user, text, context);
  const auto fitted = [&](Result<OwnedValue> v) -> Result<OwnedValue> {
    if (!v || typmod < 0) return v;
    return apply_typmod(type, typmod, *std::move(v), false);
  };
  const auto number = [](auto&& v) -> Result<OwnedValue> {
    if (!v) return std::unexpected(std::move(v).error());
    return OwnedValue::of_int(*v);
  };
  BOP_TRY(check_text(text));
  switch (type) {
    case types::kBool: return parse_bool(text);
    case types::kInt2: return parse_integer(text, INT16_MIN, INT16_MAX, "smallint");
    case types::kInt4: return parse_integer(text, INT32_MIN, INT32_MAX, "integer");
    case types::kInt8: return parse_integer(text, INT64_MIN, INT64_MAX, "bigint");
    case types::kOid: return parse_oid(text, "oid");
    case types::kXid: return parse_oid(text, "xid");
    case types::kCid: return parse_oid(text, "cid");
    case types::kXid8: return parse_integer(text, INT64_MIN, INT64_MAX, "xid8");
    case types::kRegproc:
    case types::kRegprocedure:
    case types::kRegoper:
    case types::kRegoperator:
    case types::kRegclass:
    case types::kRegtype:
    case types::kRegnamespace:
    case types::kRegrole:
    case types::kRegcollation: return parse_reg(type, text, context);
    case types::kFloat4: {
      BOP_LET(v, parse_float4(text));
      return stored_float(v);
    }
    case types::kFloat8: {
      BOP_LET(v, parse_float8(text));
      return stored_float(v);
    }
    case types::kNumeric: {
      BOP_LET(v, Numeric::parse(text));
      return fitted(OwnedValue::of_text(v.to_text()));
    }
    case types::kChar:
      return OwnedValue::of_text(std::string(text.substr(0, text.empty() ? 0 : utf8_length(text[0]))));
    case types::kName: return OwnedValue::of_text(std::string(text.substr(0, name_length(text))));
    case types::kBpchar: {
      BOP_LET(v, fitted(OwnedValue::of_text(std::string(text))));
      std::string s = std::move(v).take_bytes();
      s.resize(s.find_last_not_of(' ') + 1);
      return OwnedValue::of_text(std::move(s));
    }
    case types::kVarchar: return fitted(OwnedValue::of_text(std::string(text)));
    case types::kBytea: return parse_bytea(text);
    case types::kUuid: return parse_uuid(text);
    case types::kDate: return number(parse_date(text, context));
    case types::kTime: return fitted(number(parse_time(text, context)));
    case types::kTimestamp: return fitted(number(parse_timestamp(text, context)));
    case types::kTimestamptz: return fitted(number(parse_timestamptz(text, context)));
    case types::kTimetz: {
      BOP_LET(v, parse_timetz(text, context));
      return fitted(OwnedValue::of_text(v.stored()));
    }
    case types::kInterval: {
      BOP_LET(v, parse_interval(text, typmod < 0 ? interval_fields::kAll : typmod >> 16 & 0x7fff,
                                context.interval_style));
      return fitted(OwnedValue::of_text(v.stored()));
    }
    case types::kBit:
    case types::kVarbit: {
      BOP_LET(v, parse_bits(text));
      return fitted(OwnedValue::of_text(std::move(v)));
    }
    case types::kInet:
    case types::kCidr: {
      BOP_LET(v, Inet::parse(text, type == types::kCidr));
      return OwnedValue::of_text(v.stored());
    }
    case types::kMacaddr:
    case types::kMacaddr8: {
      BOP_LET(v, type == types::kMacaddr ? parse_macaddr(text) : parse_macaddr8(text));
      return OwnedValue::of_blob(std::move(v));
    }
    case types::kMoney: return number(parse_money(text));
    case types::kJsonpath: {
      BOP_LET(v, parse_jsonpath(text));
      return OwnedValue::of_text(jsonpath_text(v));
    }
    case types::kJson: {
      BOP_TRY(parse_json(text, false));
      return OwnedValue::of_text(std::string(text));
    }
    case types::kJsonb: {
      BOP_LET(v, parse_json(text, true));
      return OwnedValue::of_text(jsonb_text(v));
    }
    default: break;
  }
  if (subtype_of_range(type) != 0) return parse_range_value(type, text, context);
  if (is_true_array(type) || type == types::kInt2Vector || type == types::kOidVector) {
    BOP_LET(v, parse_array(type, typmod, text, context));
    return OwnedValue::of_text(stored_array(type, v));
  }
  if (find_type(type) != nullptr && is_pseudo(type) && type != types::kCstring && type != types::kVoid &&
      type != types::kUnknown && (type != types::kRecord || &context != &storage_context())) {
    if (type == types::kRecord) {
      return fail(ErrorCode::kNotImplemented, "input of anonymous composite types is not implemented");
    }
    return fail(ErrorCode::kNotImplemented, "cannot accept a value of type {}", format_type(type));
  }
  return OwnedValue::of_text(std::string(text));
}

void encode_text(Oid type, std::int32_t typmod, const Value& v, const CodecContext& context,
                 std::string& out) {
  if (const UserType* user = find_user_type(type)) return encode_user_type(*user, v, context, out);
  const auto integer = [&out](auto n) {
    char buffer[24];
    out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, n).ptr);
  };
  switch (type) {
    case types::kBool: out += v.as_bool() ? 't' : 'f'; return;
    case types::kFloat4:
      append_float4(static_cast<float>(float_of(v)), context.extra_float_digits, out);
      return;
    case types::kFloat8: append_float8(float_of(v), context.extra_float_digits, out); return;
    case types::kBpchar: {
      out += v.bytes;
      if (const auto n = char_typmod(typmod)) {
        const auto count = static_cast<int>(utf8_count(v.bytes));
        if (count < *n) out.append(static_cast<std::size_t>(*n - count), ' ');
      }
      return;
    }
    case types::kBytea:
      if (context.bytea_output == ByteaOutput::kHex) {
        out += "\\x";
        encode_hex(v.bytes, out);
      } else {
        encode_escape(v.bytes, out);
      }
      return;
    case types::kUuid:
      for (std::size_t i = 0; i < v.bytes.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
        encode_hex(v.bytes.substr(i, 1), out);
      }
      return;
    case types::kInet: out += Inet::of_stored(v.bytes).text(false); return;
    case types::kMacaddr:
    case types::kMacaddr8: append_macaddr(v.bytes, out); return;
    case types::kMoney: append_money(v.integer, out); return;
    case types::kDateRange:
    case types::kTsRange:
    case types::kTstzRange:
    case types::kDateMultirange:
    case types::kTsMultirange:
    case types::kTstzMultirange: append_range_value(type, v.bytes, context, out); return;
    case types::kDate: append_date(v.integer, context, out); return;
    case types::kTime: append_time(v.integer, out); return;
    case types::kTimestamp: append_timestamp(v.integer, context, out); return;
    case types::kTimestamptz: append_timestamptz(v.integer, context, out); return;
    case types::kTimetz: append_timetz(TimeTz::of_stored(v.bytes), out); return;
    case types::kInterval: append_interval(Interval::of_stored(v.bytes), context.interval_style, out); return;
    case types::kVoid: return;
    case types::kRecord:
      if (&context == &storage_context()) break;  // an element of an array
      append_record(parse_stored_record(v.bytes), context, out);
      return;
    case types::kRegproc:
    case types::kRegprocedure:
    case types::kRegoper:
    case types::kRegoperator:
    case types::kRegclass:
    case types::kRegtype:
    case types::kRegnamespace:
    case types::kRegrole:
    case types::kRegcollation:
      if (v.kind != Value::Kind::kInt) break;
      if (v.integer == 0)
        out += type == types::kRegoper ? "0" : "-";
      else if (context.names != nullptr)
        out += context.names->name_of(type, static_cast<Oid>(v.integer));
      else if (type == types::kRegtype && find_type(static_cast<Oid>(v.integer)) != nullptr)
        out += format_type(static_cast<Oid>(v.integer));
      else
        integer(v.integer);
      return;
    default: break;
  }
  switch (v.kind) {
    case Value::Kind::kInt: integer(v.integer); return;
    case Value::Kind::kReal: append_float8(v.real, context.extra_float_digits, out); return;
    case Value::Kind::kNull: return;
    case Value::Kind::kText:
    case Value::Kind::kBlob: break;
  }
  if (is_true_array(type)) {
    const Oid element = element_of(type);
    if (element >= types::kFirstUser)
      return append_array(type, parse_stored_array(type, v.bytes), context, out);
    switch (element) {  // elements whose text depends on the session, or on the modifier
      case types::kRecord:
      case types::kTimestamptz:
      case types::kTimestamp:
      case types::kDate:
      case types::kInterval:
      case types::kBytea:
      case types::kBpchar:
      case types::kFloat4:
      case types::kFloat8:
      case types::kDateRange:
      case types::kTsRange:
      case types::kTstzRange:
      case types::kDateMultirange:
      case types::kTsMultirange:
      case types::kTstzMultirange:
      case types::kRegclass:
      case types::kRegproc:
      case types::kRegtype:
      case types::kRegrole:
      case types::kRegnamespace: {
        Array a = parse_stored_array(type, v.bytes);
        if (element == types::kBpchar) {
          for (OwnedValue& e : a.elements) e = padded(types::kBpchar, typmod, e);
        }
        append_array(type, a, context, out);
        return;
      }
      default: break;
    }
  }
  out += v.bytes;
}

}  // namespace bop
