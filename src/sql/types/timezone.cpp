#include "sql/types/timezone.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "sql/types/bytes.hpp"
#include "sql/types/calendar.hpp"

namespace bop {
namespace {

constexpr std::string_view kDatabase = "/usr/share/zoneinfo/";
constexpr std::int64_t kDaySeconds = 86400;
constexpr std::size_t kMaxZones = 4096;  // zones are kept for good; offsets are finer than anybody needs

// One change of a POSIX TZ rule: Mm.w.d, Jn or n, at a time of day.
struct RuleDate {
  char kind = 'M';
  int month = 0, week = 0, day = 0;
  std::int32_t seconds = 7200;

  // Seconds since 1970 of local wall clock time in `year`.
  [[nodiscard]] std::int64_t in_year(int year) const {
    std::int64_t days = 0;
    const bool leap = is_leap_year(year);
    if (kind == 'J') {
      days = days_from_civil(year, 1, 1) + day - 1 + (leap && day >= 60 ? 1 : 0);
    } else if (kind == 'n') {
      days = days_from_civil(year, 1, 1) + day;
    } else {
      const std::int64_t first = days_from_civil(year, month, 1);
      const int weekday = static_cast<int>(((first + 4) % 7 + 7) % 7);
      int shift = (day - weekday + 7) % 7 + (week - 1) * 7;
      if (shift >= days_in_month(year, month)) shift -= 7;
      days = first + shift;
    }
    return days * kDaySeconds + seconds;
  }
};

struct PosixRule {
  std::string standard, dst;
  std::int32_t standard_offset = 0, dst_offset = 0;
  bool has_dst = false;
  RuleDate start, end;

  [[nodiscard]] TimeZone::Local at(std::int64_t t) const {
    if (!has_dst) return {standard_offset, false, standard};
    const int year = static_cast<int>(civil_from_days(floor_days(t + standard_offset)).year);
    const std::int64_t from = start.in_year(year) - standard_offset, to = end.in_year(year) - dst_offset;
    const bool dst_now = from < to ? (t >= from && t < to) : (t >= from || t < to);
    return dst_now ? TimeZone::Local{dst_offset, true, dst}
                   : TimeZone::Local{standard_offset, false, standard};
  }
  static std::int64_t floor_days(std::int64_t t) {
    return (t - ((t % kDaySeconds + kDaySeconds) % kDaySeconds)) / kDaySeconds;
  }
};

class PosixParser {
 public:
  explicit PosixParser(std::string_view s) : s_(s) {}
  std::optional<PosixRule> parse() {
    PosixRule r;
    std::int32_t west = 0;
    if (!name(r.standard) || !time(west)) return std::nullopt;
    r.standard_offset = -west;
    if (s_.empty()) return r;
    if (!name(r.dst)) return std::nullopt;
    r.has_dst = true;
    r.dst_offset = r.standard_offset + 3600;
    if (!s_.empty() && s_[0] != ',') {
      if (!time(west)) return std::nullopt;
      r.dst_offset = -west;
    }
    if (s_.empty()) {  // the rule of the United States, as the C library assumes
      r.start = {.kind = 'M', .month = 3, .week = 2, .day = 0};
      r.end = {.kind = 'M', .month = 11, .week = 1, .day = 0};
      return r;
    }
    if (!date(r.start) || !date(r.end) || !s_.empty()) return std::nullopt;
    return r;
  }

