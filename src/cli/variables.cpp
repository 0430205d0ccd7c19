#include "cli/variables.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "cli/shell.hpp"

namespace bop::cli {

namespace {

struct Special {
  std::string_view name;
  std::string_view begin;    // its value at the start
  std::string_view choices;  // what it may be; empty: on or off
};

constexpr std::array<Special, 17> kSpecial{{
    {"AUTOCOMMIT", "on", ""},
    {"ECHO", "none", "none, errors, queries, all"},
    {"ECHO_HIDDEN", "off", "off"},
    {"FETCH_COUNT", "0", "0"},
    {"HIDE_TABLEAM", "off", "off"},
    {"HIDE_TOAST_COMPRESSION", "off", "off"},
    {"HISTCONTROL", "ignoredups", "ignoredups"},
    {"IGNOREEOF", "0", "0"},
    {"ON_ERROR_ROLLBACK", "off", "off, on, interactive"},
    {"ON_ERROR_STOP", "off", ""},
    {"QUIET", "off", ""},
    {"SHOW_ALL_RESULTS", "on", "on"},
    {"SHOW_CONTEXT", "always", "always"},
    {"SINGLELINE", "off", "off"},
    {"SINGLESTEP", "off", "off"},
    {"VERBOSITY", "default", "default"},
    {"COMP_KEYWORD_CASE", "preserve-lower", "preserve-lower"},
}};
// They would do nothing.
constexpr std::array<std::string_view, 5> kNotThere{"HISTFILE", "HISTSIZE", "PROMPT1", "PROMPT2", "PROMPT3"};

const Special* special_named(std::string_view name) {
  const auto found = std::ranges::find(kSpecial, name, &Special::name);
  return found == kSpecial.end() ? nullptr : &*found;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

bool is_choice(std::string_view choices, std::string_view value) {
  while (!choices.empty()) {
    const std::size_t end = std::min(choices.find(", "), choices.size());
    if (choices.substr(0, end) == value) return true;
    choices.remove_prefix(std::min(end + 2, choices.size()));
  }
  return false;
}

}  // namespace

std::optional<bool> parse_bool(std::string_view text) {
  const std::string word = lower(text);
  if (word.empty()) return std::nullopt;
  const auto begins = [&](std::string_view whole) { return whole.starts_with(word); };
  if (begins("true") || begins("yes") || (begins("on") && word.size() > 1) || word == "1") return true;
  if (begins("false") || begins("no") || (begins("off") && word.size() > 1) || word == "0") return false;
  return std::nullopt;
}

Variables::Variables() {
  for (const Special& special : kSpecial) values_[std::string(special.name)] = special.begin;
  tell("LAST_ERROR_MESSAGE", "");
  tell("LAST_ERROR_SQLSTATE", "00000");
}

bool Variables::is_special(std::string_view name) {
  return special_named(name) != nullptr || std::ranges::find(kNotThere, name) != kNotThere.end();
}

bool Variables::is_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
  });
}

Status Variables::set(const std::string& name, std::string value) {
  if (!is_name(name)) return fail(ErrorCode::kInvalidArgument, "invalid variable name: \"{}\"", name);
  if (std::ranges::find(kNotThere, name) != kNotThere.end())
    return fail(ErrorCode::kFeatureNotSupported, "there is no {} in this shell", name);
  if (const Special* special = special_named(name); special != nullptr) {
    const auto meant = parse_bool(value.empty() ? "on" : value);
    const bool takes_bool = special->begin == "on" || special->begin == "off";
    std::string chosen = lower(value);
    if (takes_bool && meant) chosen = *meant ? "on" : "off";
    if (takes_bool && !meant && special->choices.empty()) {
      return fail(ErrorCode::kInvalidArgument, "unrecognized value \"{}\" for \"{}\": Boolean expected",
                  value, name);
    }
    if (!special->choices.empty() && !is_choice(special->choices, chosen)) {
      const bool is_fixed = special->choices.find(',') == std::string_view::npos;
      if (is_fixed)
        return fail(ErrorCode::kFeatureNotSupported, "{} is always {} in this shell", name, special->choices);
      return fail(ErrorCode::kInvalidArgument, "unrecognized value \"{}\" for \"{}\": it may be {}", value,
                  name, special->choices);
    }
    value = std::move(chosen);
  }
  values_[name] = std::move(value);
  return {};
}

Status Variables::unset(const std::string& name) {
  if (!is_name(name)) return fail(ErrorCode::kInvalidArgument, "invalid variable name: \"{}\"", name);
  values_.erase(name);
  if (const Special* special = special_named(name); special != nullptr) values_[name] = special->begin;
  return {};
}

const std::string* Variables::find(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? nullptr : &found->second;
}

bool Variables::is_on(std::string_view name) const {
  const std::string* value = find(name);
  return value != nullptr && *value == "on";
}

std::optional<std::string> Variables::expand(std::string_view name, char form) const {
  const std::string* value = find(name);
  if (form == '?') return value != nullptr ? "TRUE" : "FALSE";
  if (value == nullptr) return std::nullopt;
  if (form == '\'') return sql_literal(*value);
  if (form == 0) return *value;
  std::string out = "\"";
  for (const char c : *value) {
    if (c == '"') out += '"';
    out += c;
  }
  return out += '"';
}

}  // namespace bop::cli
