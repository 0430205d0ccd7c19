// Stored values: what a cell of a table, an argument of a kernel and a column of a result are made of.
// How each PostgreSQL type is represented is docs/formats.md, "Values".
//
// Value is a view: its bytes belong to somebody else (a sqlite3_value, an OwnedValue, a ResultBatch) and it
// is valid as long as they are. OwnedValue owns its bytes. Neither knows its type; the type travels beside it
// as an OID.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.hpp"

namespace bop {

struct Value {
  enum class Kind : std::uint8_t { kNull, kInt, kReal, kText, kBlob };

  Kind kind = Kind::kNull;
  std::int64_t integer = 0;  // of kInt
  double real = 0;           // of kReal
  std::string_view bytes;    // of kText (UTF-8) and kBlob

  static Value null() { return {}; }
  static Value of_int(std::int64_t v) { return {.kind = Kind::kInt, .integer = v}; }
  static Value of_bool(bool v) { return of_int(v ? 1 : 0); }
  static Value of_real(double v) { return {.kind = Kind::kReal, .real = v}; }
  static Value of_text(std::string_view v) { return {.kind = Kind::kText, .bytes = v}; }
  static Value of_blob(std::string_view v) { return {.kind = Kind::kBlob, .bytes = v}; }

  [[nodiscard]] bool is_null() const noexcept { return kind == Kind::kNull; }
  [[nodiscard]] bool as_bool() const noexcept { return integer != 0; }
  friend bool operator==(const Value&, const Value&) = default;
};

class OwnedValue {
 public:
  using Kind = Value::Kind;
  OwnedValue() = default;
  explicit OwnedValue(Value v) : kind_(v.kind), integer_(v.integer), real_(v.real), bytes_(v.bytes) {}

  static OwnedValue null() { return {}; }
  static OwnedValue of_int(std::int64_t v) { return OwnedValue(Value::of_int(v)); }
  static OwnedValue of_bool(bool v) { return OwnedValue(Value::of_bool(v)); }
  static OwnedValue of_real(double v) { return OwnedValue(Value::of_real(v)); }
  static OwnedValue of_text(std::string v) { return OwnedValue(Kind::kText, std::move(v)); }
  static OwnedValue of_blob(std::string v) { return OwnedValue(Kind::kBlob, std::move(v)); }

  [[nodiscard]] Value view() const noexcept {
    return {.kind = kind_, .integer = integer_, .real = real_, .bytes = bytes_};
  }
  operator Value() const noexcept { return view(); }
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] bool is_null() const noexcept { return kind_ == Kind::kNull; }
  [[nodiscard]] std::int64_t integer() const noexcept { return integer_; }
  [[nodiscard]] double real() const noexcept { return real_; }
  [[nodiscard]] const std::string& bytes() const& noexcept { return bytes_; }
  [[nodiscard]] std::string take_bytes() && noexcept { return std::move(bytes_); }

 private:
  OwnedValue(Kind kind, std::string bytes) : kind_(kind), bytes_(std::move(bytes)) {}
  Kind kind_ = Kind::kNull;
  std::int64_t integer_ = 0;
  double real_ = 0;
  std::string bytes_;
};

// Rows of one result, cells in one arena. Appended cell by cell in row order; one thread at a time. Views
// that `cell` returns are valid until the next append or clear. Memory: 16 bytes a cell and the bytes of text
// and blobs; `bytes_used` is what a caller bounds a batch by.
class ResultBatch {
 public:
  explicit ResultBatch(std::size_t columns = 0) : columns_(columns) {}

  void reset(std::size_t columns) {
    columns_ = columns;
    clear();
  }
  void clear() {
    cells_.clear();
    arena_.clear();
  }
  void append(const Value& v) {
    Cell c{};
    c.kind = v.kind;
    switch (v.kind) {
      case Value::Kind::kNull: break;
      case Value::Kind::kInt: c.integer = v.integer; break;
      case Value::Kind::kReal: c.real = v.real; break;
      case Value::Kind::kText:
      case Value::Kind::kBlob:
        c.offset = arena_.size();
        c.length = static_cast<std::uint32_t>(v.bytes.size());
        arena_.append(v.bytes);
        break;
    }
    cells_.push_back(c);
  }

  [[nodiscard]] std::size_t columns() const noexcept { return columns_; }
  [[nodiscard]] std::size_t rows() const noexcept {
    return columns_ == 0 ? empty_rows_ : cells_.size() / columns_;
  }
  // Rows of a result without columns (`SELECT FROM t`) are only counted.
  void append_empty_row() {
    BOP_ASSERT(columns_ == 0);
    ++empty_rows_;
  }
  [[nodiscard]] std::size_t bytes_used() const noexcept {
    return arena_.size() + cells_.size() * sizeof(Cell);
  }
  [[nodiscard]] Value cell(std::size_t row, std::size_t column) const {
    const std::size_t index = row * columns_ + column;
    BOP_ASSERT(column < columns_ && index < cells_.size());
    const Cell& c = cells_[index];
    switch (c.kind) {
      case Value::Kind::kNull: break;
      case Value::Kind::kInt: return Value::of_int(c.integer);
      case Value::Kind::kReal: return Value::of_real(c.real);
      case Value::Kind::kText: return Value::of_text(std::string_view(arena_).substr(c.offset, c.length));
      case Value::Kind::kBlob: return Value::of_blob(std::string_view(arena_).substr(c.offset, c.length));
    }
    return {};
  }

 private:
  struct Cell {
    union {
      std::int64_t integer;
      double real;
      std::uint64_t offset;
    };
    std::uint32_t length;
    Value::Kind kind;
  };
  static_assert(sizeof(Cell) == 16);
  std::size_t columns_ = 0;
  std::size_t empty_rows_ = 0;
  std::vector<Cell> cells_;
  std::string arena_;
};

}  // namespace bop