 private:
  bool name(std::string& out) {
    const bool quoted = !s_.empty() && s_[0] == '<';
    if (quoted) s_.remove_prefix(1);
    while (!s_.empty() && (is_alpha(s_[0]) || (quoted && s_[0] != '>'))) {
      out += s_[0];
      s_.remove_prefix(1);
    }
    if (quoted) {
      if (s_.empty()) return false;
      s_.remove_prefix(1);
    }
    return out.size() >= 3;
  }
  bool number(int& out) {
    if (s_.empty() || !is_digit(s_[0])) return false;
    for (out = 0; !s_.empty() && is_digit(s_[0]) && out < 10000; s_.remove_prefix(1))
      out = out * 10 + (s_[0] - '0');
    return true;
  }
  bool time(std::int32_t& out) {
    int sign = 1, part = 0;
    if (!s_.empty() && (s_[0] == '+' || s_[0] == '-')) {
      sign = s_[0] == '-' ? -1 : 1;
      s_.remove_prefix(1);
    }
    if (!number(part) || part > 167) return false;
    out = part * 3600;
    for (int unit = 60; unit >= 1 && !s_.empty() && s_[0] == ':'; unit /= 60) {
      s_.remove_prefix(1);
      if (!number(part) || part > 59) return false;
      out += part * unit;
    }
    out *= sign;
    return true;
  }
  bool date(RuleDate& d) {
    if (s_.empty() || s_[0] != ',') return false;
    s_.remove_prefix(1);
    if (s_.empty()) return false;
    if (s_[0] == 'M') {
      s_.remove_prefix(1);
      if (!number(d.month) || !dot() || !number(d.week) || !dot() || !number(d.day)) return false;
      if (d.month < 1 || d.month > 12 || d.week < 1 || d.week > 5 || d.day > 6) return false;
    } else {
      d.kind = 'n';
      if (s_[0] == 'J') {
        d.kind = 'J';
        s_.remove_prefix(1);
      }
      if (!number(d.day) || d.day > 366) return false;
    }
    if (!s_.empty() && s_[0] == '/') {
      s_.remove_prefix(1);
      return time(d.seconds);
    }
    return true;
  }
  bool dot() {
    if (s_.empty() || s_[0] != '.') return false;
    s_.remove_prefix(1);
    return true;
  }
  std::string_view s_;
};

class RuleZone final : public TimeZone {
 public:
  RuleZone(std::string name, PosixRule rule) : rule_(std::move(rule)) { name_ = std::move(name); }
  [[nodiscard]] Local at(std::int64_t t) const override { return rule_.at(t); }

 private:
  PosixRule rule_;
};

class FileZone final : public TimeZone {
 public:
  static std::unique_ptr<FileZone> load(std::string name, std::string_view bytes) {
    auto zone = std::make_unique<FileZone>();
    zone->name_ = std::move(name);
    // A file of version 2 or later holds the same data twice; the second block has 64-bit times.
    std::string_view in = bytes;
    Counts counts;
    if (!zone->header(in, counts)) return nullptr;
    if (bytes.size() < 5 || bytes[4] < '2') return zone->block(in, counts, 4) ? std::move(zone) : nullptr;
    const std::size_t skip = counts.size(4);
    if (in.size() < skip) return nullptr;
    in.remove_prefix(skip);
    if (!zone->header(in, counts) || !zone->block(in, counts, 8)) return nullptr;
    if (in.size() > 2 && in.front() == '\n') {
      in.remove_prefix(1);
      zone->rule_ = PosixParser(in.substr(0, in.find('\n'))).parse();
    }
    return zone;
  }

  [[nodiscard]] Local at(std::int64_t t) const override {
    const auto it = std::ranges::upper_bound(times_, t);
    if (it == times_.end() && rule_) return rule_->at(t);
    if (it == times_.begin()) return local(first_standard_);
    return local(indexes_[static_cast<std::size_t>(it - times_.begin()) - 1]);
  }

