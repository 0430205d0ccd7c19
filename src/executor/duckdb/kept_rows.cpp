#include "executor/duckdb/kept_rows.hpp"

#include <algorithm>
#include <numeric>

#include "base/assert.hpp"
#include "executor/duckdb/values.hpp"

namespace bop::executor {

using duckdb::FlatVector;
using duckdb::hugeint_t;
using duckdb::idx_t;
using duckdb::PhysicalType;
using duckdb::Vector;

namespace {

// Texts of the vector are bytes of the column: it lives as long.
class ColumnBuffer final : public duckdb::VectorBuffer {
 public:
  explicit ColumnBuffer(EncodedColumnPtr column)
      : VectorBuffer(duckdb::VectorBufferType::OPAQUE_BUFFER), column_(std::move(column)) {}

 private:
  EncodedColumnPtr column_;
};

ColumnEncoder::Kind kind_of(const duckdb::LogicalType& type) {
  switch (type.InternalType()) {
    case PhysicalType::VARCHAR: return ColumnEncoder::Kind::kTexts;
    case PhysicalType::INT128: return ColumnEncoder::Kind::kWide;
    default: return ColumnEncoder::Kind::kNumbers;
  }
}

std::int64_t number_at(Vector& vector, idx_t row) {
  switch (vector.GetType().InternalType()) {
    case PhysicalType::BOOL: return FlatVector::GetData<bool>(vector)[row] ? 1 : 0;
    case PhysicalType::INT16: return FlatVector::GetData<std::int16_t>(vector)[row];
    case PhysicalType::INT32: return FlatVector::GetData<std::int32_t>(vector)[row];
    case PhysicalType::INT64: return FlatVector::GetData<std::int64_t>(vector)[row];
    case PhysicalType::FLOAT: return std::bit_cast<std::int32_t>(FlatVector::GetData<float>(vector)[row]);
    case PhysicalType::DOUBLE: return std::bit_cast<std::int64_t>(FlatVector::GetData<double>(vector)[row]);
    default: BOP_ASSERT(!"a type that logical_type does not make");
  }
  return 0;
}

// One column of a lot, under way.
class Encoding {
 public:
  Encoding(const ColumnType& type, std::size_t slot)
      : type_(type), slot_(slot), vector_(logical_type(type)), encoder_(kind_of(vector_.GetType())) {}

  // False: a value has no form in it.
  bool add(const rowstore::RowReader& reader) {
    const std::span<const rowstore::RecordField> fields = reader.column(slot_);
    if (vector_.GetType().InternalType() == PhysicalType::VARCHAR) {
      for (const rowstore::RecordField& field : fields) {
        if (field.is_null()) {
          encoder_.add_null();
        } else {
          if (field.type < 12) return false;
          encoder_.add_text(field.bytes());
        }
      }
      return true;
    }
    if (!store_fields(fields, type_, vector_, 0)) return false;
    const auto& validity = FlatVector::Validity(vector_);
    for (idx_t row = 0; row < fields.size(); ++row) {
      if (!validity.RowIsValid(row)) {
        encoder_.add_null();
      } else if (vector_.GetType().InternalType() == PhysicalType::INT128) {
        const hugeint_t value = FlatVector::GetData<hugeint_t>(vector_)[row];
        encoder_.add_wide(static_cast<Wide>(value.upper) << 64 | value.lower);
      } else {
        encoder_.add_number(number_at(vector_, row));
      }
    }
    return true;
  }
  void add_rowids(const rowstore::RowReader& reader) {
    for (const std::int64_t rowid : reader.rowids()) encoder_.add_number(rowid);
  }
  EncodedColumnPtr finish() { return encoder_.finish(); }

 private:
  const ColumnType type_;
  const std::size_t slot_;  // of the reader's columns
  Vector vector_;
  ColumnEncoder encoder_;
};

}  // namespace

Result<std::vector<EncodedColumnPtr>> encode_columns(
    const std::shared_ptr<const rowstore::PageSource>& source, std::span<const PageNo> leaves,
    std::span<const ColumnCache::Column> columns) {
  std::vector<unsigned> fields;
  for (const ColumnCache::Column& column : columns) {
    if (column.field >= 0) fields.push_back(static_cast<unsigned>(column.field));
  }
  std::ranges::sort(fields);
  fields.erase(std::ranges::unique(fields).begin(), fields.end());
  std::deque<Encoding> encodings;
  for (const ColumnCache::Column& column : columns) {
    const auto slot = std::ranges::lower_bound(fields, static_cast<unsigned>(std::max(column.field, 0)));
    encodings.emplace_back(column.type, static_cast<std::size_t>(slot - fields.begin()));
  }
  rowstore::RowReader reader(source, fields, fields.size());
  BOP_TRY(reader.open(leaves));
  for (;;) {
    BOP_LET(count, reader.read(STANDARD_VECTOR_SIZE));
    if (reader.has_overflow()) return std::vector<EncodedColumnPtr>();
    if (count == 0) break;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].field < 0) {
        encodings[i].add_rowids(reader);
      } else if (!encodings[i].add(reader)) {
        return std::vector<EncodedColumnPtr>();
      }
    }
  }
  std::vector<EncodedColumnPtr> out;
  for (Encoding& encoding : encodings) out.push_back(encoding.finish());
  return out;
}

