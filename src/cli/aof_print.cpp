#include "cli/aof_print.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "base/json.hpp"
#include "cli/progress_line.hpp"

namespace bop::cli {

namespace {

std::string_view name_of_encoding(std::uint8_t encoding) {
  constexpr std::string_view kNames[] = {"none", "zstd", "aes", "zstd+aes"};
  return kNames[encoding & 3U];
}

}  // namespace

std::string record_text(const aof::RecordView& record, ByteOffset offset) {
  return fmt::format(
      "offset={} lsn={} term={} timeline={} database={} kind={} flags={} payload={} encoding={} "
      "checksum={:016x}",
      offset.value, record.lsn.value, record.term.value, record.timeline.value, record.database.value,
      aof::name_of(record.kind), record.flags, record.payload.size(), name_of_encoding(record.encoding),
      record.checksum);
}

std::string record_json(const aof::RecordView& record, ByteOffset offset, const std::string& segment) {
  return fmt::format(
      "{{\"type\":\"record\",\"segment\":{},\"offset\":{},\"lsn\":{},\"time\":\"{}\",\"timestamp_us\":{},"
      "\"term\":{},\"timeline\":{},\"database\":{},\"kind\":\"{}\",\"flags\":{},\"batch_remaining\":{},"
      "\"producer\":{},\"sequence\":{},\"encoding\":\"{}\",\"payload_bytes\":{},\"checksum\":\"{:016x}\"}}",
      json_text(segment), offset.value, record.lsn.value, time_text(record.timestamp_us), record.timestamp_us,
      record.term.value, record.timeline.value, record.database.value, aof::name_of(record.kind),
      record.flags, record.batch_remaining, record.producer, record.sequence,
      name_of_encoding(record.encoding), record.payload.size(), record.checksum);
}

std::string segment_text(const std::string& path, const aof::SegmentHeader& header) {
  return fmt::format("segment {} number={} timeline={} base={} bytes={}", path, header.number,
                     header.timeline.value, header.base.value, header.bytes);
}

std::string segment_json(const std::string& path, const aof::SegmentHeader& header) {
  return fmt::format(
      "{{\"type\":\"segment\",\"path\":{},\"number\":{},\"timeline\":{},\"base\":{},\"bytes\":{},"
      "\"created\":\"{}\"}}",
      json_text(path), header.number, header.timeline.value, header.base.value, header.bytes,
      time_text(header.created_us));
}

std::string problem_json(const Error& error) {
  return fmt::format("{{\"type\":\"problem\",\"code\":\"{}\",\"message\":{}}}", info(error.code()).name,
                     json_text(error.what()));
}

std::string identity_text(const aof::StreamIdentity& identity) {
  std::string text;
  for (const std::uint8_t byte : identity) text += fmt::format("{:02x}", byte);
  return text;
}

Result<std::string> log_folder(Disk& disk, const std::string& given) {
  BOP_LET(exists, disk.exists(given));
  if (!exists) return fail(ErrorCode::kFileNotFound, "there is no folder {}", given);
  BOP_LET(inside, disk.exists(given + "/log"));
  return inside ? given + "/log" : given;
}

int report_unreadable(const Error& error, bool json) {
  constexpr int kUnreadable = 2;
  if (json) {
    fmt::print("{{\"status\":\"error\",\"code\":\"{}\",\"message\":{}}}\n", info(error.code()).name,
               json_text(error.what()));
  }
  fmt::print(stderr, "bop: {}\n", error.what());
  return kUnreadable;
}

}  // namespace bop::cli
