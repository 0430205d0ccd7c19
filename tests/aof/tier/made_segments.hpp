// Sealed segments made by hand: small, of any shape, in any order, on a simulated disk.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "aof/record.hpp"
#include "aof/stream_fixture.hpp"
#include "aof/tier/segment_facts.hpp"
#include "base/crc64.hpp"

namespace bop::aof::test {

struct MadeSegment {
  SegmentHeader header;
  Seal seal;
  std::vector<std::byte> file;  // all of its bytes
  SegmentFacts facts;           // as the maker knows them
};

// Makes one segment after the other, each following the one before.
class SegmentMaker {
 public:
  explicit SegmentMaker(std::uint64_t seed, std::uint64_t file_bytes = 12288)
      : dice_(seed), file_bytes_(file_bytes) {
    dice_.fill(std::as_writable_bytes(std::span(identity)));
  }

  // `entries` records in one write. `torn` bytes of a write that came too late stand behind them, and the
  // next segment is a fence then.
  MadeSegment make(std::uint64_t entries = 3, std::size_t torn = 0) {
    MadeSegment made;
    SegmentHeader& header = made.header;
    header.identity = identity;
    header.timeline = timeline_;
    header.number = ++number_;
    header.bytes = file_bytes_;
    header.seed = dice_.next();
    header.base = last_.index.next();
    header.previous = last_;
    header.previous_number = number_ - 1;
    header.created_us = 1000;
    made.file.resize(static_cast<std::size_t>(file_bytes_));
    encode_segment_header(std::span(made.file).first(kSegmentHeaderBytes), header);
    std::size_t at = kSegmentHeaderBytes;
    SegmentFacts& facts = made.facts;
    for (std::uint64_t i = 0; i < entries; ++i) {
      const RecordView record{.lsn = last_.index.next(),
                              .term = Term(1),
                              .timeline = timeline_,
                              .database = DatabaseId(1),
                              .kind = RecordKind::kRowCommit,
                              .timestamp_us = ++time_us_,
                              .previous = last_};
      const std::uint64_t checksum = put(made, at, record, 16 + dice_.below(200));
      last_ = {record.lsn, record.term, checksum};
      if (i == 0) facts.first_us = time_us_;
      facts.last_us = time_us_;
    }
    facts.records_end = at;
    const std::size_t end = static_cast<std::size_t>(align_up(at + kFillerBytes, kDiskBlockBytes));
    if (torn == 0) {
      std::vector<std::byte> filler(end - at - kRecordOverhead);
      encode_filler(filler, {last_.index, false});
      put_bytes(made, at,
                {.lsn = last_.index,
                 .term = last_.term,
                 .timeline = timeline_,
                 .kind = RecordKind::kFiller,
                 .timestamp_us = time_us_,
                 .previous = last_},
                filler);
      facts.records_end = at;
    } else {
      dice_.fill(std::span(made.file).subspan(at, torn));
      timeline_ = timeline_.next();
    }
    made.seal = {last_, timeline_};
    facts.id = {header.number, header.seed};
    facts.timeline = header.timeline;
    facts.base = header.base;
    facts.previous = header.previous;
    facts.previous_number = header.previous_number;
    facts.last = last_;
    facts.file_bytes = file_bytes_;
    facts.content_checksum = crc64(0, image_of(made));
    return made;
  }

  static std::vector<std::byte> image_of(const MadeSegment& made) {
    std::vector<std::byte> image(made.file.begin(),
                                 made.file.begin() + static_cast<std::ptrdiff_t>(made.facts.records_end));
    image.resize(static_cast<std::size_t>(made.facts.image_bytes()));
    return image;
  }

  // From here on its segments differ from those of who it was copied from: another history of the same log.
  void fork(std::uint64_t seed) {
    dice_ = SimRandom(seed);
    timeline_ = timeline_.next();
  }

  StreamIdentity identity{};

 private:
  std::uint64_t put(MadeSegment& made, std::size_t& at, const RecordView& record, std::size_t payload_bytes) {
    std::vector<std::byte> payload(payload_bytes);
    dice_.fill(payload);
    return put_bytes(made, at, record, payload);
  }
  std::uint64_t put_bytes(MadeSegment& made, std::size_t& at, const RecordView& record,
                          std::span<const std::byte> payload) {
    const std::array parts{payload};
    const std::size_t bytes = static_cast<std::size_t>(record_bytes(payload.size()));
    const std::uint64_t checksum =
        encode_record(std::span(made.file).subspan(at, bytes), made.header.record_key() + at, record, parts);
    at += bytes;
    return checksum;
  }

  SimRandom dice_;
  std::uint64_t file_bytes_;
  std::uint64_t number_ = 0;
  RecordLink last_;
  Timeline timeline_{1};
  std::int64_t time_us_ = 1'000'000;
};

inline Status put_file(Disk& disk, const std::string& path, std::span<const std::byte> bytes) {
  BOP_LET(file, disk.open(path, OpenMode::kOpenOrCreate));
  BOP_TRY(file->write_at(ByteOffset(0), bytes));
  return file->sync();
}

inline Status put_segment(Disk& disk, const std::string& directory, const MadeSegment& made) {
  BOP_TRY(put_file(disk, directory + "/" + segment_name(made.header.number), made.file));
  return disk.sync_directory(directory);
}

}  // namespace bop::aof::test
