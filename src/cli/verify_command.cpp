#include "cli/verify_command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "backup/repair.hpp"
#include "backup/verify.hpp"
#include "base/disk.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "cli/backup_command.hpp"
#include "cli/progress_line.hpp"

namespace bop::cli {

namespace {

using backup::Finding;
using backup::FindingState;

constexpr int kDamaged = 1;

std::string scratch_of(const VerifyCommand& command) {
  std::error_code none;
  const std::string folder =
      command.scratch.empty() ? std::filesystem::temp_directory_path(none).string() : command.scratch;
  return fmt::format("{}/bop-verify-{}", folder.empty() ? "/tmp" : folder, ::getpid());
}

std::size_t count_of(const backup::VerifyReport& report, FindingState state) {
  return static_cast<std::size_t>(
      std::ranges::count_if(report.findings, [&](const Finding& finding) { return finding.state == state; }));
}

void print_json(const std::string& path, const backup::VerifyReport& report) {
  std::string findings;
  for (const Finding& finding : report.findings) {
    findings += fmt::format(
        "{}{{\"state\":\"{}\",\"kind\":\"{}\",\"database\":{},\"page\":{},\"file\":{},\"message\":{}}}",
        findings.empty() ? "" : ",", name_of(finding.state), name_of(finding.kind), finding.database.value,
        finding.page.value, json_text(finding.file), json_text(finding.what));
  }
  fmt::print(
      "{{\"status\":\"{}\",\"path\":{},\"kind\":\"{}\",\"complete\":{},\"databases\":{},\"pages\":{},"
      "\"log_segments\":{},\"records\":{},\"first_csn\":{},\"last_csn\":{},\"damaged\":{},\"healed\":{},"
      "\"repaired\":{},\"findings\":[{}]}}\n",
      report.sound() ? "sound" : "damaged", json_text(path), report.is_backup ? "backup" : "data directory",
      report.is_complete, report.databases, report.pages, report.segments, report.records, report.first.value,
      report.last.value, count_of(report, FindingState::kDamaged), count_of(report, FindingState::kHealed),
      count_of(report, FindingState::kRepaired), findings);
}

void print_text(const std::string& path, const backup::VerifyReport& report) {
  for (const Finding& finding : report.findings) {
    fmt::print("{}: {}{}\n", name_of(finding.state), finding.what,
               finding.state == FindingState::kHealed
                   ? "; the log holds it whole, and the next start writes it anew"
                   : "");
  }
  fmt::print("{} {}: {}\n", report.is_backup ? "backup" : "data directory", path,
             report.sound() ? "sound" : "damaged");
  fmt::print("  {} databases, {} pages; {} log segments, {} records, CSN {} to {}\n", report.databases,
             report.pages, report.segments, report.records, report.first.value, report.last.value);
  if (!report.is_complete) fmt::print("  not complete: \"bop backup {}\" goes on with it\n", path);
}

}  // namespace

int run_verify(const VerifyCommand& command) {
  (void)configure_log("text", "warning");
  auto disk = open_system_disk("pwritev");
  if (!disk) return report_failure(disk.error(), command.json);
  if (!command.backup.empty() && !command.repair) {
    return report_failure(error(ErrorCode::kInvalidArgument, "--from is for --repair"), command.json);
  }
  ProgressLine line(command.progress);
  backup::RepairOptions options;
  options.verify.disk = disk->get();
  options.verify.path = one_spelling(command.path.empty() ? command.data_dir : command.path);
  options.verify.scratch_dir = scratch_of(command);
  options.verify.progress = [&](std::string_view phase, std::uint64_t done, std::uint64_t total) {
    line.show(phase, done, total);
  };
  if (!command.backup.empty()) options.backup = one_spelling(command.backup);
  auto log_key = log_key_from(**disk, command.log_key);
  if (!log_key) return report_failure(log_key.error(), command.json);
  options.verify.log_key = std::move(*log_key);
  const auto report = command.repair ? backup::repair(options) : backup::verify(options.verify);
  line.end();
  if (!report) return report_failure(report.error(), command.json);
  if (command.json) {
    print_json(options.verify.path, *report);
  } else {
    print_text(options.verify.path, *report);
  }
  return report->sound() ? 0 : kDamaged;
}

}  // namespace bop::cli
