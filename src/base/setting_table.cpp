// The table of settings, and single values: how they are written, read and shown.
#include <algorithm>
#include <charconv>
#include <limits>
#include <vector>

#include "base/settings.hpp"

namespace bop {
namespace {

constexpr SettingInfo kTable[] = {
#define BOP_SETTING(name, type, standard, least, most, choices, context, sentence)            \
  {SettingId::k_##name,        #name,   SettingType::k##type, standard, least, most, choices, \
   SettingContext::k##context, sentence},
#include "base/settings.def"
#undef BOP_SETTING
};

struct Unit {
  std::string_view name;
  std::int64_t factor;
};
constexpr Unit kByteUnits[] = {{"TB", std::int64_t{1} << 40},
                               {"GB", std::int64_t{1} << 30},
                               {"MB", std::int64_t{1} << 20},
                               {"kB", std::int64_t{1} << 10},
                               {"B", 1}};
constexpr Unit kTimeUnits[] = {{"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"s", 1000}, {"ms", 1}};

std::span<const Unit> units_of(SettingType type) {
  if (type == SettingType::kBytes) return kByteUnits;
  if (type == SettingType::kMilliseconds) return kTimeUnits;
  return {};
}

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::string with_dashes(std::string_view name) {
  std::string out(name);
  std::ranges::replace(out, '_', '-');
  return out;
}
std::string with_underscores(std::string_view name) {
  std::string out(name);
  std::ranges::replace(out, '-', '_');
  return out;
}

// Changes of one letter, and swaps of neighbours, that turn one into the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(now);
  }
  return last[b.size()];
}

std::string show_number(const SettingInfo& info, std::int64_t number) {
  for (const Unit& unit : units_of(info.type)) {
    if (number != 0 && number % unit.factor == 0) return fmt::format("{}{}", number / unit.factor, unit.name);
  }
  return fmt::format("{}", number);
}

Result<SettingValue> parse_number(const SettingInfo& info, std::string_view text) {
  std::int64_t number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit =
      trimmed(std::string_view(end, static_cast<std::size_t>(text.data() + text.size() - end)));
  const auto units = units_of(info.type);
  std::int64_t factor = 1;
  bool understood = status == std::errc() && (unit.empty() || !units.empty());
  if (understood && !unit.empty()) {
    const auto found = std::ranges::find_if(units, [&](const Unit& u) { return same_letters(u.name, unit); });
    understood = found != units.end();
    if (understood) factor = found->factor;
  }
  if (!understood && status != std::errc::result_out_of_range) {
    const std::string_view wanted =
        info.type == SettingType::kBytes          ? "a size such as 64MB (B, kB, MB, GB, TB)"
        : info.type == SettingType::kMilliseconds ? "a time such as 500ms or 10s (ms, s, min, h, d)"
                                                  : "a whole number";
    return fail(ErrorCode::kConfigInvalid, "{} is \"{}\": it must be {}", info.name, text, wanted);
  }
  const bool overflow =
      status == std::errc::result_out_of_range || __builtin_mul_overflow(number, factor, &number);
  if (overflow || number < info.least || number > info.most) {
    return fail(ErrorCode::kConfigInvalid, "{} is {}: it must be between {} and {}", info.name, text,
                show_number(info, info.least), show_number(info, info.most));
  }
  return number;
}

Result<SettingValue> parse_bool(const SettingInfo& info, std::string_view text) {
  for (const std::string_view word : {"true", "on", "yes", "1"}) {
    if (same_letters(text, word)) return true;
  }
  for (const std::string_view word : {"false", "off", "no", "0"}) {
    if (same_letters(text, word)) return false;
  }
  return fail(ErrorCode::kConfigInvalid, "{} is \"{}\": it must be on or off", info.name, text);
}

std::string_view default_of(const SettingInfo& info) {
  return info.standard.empty() ? "(empty)" : info.standard;
}

std::string range_of(const SettingInfo& info) {
  switch (info.type) {
    case SettingType::kText: return "";
    case SettingType::kBool: return "on, off";
    case SettingType::kChoice: {
      std::string out;
      for (const char c : info.choices) out += c == '|' ? std::string(", ") : std::string(1, c);
      return out;
    }
    default: return fmt::format("{} to {}", show_number(info, info.least), show_number(info, info.most));
  }
}

}  // namespace

std::span<const SettingInfo> all_settings() noexcept { return kTable; }

const SettingInfo* find_setting(std::string_view name) noexcept {
  const auto same = [](char c) { return c == '-' ? '_' : c; };
  for (const SettingInfo& info : kTable) {
    if (std::ranges::equal(info.name, name, {}, {}, same)) return &info;
  }
  return nullptr;
}

std::optional<std::string_view> nearest_setting(std::string_view name) {
  const std::string wanted = with_underscores(name);
  std::size_t least = std::max<std::size_t>(2, wanted.size() / 3) + 1;
  std::optional<std::string_view> best;
  for (const SettingInfo& info : kTable) {
    const std::size_t distance = edit_distance(wanted, info.name);
    if (distance < least) {
      least = distance;
      best = info.name;
    }
  }
  return best;
}

Result<SettingValue> parse_setting(const SettingInfo& info, std::string_view text) {
  switch (info.type) {
    case SettingType::kText: return std::string(text);
    case SettingType::kBool: return parse_bool(info, trimmed(text));
    case SettingType::kChoice: {
      std::string_view rest = info.choices;
      while (!rest.empty()) {
        const std::string_view choice = rest.substr(0, rest.find('|'));
        if (same_letters(choice, trimmed(text))) return std::string(choice);
        rest.remove_prefix(std::min(rest.size(), choice.size() + 1));
      }
      return fail(ErrorCode::kConfigInvalid, "{} is \"{}\": it must be one of {}", info.name, text,
                  range_of(info));
    }
    default: return parse_number(info, trimmed(text));
  }
}

std::string show_setting(const SettingInfo& info, const SettingValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "on" : "off";
  return show_number(info, std::get<std::int64_t>(value));
}

std::string_view name_of(SettingType type) noexcept {
  constexpr std::string_view kNames[] = {"text", "choice", "integer", "size", "time", "bool"};
  return kNames[static_cast<std::size_t>(type)];
}
std::string_view name_of(SettingContext context) noexcept {
  constexpr std::string_view kNames[] = {"boot", "reload", "session"};
  return kNames[static_cast<std::size_t>(context)];
}
std::string_view name_of(SettingSource source) noexcept {
  constexpr std::string_view kNames[] = {"default", "configuration file", "environment variable",
                                         "command line"};
  return kNames[static_cast<std::size_t>(source)];
}

std::string environment_name(const SettingInfo& info) {
  std::string out = "BOP_";
  for (const char c : info.name) out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}
std::string flag_name(const SettingInfo& info) { return "--" + with_dashes(info.name); }

std::string settings_markdown() {
  std::string out =
      "# Settings\n\n"
      "Written by `bop settings --markdown` from `src/base/settings.def`. A later source wins: default, TOML "
      "file, environment, flag.\n"
      "*boot* settings are read at the start, *reload* ones again on SIGHUP, *session* ones are what a new "
      "session starts with.\n\n"
      "| setting | environment | flag | type | default | range | read | meaning |\n"
      "|---|---|---|---|---|---|---|---|\n";
  for (const SettingInfo& info : kTable) {
    out += fmt::format("| `{}` | `{}` | `{}` | {} | {} | {} | {} | {} |\n", info.name, environment_name(info),
                       flag_name(info), name_of(info.type), default_of(info), range_of(info),
                       name_of(info.context), info.sentence);
  }
  return out;
}

std::string settings_help() {
  std::string out;
  for (const SettingInfo& info : kTable) {
    const std::string range = range_of(info);
    out += fmt::format("  {} ({}{}{})\n      {}\n", flag_name(info), default_of(info),
                       range.empty() ? "" : "; ", range, info.sentence);
  }
  return out;
}

}  // namespace bop
