// Type modifiers, encoded as PostgreSQL encodes them in pg_attribute.atttypmod:
//   varchar, char      length + 4
//   numeric            (precision << 16 | (scale & 0x7ff)) + 4
//   timestamp, time    digits of fractional seconds
//   interval           (fields << 16) | digits, fields 0x7fff = all, digits 0xffff = all
#include <algorithm>

#include "sql/types/interval.hpp"
#include "sql/types/types.hpp"
#include "sql/types/user_types.hpp"

namespace bop {
namespace {
constexpr std::int64_t kMaxBits = 83'886'080;
constexpr std::int32_t kHeader = 4;
constexpr std::int64_t kMaxCharLength = 10485760;

std::string_view modifier_name(Oid oid) {
  switch (oid) {
    case types::kVarchar: return "varchar";
    case types::kBpchar: return "char";
    default: return "type";
  }
}

std::string precision_of(Oid oid) {
  switch (oid) {
    case types::kTimestamp: return "TIMESTAMP";
    case types::kTimestamptz: return "TIMESTAMP WITH TIME ZONE";
    case types::kTime: return "TIME";
    case types::kTimetz: return "TIME WITH TIME ZONE";
    default: return "INTERVAL";
  }
}
}  // namespace

std::optional<NumericTypmod> numeric_typmod(std::int32_t typmod) noexcept {
  if (typmod < kHeader) return std::nullopt;
  const std::int32_t t = typmod - kHeader;
  return NumericTypmod{t >> 16 & 0xffff, ((t & 0x7ff) ^ 1024) - 1024};
}

std::optional<int> char_typmod(std::int32_t typmod) noexcept {
  if (typmod < kHeader) return std::nullopt;
  return typmod - kHeader;
}

Result<std::int32_t> encode_typmod(Oid oid, std::span<const std::int64_t> args) {
  switch (oid) {
    case types::kVarchar:
    case types::kBpchar:
      if (args.size() != 1) return fail(ErrorCode::kInvalidArgument, "invalid type modifier");
      if (args[0] < 1) {
        return fail(ErrorCode::kInvalidArgument, "length for type {} must be at least 1", modifier_name(oid));
      }
      if (args[0] > kMaxCharLength) {
        return fail(ErrorCode::kInvalidArgument, "length for type {} cannot exceed {}", modifier_name(oid),
                    kMaxCharLength);
      }
      return static_cast<std::int32_t>(args[0]) + kHeader;
    case types::kBit:
    case types::kVarbit: {
      if (args.size() != 1) return fail(ErrorCode::kInvalidArgument, "invalid type modifier");
      const std::string_view name = oid == types::kBit ? "bit" : "varbit";
      if (args[0] < 1)
        return fail(ErrorCode::kInvalidArgument, "length for type {} must be at least 1", name);
      if (args[0] > kMaxBits) {
        return fail(ErrorCode::kInvalidArgument, "length for type {} cannot exceed {}", name, kMaxBits);
      }
      return static_cast<std::int32_t>(args[0]);
    }
    case types::kNumeric: {
      if (args.empty() || args.size() > 2)
        return fail(ErrorCode::kInvalidArgument, "invalid NUMERIC type modifier");
      if (args[0] < 1 || args[0] > 1000) {
        return fail(ErrorCode::kInvalidArgument, "NUMERIC precision {} must be between 1 and 1000", args[0]);
      }
      const std::int64_t scale = args.size() == 2 ? args[1] : 0;
      if (scale < -1000 || scale > 1000) {
        return fail(ErrorCode::kInvalidArgument, "NUMERIC scale {} must be between -1000 and 1000", scale);
      }
      return static_cast<std::int32_t>(args[0] << 16 | (scale & 0x7ff)) + kHeader;
    }
    case types::kTimestamp:
    case types::kTimestamptz:
    case types::kTime:
    case types::kTimetz:
      if (args.size() != 1) return fail(ErrorCode::kInvalidArgument, "invalid type modifier");
      if (args[0] < 0) {
        return fail(ErrorCode::kInvalidArgument, "{}({}) precision must not be negative",
                    precision_of(oid).substr(0, oid == types::kTime || oid == types::kTimetz ? 4 : 9),
                    args[0]);
      }
      return static_cast<std::int32_t>(std::min<std::int64_t>(args[0], 6));  // PostgreSQL warns above 6
    case types::kInterval:
      if (args.empty() || args.size() > 2 || !interval_field_names(static_cast<int>(args[0]))) {
        return fail(ErrorCode::kInvalidArgument, "invalid INTERVAL type modifier");
      }
      if (args.size() == 1) {
        return args[0] == interval_fields::kAll ? -1 : static_cast<std::int32_t>(args[0] << 16 | 0xffff);
      }
      if (args[1] < 0) {
        return fail(ErrorCode::kInvalidArgument, "INTERVAL({}) precision must not be negative", args[1]);
      }
      return static_cast<std::int32_t>(args[0] << 16 | std::min<std::int64_t>(args[1], 6));
    default: {
      const TypeInfo* t = find_type(oid);
      return fail(ErrorCode::kSyntaxError, "type modifier is not allowed for type \"{}\"",
                  t == nullptr ? "???" : t->name);
    }
  }
}

std::string format_typmod(Oid oid, std::int32_t typmod) {
  if (typmod < 0) return "";
  switch (oid) {
    case types::kVarchar:
    case types::kBpchar: return typmod > kHeader ? fmt::format("({})", typmod - kHeader) : "";
    case types::kNumeric: {
      const auto n = numeric_typmod(typmod);
      return n ? fmt::format("({},{})", n->precision, n->scale) : "";
    }
    case types::kTimestamp:
    case types::kTime: return fmt::format("({}) without time zone", typmod);
    case types::kTimestamptz:
    case types::kTimetz: return fmt::format("({}) with time zone", typmod);
    case types::kInterval: {
      const int digits = typmod & 0xffff;
      const std::string names(interval_field_names(typmod >> 16 & 0x7fff).value_or(""));
      return digits == 0xffff ? names : fmt::format("{}({})", names, digits);
    }
    default: return fmt::format("({})", typmod);
  }
}

std::string format_type(Oid oid, std::int32_t typmod) {
  if (oid == 0) return "-";
  const TypeInfo* t = find_type(oid);
  if (t == nullptr) return "???";
  if (is_true_array(oid)) return format_type(t->elem_oid, typmod) + "[]";
  if (const UserType* user = find_user_type(oid)) return UserTypes::current()->shown_name(*user);
  if (oid == types::kBpchar && typmod == -1) return "bpchar";
  if (oid == types::kBit && typmod == -1) return "\"bit\"";
  if (typmod < 0) return std::string(t->sql_name);
  switch (oid) {
    case types::kTimestamp:
    case types::kTimestamptz: return "timestamp" + format_typmod(oid, typmod);
    case types::kTime:
    case types::kTimetz: return "time" + format_typmod(oid, typmod);
    default: return std::string(t->sql_name) + format_typmod(oid, typmod);
  }
}

}  // namespace bop
