// The session's variables: SET, SET LOCAL, SHOW, RESET and their life through transactions and savepoints.
//
// A variable has a session value and, inside a transaction, maybe a local one that hides it. Every change
// inside a transaction is journalled: a rollback (to a savepoint) undoes the journal to its mark, a commit
// keeps the session values and drops the local ones. As PostgreSQL 15, "SET". Not thread-safe: owned by one
// session.
//
// bop.durability and synchronous_commit are two names of one choice: setting the one sets the other.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace bop::session {

enum class VariableKind : std::uint8_t { kBool, kInt, kReal, kEnum, kString };

enum VariableFlag : unsigned { kReport = 1, kFixed = 2, kInert = 4 };

struct VariableInfo {
  std::string_view name;  // canonical spelling
  VariableKind kind;
  std::string_view default_value;
  double minimum, maximum;
  std::string_view unit;
  unsigned flags;
  std::string_view values;
  std::string_view meaning;
};

// In the order of their names, without regard to case.
[[nodiscard]] const std::vector<VariableInfo>& variable_table();
[[nodiscard]] const VariableInfo* find_variable(std::string_view name);

class Variables {
 public:
  using Mark = std::size_t;
  struct Change {
    const VariableInfo* info = nullptr;  // null for a custom variable ("my.name")
    bool inert = false;
  };

  // What SHOW answers. Error: kUndefinedObject, unrecognized configuration parameter.
  [[nodiscard]] Result<std::string> show(std::string_view name) const;
  // The raw value of a known variable.
  [[nodiscard]] const std::string& get(std::string_view name) const;
  [[nodiscard]] std::int64_t get_int(std::string_view name) const;
  [[nodiscard]] bool get_bool(std::string_view name) const { return get(name) == "on"; }

  // `value` empty means DEFAULT. Validates and normalises; does not refuse kFixed ones when `internal`.
  [[nodiscard]] Result<Change> set(std::string_view name, std::optional<std::string_view> value, bool local,
                                   bool internal = false);
  void reset_all();
  // What DEFAULT and RESET mean for this session from now on (start-up packet, role settings).
  [[nodiscard]] Status set_default(std::string_view name, std::string_view value, bool internal = false);

  [[nodiscard]] Mark mark() const noexcept { return journal_.size(); }
  void undo_to(Mark mark);
  void commit();  // keeps session values, drops local ones, empties the journal
  void rollback() { undo_to(0); }
  // Changed since the last call, canonical names of reported ones.
  [[nodiscard]] std::vector<std::string> take_reports();
  [[nodiscard]] std::vector<std::string> custom_names() const;

 private:
  struct Slot {
    std::string default_value;
    std::string session;
    std::optional<std::string> local;
    [[nodiscard]] const std::string& current() const { return local ? *local : session; }
  };
  struct Undo {
    std::string key;
    std::optional<Slot> before;  // nullopt: the custom variable did not exist
  };

  using Slots = std::map<std::string, Slot, std::less<>>;  // by lower-case name

  [[nodiscard]] static const Slots& untouched();  // of all known variables, shared by all sessions
  [[nodiscard]] const Slot* find(std::string_view key) const;
  Slot& own(const std::string& key);
  void touched(const std::string& key, const std::string& old_value);
  void change(const std::string& key, std::string next, bool local);
  void change_twin(const std::string& key, bool local);

  Slots slots_;  // of those that the session has touched
  std::vector<Undo> journal_;
  std::vector<std::string> reports_;
};

// "5s", "1min", "200" -> milliseconds; "64kB", "1GB" -> kilobytes; by the variable's unit.
// `current`, `reset`: what the variable has now, and after RESET, where a value may speak of a part only.
[[nodiscard]] Result<std::string> normalise_variable(const VariableInfo& info, std::string_view value,
                                                     std::string_view current = {},
                                                     std::string_view reset = {});

}  // namespace bop::session
