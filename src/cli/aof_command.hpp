// `bop aof dump DIR` lists the records of a log, `bop aof verify DIR` checks it. Neither locks nor writes.
// DIR is the log's folder or the node's data directory. Exit codes: 0 sound, 1 a record is damaged, 2 the log
// cannot be read.
#pragma once

#include <string>

namespace bop::cli {

[[nodiscard]] int dump_log(const std::string& directory);
[[nodiscard]] int verify_log(const std::string& directory);

}  // namespace bop::cli
