#include "aof/tier/segment_index.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "aof/tier/index_fixture.hpp"

namespace bop::aof {
namespace {

using namespace test;

TEST(SegmentIndex, FindsEveryEntryByIdOverAtMostOneFrame) {
  for (const std::uint64_t most : {std::uint64_t{300}, std::uint64_t{150'000}}) {
    IndexedLog log(most);
    log.write(5, most);
    const auto entries = log.entries();
    ASSERT_GT(entries.size(), 50U);
    auto index = log.open_index();
    log.rebuild(*index);
    for (const auto& [id, written] : entries) {
      const auto found = log.read_by_id(*index, Lsn(id));
      ASSERT_TRUE(ok(found));
      ASSERT_TRUE(found->has_value()) << id;
      ASSERT_EQ((*found)->id, Lsn(id));
      ASSERT_EQ((*found)->written, written);
      ASSERT_FALSE((*found)->index_was_wrong) << id;
      ASSERT_LT((*found)->walked_bytes, kFrameBytes) << id;
    }
    EXPECT_FALSE(log.read_by_id(*index, Lsn(0))->has_value());
    EXPECT_FALSE(log.read_by_id(*index, Lsn(entries.rbegin()->first + 1))->has_value());
    EXPECT_EQ(index->max_last_id()->value(), Lsn(entries.rbegin()->first));
  }
}

TEST(SegmentIndex, FindsTheFirstEntryThatIsNotOlder) {
  IndexedLog log(5);
  log.write(5, 20'000);
  const auto entries = log.entries();
  auto index = log.open_index();
  log.rebuild(*index);
  const auto expected = [&](std::int64_t at_us) -> std::uint64_t {
    for (const auto& [id, written] : entries) {
      if (written.timestamp_us >= at_us) return id;
    }
    return 0;
  };
  const std::int64_t first = entries.begin()->second.timestamp_us;
  const std::int64_t last = entries.rbegin()->second.timestamp_us;
  ASSERT_GT(last, first + 1000);
  SimRandom random(9);
  for (int i = 0; i < 300; ++i) {
    const auto span = static_cast<std::uint64_t>(last - first + 4000);
    const std::int64_t at = first - 2000 + static_cast<std::int64_t>(random.below(span));
    const auto found = log.read_by_time(*index, at);
    ASSERT_TRUE(ok(found));
    const std::uint64_t wanted = expected(at);
    ASSERT_EQ(found->has_value() ? (*found)->id.value : 0, wanted) << at;
    if (!found->has_value()) continue;
    ASSERT_FALSE((*found)->index_was_wrong);
    ASSERT_EQ((*found)->written, entries.at(wanted));
    // One frame, and what the first entry behind it takes to be reached.
    ASSERT_LT((*found)->walked_bytes, kFrameBytes + 30'000);
  }
  EXPECT_EQ((*log.read_by_time(*index, first))->id, Lsn(entries.begin()->first));
  EXPECT_FALSE(log.read_by_time(*index, last + 1)->has_value());
}

TEST(SegmentIndex, KeepsTheLifeOfASegment) {
  IndexedLog log(11);
  log.write(4, 2000);
  const auto sources = log.sources();
  const StreamFiles files = log.files();
  auto index = log.open_index();
  EXPECT_FALSE(index->active()->has_value());
  EXPECT_FALSE(index->max_last_id()->has_value());

  // Begun, sealed, archived: as a log does it, with frames that grew while it was written.
  SegmentEntry entry = active_entry(files.chain[0].header, "a");
  ASSERT_TRUE(ok(index->add(entry)));
  EXPECT_EQ(index->active()->value(), entry);
  EXPECT_EQ(index->get(entry.base_id())->value(), entry);
  EXPECT_EQ(index->segment_of(Lsn(1'000'000))->value(), entry);  // whatever is behind the sealed ones
  const Status twice = index->add(entry);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code(), ErrorCode::kFileExists);

  log.rebuild(*index);
  EXPECT_FALSE(index->active()->has_value());
  auto waiting = index->for_archiving(10);
  ASSERT_TRUE(ok(waiting));
  ASSERT_EQ(waiting->size(), sources.size());
  for (std::size_t i = 0; i < sources.size(); ++i) EXPECT_EQ((*waiting)[i].facts, sources[i].facts);
  EXPECT_EQ(index->for_archiving(2)->size(), 2U);

  SegmentEntry archived = waiting->front();
  archived.status = SegmentStatus::kArchived;
  archived.archived_us = 77;
  archived.archive_key = "segments/1";
  archived.compressed_bytes = 5;
  archived.compressed_checksum = 6;
  ASSERT_TRUE(ok(index->update(archived)));
  EXPECT_EQ(index->get(archived.base_id())->value(), archived);
  EXPECT_EQ(index->for_archiving(10)->front().facts, sources[1].facts);

  ASSERT_TRUE(ok(index->remove(archived)));
  const Status missing = index->update(archived);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), ErrorCode::kFileNotFound);
  EXPECT_FALSE(index->segment_of(archived.base_id())->has_value());

  // All of it is there after a reopen.
  const auto before = index->all();
  index.reset();
  index = log.open_index();
  EXPECT_EQ(*index->all(), *before);
  EXPECT_TRUE(index->discarded().empty());
}

// As a log does it when it seals one: facts and frames from one walk.
TEST(SegmentIndex, TakesFramesFromTheWalkThatFindsTheFacts) {
  IndexedLog log(12);
  log.write(4, 30'000);
  auto index = log.open_index();
  const StreamFiles files = log.files();
  for (std::size_t i = 0; i + 1 < files.chain.size(); ++i) {
    const SegmentHeader& header = files.chain[i].header;
    const SegmentHeader& next = files.chain[i + 1].header;
    FrameList frames(header.base);
    auto file = std::move(*log.world.disk.open(files.chain[i].path, OpenMode::kRead));
    const auto found =
        find_facts(*file, header, {next.previous, next.timeline}, {},
                   [&](const RecordView& record, ByteOffset offset) { frames.add(record, offset); });
    ASSERT_TRUE(ok(found));
    frames.finish(found->facts.image_bytes());
    SegmentEntry entry = active_entry(header, "");
    ASSERT_TRUE(ok(index->add(entry)));
    entry.facts = found->facts;
    entry.status = SegmentStatus::kFinalized;
    ASSERT_TRUE(ok(index->add(entry, frames.frames())));
  }
  EXPECT_TRUE(index->reconcile(log.sealed(), std::nullopt)->missing.empty());
  for (const auto& [id, written] : log.entries()) {
    const auto read = log.read_by_id(*index, Lsn(id));
    ASSERT_TRUE(ok(read));
    ASSERT_TRUE(read->has_value());
    ASSERT_EQ((*read)->written, written);
    ASSERT_FALSE((*read)->index_was_wrong);
  }
}

// The log lost more than the index, as an older copy of its folder has, or a disk that lied.
TEST(SegmentIndex, DropsWhatTheLogDoesNotHold) {
  IndexedLog log(13);
  log.write(6, 2000);
  auto index = log.open_index();
  log.rebuild(*index);
  const auto lost = log.entries();
  const StreamFiles files = log.files();
  for (std::size_t i = 3; i < files.chain.size(); ++i)
    ASSERT_TRUE(log.world.disk.remove(files.chain[i].path));
  log.write(6, 2000);  // goes on from there: other segments and other entries with the same ids

  const auto sealed = log.sealed();
  auto reconciled = index->reconcile(sealed, std::nullopt);
  ASSERT_TRUE(ok(reconciled));
  EXPECT_EQ(reconciled->kept, 3U);
  EXPECT_EQ(reconciled->removed, 2U);
  ASSERT_EQ(reconciled->missing.size(), sealed.size() - 3);
  EXPECT_EQ(reconciled->missing.front(), sealed[3].id);
  EXPECT_EQ(index->max_last_id()->value(), sealed[2].last.index);  // it lags, and does not lead

  log.rebuild(*index);
  reconciled = index->reconcile(sealed, std::nullopt);
  ASSERT_TRUE(ok(reconciled));
  EXPECT_EQ(reconciled->kept, sealed.size());
  EXPECT_TRUE(reconciled->missing.empty());
  std::size_t others = 0;
  for (const auto& [id, written] : log.entries()) {
    const auto found = log.read_by_id(*index, Lsn(id));
    ASSERT_TRUE(ok(found));
    ASSERT_TRUE(found->has_value());
    ASSERT_EQ((*found)->written, written);
    if (const auto was = lost.find(id); was != lost.end() && was->second != written) ++others;
  }
  EXPECT_GT(others, 0U);
}

// Nobody reconciled: another life of a segment stands where the index says the old one is.
TEST(SegmentIndex, AnEntryOfAnotherLifeLeadsToNoRecord) {
  IndexedLog log(17), other(18);
  log.write(4, 2000);
  other.world.clock.advance(std::chrono::hours(1));  // or its first record would stand where the other's does
  other.write(4, 2000);
  auto index = log.open_index();
  log.rebuild(*index);
  std::size_t wrong = 0;
  for (const auto& [id, written] : other.entries()) {
    const auto entry = index->segment_of(Lsn(id));
    ASSERT_TRUE(ok(entry));
    if (!entry->has_value()) continue;
    const auto frame = index->frame_of(**entry, Lsn(id));
    ASSERT_TRUE(ok(frame));
    auto file = std::move(*other.world.disk.open(
        std::string(kDirectory) + "/" + segment_name(written.segment), OpenMode::kRead));
    const SegmentHeader header = other.header_of(written.segment);
    const auto place = place_of_id(*file, {header, header.bytes, Lsn(0)}, *frame, Lsn(id));
    ASSERT_TRUE(ok(place));
    ASSERT_TRUE(place->has_value());
    EXPECT_EQ((*place)->offset.value, written.offset);
    EXPECT_TRUE((*place)->index_was_wrong) << id;
    ++wrong;
  }
  EXPECT_GT(wrong, 10U);
}

TEST(SegmentIndex, OfAnotherLogOrVersionIsBegunAnew) {
  IndexedLog log(19);
  log.write(3, 2000);
  SegmentIndex::Options options = log.index_options();
  log.rebuild(*log.open_index());
  options.identity[3] ^= 1;
  {
    auto foreign = SegmentIndex::open(options);
    ASSERT_TRUE(ok(foreign));
    EXPECT_NE((*foreign)->discarded().find("another log"), std::string::npos);
    EXPECT_TRUE((*foreign)->all()->empty());
  }
  auto index = log.open_index();  // and the other way round
  EXPECT_FALSE(index->discarded().empty());
  EXPECT_TRUE(index->all()->empty());
  EXPECT_EQ(index->reconcile(log.sealed(), std::nullopt)->missing.size(), log.sealed().size());
}

TEST(SegmentIndex, DeletingTheFolderCostsARebuild) {
  IndexedLog log(23);
  log.write(6, 5000);
  auto index = log.open_index();
  log.rebuild(*index);
  const auto before = *index->all();
  index.reset();
  std::filesystem::remove_all(log.index_options().directory);
  index = log.open_index();
  EXPECT_EQ(index->reconcile(log.sealed(), std::nullopt)->missing.size(), before.size());
  // By two threads, and with progress that ends at all of it.
  std::uint64_t done = 0, all = 0;
  IndexRebuild rebuild(log.world.disk, *index, log.sources(), [&](std::uint64_t now, std::uint64_t total) {
    EXPECT_GE(now, done);
    done = now;
    all = total;
    return true;
  });
  std::thread second([&] { EXPECT_TRUE(ok(rebuild.work())); });
  EXPECT_TRUE(ok(rebuild.work()));
  second.join();
  EXPECT_EQ(rebuild.indexed(), before.size());
  EXPECT_EQ(done, all);
  EXPECT_GT(all, 0U);
  EXPECT_EQ(*index->all(), before);
}

TEST(SegmentIndex, ARebuildCanBeCancelledAndGoesOnLater) {
  IndexedLog log(29);
  log.write(6, 5000);
  auto index = log.open_index();
  int calls = 0;
  IndexRebuild first(log.world.disk, *index, log.sources(),
                     [&](std::uint64_t, std::uint64_t) { return ++calls < 3; });
  const Status cancelled = first.work();
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code(), ErrorCode::kCancelled);
  const std::size_t done = index->all()->size();
  EXPECT_GT(done, 0U);
  EXPECT_LT(done, log.sources().size());
  log.rebuild(*index);
  EXPECT_EQ(index->all()->size(), log.sources().size());
}

TEST(SegmentIndex, ADamagedSegmentIsPassedOverAndNamed) {
  IndexedLog log(31);
  log.write(5, 2000);
  auto sources = log.sources();
  auto file = std::move(*log.world.disk.open(sources[1].path, OpenMode::kReadWrite));
  const auto entries = log.entries();
  const auto victim = std::ranges::find_if(entries, [&](const auto& entry) {
    return entry.second.segment == sources[1].facts.id.number && entry.second.offset > 100'000;
  });
  ASSERT_NE(victim, entries.end());
  ASSERT_TRUE(
      file->write_at(ByteOffset(victim->second.offset + 40), std::vector<std::byte>(8, std::byte{0x55})));
  auto index = log.open_index();
  IndexRebuild rebuild(log.world.disk, *index, sources);
  ASSERT_TRUE(ok(rebuild.work()));
  EXPECT_EQ(rebuild.indexed(), sources.size() - 1);
  const auto problems = rebuild.problems();
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems.front().id, sources[1].facts.id);
  EXPECT_EQ(problems.front().error.code(), ErrorCode::kCorrupt);
  EXPECT_FALSE(index->segment_of(sources[1].facts.base)->has_value());
  EXPECT_TRUE(index->segment_of(sources[2].facts.base)->has_value());
}

TEST(SegmentIndex, EntriesOfSegmentsWithoutRecordsDoNotHideTheirNeighbours) {
  IndexedLog log(37);
  log.write(3, 2000);
  const auto sources = log.sources();
  auto index = log.open_index();
  log.rebuild(*index);
  // A segment that was sealed before its first entry, behind the second one.
  SegmentEntry empty = *index->get(sources[1].facts.base).value();
  ASSERT_TRUE(ok(index->remove(empty)));
  empty.facts.previous = empty.facts.last;
  empty.facts.base = empty.facts.last.index.next();
  empty.facts.id.number += 100;
  empty.facts.first_us = empty.facts.last_us = 0;
  empty.facts.records_end = kSegmentHeaderBytes;
  ASSERT_TRUE(ok(index->add(empty, std::vector<FrameEntry>(1, FrameEntry{.first = empty.facts.base}))));
  log.rebuild(*index);
  EXPECT_EQ(index->segment_of(sources[1].facts.last.index)->value().facts, sources[1].facts);
  EXPECT_FALSE(index->segment_of(empty.facts.base)->has_value());
  EXPECT_FALSE(index->frame_of(empty, empty.facts.base)->has_value());
  EXPECT_EQ(index->max_last_id()->value(), sources[1].facts.last.index);
}

}  // namespace
}  // namespace bop::aof
