// `bop aof stat`: the segments of a log, what is in them, and how its index is.
#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "aof/log_view.hpp"
#include "aof/tier/manifest.hpp"
#include "aof/tier/segment_index.hpp"
#include "base/disk.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "cli/aof_command.hpp"
#include "cli/aof_print.hpp"
#include "cli/progress_line.hpp"
#include "mdbx/file_guard.hpp"

namespace bop::cli {

namespace {

constexpr int kDamaged = 1;
constexpr std::size_t kBarWidth = 30;
constexpr std::uintmax_t kLargestIndex = std::uintmax_t{1} << 30U;

struct SegmentLine {
  const aof::LogSegment* segment = nullptr;
  aof::SegmentStatus status = aof::SegmentStatus::kActive;
  Lsn last;
  std::uint64_t used_bytes = 0;

  [[nodiscard]] std::uint64_t records() const {
    const Lsn base = segment->file.header.base;
    return last < base ? 0 : last.value - base.value + 1;
  }
};

struct IndexState {
  std::string state;  // "none", "current", "lags", "wrong", "unusable", "not looked at"
  std::string detail;
};

// A folder that is gone at the end.
class Scratch {
 public:
  Scratch() {
    std::error_code none;
    path_ = std::filesystem::temp_directory_path(none).string() + "/bop-aof-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~Scratch() {
    std::error_code none;
    if (!path_.empty()) std::filesystem::remove_all(path_, none);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Looks at a copy: whoever opens an index writes to its folder.
IndexState look_at_index(const std::string& folder, const aof::LogView& view) {
  std::error_code problem;
  const std::string data = folder + "/" + mdbx::kDataFile;
  const std::uintmax_t size = std::filesystem::file_size(data, problem);
  if (problem) return {"none", ""};
  if (size > kLargestIndex) return {"not looked at", fmt::format("{} are too many", size_text(size))};
  const Scratch scratch;
  if (scratch.path().empty()) return {"not looked at", "no folder for a copy could be made"};
  for (const char* name : {mdbx::kDataFile, mdbx::kSealFile}) {
    std::filesystem::copy_file(folder + "/" + name, scratch.path() + "/" + name, problem);
    if (problem && name == mdbx::kDataFile) return {"not looked at", problem.message()};
  }
  aof::SegmentIndex::Options options;
  options.directory = scratch.path();
  options.identity = view.identity();
  const auto index = aof::SegmentIndex::open(options);
  if (!index) return {"unusable", index.error().what()};
  if (!(*index)->discarded().empty()) return {"unusable", (*index)->discarded()};
  std::vector<aof::SegmentLife> sealed;
  const auto& segments = view.segments();
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    sealed.push_back(aof::segment_life(segments[i].file.header, segments[i + 1].file.header));
  }
  const auto compared = (*index)->reconcile(sealed, segments.back().file.header);
  if (!compared) return {"unusable", compared.error().what()};
  if (compared->removed != 0) {
    return {"wrong", fmt::format("{} of its segments are not of this log", compared->removed)};
  }
  if (!compared->missing.empty()) {
    return {"lags",
            fmt::format("{} of {} sealed segments are not in it", compared->missing.size(), sealed.size())};
  }
  return {"current", size_text(size)};
}

std::string bar_of(const SegmentLine& line, std::uint64_t largest) {
  const auto cells = [&](std::uint64_t bytes) {
    return static_cast<std::size_t>((bytes * kBarWidth + largest - 1) / std::max<std::uint64_t>(largest, 1));
  };
  const std::size_t all = std::max<std::size_t>(cells(line.segment->file.header.bytes), 1);
  const std::size_t used = std::min(cells(line.used_bytes), all);
  constexpr std::array<char, 4> kMarks{'?', '=', '#', '@'};
  return std::string(used, kMarks[static_cast<std::size_t>(line.status)]) + std::string(all - used, '.');
}

struct Stat {
  std::string path;
  std::vector<SegmentLine> lines;
  std::optional<aof::LogEnd> end;
  std::optional<Error> end_problem;
  IndexState index;
  std::uint64_t file_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::string manifest;  // "none", "read", or why it could not be
};

void print_text(const aof::LogView& view, const Stat& stat) {
  const Lsn last = stat.end.has_value() ? stat.end->last : view.segments().back().last.index;
  fmt::print("log {} (identity {})\n", stat.path, identity_text(view.identity()));
  fmt::print("  {} segments of {}, {} in use; records with LSN {} to {}\n", stat.lines.size(),
             size_text(stat.file_bytes), size_text(stat.used_bytes), view.first().value, last.value);
  std::uint64_t largest = 0;
  for (const SegmentLine& line : stat.lines) largest = std::max(largest, line.segment->file.header.bytes);
  fmt::print("\n  {:>16} {:<9} {:>10} {:>23} {:>9} {:>10}  {:<27}  {}\n", "number", "state", "timeline",
             "lsn", "records", "in use", "created", "sealed");
  for (const SegmentLine& line : stat.lines) {
    const aof::SegmentHeader& header = line.segment->file.header;
    const std::string range =
        line.records() == 0 ? "none" : fmt::format("{} to {}", header.base.value, line.last.value);
    fmt::print("  {:>16x} {:<9} {:>10} {:>23} {:>9} {:>10}  {:<27}  {}\n", header.number,
               name_of(line.status), header.timeline.value, range, line.records(), size_text(line.used_bytes),
               time_text(header.created_us),
               line.segment->sealed_us == 0 ? "" : time_text(line.segment->sealed_us));
  }
  fmt::print("\n");
  for (const SegmentLine& line : stat.lines) {
    fmt::print("  {:>16x} |{:<{}}| {:>3} %\n", line.segment->file.header.number, bar_of(line, largest),
               kBarWidth,
               line.used_bytes * 100 / std::max<std::uint64_t>(line.segment->file.header.bytes, 1));
  }
  fmt::print("  {:>16} = active, # finalized, @ archived, . prepared and not used\n\n", "");
  if (stat.end.has_value()) {
    fmt::print("  end: LSN {} ({} at byte {}), durable to {}, {}\n", stat.end->last.value, stat.end->verdict,
               stat.end->offset, stat.end->durable.value,
               stat.end->is_closed ? "closed in order" : "open or not closed in order");
  } else {
    fmt::print("  end: {}\n", stat.end_problem->what());
  }
  fmt::print("  index: {}{}{}\n", stat.index.state, stat.index.detail.empty() ? "" : ", ", stat.index.detail);
  fmt::print("  manifest: {}\n", stat.manifest);
}

void print_json(const aof::LogView& view, const Stat& stat) {
  std::string segments;
  for (const SegmentLine& line : stat.lines) {
    const aof::SegmentHeader& header = line.segment->file.header;
    segments += fmt::format(
        "{}{{\"path\":{},\"number\":{},\"state\":\"{}\",\"timeline\":{},\"base_lsn\":{},\"last_lsn\":{},"
        "\"records\":{},\"file_bytes\":{},\"used_bytes\":{},\"created\":\"{}\",\"sealed\":{}}}",
        segments.empty() ? "" : ",", json_text(line.segment->file.path), header.number, name_of(line.status),
        header.timeline.value, header.base.value, line.last.value, line.records(), header.bytes,
        line.used_bytes, time_text(header.created_us),
        line.segment->sealed_us == 0 ? "null" : fmt::format("\"{}\"", time_text(line.segment->sealed_us)));
  }
  const std::string end =
      stat.end.has_value()
          ? fmt::format("{{\"lsn\":{},\"durable_lsn\":{},\"offset\":{},\"verdict\":{},\"closed\":{}}}",
                        stat.end->last.value, stat.end->durable.value, stat.end->offset,
                        json_text(stat.end->verdict), stat.end->is_closed)
          : fmt::format("{{\"problem\":{}}}", json_text(stat.end_problem->what()));
  fmt::print(
      "{{\"path\":{},\"identity\":\"{}\",\"first_lsn\":{},\"file_bytes\":{},\"used_bytes\":{},"
      "\"segments\":[{}],\"end\":{},\"index\":{{\"state\":\"{}\",\"detail\":{}}},\"manifest\":{}}}\n",
      json_text(stat.path), identity_text(view.identity()), view.first().value, stat.file_bytes,
      stat.used_bytes, segments, end, stat.index.state, json_text(stat.index.detail),
      json_text(stat.manifest));
}

Result<Stat> look(Disk& disk, const std::string& path, const AofCommand& command, const aof::LogView& view) {
  Stat stat;
  stat.path = path;
  if (auto end = view.end()) {
    stat.end = std::move(*end);
  } else {
    stat.end_problem = std::move(end).error();
  }
  const auto manifest = aof::load_manifest(disk, path);
  if (manifest) {
    stat.manifest = "read";
  } else {
    stat.manifest = manifest.error().code() == ErrorCode::kFileNotFound ? "none" : manifest.error().what();
  }
  for (const aof::LogSegment& segment : view.segments()) {
    SegmentLine line;
    line.segment = &segment;
    if (segment.is_sealed) {
      const aof::SegmentState* known = manifest ? manifest->state.find(segment.file.header.number) : nullptr;
      line.status = known != nullptr ? known->status() : aof::SegmentStatus::kFinalized;
      line.last = segment.last.index;
    } else {
      line.last = stat.end.has_value() ? stat.end->last : segment.last.index;
    }
    BOP_LET(used, view.used_bytes(segment));
    line.used_bytes = used;
    stat.used_bytes += used;
    stat.file_bytes += segment.file.header.bytes;
    stat.lines.push_back(line);
  }
  stat.index = look_at_index(command.index.empty() ? path + "/index" : command.index, view);
  return stat;
}

}  // namespace

int stat_log(const AofCommand& command) {
  (void)configure_log("text", "warning");
  auto disk = open_system_disk("pwritev");
  if (!disk) return report_unreadable(disk.error(), command.json);
  const auto path = log_folder(**disk, command.directory);
  if (!path) return report_unreadable(path.error(), command.json);
  const auto view = aof::LogView::open(**disk, *path);
  if (!view) return report_unreadable(view.error(), command.json);
  const auto stat = look(**disk, *path, command, *view);
  if (!stat) return report_unreadable(stat.error(), command.json);
  if (command.json) {
    print_json(*view, *stat);
  } else {
    print_text(*view, *stat);
  }
  return stat->end.has_value() ? 0 : kDamaged;
}

}  // namespace bop::cli
