// Variables of the shell: what \set sets and :name stands for. Some mean something to the shell itself; those
// take only values that it follows. Others of psql's that change what psql does are refused but for the value
// that says what the shell does anyway.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace bop::cli {

// on, off, true, false, yes, no, 1, 0 and their beginnings that say which.
[[nodiscard]] std::optional<bool> parse_bool(std::string_view text);

class Variables {
 public:
  Variables();

  [[nodiscard]] Status set(const std::string& name, std::string value);
  // One that means something gets back what it was at the start.
  [[nodiscard]] Status unset(const std::string& name);
  // What the shell has to tell.
  void tell(const std::string& name, std::string value) { values_[name] = std::move(value); }
  [[nodiscard]] const std::string* find(std::string_view name) const;
  [[nodiscard]] bool is_on(std::string_view name) const;
  [[nodiscard]] static bool is_special(std::string_view name);
  [[nodiscard]] static bool is_name(std::string_view name);
  [[nodiscard]] const std::map<std::string, std::string, std::less<>>& all() const noexcept {
    return values_;
  }
  // As StatementSplitter::Expand.
  [[nodiscard]] std::optional<std::string> expand(std::string_view name, char form) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace bop::cli
