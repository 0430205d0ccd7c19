#include "aof/tier/frame_list.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "base/sim.hpp"

namespace bop::aof {
namespace {

struct Entry {
  Lsn id;
  std::int64_t timestamp_us;
  std::uint64_t offset;
};

// Entries of many sizes, some over several frames, and marks between them.
std::vector<Entry> fill(FrameList& list, SimRandom& random, Lsn base, std::uint64_t& end) {
  std::vector<Entry> entries;
  std::uint64_t at = 4096;
  std::int64_t now = 1000;
  for (Lsn id = base; id.value < base.value + 400;) {
    RecordView record;
    record.timestamp_us = now;
    if (random.below(9) == 0) {
      record.kind = RecordKind::kFiller;
      record.lsn = Lsn(id.value - 1);
    } else {
      record.kind = RecordKind::kRowCommit;
      record.lsn = id;
      entries.push_back({id, now, at});
      id = id.next();
    }
    list.add(record, ByteOffset(at));
    at += 8 + 8 * random.below(random.below(20) == 0 ? 40'000 : 400);
    now += static_cast<std::int64_t>(random.below(3));
  }
  end = at;
  return entries;
}

TEST(FrameList, LeadsToTheFrameOfEachIdAndToTheLastFrameThatIsOlder) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SimRandom random(seed);
    FrameList list(Lsn(100));
    std::uint64_t end = 0;
    const auto entries = fill(list, random, Lsn(100), end);
    list.finish(end);
    const auto frames = list.frames();
    ASSERT_EQ(frames.size(), frames_of(end));
    const auto at = [&](std::uint64_t i) { return frames[i]; };
    for (std::size_t i = 1; i < frames.size(); ++i) {
      ASSERT_LE(frames[i - 1].first, frames[i].first);
      ASSERT_LE(frames[i - 1].timestamp_us, frames[i].timestamp_us);
    }
    for (const Entry& entry : entries) {
      const auto by_id =
          last_frame(frames.size(), at, [&](const FrameEntry& frame) { return frame.first <= entry.id; });
      ASSERT_EQ(by_id, entry.offset / kFrameBytes);
      ASSERT_LE(frames[by_id].offset, entry.offset);
      ASSERT_GT(frames[by_id].first.value + frames[by_id].entries, entry.id.value);
      // Nothing before the frame of a time is as new as the time.
      const auto by_time = last_frame(frames.size(), at, [&](const FrameEntry& frame) {
        return frame.timestamp_us < entry.timestamp_us;
      });
      for (const Entry& other : entries) {
        if (other.offset / kFrameBytes < by_time) {
          ASSERT_LT(other.timestamp_us, entry.timestamp_us);
        }
      }
    }
  }
}

TEST(FrameList, AFrameWithoutAnEntryNamesTheNextOne) {
  FrameList list(Lsn(1));
  const auto add = [&](std::uint64_t id, std::int64_t us, std::uint64_t offset) {
    list.add({.lsn = Lsn(id), .kind = RecordKind::kRowCommit, .timestamp_us = us}, ByteOffset(offset));
  };
  add(1, 10, 4096);  // goes on over two whole frames
  add(2, 20, 3 * kFrameBytes + 80);
  add(3, 30, 3 * kFrameBytes + 160);
  list.finish(5 * kFrameBytes);
  const auto frames = list.frames();
  ASSERT_EQ(frames.size(), 5U);
  EXPECT_EQ(frames[0], (FrameEntry{Lsn(1), 10, 4096, 1}));
  EXPECT_EQ(frames[1], (FrameEntry{Lsn(2), 20, kNoEntry, 0}));
  EXPECT_EQ(frames[2], (FrameEntry{Lsn(2), 20, kNoEntry, 0}));
  EXPECT_EQ(frames[3], (FrameEntry{Lsn(2), 20, 3 * kFrameBytes + 80, 2}));
  EXPECT_EQ(frames[4], (FrameEntry{Lsn(4), 30, kNoEntry, 0}));
}

}  // namespace
}  // namespace bop::aof
