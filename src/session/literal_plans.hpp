// Plans of statements that differ only in their literals, shared by all sessions of a node.
//
// Clients of the simple protocol write values into the text. Its literals are taken out by their shape alone,
// without the grammar; what is left is the text of a prepared statement, whose plan is found again by it, and
// the literals are bound like parameters that came as text: parsing, naming, planning and SQLite's own
// planning are done once for all of them. Where a literal may be more than a value (ORDER BY 1, a type's
// length, LIMIT) the statement, or that literal, is left as it is; a text whose shape does not become a plan
// is remembered as such. Whatever fails on this way, the statement goes the usual one, whose errors know
// their position.
//
// A shape is planned when it comes for the second time. Two generations, as in parse_cache.hpp. Thread-safe:
// one short mutex; planning happens outside of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sql/plan.hpp"

namespace bop::session {

// A literal that stands for itself only.
struct Literal {
  Oid type = 0;  // as the grammar would type it: integer, bigint, numeric, or unknown (a string)
  std::string text;
};

struct StatementShape {
  std::string text;  // with $1, $2... for the literals
  std::vector<Literal> literals;
};

// Nothing when the text is not one SELECT, INSERT, UPDATE or DELETE, has no literals, or has something that
// is not understood here.
[[nodiscard]] std::optional<StatementShape> shape_of(std::string_view text);

// One statement of a message that has several.
struct MessagePart {
  std::string_view text;                // of the message
  std::optional<StatementShape> shape;  // none: it controls the transaction (BEGIN, COMMIT, SAVEPOINT s...)
  sql::PlanPtr plan;                    // for the shape, once it was looked for
};

// The statements of a message; none when there is only one, or one of them is not understood here. Unlike
// those of shape_of they may have no literals.
[[nodiscard]] std::vector<MessagePart> parts_of(std::string_view text);

class LiteralPlans {
 public:
  static constexpr std::size_t kEntries = 1024;
  static constexpr std::size_t kLongestText = 4096;

  enum class State : std::uint8_t { kSeen, kPlanned, kUseless };
  struct Entry {
    State state = State::kSeen;
    sql::PlanPtr plan;
    DatabaseId database{};
  };
  // What is known of a shape; it is seen from now on. `key`: all that the plan depends on.
  [[nodiscard]] std::optional<Entry> find(const std::string& key);
  // Plans of older catalogs of the database are forgotten, and the catalogs with them.
  void keep(const std::string& key, DatabaseId database, Entry entry);

 private:
  using Generation = std::unordered_map<std::string, Entry>;
  void keep_locked(std::string key, Entry entry);

  std::mutex mutex_;
  Generation young_, old_;
  std::unordered_map<std::uint32_t, const sql::Catalog*> newest_;  // by database
};

}  // namespace bop::session
