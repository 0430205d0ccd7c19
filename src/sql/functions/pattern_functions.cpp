// LIKE, SIMILAR TO and the regular expression functions.
#include <memory>
#include <optional>

#include "sql/functions/regex.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/bytes.hpp"

namespace bop {
namespace {

// Iterative: on a mismatch go back to the last % and let it take one more character.
Result<bool> like(std::string_view s, std::string_view p, bool fold) {
  std::size_t i = 0, j = 0, star = p.npos, mark = 0;
  const auto same = [fold](char a, char b) { return a == b || (fold && ascii_lower(a) == ascii_lower(b)); };
  while (i < s.size()) {
    if (j < p.size() && p[j] == '%') {
      star = ++j;
      mark = i;
      continue;
    }
    if (j < p.size() && p[j] == '_') {
      i += std::min(utf8_length(s[i]), s.size() - i);
      ++j;
      continue;
    }
    std::size_t k = j;
    if (k < p.size() && p[k] == '\\') {
      if (++k == p.size())
        return fail(ErrorCode::kInvalidEscapeSequence, "LIKE pattern must not end with escape character");
    }
    if (k < p.size() && same(s[i], p[k])) {
      ++i;
      j = k + 1;
      continue;
    }
    if (star == p.npos) return false;
    mark += std::min(utf8_length(s[mark]), s.size() - mark);
    i = mark;
    j = star;
  }
  while (j < p.size() && p[j] == '%') ++j;
  return j == p.size();
}

Implementation like_operator(std::string key, bool fold, bool negate) {
  return scalar(std::move(key), [fold, negate](Call& c) -> Returned {
    BOP_LET(hit, like(c.text(0), c.text(1), fold));
    return OwnedValue::of_bool(hit != negate);
  });
}

// LIKE ... ESCAPE e: the pattern with e written as backslash.
Returned like_escape(Call& c) {
  const std::string_view p = c.text(0), e = c.text(1);
  if (utf8_count(e) > 1) {
    return std::unexpected(Error(ErrorCode::kInvalidEscapeSequence, "invalid escape string")
                               .hint("Escape string must be empty or one character."));
  }
  std::string r;
  for (std::size_t i = 0; i < p.size();) {
    if (!e.empty() && p.substr(i).starts_with(e)) {
      r += '\\';
      i += e.size();
      if (i < p.size()) {
        const std::size_t n = utf8_length(p[i]);
        r += p.substr(i, n);
        i += n;
      }
    } else {
      if (p[i] == '\\' && e != "\\") r += '\\';
      r += p[i++];
    }
  }
  return OwnedValue::of_text(std::move(r));
}

// SIMILAR TO pattern to a regular expression.
Returned similar_to_escape(Call& c) {
  if (c[0].is_null() || (c.size() > 1 && c[1].is_null())) return OwnedValue::null();
  const std::string_view p = c.text(0), e = c.size() > 1 ? c.text(1) : "\\";
  if (utf8_count(e) > 1) {
    return std::unexpected(Error(ErrorCode::kInvalidEscapeSequence, "invalid escape string")
                               .hint("Escape string must be empty or one character."));
  }
  std::string r = "^(?:";
  bool bracket = false;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const char ch = p[i];
    if (!e.empty() && p.substr(i).starts_with(e)) {
      i += e.size();
      if (i < p.size()) {
        r += '\\';
        r += p[i];
      }
    } else if (bracket) {
      if (ch == '\\') r += '\\';
      r += ch;
      bracket = ch != ']';
    } else if (ch == '[') {
      r += ch;
      bracket = true;
    } else if (ch == '%') {
      r += ".*";
    } else if (ch == '_') {
      r += '.';
    } else if (ch == '(') {
      r += "(?:";
    } else if (ch == '\\' || ch == '.' || ch == '^' || ch == '$') {
      r += '\\';
      r += ch;
    } else {
      r += ch;
    }
  }
  return OwnedValue::of_text(r + ")$");
}

Implementation matches(std::string key, bool fold, bool negate) {
  return scalar(std::move(key), [fold, negate](Call& c) -> Returned {
    BOP_LET(regex, c.context.regexes->get(c.text(1), {.ignore_case = fold}));
    Regex::Match m;
    BOP_LET(hit, regex->find(c.text(0), 0, m));
    return OwnedValue::of_bool(hit != negate);
  });
}

Result<RegexOptions> options(Call& c, std::size_t at) {
  if (c.size() <= at) return RegexOptions();
  return parse_regex_flags(c.text(at));
}

// The match as PostgreSQL's functions return it: its groups, or the whole when there are none.
Array groups_of(std::string_view s, const Regex::Match& m) {
  std::vector<OwnedValue> items;
  for (std::size_t i = m.groups.size() > 1 ? 1 : 0; i < m.groups.size(); ++i) {
    const auto& g = m.groups[i];
    items.push_back(g.set ? OwnedValue::of_text(std::string(s.substr(g.begin, g.end - g.begin)))
                          : OwnedValue::null());
  }
  return Array::of_vector(std::move(items));
}

std::size_t after(std::string_view s, const Regex::Match& m) {
  const auto& whole = m.groups[0];
  if (whole.end > whole.begin) return whole.end;
  return whole.end < s.size() ? whole.end + utf8_length(s[whole.end]) : s.size() + 1;
}

Returned regexp_match(Call& c) {
  BOP_LET(o, options(c, 2));
  if (o.global) {
    return std::unexpected(
        Error(ErrorCode::kInvalidArgument, "regexp_match() does not support the \"global\" option")
            .hint("Use the regexp_matches function instead."));
  }
  BOP_LET(regex, c.context.regexes->get(c.text(1), o));
  Regex::Match m;
  BOP_LET(hit, regex->find(c.text(0), 0, m));
  if (!hit) return OwnedValue::null();
  return OwnedValue::of_text(stored_array(types::kTextArray, groups_of(c.text(0), m)));
}

Result<RowSource> regexp_matches(Call& c) {
  BOP_LET(o, options(c, 2));
  BOP_LET(regex, c.context.regexes->get(c.text(1), o));
  return RowSource([regex, s = std::string(c.text(0)), at = std::size_t{0},
                    global = o.global](std::vector<OwnedValue>& row) mutable -> Result<bool> {
    if (at > s.size()) return false;
    Regex::Match m;
    BOP_LET(hit, regex->find(s, at, m));
    if (!hit) {
      at = s.size() + 1;
      return false;
    }
    at = global ? after(s, m) : s.size() + 1;
    row.assign(1, OwnedValue::of_text(stored_array(types::kTextArray, groups_of(s, m))));
    return true;
  });
}

Result<std::string> replaced(Call& c, std::string_view s, std::string_view pattern, std::string_view by,
                             const RegexOptions& o, std::size_t start, std::int64_t nth) {
  BOP_LET(regex, c.context.regexes->get(pattern, o));
  std::string out(s.substr(0, start));
  std::size_t at = start, copied = start;
  std::int64_t count = 0;
  while (at <= s.size()) {
    Regex::Match m;
    BOP_LET(hit, regex->find(s, at, m));
    if (!hit) break;
    BOP_TRY(interrupted(c.context));
    at = after(s, m);
    if (++count < nth) continue;
    out += s.substr(copied, m.groups[0].begin - copied);
    copied = m.groups[0].end;
    for (std::size_t i = 0; i < by.size(); ++i) {
      if (by[i] != '\\' || i + 1 == by.size()) {
        out += by[i];
        continue;
      }
      const char e = by[++i];
      const std::size_t g = e == '&' ? 0 : is_digit(e) ? static_cast<std::size_t>(e - '0') : m.groups.size();
      if (e == '&' || (is_digit(e) && e != '0')) {
        if (g < m.groups.size() && m.groups[g].set)
          out += s.substr(m.groups[g].begin, m.groups[g].end - m.groups[g].begin);
      } else if (e == '\\') {
        out += '\\';
      } else {
        out += '\\';
        out += e;
      }
    }
    if (!o.global) break;
  }
  return out.append(s.substr(std::min(copied, s.size())));
}

Returned regexp_replace(Call& c) {
  if (c.size() > 3 && !c.text(3).empty() && is_digit(c.text(3)[0])) {
    return std::unexpected(
        error(ErrorCode::kInvalidArgument, "invalid regular expression option: \"{}\"",
              c.text(3).substr(0, 1))
            .hint(
                "If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly."));
  }
  BOP_LET(o, options(c, 3));
  BOP_LET(s, replaced(c, c.text(0), c.text(1), c.text(2), o, 0, 1));
  return OwnedValue::of_text(std::move(s));
}

// regexp_replace(string, pattern, replacement, start [, n [, flags]])
Returned regexp_replace_from(Call& c) {
  const std::int64_t start = c.integer(3), n = c.size() > 4 ? c.integer(4) : 1;
  if (start <= 0)
    return fail(ErrorCode::kInvalidArgument, "invalid value for parameter \"{}\": {}", "start", start);
  if (n < 0) return fail(ErrorCode::kInvalidArgument, "invalid value for parameter \"{}\": {}", "n", n);
  BOP_LET(o, options(c, 5));
  o.global = n == 0;
  BOP_LET(
      s, replaced(c, c.text(0), c.text(1), c.text(2), o,
                  utf8_offset(c.text(0), static_cast<std::size_t>(start - 1)), std::max<std::int64_t>(n, 1)));
  return OwnedValue::of_text(std::move(s));
}

Returned regexp_substring(Call& c) {
  BOP_LET(regex, c.context.regexes->get(c.text(1), {}));
  Regex::Match m;
  BOP_LET(hit, regex->find(c.text(0), 0, m));
  if (!hit) return OwnedValue::null();
  const auto& g = m.groups.size() > 1 ? m.groups[1] : m.groups[0];
  if (!g.set) return OwnedValue::null();
  return OwnedValue::of_text(std::string(c.text(0).substr(g.begin, g.end - g.begin)));
}

Returned regexp_count(Call& c) {
  const std::int64_t start = c.size() > 2 ? c.integer(2) : 1;
  if (start <= 0)
    return fail(ErrorCode::kInvalidArgument, "invalid value for parameter \"{}\": {}", "start", start);
  BOP_LET(o, options(c, 3));
  BOP_LET(regex, c.context.regexes->get(c.text(1), o));
  std::int64_t n = 0;
  for (std::size_t at = utf8_offset(c.text(0), static_cast<std::size_t>(start - 1)); at <= c.text(0).size();
       ++n) {
    Regex::Match m;
    BOP_LET(hit, regex->find(c.text(0), at, m));
    if (!hit) break;
    at = after(c.text(0), m);
  }
  return OwnedValue::of_int(n);
}

// regexp_instr(string, pattern, start, n, endoption, flags, subexpr) and
// regexp_substr(string, pattern, start, n, flags, subexpr): where a match, or a part of it, is.
struct Sought {
  std::size_t begin, end;
};
Result<std::optional<Sought>> seek(Call& c, std::size_t flags, std::size_t part) {
  const std::string_view s = c.text(0);
  const std::int64_t start = c.size() > 2 ? c.integer(2) : 1, n = c.size() > 3 ? c.integer(3) : 1;
  const std::int64_t group = c.size() > part ? c.integer(part) : 0;
  const auto check = [](std::string_view name, std::int64_t value, std::int64_t least) -> Status {
    if (value >= least) return {};
    return fail(ErrorCode::kInvalidArgument, "invalid value for parameter \"{}\": {}", name, value);
  };
  BOP_TRY(check("start", start, 1));
  BOP_TRY(check("n", n, 1));
  BOP_TRY(check("subexpr", group, 0));
  BOP_LET(o, options(c, flags));
  if (o.global) {
    return fail(ErrorCode::kInvalidArgument, "{}() does not support the \"global\" option", c.kernel.name);
  }
  BOP_LET(regex, c.context.regexes->get(c.text(1), o));
  Regex::Match m;
  std::size_t at = utf8_offset(s, static_cast<std::size_t>(start - 1));
  if (start > static_cast<std::int64_t>(utf8_count(s)) + 1) return std::nullopt;
  for (std::int64_t i = 0; i < n; ++i) {
    if (at > s.size()) return std::nullopt;
    BOP_LET(hit, regex->find(s, at, m));
    if (!hit) return std::nullopt;
    at = after(s, m);
  }
  const auto wanted = static_cast<std::size_t>(group);
  if (wanted >= m.groups.size() || !m.groups[wanted].set) return std::nullopt;
  return Sought{m.groups[wanted].begin, m.groups[wanted].end};
}

Returned regexp_instr(Call& c) {
  const std::int64_t end = c.size() > 4 ? c.integer(4) : 0;
  if (end != 0 && end != 1) {
    return fail(ErrorCode::kInvalidArgument, "invalid value for parameter \"{}\": {}", "endoption", end);
  }
  BOP_LET(found, seek(c, 5, 6));
  if (!found) return int_result(0);
  const std::size_t at = end == 1 ? found->end : found->begin;
  return int_result(static_cast<std::int64_t>(utf8_count(c.text(0).substr(0, at))) + 1);
}

Returned regexp_substr(Call& c) {
  BOP_LET(found, seek(c, 4, 5));
  if (!found) return OwnedValue::null();
  return text_result(std::string(c.text(0).substr(found->begin, found->end - found->begin)));
}

Returned regexp_like(Call& c) {
  BOP_LET(o, options(c, 2));
  BOP_LET(regex, c.context.regexes->get(c.text(1), o));
  Regex::Match m;
  BOP_LET(hit, regex->find(c.text(0), 0, m));
  return OwnedValue::of_bool(hit);
}

// Pieces between matches; an empty match at the end of a piece does not cut.
Result<std::vector<OwnedValue>> split(Call& c) {
  BOP_LET(o, options(c, 2));
  BOP_LET(regex, c.context.regexes->get(c.text(1), o));
  const std::string_view s = c.text(0);
  std::vector<OwnedValue> parts;
  std::size_t begin = 0, at = 0;
  while (at <= s.size()) {
    Regex::Match m;
    BOP_LET(hit, regex->find(s, at, m));
    if (!hit) break;
    const auto& g = m.groups[0];
    at = after(s, m);
    if (g.end == g.begin && (g.begin == begin || g.begin >= s.size())) {
      if (g.begin >= s.size()) break;
      continue;
    }
    parts.push_back(OwnedValue::of_text(std::string(s.substr(begin, g.begin - begin))));
    begin = g.end;
  }
  parts.push_back(OwnedValue::of_text(std::string(s.substr(begin))));
  return parts;
}

}  // namespace

