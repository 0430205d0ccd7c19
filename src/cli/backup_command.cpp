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
#include "cli/time_reader.hpp"

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
