// COPY in progress: a statement's table side of the COPY formats.
//
// COPY FROM is the INSERT of the same columns, bound once and stepped for each row, in the statement's
// transaction. COPY TO is a SELECT whose rows are encoded in the format.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rowstore/connection.hpp"
#include "session/copy_binary.hpp"
#include "session/copy_format.hpp"
#include "session/files.hpp"
#include "sql/plan.hpp"

namespace bop::session {

struct CopyIn {
  std::string table;
  sql::PlanPtr insert;
  bool filters = false;  // WHERE: `insert` stores a row only if it holds
  std::vector<std::string> columns;
  std::vector<Oid> types;
  std::vector<std::int32_t> typmods;
  std::unique_ptr<CopyBinaryReader::Sink> binary_sink;  // null: a text format
  std::unique_ptr<CopySource> source;
  rowstore::CachedStatement statement;
  std::vector<OwnedValue> values;
  // Being converted, for the error's context.
  std::size_t column = 0;
  bool in_column = false;
  CopyField field;
  bool is_stored = false;  // the row's values hold, the table refused it
  std::uint64_t rows = 0;
};

// Where in the data the error came up, as its context.
void add_copy_context(const CopyIn& in, Error& why);

struct CopyOut {
  CopyOptions options;
  std::unique_ptr<CopyFile> file;  // null: to the client
  std::optional<Error> failure;    // of the file; nothing more is written
  bool header_due = false;         // goes out with what comes first
  std::string line;
  std::string scratch;
};

}  // namespace bop::session