void KeptRows::open(std::vector<EncodedColumnPtr> columns, const EncodedColumn* rowids,
                    const rowstore::RowidRange& range) {
  BOP_ASSERT(!columns.empty());
  columns_ = std::move(columns);
  next_ = 0;
  end_ = static_cast<std::uint32_t>(columns_.front()->size());
  rows_.clear();
  if (rowids == nullptr) return;
  std::vector<std::int64_t> ids(rowids->size());
  rowids->numbers(0, std::span(ids));
  next_ = static_cast<std::uint32_t>(std::ranges::lower_bound(ids, range.lowest) - ids.begin());
  end_ =
      std::max(next_, static_cast<std::uint32_t>(std::ranges::upper_bound(ids, range.highest) - ids.begin()));
}

std::size_t KeptRows::read(std::size_t most) {
  rows_.resize(std::min<std::size_t>(most, end_ - next_));
  std::iota(rows_.begin(), rows_.end(), next_);
  next_ += static_cast<std::uint32_t>(rows_.size());
  is_run_ = true;
  return rows_.size();
}

void KeptRows::keep(std::span<const std::uint32_t> rows) {
  BOP_ASSERT(rows.size() <= rows_.size());
  if (rows.size() == rows_.size()) return;
  for (std::size_t i = 0; i < rows.size(); ++i) rows_[i] = rows_[rows[i]];
  rows_.resize(rows.size());
  is_run_ = false;
}

void KeptRows::store(std::size_t number, Vector& vector, idx_t first) const {
  const EncodedColumn& column = *columns_[number];
  const std::size_t count = rows_.size();
  auto& validity = FlatVector::Validity(vector);
  if (!validity.AllValid()) {
    for (idx_t i = 0; i < count; ++i) validity.SetValid(first + i);
  }
  if (column.has_nulls()) {
    for (idx_t i = 0; i < count; ++i) {
      if (column.is_null(rows_[i])) FlatVector::SetNull(vector, first + i, true);
    }
  }
  const auto numbers = [&]<class T>(T*) {
    T* const out = reinterpret_cast<T*>(FlatVector::GetData(vector)) + first;
    if (is_run_ && count > 0) {
      column.numbers(rows_.front(), std::span(out, count));
    } else {
      column.numbers(rows_, out);
    }
  };
  switch (vector.GetType().InternalType()) {
    case PhysicalType::BOOL: numbers(static_cast<std::uint8_t*>(nullptr)); break;
    case PhysicalType::INT16: numbers(static_cast<std::int16_t*>(nullptr)); break;
    case PhysicalType::INT32:
    case PhysicalType::FLOAT: numbers(static_cast<std::int32_t*>(nullptr)); break;
    case PhysicalType::INT64:
    case PhysicalType::DOUBLE: numbers(static_cast<std::int64_t*>(nullptr)); break;
    case PhysicalType::INT128:
      for (idx_t i = 0; i < count; ++i) {
        const Wide value = column.wide(rows_[i]);
        FlatVector::GetData<hugeint_t>(vector)[first + i] = {static_cast<std::int64_t>(value >> 64),
                                                             static_cast<std::uint64_t>(value)};
      }
      break;
    case PhysicalType::VARCHAR: {
      auto* const out = FlatVector::GetData<duckdb::string_t>(vector) + first;
      bool refers = false;
      for (idx_t i = 0; i < count; ++i) {
        const std::string_view text = column.text(rows_[i]);
        out[i] = duckdb::string_t(text.data(), static_cast<std::uint32_t>(text.size()));
        refers = refers || text.size() > duckdb::string_t::INLINE_LENGTH;
      }
      if (refers) {
        duckdb::StringVector::AddBuffer(vector, duckdb::make_shared_ptr<ColumnBuffer>(columns_[number]));
      }
      break;
    }
    default: BOP_ASSERT(!"a type that logical_type does not make");
  }
}

}  // namespace bop::executor
