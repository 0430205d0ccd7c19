// How the second executor's types of columns of files are PostgreSQL's.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "executor/engine.hpp"
#include "sql/file_table.hpp"

namespace bop::executor {

// `type` as DESCRIBE tells it ("DECIMAL(10,2)"). 0A000: it has no counterpart (lists, structures, maps...).
[[nodiscard]] Result<sql::FileColumn> file_column(std::string name, std::string_view type);

// The way back, for files that are written: the executor's type of a column of PostgreSQL's type, and its
// expression of the stored form `column`.
struct WrittenColumn {
  std::string type;  // "DATE"
  std::string form;  // "DATE '2000-01-01' + c0"
};
[[nodiscard]] Result<WrittenColumn> written_column(Oid type, std::int32_t typmod, std::string_view column);

}  // namespace bop::executor
