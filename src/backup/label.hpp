// What a backup's directory holds, and how far it has come: the file `backup`, text of lines, each of words
// with single blanks between:
//
//   bop-backup 1
//   state partial|complete
//   identity <32 hex digits>         of the log's stream
//   timeline <n>                     of the newest segment
//   consistent <lsn> <us>            the oldest state that can be restored, 0 while there is none; its time
//   end <lsn> <us>                   the newest one; both times are microseconds since the Unix epoch
//   taken <us> <us>                  when the backup began; when its end was the node's newest state
//   database <id> <base> <done> <pages> <crc64>
//                                    pages copied of db/<id>/rows.db; done 1: all of them
//   log <number> <bytes> <crc64>     what counts of log/<number>.log, oldest first
//   file <bytes> <crc64> <name>      any other file
//   check <crc64>                    of everything before this line
//
// CRC64-NVME in 16 hex digits. It is replaced whole (written beside, synced, renamed); what a file holds
// behind the bytes that the label names, and files that it does not name, do not count. A reader refuses a
// higher version, a word that it does not know, and a wrong check.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aof/segment_header.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::backup {

inline constexpr std::uint32_t kBackupFormat = 1;
inline constexpr const char* kLabelName = "backup";

struct LabelDatabase {
  DatabaseId id;
  Lsn base;  // of the manifest in the backup
  bool done = false;
  std::uint32_t pages = 0;
  std::uint64_t checksum = 0;
};
struct LabelLog {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
};
struct LabelFile {
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
  std::string name;  // below the backup's directory
};

struct Label {
  bool complete = false;
  aof::StreamIdentity identity{};
  Timeline timeline;
  Lsn consistent;
  std::int64_t consistent_us = 0;
  Lsn end;
  std::int64_t end_us = 0;
  std::int64_t began_us = 0;
  std::int64_t taken_us = 0;
  std::vector<LabelDatabase> databases;
  std::vector<LabelLog> logs;
  std::vector<LabelFile> files;

  [[nodiscard]] std::uint64_t bytes() const;
};

[[nodiscard]] std::string print_label(const Label& label);
// kCorrupt and kFormatTooNew name `path`.
[[nodiscard]] Result<Label> parse_label(std::string_view text, const std::string& path);

// Nothing when the directory holds none.
[[nodiscard]] Result<std::optional<Label>> read_label(Disk& disk, const std::string& directory);
// Durable when it returns; everything that it names must be durable before.
[[nodiscard]] Status write_label(Disk& disk, const std::string& directory, const Label& label);

// DIR/log/<number>.log and DIR/db/<id>.
[[nodiscard]] std::string log_path(const std::string& directory, std::uint64_t number);
[[nodiscard]] std::string database_path(const std::string& directory, DatabaseId id);

// Of a small file.
[[nodiscard]] Result<std::string> read_file(Disk& disk, const std::string& path);

}  // namespace bop::backup
