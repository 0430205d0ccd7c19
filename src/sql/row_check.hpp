// What bop_check_row(description, column values..., check results...) looks at: one call for each row that a
// statement wants to store. It answers 1, or fails with PostgreSQL's 23502 or 23514.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace bop::sql {

struct RowCheck {
  struct Column {
    std::string name;
    Oid type = 0;
    std::int32_t typmod = -1;
    bool not_null = false;
  };
  // In front of the name of a view whose check option it is.
  static constexpr std::string_view kOption = "\x01";
  std::string relation;
  bool whole_row = true;  // the values are the whole row, so that the error can show it
  std::vector<Column> columns;
  std::vector<std::string> checks;

  // The description as it travels to the function: fields, each with its length before it ("3:abc").
  [[nodiscard]] std::string encode() const;
  [[nodiscard]] static RowCheck decode(std::string_view text);
};

}  // namespace bop::sql
