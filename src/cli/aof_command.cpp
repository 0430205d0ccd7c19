#include "cli/aof_command.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "aof/inspection.hpp"
#include "aof/key_ring.hpp"
#include "aof/log_view.hpp"
#include "backup/log_keys.hpp"
#include "base/disk.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "cli/aof_print.hpp"
#include "cli/backup_command.hpp"
#include "cli/progress_line.hpp"
#include "cli/time_reader.hpp"

namespace bop::cli {

namespace {

constexpr int kDamaged = 1;
constexpr int kNothing = 1;
constexpr int kFollowPauseMs = 100;

struct OpenFolder {
  std::unique_ptr<Disk> disk;
  std::string path;
  std::string root;  // the data directory
};

Result<OpenFolder> open_folder(const AofCommand& command) {
  (void)configure_log("text", "warning");
  BOP_LET(disk, open_system_disk("pwritev"));
  BOP_LET(path, log_folder(*disk, command.directory));
  const bool is_root = path != command.directory;
  return OpenFolder{std::move(disk), std::move(path),
                    is_root ? command.directory : command.directory + "/.."};
}

// Null without a key, or where nothing is encrypted.
Result<std::shared_ptr<const aof::KeyRing>> keys_of(const OpenFolder& folder, const std::string& key) {
  BOP_LET(by, log_key_from(*folder.disk, key));
  if (!by) return nullptr;
  return backup::open_log_keys(*folder.disk, folder.root, std::move(by));
}

// Of records: damage is another outcome than what cannot be read.
int report_reading(const Error& error, bool json) {
  const int unreadable = report_unreadable(error, json);
  return error.code() == ErrorCode::kCorrupt ? kDamaged : unreadable;
}

bool is_wanted(const AofCommand& command, const aof::RecordView& record) {
  return !command.database.has_value() || record.database.value == *command.database;
}

// dump: every line; verify: the problems, and in JSON everything at the end.
class Printer final : public aof::InspectionSink {
 public:
  Printer(const AofCommand& command, bool records) : command_(command), records_(records) {}
  void segment(const std::string& path, const aof::SegmentHeader& header) override {
    path_ = path;
    if (records_) line(command_.json ? segment_json(path, header) : segment_text(path, header));
  }
  void record(const aof::RecordView& record, ByteOffset offset) override {
    if (!records_ || !is_wanted(command_, record)) return;
    line(command_.json ? record_json(record, offset, path_) : "  " + record_text(record, offset));
  }
  void problem(const Error& error) override {
    if (!command_.json) {
      line("problem: " + error.what());
    } else if (records_) {
      line(problem_json(error));
    } else {
      problems_ += (problems_.empty() ? "" : ",") + problem_json(error);
    }
  }
  void end(Lsn last, const std::string& verdict) override {
    verdict_ = verdict;
    if (!command_.json) {
      line(fmt::format("end: lsn={} {}", last.value, verdict));
    } else if (records_) {
      line(fmt::format("{{\"type\":\"end\",\"lsn\":{},\"verdict\":{}}}", last.value, json_text(verdict)));
    }
  }
  [[nodiscard]] const std::string& problems() const { return problems_; }
  [[nodiscard]] const std::string& verdict() const { return verdict_; }

 private:
  static void line(const std::string& text) { fmt::print("{}\n", text); }

