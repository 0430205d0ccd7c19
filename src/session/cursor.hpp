// The rows of a cursor of SQL (DECLARE) and where it stands among them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>

#include "sql/types/value.hpp"

namespace bop::session {

// Rows are numbered from 1. They come in order from the cursor's query and are kept as long as the cursor may
// go back to them. Used by its session only.
class Cursor {
 public:
  enum class Scroll : std::uint8_t {
    kIfCheap,  // neither word was said: it goes back while what it has fetched is small
    kYes,
    kNo,
  };
  static constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

  Cursor(Scroll scroll, bool hold, std::size_t columns) : scroll_(scroll), hold_(hold), columns_(columns) {}

  [[nodiscard]] Scroll scroll() const noexcept { return scroll_; }
  [[nodiscard]] bool hold() const noexcept { return hold_; }
  // The row it is on; 0 before the first, rows() + 1 behind the last.
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  void stand_at(std::uint64_t position) noexcept { position_ = position; }

  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }  // that have come
  [[nodiscard]] bool has(std::uint64_t row) const noexcept { return row >= first_ && row <= rows_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  // The batch that takes the next row; `took_row` when it has.
  [[nodiscard]] ResultBatch& next();
  void took_row();
  void copy(std::uint64_t row, ResultBatch& to) const;
  // Forgets rows below `row`, as far as whole batches of them can go.
  void drop_below(std::uint64_t row);

 private:
  struct Part {
    std::uint64_t first;
    ResultBatch batch;
  };
  Scroll scroll_;
  bool hold_;
  std::size_t columns_;
  std::deque<Part> parts_;
  std::uint64_t first_ = 1;
  std::uint64_t rows_ = 0;
  std::uint64_t position_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace bop::session
