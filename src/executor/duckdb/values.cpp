#include "executor/duckdb/values.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
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

namespace {

inline bool parse_short(std::string_view text, int scale, std::int64_t limit, std::int64_t& out) {
  // Eight digits are one word: their bytes are moved to its upper end, zeros come in below, and pairs, then
  // quadruples, then halves are added up (Lemire, "Quickly parsing eight digits", 2018).
  const auto word = [](const char* at) {
    std::uint64_t v = 0;
    std::memcpy(&v, at, sizeof(v));
    return v;
  };
  const auto eight = [](std::uint64_t digits, std::size_t count, std::uint64_t& value) {
    if (count == 0) {
      value = 0;
      return true;
    }
    digits = (digits ^ 0x3030303030303030U) << (64 - 8 * count);
    if (((digits | (digits + 0x0606060606060606U)) & 0xf0f0f0f0f0f0f0f0U) != 0) return false;
    digits = digits * 10 + (digits >> 8U);
    value = ((digits & 0x000000ff000000ffU) * 0x000f424000000064U +
             ((digits >> 16U) & 0x000000ff000000ffU) * 0x0000271000000001U) >>
            32U;
    return true;
  };
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  const auto behind = static_cast<std::size_t>(scale);
  const std::size_t with_point = behind + (behind > 0 ? 1 : 0);
  if (text.size() <= with_point || behind > 8) return false;
  const std::size_t whole = text.size() - with_point;
  const char* const fraction_at = text.data() + whole + 1;
  if (whole > 8 || (behind > 0 && text[whole] != '.')) return false;
  std::uint64_t value = 0;
  if (whole + behind <= 8) {
    std::uint64_t digits = word(text.data());
    if (behind > 0)
      digits = (digits & ((std::uint64_t{1} << 8 * whole) - 1)) | word(fraction_at) << 8 * whole;
    if (!eight(digits, whole + behind, value)) return false;
  } else {
    std::uint64_t fraction = 0;
    if (!eight(word(text.data()), whole, value) || !eight(word(fraction_at), behind, fraction)) return false;
    value = value * static_cast<std::uint64_t>(kPowers[behind]) + fraction;
  }
  const auto number = static_cast<std::int64_t>(value);
  if (number >= limit) return false;
  out = negative ? -number : number;
  return true;
}

// What has fewer digits than `precision`; of the longest ones all that parse_short reads.
std::int64_t limit_of(int precision) { return kPowers[static_cast<std::size_t>(std::min(precision, 18))]; }

}  // namespace

bool parse_short_decimal(std::string_view text, int scale, int precision, std::int64_t& out) {
  return parse_short(text, scale, limit_of(precision), out);
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

namespace {

using Fields = std::span<const rowstore::RecordField>;

// `direct` stores a value, or answers false where store() has to look at it.
template <class Direct>
bool store_each(Fields fields, const ColumnType& type, Vector& vector, idx_t first, const Direct& direct) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (!direct(fields[i], first + i) && !store(OfField{fields[i]}, type, vector, first + i)) return false;
  }
  return true;
}

template <class Integer>
bool store_integers(Fields fields, const ColumnType& type, Vector& vector, idx_t first) {
  auto* const out = FlatVector::GetData<Integer>(vector);
  return store_each(fields, type, vector, first, [out](const rowstore::RecordField& f, idx_t row) {
    if (!f.is_integer()) return false;
    const std::int64_t value = f.integer();
    out[row] = static_cast<Integer>(value);
    return out[row] == value;
  });
}

template <class Integer>
bool store_decimals(Fields fields, const ColumnType& type, Vector& vector, idx_t first) {
  auto* const out = FlatVector::GetData<Integer>(vector);
  const int scale = type.scale;
  const std::int64_t limit = limit_of(type.precision);
  return store_each(fields, type, vector, first, [=](const rowstore::RecordField& f, idx_t row) {
    std::int64_t value = 0;
    if (!f.is_text() || !parse_short(f.bytes(), scale, limit, value)) return false;
    out[row] = static_cast<Integer>(value);
    return true;
  });
}

}  // namespace

bool store_fields(Fields fields, const ColumnType& type, Vector& vector, idx_t first) {
  // (What was there before may have been a null.)
  auto& validity = FlatVector::Validity(vector);
  if (!validity.AllValid()) {
    for (std::size_t i = 0; i < fields.size(); ++i) validity.SetValid(first + i);
  }
  switch (vector.GetType().InternalType()) {
    case PhysicalType::INT16:
      return type.physical == Physical::kDecimal ? store_decimals<std::int16_t>(fields, type, vector, first)
                                                 : store_integers<std::int16_t>(fields, type, vector, first);
    case PhysicalType::INT32:
      return type.physical == Physical::kDecimal ? store_decimals<std::int32_t>(fields, type, vector, first)
                                                 : store_integers<std::int32_t>(fields, type, vector, first);
    case PhysicalType::INT64:
      return type.physical == Physical::kDecimal ? store_decimals<std::int64_t>(fields, type, vector, first)
                                                 : store_integers<std::int64_t>(fields, type, vector, first);
    case PhysicalType::VARCHAR: {
      auto* const out = FlatVector::GetData<duckdb::string_t>(vector);
      return store_each(fields, type, vector, first, [out](const rowstore::RecordField& f, idx_t row) {
        if (f.type < 12) return false;
        const std::string_view bytes = f.bytes();
        if (bytes.size() > duckdb::string_t::INLINE_LENGTH) return false;
        out[row] = duckdb::string_t(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
        return true;
      });
    }
    default:
      return store_each(fields, type, vector, first,
                        [](const rowstore::RecordField&, idx_t) { return false; });
  }
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