 private:
  struct Counts {
    std::uint32_t utc = 0, std = 0, leap = 0, time = 0, type = 0, chars = 0;
    [[nodiscard]] std::size_t size(std::size_t width) const {
      return time * width + time + type * 6UL + chars + leap * (width + 4) + std + utc;
    }
  };
  struct Type {
    std::int32_t offset;
    bool dst;
    std::uint8_t name;
  };
  bool header(std::string_view& in, Counts& c) {
    if (in.size() < 44 || !in.starts_with("TZif")) return false;
    in.remove_prefix(20);
    c.utc = *take_be<std::uint32_t>(in);
    c.std = *take_be<std::uint32_t>(in);
    c.leap = *take_be<std::uint32_t>(in);
    c.time = *take_be<std::uint32_t>(in);
    c.type = *take_be<std::uint32_t>(in);
    c.chars = *take_be<std::uint32_t>(in);
    return c.time < 10000 && c.type >= 1 && c.type < 256 && c.chars < 10000 && c.leap < 10000;
  }
  bool block(std::string_view& in, const Counts& c, std::size_t width) {
    if (in.size() < c.size(width)) return false;
    for (std::uint32_t i = 0; i < c.time; ++i) {
      times_.push_back(width == 8 ? *take_be<std::int64_t>(in) : *take_be<std::int32_t>(in));
    }
    for (std::uint32_t i = 0; i < c.time; ++i) {
      indexes_.push_back(*take_be<std::uint8_t>(in));
      if (indexes_.back() >= c.type) return false;
    }
    for (std::uint32_t i = 0; i < c.type; ++i) {
      const auto offset = *take_be<std::int32_t>(in);
      const auto dst = *take_be<std::uint8_t>(in);
      const auto name = *take_be<std::uint8_t>(in);
      if (name >= c.chars) return false;
      types_.push_back({offset, dst != 0, name});
    }
    names_ = std::string(in.substr(0, c.chars)) + '\0';
    in.remove_prefix(c.chars + c.leap * (width + 4) + c.std + c.utc);
    for (std::size_t i = types_.size(); i-- > 0;) {
      if (!types_[i].dst) first_standard_ = static_cast<std::uint8_t>(i);
    }
    return std::ranges::is_sorted(times_);
  }
  [[nodiscard]] Local local(std::size_t i) const {
    return {types_[i].offset, types_[i].dst, std::string_view(names_.c_str() + types_[i].name)};
  }

