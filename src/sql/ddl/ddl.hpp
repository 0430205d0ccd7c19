// Statements that change the catalog of one database: CREATE, ALTER, DROP, COMMENT, TRUNCATE, CREATE TABLE
// AS, REINDEX, GRANT and REVOKE on objects.
//
// Runs inside the write transaction of the caller, on its writer connection: changes SQLite's objects, stores
// the rows of bop_catalog and answers the next version of the catalog. On an error the caller's transaction
// is failed and must be rolled back (to a savepoint); nothing else is needed. One thread; no state between
// calls.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "sql/bind.hpp"
#include "sql/catalog/catalog.hpp"
#include "sql/fed_rows.hpp"
#include "sql/parse.hpp"

struct sqlite3;

namespace bop {
struct FunctionContext;
}

namespace bop::sql {

struct DdlOutcome {
  std::shared_ptr<const Catalog> catalog;  // the next version; the same pointer if nothing changed
  std::string tag;                         // "CREATE TABLE", "SELECT 3" for CREATE TABLE AS
  std::vector<Oid> dropped_sequences;      // keys of runtime states that are forgotten at commit
  // Runtime states to set before the commit, each under a new key. Also those of new sequences: a rolled back
  // one may have left values under an OID that is used again.
  struct SequenceStart {
    Oid sequence;
    std::int64_t value;
    bool called;
  };
  std::vector<SequenceStart> sequence_starts;
  std::vector<Oid> changed_tables;  // rows of which were changed (foreign keys are to be checked)
};

struct DdlContext {
  BindContext bind;           // catalog, search path, codec, and whose rights count
  Oid user = kBootstrapRole;  // owner of what is created
  std::string user_name = "bop";
  Oid session_user = kBootstrapRole;
  bool creates_schemas = true;     // has CREATE on the database
  bool owns_database = true;       // may do with its schema public what that one's owner may
  bool creates_temporary = true;   // has TEMPORARY on the database
  bool implicit_temporary = true;  // the temporary schema is in the search path unasked: not for creation
  bool in_block = false;           // inside BEGIN...COMMIT (CREATE INDEX CONCURRENTLY and the like refuse)
  FunctionContext* functions = nullptr;
  // A NOTICE or WARNING for the client, in order. `code` of the Error is its SQLSTATE where it has one.
  std::function<void(bool warning, const Error&)> notice;
  // Where the runtime state of a sequence stands: value, and whether it was handed out. Empty: no state, all
  // stand at their start.
  std::function<std::optional<std::pair<std::int64_t, bool>>(Oid key)> sequence_position;
  // Before the statement computes values of rows (nextval...): the catalog that they see, and the states of
  // its new sequences.
  std::function<Status(std::shared_ptr<const Catalog>, std::span<const DdlOutcome::SequenceStart>)>
      before_rows;
  // 42501 unless the user may run the query; empty: everybody may.
  std::function<Status(const Plan&)> may_run;
  // The rows of a query where another executor computes them; empty: SQLite does it.
  std::function<Result<std::optional<FedRows>>(const Plan&)> compute;
  // What another role may do.
  IdentityOf identity;
  // OID of a role name; 42704 if there is none.
  std::function<Result<Oid>(const std::string&)> role;
};

// True if `statement` is one that execute_ddl knows (others answer 0A000 there).
[[nodiscard]] Result<DdlOutcome> execute_ddl(const ParsedStatementPtr& statement, const DdlContext& context,
                                             sqlite3* writer);

}  // namespace bop::sql
