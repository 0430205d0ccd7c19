#include "backup/log_scan.hpp"

#include <algorithm>
#include <array>

#include "aof/payload_codec.hpp"
#include "aof/segment_walk.hpp"
#include "aof/stream_files.hpp"

namespace bop::backup {

using aof::Verdict;

Result<aof::SegmentHeader> read_header(File& file) {
  std::array<std::byte, aof::kSegmentHeaderBytes> block{};
  BOP_LET(got, file.read_at(ByteOffset(0), block));
  aof::SegmentHeader header;
  switch (aof::decode_segment_header(std::span(block).first(got), header)) {
    case aof::HeaderState::kValid: return header;
    case aof::HeaderState::kTooNew:
      return fail(ErrorCode::kFormatTooNew, "{}: the segment was written by a newer version", file.path());
    case aof::HeaderState::kZero:
    case aof::HeaderState::kDamaged: break;
  }
  return fail(ErrorCode::kCorrupt, "{}: the segment's header (byte 0) is damaged", file.path());
}

Result<std::vector<LogPiece>> pieces_of(Disk& disk, const std::string& log_directory) {
  BOP_LET(files, aof::find_segments(disk, log_directory));
  std::vector<LogPiece> pieces;
  for (const auto& segment : files.chain) pieces.push_back({segment.path, segment.header.bytes});
  return pieces;
}

namespace {

Status check_joint(const aof::SegmentHeader& before, const aof::SegmentHeader& header,
                   const std::string& path) {
  if (header.identity != before.identity) {
    return fail(ErrorCode::kCorrupt, "{}: is a segment of another log than {}", path,
                aof::segment_name(before.number));
  }
  if (header.previous_number == before.number) return {};
  return fail(ErrorCode::kCorrupt, "{}: segment {} comes before it, but here it is {}", path,
              aof::segment_name(header.previous_number), aof::segment_name(before.number));
}

}  // namespace

Result<LogScanEnd> scan_log(const LogScanOptions& options, const LogVisitor& visit) {
  LogScanEnd end;
  aof::PayloadDecoder decoder(options.keys);
  std::vector<std::unique_ptr<File>> files;
  std::vector<aof::SegmentHeader> headers;
  for (const LogPiece& piece : options.pieces) {
    BOP_LET(file, options.disk->open(piece.path, OpenMode::kRead));
    BOP_LET(header, read_header(*file));
    if (!headers.empty()) BOP_TRY(check_joint(headers.back(), header, piece.path));
    files.push_back(std::move(file));
    headers.push_back(header);
  }
  if (files.empty()) return end;
  end.first = end.last = headers.front().previous;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const bool newest = i + 1 == files.size();
    const aof::RecordLink wanted = newest ? aof::RecordLink{} : headers[i + 1].previous;
    const std::uint64_t limit = std::min(options.pieces[i].bytes, headers[i].bytes);
    aof::SegmentWalk walk(*files[i], headers[i],
                          {.last = headers[i].previous, .limit = limit, .watermark = wanted.index});
    end.header = headers[i];
    std::uint64_t bytes = aof::kSegmentHeaderBytes;
    bool in_batch = false;
    while (newest || walk.complete() != wanted) {
      auto record = walk.next();
      if (!record) break;
      if (aof::is_entry(record->kind)) {
        if (!in_batch && (record->lsn.value + record->batch_remaining > options.until.value ||
                          record->timestamp_us > options.until_us)) {
          end.stopped = true;
          break;
        }
        in_batch = record->batch_remaining != 0;
        ++end.records;
        if (!in_batch) end.last_us = record->timestamp_us;
      }
      if (options.payloads) {
        BOP_LET(payload, decoder.decode(*record));
        record->payload = payload;
      }
      BOP_TRY(visit(*record));
      if (!in_batch) bytes = walk.offset();
      if (!in_batch && aof::is_entry(record->kind)) {
        end.last = {record->lsn, record->term, record->checksum};
      }
    }
    end.bytes.push_back(bytes);
    if (end.stopped) return end;
    if (!newest && walk.complete() != wanted) return std::unexpected(walk.error_of_ending());
    if (!newest) continue;
    const Verdict verdict = walk.ending().verdict;
    const bool sound = options.exact ? walk.complete_end() == limit
                                     : verdict == Verdict::kEnd || verdict == Verdict::kCutTorn ||
                                           verdict == Verdict::kCutHole;
    if (!sound) return std::unexpected(walk.error_of_ending());
  }
  return end;
}

}  // namespace bop::backup
