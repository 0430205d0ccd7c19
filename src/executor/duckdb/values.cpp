#include "executor/duckdb/values.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <duckdb/common/types/hugeint.hpp>
#include <duckdb/common/types/string_type.hpp>

#include "base/assert.hpp"

namespace bop::executor {

using duckdb::FlatVector;
using duckdb::hugeint_t;
using duckdb::idx_t;
using duckdb::LogicalType;
using duckdb::PhysicalType;
using duckdb::StringVector;
using duckdb::Vector;

LogicalType logical_type(const ColumnType& type) {
  switch (type.physical) {
    case Physical::kBool: return LogicalType::BOOLEAN;
    case Physical::kInt16: return LogicalType::SMALLINT;
    case Physical::kInt32: return LogicalType::INTEGER;
    case Physical::kInt64: return LogicalType::BIGINT;
    case Physical::kFloat: return LogicalType::FLOAT;
    case Physical::kDouble: return LogicalType::DOUBLE;
    case Physical::kText: return LogicalType::VARCHAR;
    case Physical::kBlob: return LogicalType::BLOB;
    case Physical::kDecimal: return LogicalType::DECIMAL(type.precision, type.scale);
  }
  return LogicalType::VARCHAR;
}

namespace {

constexpr std::array<std::int64_t, 19> kPowers = [] {
  std::array<std::int64_t, 19> powers{1};
  for (std::size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}();

}  // namespace

bool parse_short_decimal(std::string_view text, int scale, int precision, std::int64_t& out) {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  const auto size = static_cast<int>(text.size());
  if (size == 0 || size > 18) return false;
  std::int64_t value = 0;
  int fraction = 0;
  int i = 0;
  for (; i < size; ++i) {
    const auto digit = static_cast<unsigned>(text[static_cast<std::size_t>(i)] - '0');
    if (digit > 9) break;
    value = value * 10 + digit;
  }
  if (i < size) {
    if (text[static_cast<std::size_t>(i)] != '.') return false;
    fraction = size - i - 1;
    for (++i; i < size; ++i) {
      const auto digit = static_cast<unsigned>(text[static_cast<std::size_t>(i)] - '0');
      if (digit > 9) return false;
      value = value * 10 + digit;
    }
  }
  if (fraction > scale || size + scale - fraction > 18) return false;
  value *= kPowers[static_cast<std::size_t>(scale - fraction)];
  if (precision < 18 && value >= kPowers[static_cast<std::size_t>(precision)]) return false;
  out = negative ? -value : value;
  return true;
}

bool parse_decimal(std::string_view text, int scale, int precision, hugeint_t& out) {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 40) return false;
  unsigned __int128 wide = 0;
  std::uint64_t narrow = 0;
  int digits = 0;
  int fraction = -1;
  bool is_wide = false;
  for (const char c : text) {
    if (c == '.' && fraction < 0) {
      fraction = 0;
      continue;
    }
    const auto digit = static_cast<unsigned>(c - '0');
    if (digit > 9) return false;
    if (fraction >= 0) ++fraction;
    digits += digits > 0 || digit != 0 ? 1 : 0;
    if (digits > 18 && !is_wide) {
      wide = narrow;
      is_wide = true;
    }
    if (is_wide) {
      wide = wide * 10 + digit;
    } else {
      narrow = narrow * 10 + digit;
    }
  }
  fraction = std::max(fraction, 0);
  if (fraction > scale || digits + (scale - fraction) > precision) return false;
  if (!is_wide && digits + (scale - fraction) > 18) {
    wide = narrow;
    is_wide = true;
  }
  for (; fraction < scale; ++fraction) {
    if (is_wide) {
      wide *= 10;
    } else {
      narrow *= 10;
    }
  }
  if (!is_wide) {
    out = hugeint_t(negative ? -static_cast<std::int64_t>(narrow) : static_cast<std::int64_t>(narrow));
    return true;
  }
  out.lower = static_cast<std::uint64_t>(wide);
  out.upper = static_cast<std::int64_t>(wide >> 64);
  if (negative) out = -out;
  return true;
}

std::string print_decimal(hugeint_t value, int scale) {
  const bool negative = value.upper < 0;
  auto bits = static_cast<unsigned __int128>(static_cast<std::uint64_t>(value.upper)) << 64 | value.lower;
  if (negative) bits = -bits;
  std::string reversed;
  for (int i = 0; bits != 0 || i <= scale; ++i) {
    if (i == scale && scale > 0) reversed += '.';
    reversed += static_cast<char>('0' + static_cast<int>(bits % 10));
    bits /= 10;
  }
  if (negative) reversed += '-';
  std::ranges::reverse(reversed);
  return reversed;
}

namespace {

bool store_decimal(std::string_view text, const ColumnType& type, Vector& vector, idx_t row) {
  if (std::int64_t narrow = 0; type.precision > 9 && type.precision <= 18 &&
                               parse_short_decimal(text, type.scale, type.precision, narrow)) {
    FlatVector::GetData<std::int64_t>(vector)[row] = narrow;
    return true;
  }
  hugeint_t value;
  if (!parse_decimal(text, type.scale, type.precision, value)) return false;
  switch (vector.GetType().InternalType()) {
    case PhysicalType::INT16:
      FlatVector::GetData<std::int16_t>(vector)[row] = static_cast<std::int16_t>(value.lower);
      return true;
    case PhysicalType::INT32:
      FlatVector::GetData<std::int32_t>(vector)[row] = static_cast<std::int32_t>(value.lower);
      return true;
    case PhysicalType::INT64:
      FlatVector::GetData<std::int64_t>(vector)[row] = static_cast<std::int64_t>(value.lower);
      return true;
    default: FlatVector::GetData<hugeint_t>(vector)[row] = value; return true;
  }
}

template <class Integer>
bool store_integer(std::int64_t value, Vector& vector, idx_t row) {
  FlatVector::GetData<Integer>(vector)[row] = static_cast<Integer>(value);
  return value >= std::numeric_limits<Integer>::min() && value <= std::numeric_limits<Integer>::max();
}

// `Source`: a RecordField or a Value, both with the same questions.
struct OfField {
  const rowstore::RecordField& f;
  bool is_null() const { return f.is_null(); }
  bool is_integer() const { return f.is_integer(); }
  bool is_real() const { return f.is_real(); }
  bool is_bytes() const { return f.type >= 12; }
  std::int64_t integer() const { return f.integer(); }
  double real() const { return f.real(); }
  std::string_view bytes() const { return f.bytes(); }
};
struct OfValue {
  const Value& v;
  bool is_null() const { return v.is_null(); }
  bool is_integer() const { return v.kind == Value::Kind::kInt; }
  bool is_real() const { return v.kind == Value::Kind::kReal; }
  bool is_bytes() const { return v.kind == Value::Kind::kText || v.kind == Value::Kind::kBlob; }
  std::int64_t integer() const { return v.integer; }
  double real() const { return v.real; }
  std::string_view bytes() const { return v.bytes; }
};

template <class Source>
bool store(const Source& source, const ColumnType& type, Vector& vector, idx_t row) {
  if (source.is_null()) {
    FlatVector::SetNull(vector, row, true);
    return true;
  }
  switch (type.physical) {
    case Physical::kBool:
      if (!source.is_integer()) return false;
      FlatVector::GetData<bool>(vector)[row] = source.integer() != 0;
      return true;
    case Physical::kInt16:
      return source.is_integer() && store_integer<std::int16_t>(source.integer(), vector, row);
    case Physical::kInt32:
      return source.is_integer() && store_integer<std::int32_t>(source.integer(), vector, row);
    case Physical::kInt64:
      return source.is_integer() && store_integer<std::int64_t>(source.integer(), vector, row);
    case Physical::kFloat:
    case Physical::kDouble: {
      double real = 0;
      if (source.is_real()) {
        real = source.real();
      } else if (source.is_integer()) {
        real = static_cast<double>(source.integer());
      } else if (source.bytes() == "NaN") {
        real = std::numeric_limits<double>::quiet_NaN();
      } else {
        return false;
      }
      if (type.physical == Physical::kFloat) {
        FlatVector::GetData<float>(vector)[row] = static_cast<float>(real);
      } else {
        FlatVector::GetData<double>(vector)[row] = real;
      }
      return true;
    }
    case Physical::kText:
    case Physical::kBlob: {
      if (!source.is_bytes()) return false;
      const std::string_view bytes = source.bytes();
      FlatVector::GetData<duckdb::string_t>(vector)[row] =
          bytes.size() <= duckdb::string_t::INLINE_LENGTH
              ? duckdb::string_t(bytes.data(), static_cast<std::uint32_t>(bytes.size()))
              : StringVector::AddStringOrBlob(vector, bytes.data(), bytes.size());
      return true;
    }
    case Physical::kDecimal:
      if (source.is_integer()) return store_decimal(std::to_string(source.integer()), type, vector, row);
      return source.is_bytes() && store_decimal(source.bytes(), type, vector, row);
  }
  return false;
}

}  // namespace

bool store_field(const rowstore::RecordField& field, const ColumnType& type, Vector& vector, idx_t row) {
  return store(OfField{field}, type, vector, row);
}

bool store_value(const Value& value, const ColumnType& type, Vector& vector, idx_t row) {
  return store(OfValue{value}, type, vector, row);
}

CellReader::CellReader(Vector& vector, idx_t rows, const ColumnType& type)
    : type_(type), physical_(vector.GetType().InternalType()) {
  vector.ToUnifiedFormat(rows, format_);
}

Value CellReader::read(idx_t row) {
  const idx_t at = format_.sel->get_index(row);
  if (!format_.validity.RowIsValid(at)) return Value::null();
  const auto data = [&]<class T>(T) { return duckdb::UnifiedVectorFormat::GetData<T>(format_)[at]; };
  const auto real = [](double v) { return std::isnan(v) ? Value::of_text("NaN") : Value::of_real(v); };
  switch (physical_) {
    case PhysicalType::BOOL: return Value::of_bool(data(bool()));
    case PhysicalType::FLOAT: return real(static_cast<double>(data(float())));
    case PhysicalType::DOUBLE: return real(data(double()));
    case PhysicalType::VARCHAR: {
      const auto& s = duckdb::UnifiedVectorFormat::GetData<duckdb::string_t>(format_)[at];
      const std::string_view bytes(s.GetData(), s.GetSize());
      return type_.physical == Physical::kBlob ? Value::of_blob(bytes) : Value::of_text(bytes);
    }
    default: break;
  }
  hugeint_t number;
  switch (physical_) {
    case PhysicalType::INT8: number = hugeint_t(data(std::int8_t())); break;
    case PhysicalType::INT16: number = hugeint_t(data(std::int16_t())); break;
    case PhysicalType::INT32: number = hugeint_t(data(std::int32_t())); break;
    case PhysicalType::INT64: number = hugeint_t(data(std::int64_t())); break;
    case PhysicalType::INT128: number = data(hugeint_t()); break;
    default: BOP_ASSERT(!"a type that logical_type does not make");
  }
  if (type_.physical != Physical::kDecimal) return Value::of_int(static_cast<std::int64_t>(number.lower));
  text_ = print_decimal(number, type_.scale);
  return Value::of_text(text_);
}

}  // namespace bop::executor