  std::vector<std::int64_t> times_;
  std::vector<std::uint8_t> indexes_;
  std::vector<Type> types_;
  std::string names_;
  std::uint8_t first_standard_ = 0;
  std::optional<PosixRule> rule_;
};

// Finds the file of a zone whatever the case of its name; only letters, digits and _ + - / may occur.
std::optional<std::string> database_name(std::string_view asked) {
  namespace fs = std::filesystem;
  fs::path at(kDatabase);
  std::string found;
  while (!asked.empty()) {
    const std::string_view part = asked.substr(0, asked.find('/'));
    asked.remove_prefix(std::min(asked.size(), part.size() + 1));
    if (part.empty() ||
        part.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-") !=
            part.npos) {
      return std::nullopt;
    }
    std::error_code error;
    std::string hit;
    if (fs::exists(at / part, error)) {
      hit = std::string(part);
    } else {
      for (fs::directory_iterator it(at, error), end; !error && it != end; it.increment(error)) {
        if (lower_ascii(it->path().filename().string()) == lower_ascii(part))
          hit = it->path().filename().string();
      }
    }
    if (hit.empty()) return std::nullopt;
    at /= hit;
    found += (found.empty() ? "" : "/") + hit;
  }
  std::error_code error;
  return fs::is_regular_file(at, error) ? std::optional(found) : std::nullopt;
}

std::unique_ptr<TimeZone> make_zone(std::string_view name) {
  if (!name.empty() && (is_digit(name[0]) || name[0] == '+' || name[0] == '-' || name[0] == '.')) {
    char* end = nullptr;
    const std::string text(name);
    const double hours = std::strtod(text.c_str(), &end);
    if (*end == '\0' && hours > -168 && hours < 168) {
      PosixRule rule;
      rule.standard_offset = static_cast<std::int32_t>(hours * 3600);
      const int a = std::abs(rule.standard_offset);
      std::string shown = fmt::format("{}{:02}", rule.standard_offset < 0 ? '-' : '+', a / 3600);
      if (a % 3600 != 0) shown += fmt::format(":{:02}", a % 3600 / 60);
      rule.standard = shown;
      return std::make_unique<RuleZone>(
          fmt::format("<{}>{}{:02}{}", shown, rule.standard_offset < 0 ? '+' : '-', a / 3600,
                      a % 3600 ? fmt::format(":{:02}", a % 3600 / 60) : ""),
          std::move(rule));
    }
  }
  if (const auto found = database_name(name)) {
    std::ifstream file(std::string(kDatabase) + *found, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    if (auto zone = FileZone::load(*found, bytes)) return zone;
  }
  if (auto rule = PosixParser(name).parse())
    return std::make_unique<RuleZone>(std::string(name), *std::move(rule));
  return nullptr;
}

struct Abbreviation {
  std::string_view name;
  std::int32_t hours4;  // quarters of an hour east
};
constexpr Abbreviation kAbbreviations[] = {
    {"z", 0},     {"zulu", 0},  {"utc", 0},   {"ut", 0},    {"gmt", 0},   {"uct", 0},    {"wet", 0},
    {"west", 4},  {"bst", 4},   {"cet", 4},   {"met", 4},   {"mez", 4},   {"cest", 8},   {"mest", 8},
    {"mesz", 8},  {"eet", 8},   {"eest", 12}, {"msk", 12},  {"msd", 16},  {"sast", 8},   {"ist", 8},
    {"pkt", 20},  {"npt", 23},  {"ict", 28},  {"hkt", 32},  {"sgt", 32},  {"awst", 32},  {"jst", 36},
    {"kst", 36},  {"acst", 38}, {"aest", 40}, {"acdt", 42}, {"aedt", 44}, {"nzst", 48},  {"nzdt", 52},
    {"nst", -14}, {"ndt", -10}, {"ast", -16}, {"adt", -12}, {"est", -20}, {"edt", -16},  {"cst", -24},
    {"cdt", -20}, {"mst", -28}, {"mdt", -24}, {"pst", -32}, {"pdt", -28}, {"akst", -36}, {"akdt", -32},
    {"hst", -40}, {"brt", -12}, {"art", -12}, {"clt", -16}, {"wast", 8},  {"eat", 12},
};

}  // namespace

std::int32_t TimeZone::offset_of_local(std::int64_t local) const {
  const Local before = at(local - kDaySeconds), after = at(local + kDaySeconds);
  if (before.offset_seconds == after.offset_seconds) {
    // No net change in two days: at most a pair of changes, which the offset found now settles.
    return at(local - before.offset_seconds).offset_seconds;
  }
  const bool fits_before = at(local - before.offset_seconds).offset_seconds == before.offset_seconds;
  const bool fits_after = at(local - after.offset_seconds).offset_seconds == after.offset_seconds;
  if (fits_before && fits_after) return after.is_dst ? before.offset_seconds : after.offset_seconds;
  if (fits_after) return after.offset_seconds;
  return before.offset_seconds;
}

const TimeZone* TimeZone::utc() {
  static const RuleZone zone("UTC", PosixRule{.standard = "UTC"});
  return &zone;
}

const TimeZone* TimeZone::find(std::string_view name) {
  static std::mutex mutex;
  static std::unordered_map<std::string, std::unique_ptr<TimeZone>> zones;
  const std::string key = lower_ascii(trim_space(name));
  if (key.empty() || key.size() > 255) return nullptr;
  const std::lock_guard lock(mutex);
  if (const auto it = zones.find(key); it != zones.end()) return it->second.get();
  if (zones.size() >= kMaxZones) return nullptr;
  auto zone = make_zone(trim_space(name));
  if (zone == nullptr) return nullptr;
  return zones.emplace(key, std::move(zone)).first->second.get();
}

bool TimeZone::find_abbreviation(std::string_view abbreviation, std::int32_t& offset_seconds) {
  const std::string key = lower_ascii(abbreviation);
  for (const Abbreviation& a : kAbbreviations) {
    if (a.name == key) {
      offset_seconds = a.hours4 * 900;
      return true;
    }
  }
  return false;
}

}  // namespace bop
