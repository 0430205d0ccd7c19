// Transactions and savepoints that the shell makes itself: \set AUTOCOMMIT off begins a transaction before a
// statement that is in none, ON_ERROR_ROLLBACK sets a savepoint before each statement of one and goes back to
// it after an error.
#include <algorithm>
#include <array>
#include <cctype>

#include "cli/console.hpp"
#include "cli/shell.hpp"

namespace bop::cli {

namespace {

constexpr std::string_view kSavepoint = "pg_psql_temporary_savepoint";

// The word at the front of `text`, in small letters, behind white space and comments; it is taken away.
std::string take_word(std::string_view& text) {
  while (!text.empty()) {
    if (std::isspace(static_cast<unsigned char>(text.front())) != 0) {
      text.remove_prefix(1);
    } else if (text.starts_with("--")) {
      text.remove_prefix(std::min(text.find('\n'), text.size()));
    } else if (text.starts_with("/*")) {
      int depth = 0;
      do {
        const bool opens = text.starts_with("/*");
        const bool closes = text.starts_with("*/");
        depth += opens ? 1 : closes ? -1 : 0;
        text.remove_prefix(std::min<std::size_t>(opens || closes ? 2 : 1, text.size()));
      } while (depth > 0 && !text.empty());
    } else {
      break;
    }
  }
  std::string word;
  while (!text.empty() &&
         (std::isalpha(static_cast<unsigned char>(text.front())) != 0 || text.front() == '_')) {
    word += static_cast<char>(std::tolower(static_cast<unsigned char>(text.front())));
    text.remove_prefix(1);
  }
  return word;
}

// As psql decides it: what begins or ends a transaction, or runs in none.
bool begins_none(std::string_view sql) {
  const std::string word = take_word(sql);
  for (const std::string_view known :
       {"abort", "begin", "start", "commit", "end", "rollback", "vacuum", ""}) {
    if (word == known) return true;
  }
  const std::string next = take_word(sql);
  if (word == "prepare") return next == "transaction";
  if (word == "cluster") return next.empty();
  if (word == "alter") return next == "system";
  if (word == "discard") return next == "all";
  if (word == "reindex") return next == "database" || next == "system";
  if (word == "create" || word == "drop") {
    if (next == "database" || next == "tablespace") return true;
    if (word == "create" && next == "unique")
      return take_word(sql) == "index" && take_word(sql) == "concurrently";
    return next == "index" && take_word(sql) == "concurrently";
  }
  return false;
}

}  // namespace

// Answers whether there is a savepoint now.
Result<bool> Shell::enter_transaction(const std::string& sql) {
  const auto run = [&](const std::string& text) -> Status {
    Answer answer = ask(text);
    return answer.error ? Status(fail(ErrorCode::kConnectionFailure, "{}: {}", text, *answer.error))
                        : Status();
  };
  if (link_->transaction() == 'I' && !variables_.is_on("AUTOCOMMIT") && !begins_none(sql))
    BOP_TRY(run("BEGIN"));
  const std::string& rolls_back = *variables_.find("ON_ERROR_ROLLBACK");
  if (link_->transaction() != 'T' || !(rolls_back == "on" || (rolls_back == "interactive" && is_terminal_)))
    return false;
  BOP_TRY(run(fmt::format("SAVEPOINT {}", kSavepoint)));
  return true;
}

// Statements about savepoints and transactions have left no place for the shell's own.
void Shell::leave_savepoint() {
  const std::string& tag = console_->tag;
  const bool is_gone = !console_->failed && (tag == "SAVEPOINT" || tag == "RELEASE" || tag == "ROLLBACK");
  const char state = link_->transaction();
  if (state == 'E') {
    (void)ask(fmt::format("ROLLBACK TO {}", kSavepoint));
  } else if (state == 'T' && !is_gone) {
    (void)ask(fmt::format("RELEASE {}", kSavepoint));
  }
}

}  // namespace bop::cli
