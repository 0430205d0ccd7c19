// `bop aof dump DIR` lists the records of a log, `bop aof verify DIR` checks it. Neither locks nor writes.
// DIR is the log's folder or the node's data directory. Exit codes: 0 sound, 1 a record is damaged, 2 the log
// cannot be read.
#pragma once

#include <string>

namespace bop::cli {

// `key`: the file with the key of an encrypted log, or env:NAME. Empty: encrypted payloads are not looked
// into.
[[nodiscard]] int dump_log(const std::string& directory, const std::string& key);
[[nodiscard]] int verify_log(const std::string& directory, const std::string& key);

}  // namespace bop::cli
