// COPY in progress: a statement's table side of the COPY formats.
//
// COPY FROM is the INSERT of the same columns, bound once and stepped for each line, in the statement's
// transaction. COPY TO is a SELECT whose rows are encoded as lines.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rowstore/connection.hpp"
#include "session/copy_format.hpp"
#include "sql/plan.hpp"

namespace bop::session {

struct CopyIn {
  std::string table;
  sql::PlanPtr insert;
  std::vector<std::string> columns;
  std::vector<Oid> types;
  std::vector<std::int32_t> typmods;
  std::unique_ptr<CopyReader> reader;
  rowstore::CachedStatement statement;
  std::vector<OwnedValue> values;
  std::size_t column = 0;  // being converted, for the error's context
  bool in_column = false;
  std::uint64_t rows = 0;
};

struct CopyOut {
  CopyOptions options;
  bool started = false;
  std::string line;
  std::string scratch;
};

}  // namespace bop::session
