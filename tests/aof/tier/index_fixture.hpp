// A log on a simulated disk, and its index in a folder of the real one.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "aof/stream_files.hpp"
#include "aof/stream_fixture.hpp"
#include "aof/tier/index_rebuild.hpp"
#include "aof/tier/record_place.hpp"
#include "aof/tier/segment_facts.hpp"
#include "aof/tier/segment_index.hpp"
#include "mdbx/environment_fixture.hpp"

namespace bop::aof::test {

struct Written {
  std::int64_t timestamp_us = 0;
  std::vector<std::byte> payload;
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;
  friend bool operator==(const Written&, const Written&) = default;
};

class IndexedLog {
 public:
  explicit IndexedLog(std::uint64_t seed, std::uint64_t segment_bytes = std::uint64_t{512} << 10U)
      : world(seed), segment_bytes_(segment_bytes) {}

  Result<std::unique_ptr<CommitStream>> open_stream() {
    Options options = world.options();
    options.segment_bytes = segment_bytes_;
    options.write_bytes = 64U << 10U;
    return world.open(options);
  }

  // Appends records of 0 to `most` bytes until the stream has `segments` segments, and closes it.
  void write(std::size_t segments, std::uint64_t most) {
    auto stream = std::move(*open_stream());
    while (chain_length() < segments) {
      for (int i = 0; i < 16; ++i) {
        const auto bytes =
            world.random.below(8) == 0 ? world.random.below(most + 1) : world.random.below(200);
        ASSERT_TRUE(ok(append_one(*stream, ++tag_, bytes)));
        if (world.random.below(3) == 0)
          world.clock.advance(std::chrono::milliseconds(world.random.below(20)));
      }
      ASSERT_TRUE(ok(stream->wait_durable(stream->appended())));
      ASSERT_TRUE(ok(stream->maintain()));
    }
    ASSERT_TRUE(stream->close());
  }

  std::size_t chain_length() { return find_segments(world.disk, kDirectory)->chain.size(); }
  StreamFiles files() { return std::move(*find_segments(world.disk, kDirectory)); }

  std::vector<SegmentLife> sealed() {
    const StreamFiles found = files();
    std::vector<SegmentLife> list;
    for (std::size_t i = 0; i + 1 < found.chain.size(); ++i) {
      list.push_back(segment_life(found.chain[i].header, found.chain[i + 1].header));
    }
    return list;
  }

  // What a manifest would say.
  std::vector<IndexRebuild::Source> sources() {
    const StreamFiles found = files();
    std::vector<IndexRebuild::Source> list;
    for (std::size_t i = 0; i + 1 < found.chain.size(); ++i) {
      const SegmentHeader& next = found.chain[i + 1].header;
      auto file = std::move(*world.disk.open(found.chain[i].path, OpenMode::kRead));
      auto facts = find_facts(*file, found.chain[i].header, {next.previous, next.timeline});
      EXPECT_TRUE(ok(facts));
      list.push_back({found.chain[i].path, facts->facts, next.created_us});
    }
    return list;
  }

  // Every entry of the sealed segments, by walking.
  std::map<std::uint64_t, Written> entries() {
    std::map<std::uint64_t, Written> list;
    for (const auto& source : sources()) {
      auto file = std::move(*world.disk.open(source.path, OpenMode::kRead));
      const SegmentHeader header = header_of(source.facts.id.number);
      SegmentWalk walk(*file, header, {.last = header.previous, .limit = source.facts.records_end});
      while (const auto record = walk.next()) {
        if (!is_entry(record->kind) || record->lsn > source.facts.last.index) continue;
        list[record->lsn.value] = {record->timestamp_us,
                                   {record->payload.begin(), record->payload.end()},
                                   header.number,
                                   walk.record_offset()};
      }
    }
    return list;
  }

  SegmentHeader header_of(std::uint64_t number) {
    for (const SegmentFile& segment : files().chain) {
      if (segment.header.number == number) return segment.header;
    }
    ADD_FAILURE() << "no segment " << number;
    return {};
  }

  SegmentIndex::Options index_options() {
    SegmentIndex::Options options;
    options.directory = folder.path() + "/index";
    options.identity = files().chain.front().header.identity;
    options.max_bytes = std::uint64_t{64} << 20U;
    return options;
  }
  std::unique_ptr<SegmentIndex> open_index() {
    auto index = SegmentIndex::open(index_options());
    EXPECT_TRUE(ok(index));
    return std::move(*index);
  }
  void rebuild(SegmentIndex& index) {
    IndexRebuild rebuild(world.disk, index, sources());
    ASSERT_TRUE(ok(rebuild.work()));
    ASSERT_EQ(rebuild.passed_over(), 0U);
  }

  SegmentRange range_of(const SegmentEntry& entry) {
    return {header_of(entry.facts.id.number), entry.facts.records_end, entry.last_id()};
  }

  // What is read at the place that the index leads to; nothing when it knows of no segment.
  struct Read {
    Written written;
    Lsn id;
    bool index_was_wrong = false;
    std::uint64_t walked_bytes = 0;
  };
  Result<std::optional<Read>> read_by_id(SegmentIndex& index, Lsn id) {
    BOP_LET(entry, index.segment_of(id));
    if (!entry.has_value()) return std::nullopt;
    BOP_LET(frame, index.frame_of(*entry, id));
    BOP_LET(file, world.disk.open(path_of(*entry), OpenMode::kRead));
    BOP_LET(place, place_of_id(*file, range_of(*entry), frame, id));
    return read_at(*file, *entry, place);
  }
  Result<std::optional<Read>> read_by_time(SegmentIndex& index, std::int64_t at_us) {
    BOP_LET(entry, index.segment_at(at_us));
    if (!entry.has_value()) return std::nullopt;
    BOP_LET(frame, index.frame_at(*entry, at_us));
    BOP_LET(file, world.disk.open(path_of(*entry), OpenMode::kRead));
    BOP_LET(place, place_of_time(*file, range_of(*entry), frame, at_us));
    return read_at(*file, *entry, place);
  }

  World world;
  mdbx::test::Folder folder;

 private:
  static std::string path_of(const SegmentEntry& entry) {
    return std::string(kDirectory) + "/" + segment_name(entry.facts.id.number);
  }
  Result<std::optional<Read>> read_at(File& file, const SegmentEntry& entry,
                                      const std::optional<RecordPlace>& place) {
    if (!place.has_value()) return std::nullopt;
    const SegmentHeader header = header_of(entry.facts.id.number);
    SegmentWalk walk(
        file, header,
        {.offset = place->offset.value, .last = place->before, .limit = entry.facts.records_end});
    const auto record = walk.next();
    if (!record.has_value()) return std::unexpected(walk.error_of_ending());
    return Read{{record->timestamp_us,
                 {record->payload.begin(), record->payload.end()},
                 header.number,
                 place->offset.value},
                record->lsn,
                place->index_was_wrong,
                place->walked_bytes};
  }

  std::uint64_t segment_bytes_;
  std::uint64_t tag_ = 0;
};

}  // namespace bop::aof::test