  const AofCommand& command_;
  const bool records_;
  std::string path_;
  std::string problems_;
  std::string verdict_;
};

int inspect(const AofCommand& command, bool records) {
  const auto folder = open_folder(command);
  if (!folder) return report_unreadable(folder.error(), command.json);
  auto keys = keys_of(*folder, command.log_key);
  if (!keys) return report_unreadable(keys.error(), command.json);
  const bool has_keys = *keys != nullptr;
  Printer printer(command, records);
  const auto summary = aof::inspect(*folder->disk, folder->path, printer, std::move(*keys));
  if (!summary) return report_unreadable(summary.error(), command.json);
  if (summary->segments == 0) {
    return report_unreadable(
        error(ErrorCode::kFileNotFound, "there is no log in {}: it holds no segment (*.log)", folder->path),
        command.json);
  }
  if (!command.json) {
    fmt::print("{} segments, {} records ({} bytes), {} marks, lsn {} to {}, durable to {}; {} problems\n",
               summary->segments, summary->records, summary->payload_bytes, summary->marks,
               summary->first.value, summary->last.value, summary->watermark.value, summary->problems);
    if (summary->compressed != 0 || summary->encrypted != 0) {
      fmt::print("{} compressed, {} encrypted{}\n", summary->compressed, summary->encrypted,
                 summary->encrypted == 0 ? ""
                 : has_keys              ? ", all decrypted"
                                         : ", not decrypted: no key was given");
    }
  } else if (!records) {
    fmt::print(
        "{{\"status\":\"{}\",\"path\":{},\"identity\":\"{}\",\"segments\":{},\"records\":{},"
        "\"payload_bytes\":{},\"marks\":{},\"first_lsn\":{},\"last_lsn\":{},\"durable_lsn\":{},"
        "\"compressed\":{},\"encrypted\":{},\"decrypted\":{},\"skipped_fillers\":{},\"discarded_bytes\":{},\"end\":{},\"problem_count\":{},\"problems\":[{}]}}\n",
        summary->problems == 0 ? "sound" : "damaged", json_text(folder->path),
        identity_text(summary->identity), summary->segments, summary->records, summary->payload_bytes,
        summary->marks, summary->first.value, summary->last.value, summary->watermark.value,
        summary->compressed, summary->encrypted, has_keys, summary->skipped_fillers, summary->discarded_bytes,
        json_text(printer.verdict()), summary->problems, printer.problems());
  }
  return summary->problems == 0 ? 0 : kDamaged;
}

// A part of the log, from its first record on: what lies before is not read.
int dump_range(const AofCommand& command) {
  const auto folder = open_folder(command);
  if (!folder) return report_unreadable(folder.error(), command.json);
  const auto view = aof::LogView::open(*folder->disk, folder->path);
  if (!view) return report_unreadable(view.error(), command.json);
  const aof::LogSegment* shown = nullptr;
  const Status read = view->read(
      Lsn(command.from.value_or(0)), Lsn(command.to.value_or(std::numeric_limits<std::uint64_t>::max())),
      [&](const aof::RecordView& record, ByteOffset offset, const aof::LogSegment& segment) {
        const std::string& path = segment.file.path;
        if (&segment != shown) {
          fmt::print("{}\n", command.json ? segment_json(path, segment.file.header)
                                          : segment_text(path, segment.file.header));
          shown = &segment;
        }
        if (!is_wanted(command, record)) return true;
        fmt::print("{}\n",
                   command.json ? record_json(record, offset, path) : "  " + record_text(record, offset));
        return true;
      });
  if (read) return 0;
  if (read.error().code() != ErrorCode::kCorrupt) return report_reading(read.error(), command.json);
  fmt::print("{}\n", command.json ? problem_json(read.error()) : "problem: " + read.error().what());
  return kDamaged;
}

void print_tail_line(const AofCommand& command, const aof::RecordView& record, ByteOffset offset,
                     const aof::LogSegment& segment) {
  fmt::print("{}\n", command.json ? record_json(record, offset, segment.file.path)
                                  : time_text(record.timestamp_us) + " " + record_text(record, offset));
}

// Prints the entries behind `last` that the log says are durable, and moves `last`. A segment that was
// trimmed meanwhile is passed over with a line that says so.
Status follow_once(const AofCommand& command, const OpenFolder& folder, Lsn& last) {
  BOP_LET(view, aof::LogView::open(*folder.disk, folder.path));
  if (view.first() > last.next()) {
    fmt::print(stderr, "bop: the records {} to {} were trimmed before they were read\n", last.value + 1,
               view.first().value - 1);
    last = Lsn(view.first().value - 1);
  }
  BOP_LET(end, view.end());
  if (end.durable <= last) return {};
  const Lsn from = last.next();
  BOP_TRY(view.read(from, end.durable,
                    [&](const aof::RecordView& record, ByteOffset offset, const aof::LogSegment& segment) {
                      last = record.lsn;
                      if (is_wanted(command, record)) print_tail_line(command, record, offset, segment);
                      return true;
                    }));
  std::fflush(stdout);
  return {};
}

}  // namespace

int dump_log(const AofCommand& command) {
  return command.from.has_value() || command.to.has_value() ? dump_range(command) : inspect(command, true);
}

int verify_log(const AofCommand& command) { return inspect(command, false); }

int find_in_log(const AofCommand& command) {
  std::optional<std::int64_t> at_us;
  if (command.id.has_value() == !command.time.empty()) {
    return report_unreadable(error(ErrorCode::kInvalidArgument, "find wants one of a record's id and --time"),
                             command.json);
  }
  if (!command.time.empty() && !(at_us = parse_time(command.time)).has_value()) {
    return report_unreadable(error(ErrorCode::kInvalidArgument,
                                   "\"{}\" is no time; one is \"2026-11-22 03:04:05+01\"", command.time),
                             command.json);
  }
  const auto folder = open_folder(command);
  if (!folder) return report_unreadable(folder.error(), command.json);
  const auto view = aof::LogView::open(*folder->disk, folder->path);
  if (!view) return report_unreadable(view.error(), command.json);
  const auto found = at_us.has_value() ? view->find_time(*at_us) : view->find(Lsn(*command.id));
  if (!found) return report_reading(found.error(), command.json);
  if (!found->has_value()) {
    const std::string wanted = at_us.has_value() ? fmt::format("no record at or after {}", time_text(*at_us))
                                                 : fmt::format("no record with LSN {}", *command.id);
    if (command.json) fmt::print("{{\"status\":\"not found\",\"message\":{}}}\n", json_text(wanted));
    fmt::print(stderr, "bop: the log holds {}; it begins with LSN {}\n", wanted, view->first().value);
    return kNothing;
  }
  const Lsn id = (*found)->place.id;
  const Status read = view->read(
      id, id, [&](const aof::RecordView& record, ByteOffset offset, const aof::LogSegment& segment) {
        if (command.json) {
          fmt::print("{}\n", record_json(record, offset, segment.file.path));
        } else {
          fmt::print("{}\n  time={} {}\n", segment_text(segment.file.path, segment.file.header),
                     time_text(record.timestamp_us), record_text(record, offset));
        }
        return true;
      });
  return read ? 0 : report_reading(read.error(), command.json);
}

int tail_log(const AofCommand& command) {
  const auto folder = open_folder(command);
  if (!folder) return report_unreadable(folder.error(), command.json);
  auto view = aof::LogView::open(*folder->disk, folder->path);
  if (!view) return report_unreadable(view.error(), command.json);
  const auto end = view->end();
  if (!end) return report_reading(end.error(), command.json);
  // Who follows is never shown what a power cut may take back.
  const Lsn to = command.follow ? end->durable : end->last;
  Lsn last = to.value > command.lines ? Lsn(to.value - command.lines) : Lsn(0);
  if (last.next() < view->first()) last = Lsn(view->first().value - 1);
  if (last < to) {
    const Status read =
        view->read(last.next(), to,
                   [&](const aof::RecordView& record, ByteOffset offset, const aof::LogSegment& segment) {
                     last = record.lsn;
                     if (is_wanted(command, record)) print_tail_line(command, record, offset, segment);
                     return true;
                   });
    if (!read) return report_reading(read.error(), command.json);
  }
  std::fflush(stdout);
  while (command.follow) {
    (void)::poll(nullptr, 0, kFollowPauseMs);
    if (const Status more = follow_once(command, *folder, last); !more) {
      // Trimmed between two looks: the next one begins behind it.
      if (more.error().code() != ErrorCode::kFileNotFound) return report_reading(more.error(), command.json);
    }
  }
  return 0;
}

}  // namespace bop::cli
