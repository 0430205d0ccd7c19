// bop_rows: a table-valued function of SQLite whose rows somebody else has computed. Changes store what
// another executor has answered (change_source.hpp), by the statement that would have found it.
//
//   FeedRows feed(connection, source);   // while it stands, `SELECT c1 FROM bop_rows` answers its rows, once
//
// A plan has two texts of the statement then: with the query in it, and with fed_query in its place.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "sql/types/value.hpp"

struct sqlite3;

namespace bop::sql {

// The next row; false: there are no more.
using FedRows = std::move_only_function<Result<bool>(std::vector<OwnedValue>&)>;

class FeedRows {
 public:
  FeedRows(sqlite3* connection, FedRows rows);
  FeedRows(const FeedRows&) = delete;
  FeedRows& operator=(const FeedRows&) = delete;
  ~FeedRows();

 private:
  sqlite3* connection_;
  void* outer_;  // of the statement that calls a function which runs this one
  FedRows rows_;
};

// Its columns are o1, o2... as those of a generated query.
[[nodiscard]] std::string fed_query(std::size_t columns);

// On a connection that register_plan_functions prepares; answers SQLite's code.
[[nodiscard]] int register_fed_rows(sqlite3* connection);

}  // namespace bop::sql
