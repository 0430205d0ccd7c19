// PostgreSQL's grammar: from the text of a message to its statements.
//
// The grammar is libpg_query's (PostgreSQL 15). A ParsedStatement is immutable, shared and may be used by any
// thread; its tree is that of pg_query/pg_query.pb-c.h, which only .cpp files include (through sql/tree.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

extern "C" {
struct PgQuery__Node;
}

namespace bop::sql {

inline constexpr std::size_t kMaxStatementBytes = 64u << 20;
inline constexpr int kMaxNesting =
    1000;  // of brackets; deeper text is refused with 54001 before it is parsed

enum class StatementKind : std::uint8_t {
  kSelect,
  kInsert,
  kUpdate,
  kDelete,
  kExplain,
  kTransaction,  // BEGIN, COMMIT, SAVEPOINT...
  kSet,
  kShow,  // SET, RESET; SHOW
  kPrepare,
  kExecute,
  kDeallocate,
  kDeclareCursor,
  kFetch,
  kClosePortal,
  kCopy,
  kDiscard,
  kListen,
  kNotify,
  kUnlisten,
  kLock,
  kConstraintsSet,
  kCheckpoint,
  kDdl,  // CREATE, ALTER, DROP, COMMENT, TRUNCATE, GRANT, REFRESH, VACUUM, ANALYZE, REINDEX...
  kOther,
};

class ParsedStatement {
 public:
  // The text of this statement alone, without the semicolon and the blanks around it.
  std::string text;
  int text_offset = 0;             // where `text` begins in the message, in bytes
  int text_offset_characters = 0;  // the same in characters: error positions count from the message's first
  StatementKind kind = StatementKind::kOther;
  const PgQuery__Node* node = nullptr;  // never null
  int parameter_count = 0;              // the highest $n
  std::string_view command;  // "SELECT", "CREATE TABLE": command tag without counts; empty if it varies

  // Position for an Error (1-based, in characters of the whole message) of a location in the tree; 0 for -1.
  [[nodiscard]] int position(int location) const;

  std::shared_ptr<const void> tree;           // keeps `node` alive
  std::shared_ptr<const std::string> source;  // the whole message
};

using ParsedStatementPtr = std::shared_ptr<const ParsedStatement>;

// All statements of a message; an empty list for an empty message. Errors: kSyntaxError with PostgreSQL's
// message and position, kStatementTooComplex.
[[nodiscard]] Result<std::vector<ParsedStatementPtr>> parse(std::string_view text);

// The statement inside another (EXPLAIN's, PREPARE's, DECLARE's, COPY's, CREATE TABLE AS's), sharing the
// tree.
[[nodiscard]] ParsedStatementPtr inner_statement(const ParsedStatementPtr& outer, const PgQuery__Node* node);

// An expression as the catalog stores it (default, CHECK, index expression): `node` is the expression.
[[nodiscard]] Result<ParsedStatementPtr> parse_expression(std::string_view text);

// PostgreSQL text of a tree, normalised (libpg_query's deparser): what the catalog stores of expressions and
// views.
[[nodiscard]] Result<std::string> deparse_expression(const PgQuery__Node* expression);
[[nodiscard]] Result<std::string> deparse_statement(const PgQuery__Node* statement);

}  // namespace bop::sql
