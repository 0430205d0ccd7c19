// PostgreSQL's regular expressions (ARE) on PCRE2.
//
// A pattern is translated: embedded options (?i)..., ***=, ***:, \m \M \y \Y \A \Z, character classes [[:<:]]
// [[:>:]], and flags g i c n p w x s. Matching is bounded in steps and memory (2201B when a bound is hit).
// Known difference: PostgreSQL prefers the longest match among alternatives, PCRE2 the first.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.hpp"

namespace bop {

struct RegexOptions {
  bool ignore_case = false, global = false, newline_stops_dot = false, newline_anchors = false,
       extended = false, literal = false;
  friend bool operator==(const RegexOptions&, const RegexOptions&) = default;
};
// Flags as the third argument of regexp_match and its siblings gives them; 22023 for unknown ones.
[[nodiscard]] Result<RegexOptions> parse_regex_flags(std::string_view flags);

class Regex {
 public:
  struct Match {
    struct Group {
      std::size_t begin, end;
      bool set;
    };
    std::vector<Group> groups;  // the first is the whole match
  };
  [[nodiscard]] static Result<std::shared_ptr<const Regex>> compile(std::string_view pattern,
                                                                    const RegexOptions& options);
  // False: no match at or behind `from`.
  [[nodiscard]] Result<bool> find(std::string_view text, std::size_t from, Match& out) const;
  [[nodiscard]] std::size_t group_count() const { return group_count_; }
  ~Regex();

 private:
  Regex() = default;
  void* code_ = nullptr;
  std::size_t group_count_ = 0;
};

// The compiled expressions a session used last. One thread.
class RegexCache {
 public:
  [[nodiscard]] Result<std::shared_ptr<const Regex>> get(std::string_view pattern,
                                                         const RegexOptions& options);

 private:
  static constexpr std::size_t kCapacity = 64;
  std::list<std::string> order_;
  std::unordered_map<std::string, std::pair<std::shared_ptr<const Regex>, std::list<std::string>::iterator>>
      cache_;
};

}  // namespace bop
