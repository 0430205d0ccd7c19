// `bop aof stat|find|dump|tail|verify DIR`: looks at a log without opening it. Takes no lock and writes
// nothing to it, so it may run beside the node. DIR is the log's folder or the node's data directory. Exit
// codes: 0 done and sound; 1 something is damaged, or there is no such record; 2 a wrong argument, or the log
// cannot be read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace bop::cli {

struct AofCommand {
  std::string directory;
  bool json = false;
  std::optional<std::uint64_t> id;    // find
  std::string time;                   // find
  std::optional<std::uint64_t> from;  // dump
  std::optional<std::uint64_t> to;
  std::optional<std::uint32_t> database;
  std::uint64_t lines = 10;  // tail
  bool follow = false;
  std::string log_key;  // dump, verify: a file with the key of an encrypted log, or env:NAME; empty: none
  std::string index;    // stat: the index's folder, <log>/index otherwise
};

[[nodiscard]] int stat_log(const AofCommand& command);
[[nodiscard]] int find_in_log(const AofCommand& command);
[[nodiscard]] int dump_log(const AofCommand& command);
[[nodiscard]] int tail_log(const AofCommand& command);
[[nodiscard]] int verify_log(const AofCommand& command);

}  // namespace bop::cli
