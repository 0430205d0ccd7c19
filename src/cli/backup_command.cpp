#include "cli/backup_command.hpp"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "backup/back_up.hpp"
#include "backup/restore.hpp"
#include "base/disk.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "cli/progress_line.hpp"

namespace bop::cli {

namespace {

constexpr int kFailed = 1;
constexpr int kWrong = 2;

}  // namespace

int report_failure(const Error& error, bool json) {
  if (json) {
    fmt::print("{{\"status\":\"failed\",\"sqlstate\":{},\"message\":{},\"hint\":{}}}\n",
               json_text(error.sqlstate()), json_text(error.what()), json_text(error.fields().hint));
  } else {
    fmt::print(stderr, "bop: {}\n", error.what());
    if (const std::string& hint = error.fields().hint; !hint.empty()) fmt::print(stderr, "{}\n", hint);
  }
  const bool nothing_there =
      error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kFileNotFound;
  return nothing_there ? kWrong : kFailed;
}

Result<std::shared_ptr<const aof::KeyEncryptionKeys>> log_key_from(Disk& disk, const std::string& place) {
  if (place.empty()) return nullptr;
  BOP_LET(keys, aof::load_key_encryption_keys(disk, place));
  return std::make_shared<const aof::KeyEncryptionKeys>(std::move(keys));
}

std::string one_spelling(const std::string& given) {
  std::error_code bad;
  auto path = std::filesystem::weakly_canonical(given, bad);
  std::string text = bad ? given : path.string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

namespace {

struct Target {
  std::optional<Lsn> csn;
  std::optional<std::int64_t> us;
};

class TimeReader {
 public:
  explicit TimeReader(std::string_view text) : rest_(text) {}
  bool number(int digits, int least, int most, int& out) {
    if (rest_.size() < static_cast<std::size_t>(digits)) return false;
    const auto [end, bad] = std::from_chars(rest_.data(), rest_.data() + digits, out);
    if (bad != std::errc() || end != rest_.data() + digits || out < least || out > most) return false;
    rest_.remove_prefix(static_cast<std::size_t>(digits));
    return true;
  }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Of a second, in microseconds; more digits than six are cut off.
  bool fraction(std::int64_t& out) {
    std::int64_t unit = 100'000;
    std::size_t digits = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits, unit /= 10) {
      out += unit * (rest_[digits] - '0');
    }
    rest_.remove_prefix(digits);
    return digits > 0;
  }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// 2026-11-22 03:04:05[.678901][Z|+HH[:MM]|-HH[:MM]]; UTC without a zone.
std::optional<std::int64_t> parse_time(std::string_view text) {
  TimeReader in(text);
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  if (!in.number(4, 1970, 9999, year) || !in.take('-') || !in.number(2, 1, 12, month) || !in.take('-') ||
      !in.number(2, 1, 31, day)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date(std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  if (!date.ok() || !(in.take(' ') || in.take('T')) || !in.number(2, 0, 23, hour) || !in.take(':') ||
      !in.number(2, 0, 59, minute)) {
    return std::nullopt;
  }
  if (in.take(':') && !in.number(2, 0, 60, second)) return std::nullopt;
  std::int64_t us = 0;
  if (in.take('.') && !in.fraction(us)) return std::nullopt;
  (void)in.take(' ');
  int zone_minutes = 0;
  if (!in.take('Z') && !in.at_end()) {
    const bool east = in.take('+');
    int hours = 0;
    int minutes = 0;
    if ((!east && !in.take('-')) || !in.number(2, 0, 15, hours)) return std::nullopt;
    const bool colon = in.take(':');
    if ((colon || !in.at_end()) && !in.number(2, 0, 59, minutes)) return std::nullopt;
    zone_minutes = (hours * 60 + minutes) * (east ? 1 : -1);
  }
  if (!in.at_end()) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch();
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(
      days + std::chrono::hours(hour) + std::chrono::minutes(minute - zone_minutes) +
      std::chrono::seconds(second));
  return whole.count() + us;
}

Result<Target> parse_target(const std::string& text) {
  Target target;
  if (text.empty()) return target;
  std::uint64_t number = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (bad == std::errc() && end == text.data() + text.size()) {
    target.csn = Lsn(number);
    return target;
  }
  target.us = parse_time(text);
  if (target.us) return target;
  return fail(ErrorCode::kInvalidArgument,
              "--to is \"{}\": it must be a CSN or a time like \"2026-11-22 03:04:05.678Z\"", text);
}

Result<std::unique_ptr<Disk>> open_disk() {
  (void)configure_log("text", "warning");
  return open_system_disk("pwritev");
}

std::string_view name_of(backup::BackupKind kind) {
  switch (kind) {
    case backup::BackupKind::kNew: return "new";
    case backup::BackupKind::kResumed: return "resumed";
    case backup::BackupKind::kExtended: return "extended";
  }
  return "?";
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int run_backup(const BackupCommand& command) {
  auto disk = open_disk();
  if (!disk) return report_failure(disk.error(), command.json);
  const auto start = std::chrono::steady_clock::now();
  ProgressLine line(command.progress);
  backup::BackupOptions options{.disk = disk->get(),
                                .clock = &system_clock(),
                                .data_dir = one_spelling(command.data_dir),
                                .directory = one_spelling(command.directory),
                                .verify = !command.unverified};
  options.progress = [&](std::string_view phase, std::uint64_t done, std::uint64_t total) {
    line.show(phase, done, total);
  };
  auto log_key = log_key_from(**disk, command.log_key);
  if (!log_key) return report_failure(log_key.error(), command.json);
  options.log_key = std::move(*log_key);
  const auto done = backup::back_up(options);
  line.end();
  if (!done) return report_failure(done.error(), command.json);
  const backup::Label& label = done->label;
  if (command.json) {
    fmt::print(
        "{{\"status\":\"complete\",\"kind\":\"{}\",\"directory\":{},\"data_dir\":{},\"timeline\":{},"
        "\"consistent_csn\":{},\"consistent_time\":\"{}\",\"end_csn\":{},\"end_time\":\"{}\",\"databases\":{},"
        "\"log_segments\":{},\"bytes\":{},\"copied_bytes\":{},\"verified\":{},\"verified_pages\":{},"
        "\"seconds\":{:.3f}}}\n",
        name_of(done->kind), json_text(options.directory), json_text(options.data_dir), label.timeline.value,
        label.consistent.value, time_text(label.consistent_us), label.end.value, time_text(label.taken_us),
        label.databases.size(), label.logs.size(), label.bytes(), done->copied_bytes, options.verify,
        done->verified_pages, seconds_since(start));
    return 0;
  }
  fmt::print("backup {}: {}\n", done->kind == backup::BackupKind::kExtended ? "extended" : "complete",
             options.directory);
  if (done->kind == backup::BackupKind::kResumed) fmt::print("  it went on with one that was interrupted\n");
  fmt::print("  {} databases, {} log segments, {}; {} copied in {:.1f} s\n", label.databases.size(),
             label.logs.size(), size_text(label.bytes()), size_text(done->copied_bytes),
             seconds_since(start));
  fmt::print("  restores to any CSN from {} to {}, any time from {} to {}\n", label.consistent.value,
             label.end.value, time_text(label.consistent_us), time_text(label.taken_us));
  if (options.verify) {
    fmt::print("  verified: log replayed, {} pages sound\n", done->verified_pages);
  } else {
    fmt::print("  not verified: \"bop verify {}\" does that\n", options.directory);
  }
  return 0;
}

int run_restore(const BackupCommand& command) {
  const auto target = parse_target(command.to);
  if (!target) return report_failure(target.error(), command.json);
  auto disk = open_disk();
  if (!disk) return report_failure(disk.error(), command.json);
  const auto start = std::chrono::steady_clock::now();
  ProgressLine line(command.progress);
  backup::RestoreOptions options{.disk = disk->get(),
                                 .clock = &system_clock(),
                                 .random = &system_random(),
                                 .directory = one_spelling(command.directory),
                                 .data_dir = one_spelling(command.data_dir),
                                 .to = target->csn,
                                 .to_us = target->us};
  options.progress = [&](std::string_view phase, std::uint64_t done, std::uint64_t total) {
    line.show(phase, done, total);
  };
  const auto done = backup::restore(options);
  line.end();
  if (!done) return report_failure(done.error(), command.json);
  if (command.json) {
    fmt::print(
        "{{\"status\":\"restored\",\"directory\":{},\"data_dir\":{},\"csn\":{},\"time\":\"{}\","
        "\"timeline\":{},\"databases\":{},\"bytes\":{},\"seconds\":{:.3f}}}\n",
        json_text(options.directory), json_text(options.data_dir), done->csn.value, time_text(done->csn_us),
        done->timeline.value, done->databases, done->bytes, seconds_since(start));
    return 0;
  }
  fmt::print("restored: {} at CSN {}, {}\n", options.data_dir, done->csn.value, time_text(done->csn_us));
  fmt::print("  {} databases, {} read in {:.1f} s; timeline {}\n", done->databases, size_text(done->bytes),
             seconds_since(start), done->timeline.value);
  fmt::print("  start it with: bop serve --data-dir {}\n", options.data_dir);
  return 0;
}

}  // namespace bop::cli