void add_pattern_functions(Implementations& all) {
  for (const char* p : {"text", "name", "bpchar", "bytea"}) {
    const std::string prefix(p);
    all.push_back(like_operator(prefix + "like", false, false));
    all.push_back(like_operator(prefix + "nlike", false, true));
    all.push_back(like_operator(prefix + "iclike", true, false));
    all.push_back(like_operator(prefix + "icnlike", true, true));
    all.push_back(matches(prefix + "regexeq", false, false));
    all.push_back(matches(prefix + "regexne", false, true));
    all.push_back(matches(prefix + "icregexeq", true, false));
    all.push_back(matches(prefix + "icregexne", true, true));
  }
  all.push_back(scalar("like_escape", like_escape));
  all.push_back(scalar("like_escape_bytea", like_escape));
  all.push_back(scalar("similar_to_escape_1", similar_to_escape));
  all.push_back(scalar("similar_to_escape_2", similar_to_escape));
  all.push_back(scalar("similar_escape", similar_to_escape));
  all.push_back(scalar("regexp_match", regexp_match));
  all.push_back(scalar("regexp_match_no_flags", regexp_match));
  all.push_back(rows("regexp_matches", regexp_matches));
  all.push_back(rows("regexp_matches_no_flags", regexp_matches));
  all.push_back(scalar("textregexreplace", regexp_replace));
  all.push_back(scalar("textregexreplace_noopt", regexp_replace));
  for (const char* k : {"textregexreplace_extended", "textregexreplace_extended_no_n",
                        "textregexreplace_extended_no_flags"}) {
    all.push_back(scalar(k, regexp_replace_from));
  }
  all.push_back(scalar("textregexsubstr", regexp_substring));
  for (const char* k : {"regexp_count", "regexp_count_no_start", "regexp_count_no_flags"})
    all.push_back(scalar(k, regexp_count));
  for (const char* k : {"regexp_instr", "regexp_instr_no_start", "regexp_instr_no_n",
                        "regexp_instr_no_endoption", "regexp_instr_no_flags", "regexp_instr_no_subexpr"}) {
    all.push_back(scalar(k, regexp_instr));
  }
  for (const char* k : {"regexp_substr", "regexp_substr_no_start", "regexp_substr_no_n",
                        "regexp_substr_no_flags", "regexp_substr_no_subexpr"}) {
    all.push_back(scalar(k, regexp_substr));
  }
  all.push_back(scalar("regexp_like", regexp_like));
  all.push_back(scalar("regexp_like_no_flags", regexp_like));
  for (const char* k : {"regexp_split_to_array", "regexp_split_to_array_no_flags"}) {
    all.push_back(scalar(k, [](Call& c) -> Returned {
      BOP_LET(parts, split(c));
      return OwnedValue::of_text(stored_array(types::kTextArray, Array::of_vector(std::move(parts))));
    }));
  }
  for (const char* k : {"regexp_split_to_table", "regexp_split_to_table_no_flags"}) {
    all.push_back(rows(k, [](Call& c) -> Result<RowSource> {
      BOP_LET(parts, split(c));
      return RowSource([parts = std::move(parts),
                        i = std::size_t{0}](std::vector<OwnedValue>& row) mutable -> Result<bool> {
        if (i >= parts.size()) return false;
        row.assign(1, std::move(parts[i++]));
        return true;
      });
    }));
  }
}

}  // namespace bop
