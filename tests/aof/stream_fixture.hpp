// A commit stream on a simulated disk, and what the tests append to it.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "aof/commit_stream.hpp"
#include "base/sim.hpp"
#include "base/sim_disk.hpp"

namespace bop::aof::test {

inline constexpr const char* kDirectory = "/log";

// Bytes that any reader can recompute: they depend on the LSN and the size only.
inline std::vector<std::byte> payload_of(std::uint64_t tag, std::size_t bytes) {
  std::vector<std::byte> payload(bytes);
  SimRandom random(tag * 1000003 + bytes);
  random.fill(payload);
  return payload;
}

// One record to append, with its payload in two parts.
struct Entry {
  DatabaseId database;
  std::vector<std::byte> payload;
  RecordKind kind = RecordKind::kRowCommit;
  std::uint64_t producer = 0;
  std::uint64_t sequence = 0;
  FlushPolicy flush;
};

inline Result<Lsn> append(CommitStream& stream, const std::vector<Entry>& entries) {
  std::vector<std::array<std::span<const std::byte>, 2>> parts;
  for (const Entry& entry : entries) {
    const std::size_t cut = entry.payload.size() / 3;
    parts.push_back({std::span(entry.payload).first(cut), std::span(entry.payload).subspan(cut)});
  }
  std::vector<RecordInput> batch;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    batch.push_back({.database = entries[i].database,
                     .kind = entries[i].kind,
                     .flags = static_cast<std::uint16_t>(i),
                     .producer = entries[i].producer,
                     .sequence = entries[i].sequence,
                     .payload = parts[i],
                     .flush = entries[i].flush});
  }
  return stream.append(batch);
}

inline Result<Lsn> append_one(CommitStream& stream, std::uint64_t tag, std::size_t bytes,
                              std::uint32_t database = 1) {
  return append(stream, {Entry{DatabaseId(database), payload_of(tag, bytes)}});
}

struct Copy {
  Lsn lsn;
  Term term;
  Timeline timeline;
  DatabaseId database;
  std::vector<std::byte> payload;
  std::uint32_t batch_remaining = 0;
  friend bool operator==(const Copy&, const Copy&) = default;
};

inline Result<std::vector<Copy>> read_all(CommitStream& stream, Lsn from,
                                          std::optional<DatabaseId> database = std::nullopt) {
  std::vector<Copy> copies;
  BOP_LET(reader, stream.read_from(from, database));
  for (;;) {
    BOP_LET(record, reader->next());
    if (!record.has_value()) return copies;
    copies.push_back({record->lsn, record->term, record->timeline, record->database,
                      std::vector<std::byte>(record->payload.begin(), record->payload.end()),
                      record->batch_remaining});
  }
}

struct World {
  explicit World(std::uint64_t seed, SimDiskOptions disk_options = {.trace_length = 0})
      : disk(seed, disk_options), random(seed ^ 0x5eed) {}

  Options options() const {
    return {
        .directory = kDirectory, .segment_bytes = 64U << 10U, .max_in_flight = 8, .write_bytes = 16U << 10U};
  }
  Result<std::unique_ptr<CommitStream>> open() { return open(options()); }
  Result<std::unique_ptr<CommitStream>> open(Options with) {
    return CommitStream::open(disk, clock, random, std::move(with));
  }
  std::vector<std::string> segment_paths() {
    std::vector<std::string> paths;
    const auto names = disk.list(kDirectory).value();
    for (const auto& name : names) {
      if (name.ends_with(".log")) paths.push_back(std::string(kDirectory) + "/" + name);
    }
    return paths;
  }

  SimDisk disk;
  SimClock clock;
  SimRandom random;
};

// For ASSERT_TRUE(ok(...)): prints the error.
template <class T>
testing::AssertionResult ok(const Result<T>& result) {
  if (result.has_value()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << info(result.error().code()).name << ": " << result.error().what();
}

}  // namespace bop::aof::test
