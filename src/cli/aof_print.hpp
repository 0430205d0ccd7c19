// Records and segments of a log as the tools print them: a line of text, or a line of JSON.
#pragma once

#include <string>

#include "aof/log_view.hpp"
#include "base/error.hpp"

namespace bop::cli {

// "offset=8192 lsn=4 term=1 ..."
[[nodiscard]] std::string record_text(const aof::RecordView& record, ByteOffset offset);
// {"type":"record",...} without a line's end.
[[nodiscard]] std::string record_json(const aof::RecordView& record, ByteOffset offset,
                                      const std::string& segment);
[[nodiscard]] std::string segment_text(const std::string& path, const aof::SegmentHeader& header);
[[nodiscard]] std::string segment_json(const std::string& path, const aof::SegmentHeader& header);
[[nodiscard]] std::string problem_json(const Error& error);
[[nodiscard]] std::string identity_text(const aof::StreamIdentity& identity);

// Of a data directory its log's folder.
[[nodiscard]] Result<std::string> log_folder(Disk& disk, const std::string& given);
// Prints the error on the standard error, with --json as an object on the standard output; the exit code 2.
[[nodiscard]] int report_unreadable(const Error& error, bool json);

}  // namespace bop::cli
