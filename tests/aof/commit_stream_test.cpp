// One stream, one thread: what append, durable and read promise.
#include "aof/commit_stream.hpp"

#include <numeric>

#include "aof/inspection.hpp"
#include "aof/record.hpp"
#include "aof/stream_fixture.hpp"
#include "base/turn.hpp"

namespace bop::aof::test {
namespace {

TEST(CommitStream, ANewLogIsEmptyAndBeginsAtLsnOne) {
  World world(1);
  auto stream = world.open();
  ASSERT_TRUE(ok(stream));
  EXPECT_TRUE((*stream)->recovered().created);
  EXPECT_EQ((*stream)->appended(), Lsn(0));
  EXPECT_EQ((*stream)->first(), Lsn(1));
  EXPECT_EQ((*stream)->timeline(), Timeline(1));
  EXPECT_EQ(read_all(**stream, Lsn(1)).value().size(), 0U);
  EXPECT_EQ(append_one(**stream, 1, 10).value(), Lsn(1));
}

TEST(CommitStream, AppendedIsNotDurableUntilTheDiskSaysSo) {
  World world(2);
  auto stream = world.open().value();
  std::vector<Lsn> seen;
  stream->subscribe([&](Lsn durable) { seen.push_back(durable); });
  const Lsn lsn = append_one(*stream, 1, 100).value();
  EXPECT_EQ(stream->appended(), lsn);
  EXPECT_EQ(stream->durable(), Lsn(0));
  EXPECT_EQ(read_all(*stream, Lsn(1)).value().size(), 0U);
  ASSERT_TRUE(ok(stream->wait_durable(lsn)));
  EXPECT_EQ(stream->durable(), lsn);
  EXPECT_EQ(seen, std::vector<Lsn>{lsn});
  EXPECT_EQ(read_all(*stream, Lsn(1)).value().size(), 1U);
}

TEST(CommitStream, WhatATurnAppendsLeavesInOneWriteAtItsEnd) {
  World world(2);
  auto stream = world.open().value();
  const std::uint64_t before = stream->metrics().writes;
  CallerTurn turn;
  for (std::uint64_t i = 1; i <= 20; ++i) ASSERT_TRUE(ok(append_one(*stream, 1, 100)));
  EXPECT_EQ(stream->metrics().in_flight, 0U);
  turn.end();
  EXPECT_EQ(stream->metrics().in_flight, 1U);
  ASSERT_TRUE(ok(append_one(*stream, 1, 100)));
  ASSERT_TRUE(ok(stream->wait_durable(Lsn(20))));
  ASSERT_TRUE(ok(stream->wait_durable(Lsn(21)))) << "who waits does not wait for the end of the turn";
  EXPECT_EQ(stream->metrics().writes, before + 2);
}

// Many writes gather before somebody waits, on the thread that runs their completions, too.
TEST(CommitStream, WhoWaitsWithinATurnHasAllOfItSubmitted) {
  World world(2);
  auto options = world.options();
  options.max_in_flight = 2;
  auto stream = world.open(options).value();
  CallerTurn turn;
  Lsn last;
  for (std::uint64_t i = 1; i <= 20; ++i) last = append_one(*stream, 1, 30000).value();
  ASSERT_TRUE(ok(stream->wait_durable(last)));
  EXPECT_EQ(Turn::current(), &turn);
}

TEST(CommitStream, EverythingOfARecordComesBackAfterACleanClose) {
  World world(3);
  StreamIdentity identity{};
  std::iota(identity.begin(), identity.end(), std::uint8_t{1});
  auto options = world.options();
  options.identity = identity;
  {
    auto stream = world.open(options).value();
    stream->set_term(Term(7));
    ASSERT_TRUE(ok(append(*stream, {{DatabaseId(4), payload_of(1, 1000), RecordKind::kRowPart, 11, 12},
                                    {DatabaseId(5), payload_of(2, 0), RecordKind::kBaseMarker, 13, 14},
                                    {DatabaseId(4), payload_of(3, 7), RecordKind::kRowCommit, 15, 16}})));
    ASSERT_TRUE(ok(stream->close()));
    EXPECT_EQ(append_one(*stream, 4, 1).error().code(), ErrorCode::kAdminShutdown);
  }
  auto stream = world.open(options).value();
  EXPECT_TRUE(stream->recovered().clean) << stream->recovered().verdict;
  EXPECT_EQ(stream->recovered().last, Lsn(3));
  EXPECT_EQ(stream->recovered().last_term, Term(7));
  EXPECT_EQ(stream->recovered().identity, identity);
  EXPECT_EQ(stream->timeline(), Timeline(1));
  auto reader = stream->read_from(Lsn(1)).value();
  const auto first = reader->next().value().value();
  EXPECT_EQ(first.lsn, Lsn(1));
  EXPECT_EQ(first.term, Term(7));
  EXPECT_EQ(first.database, DatabaseId(4));
  EXPECT_EQ(first.kind, RecordKind::kRowPart);
  EXPECT_EQ(first.producer, 11U);
  EXPECT_EQ(first.sequence, 12U);
  EXPECT_EQ(first.batch_remaining, 2U);
  EXPECT_EQ(first.previous, RecordLink{});
  const auto payload = payload_of(1, 1000);
  EXPECT_TRUE(std::ranges::equal(first.payload, payload));
  const RecordLink first_link{first.lsn, first.term, first.checksum};
  const auto second = reader->next().value().value();
  EXPECT_EQ(second.previous, first_link);
  EXPECT_EQ(second.database_previous, RecordLink{});
  EXPECT_EQ(second.flags, 1U);
  const auto third = reader->next().value().value();
  EXPECT_EQ(third.database_previous.index, Lsn(1));
  EXPECT_EQ(third.database_previous.checksum, first_link.checksum);
  EXPECT_EQ(third.batch_remaining, 0U);
  EXPECT_FALSE(reader->next().value().has_value());
  // A reader goes on when there is more.
  ASSERT_TRUE(ok(stream->wait_durable(append_one(*stream, 5, 20).value())));
  EXPECT_EQ(reader->next().value().value().lsn, Lsn(4));
}

TEST(CommitStream, RotatesAndReadsAcrossSegmentsFromAnywhere) {
  World world(4);
  auto options = world.options();
  Lsn last;
  {
    auto stream = world.open(options).value();
    for (std::uint64_t i = 1; i <= 300; ++i) {
      last = append_one(*stream, i, 100 + i * 7 % 1500, static_cast<std::uint32_t>(i % 3)).value();
      if (i % 10 == 0) {
        ASSERT_TRUE(ok(stream->wait_durable(last)));
      }
      if (i % 40 == 0) {
        ASSERT_TRUE(ok(stream->maintain()));
      }
    }
    EXPECT_GE(stream->metrics().rotations.load(), 4U);
    ASSERT_TRUE(ok(stream->wait_durable(last)));
    for (std::uint64_t from : {1U, 2U, 77U, 150U, 299U, 300U}) {
      const auto all = read_all(*stream, Lsn(from)).value();
      ASSERT_EQ(all.size(), 300 - from + 1);
      for (const auto& copy : all) {
        EXPECT_EQ(copy.payload, payload_of(copy.lsn.value, 100 + copy.lsn.value * 7 % 1500));
      }
    }
    EXPECT_EQ(read_all(*stream, Lsn(1), DatabaseId(2)).value().size(), 100U);
  }
  auto stream = world.open(options).value();
  EXPECT_FALSE(stream->recovered().clean);
  EXPECT_EQ(stream->recovered().last, last);
  EXPECT_EQ(stream->timeline(), Timeline(2));
  EXPECT_EQ(read_all(*stream, Lsn(1)).value().size(), 300U);
}

TEST(CommitStream, SegmentsAreBiggerThanTheirPreparationOnlyOnce) {
  World world(5);
  auto stream = world.open().value();
  int wanted = 0;
  stream->on_maintenance([&] { ++wanted; });
  Lsn last;
  while (wanted == 0) last = append_one(*stream, 1, 1000).value();
  EXPECT_EQ(stream->metrics().rotations.load(), 0U);
  ASSERT_TRUE(ok(stream->maintain()));
  while (stream->metrics().rotations.load() == 0) last = append_one(*stream, 1, 1000).value();
  EXPECT_EQ(stream->metrics().late_preparations.load(), 0U);
  EXPECT_EQ(wanted, 1);
  ASSERT_TRUE(ok(stream->wait_durable(last)));
}

TEST(CommitStream, RefusesWhatItCannotHoldBeforeAnyEffect) {
  World world(6);
  auto options = world.options();
  options.max_unacknowledged = 4000;
  auto stream = world.open(options).value();
  EXPECT_EQ(stream->append({}).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(append(*stream, {{DatabaseId(1), {}, RecordKind::kFiller}}).error().code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(append(*stream, {{DatabaseId(1), {}, static_cast<RecordKind>(99)}}).error().code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(append_one(*stream, 1, 40U << 10U).error().code(), ErrorCode::kTransactionTooLarge);
  EXPECT_EQ(stream->appended(), Lsn(0));
  int room = 0;
  stream->on_room([&] { ++room; });
  EXPECT_FALSE(stream->must_wait());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(ok(append_one(*stream, 1, 3000)));
  EXPECT_TRUE(stream->must_wait());
  EXPECT_EQ(append_one(*stream, 1, 15000).error().code(), ErrorCode::kInsufficientResources);
  EXPECT_EQ(stream->appended(), Lsn(4));
  ASSERT_TRUE(ok(stream->wait_durable(Lsn(4))));
  EXPECT_FALSE(stream->must_wait());
  EXPECT_EQ(room, 1);
}

TEST(CommitStream, TheLargestBatchFitsInAnyState) {
  World world(7);
  auto stream = world.open().value();
  Lsn last;
  for (int i = 0; i < 20; ++i) {
    auto one = append_one(*stream, 1, (32U << 10U) - kRecordOverhead - 8 * static_cast<std::size_t>(i));
    ASSERT_TRUE(ok(one));
    last = *one;
    if (i % 3 == 0) {
      ASSERT_TRUE(ok(append_one(*stream, 2, 3)));
    }
  }
  ASSERT_TRUE(ok(stream->close()));
  EXPECT_EQ(world.open().value()->recovered().last, last);
}

TEST(CommitStream, ASecondOpenIsRefusedWhileTheFirstLives) {
  World world(8);
  auto stream = world.open().value();
  EXPECT_EQ(world.open().error().code(), ErrorCode::kLocked);
  stream.reset();
  EXPECT_TRUE(ok(world.open()));
}

TEST(CommitStream, AnotherIdentityIsRefused) {
  World world(9);
  ASSERT_TRUE(ok(world.open().value()->close()));
  auto options = world.options();
  options.identity = StreamIdentity{1};
  EXPECT_EQ(world.open(options).error().code(), ErrorCode::kConfigInvalid);
}

TEST(CommitStream, TrimRemovesWholeSegmentsAndOnlyThose) {
  World world(10);
  auto stream = world.open().value();
  Lsn last;
  for (std::uint64_t i = 1; i <= 200; ++i) {
    last = append_one(*stream, i, 1000).value();
    if (i % 10 == 0) {
      ASSERT_TRUE(ok(stream->wait_durable(last)));
    }
  }
  const std::size_t before = world.segment_paths().size();
  auto old_reader = stream->read_from(Lsn(1)).value();
  ASSERT_TRUE(ok(old_reader->next()));
  ASSERT_TRUE(ok(stream->trim(Lsn(1))));
  EXPECT_EQ(stream->first(), Lsn(1));
  ASSERT_TRUE(ok(stream->trim(Lsn(120))));
  const Lsn first = stream->first();
  EXPECT_GT(first, Lsn(1));
  EXPECT_LE(first, Lsn(120));
  EXPECT_LT(world.segment_paths().size(), before);
  EXPECT_EQ(stream->read_from(Lsn(1)).error().code(), ErrorCode::kNotInPrerequisiteState);
  EXPECT_EQ(old_reader->next().error().code(), ErrorCode::kNotInPrerequisiteState);
  EXPECT_EQ(read_all(*stream, first).value().size(), last.value - first.value + 1);
  ASSERT_TRUE(ok(stream->trim(last.next())));
  ASSERT_TRUE(ok(stream->close()));
  stream.reset();
  auto again = world.open().value();
  EXPECT_EQ(again->recovered().last, last);
  // The chain of a database survives the loss of its old records.
  ASSERT_TRUE(ok(again->wait_durable(append_one(*again, 1, 10).value())));
  auto reader = again->read_from(last.next()).value();
  EXPECT_EQ(reader->next().value().value().database_previous.index, last);
}

TEST(CommitStream, TrimLeavesWhatIsToBeRetained) {
  World world(10);
  Options options = world.options();
  options.retain_bytes = 3 * options.segment_bytes;
  auto stream = world.open(options).value();
  Lsn last;
  for (std::uint64_t i = 1; i <= 1000; ++i) last = append_one(*stream, i, 1000).value();
  ASSERT_TRUE(ok(stream->wait_durable(last)));
  ASSERT_GT(stream->retained_bytes(), 6 * options.segment_bytes);
  ASSERT_TRUE(ok(stream->trim(last)));
  EXPECT_GT(stream->first(), Lsn(1));
  EXPECT_EQ(stream->retained_bytes(), 3 * options.segment_bytes);
  ASSERT_TRUE(ok(stream->trim(last, true)));
  EXPECT_LT(stream->retained_bytes(), 3 * options.segment_bytes) << "others are short of room";
}

TEST(CommitStream, SegmentsAreToldFromTheOldestToTheActiveOne) {
  World world(12);
  auto stream = world.open().value();
  Lsn last;
  for (std::uint64_t i = 1; i <= 1000; ++i) last = append_one(*stream, i, 1000).value();
  ASSERT_TRUE(ok(stream->wait_durable(last)));
  ASSERT_TRUE(ok(stream->maintain()));
  const LogSegments all = stream->segments(1000);
  ASSERT_GT(all.newest.size(), 6u);
  EXPECT_EQ(all.older, 0u);
  EXPECT_EQ(all.newest.front().first, stream->first());
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < all.newest.size(); ++i) {
    const auto& one = all.newest[i];
    bytes += one.bytes;
    EXPECT_EQ(one.active, i + 1 == all.newest.size());
    EXPECT_GT(one.used_bytes, one.active ? kSegmentHeaderBytes : one.bytes / 2);
    EXPECT_LE(one.used_bytes, one.bytes);
    if (i > 0) {
      EXPECT_GT(one.first, all.newest[i - 1].first);
    }
  }
  EXPECT_EQ(bytes, stream->retained_bytes());
  const LogSegments few = stream->segments(2);
  ASSERT_EQ(few.newest.size(), 2u);
  EXPECT_EQ(few.newest.back().number, all.newest.back().number);
  EXPECT_EQ(few.older, all.newest.size() - 2);
  EXPECT_EQ(few.older_bytes + 2 * all.newest.back().bytes, bytes);
}

TEST(CommitStream, AStreamAtRestSaysThatItsEndIsDurable) {
  World world(11);
  auto stream = world.open().value();
  ASSERT_TRUE(ok(stream->wait_durable(append_one(*stream, 1, 100).value())));
  ASSERT_TRUE(ok(stream->maintain()));
  ASSERT_TRUE(ok(stream->maintain()));
  while (world.disk.wait() != 0) {
  }
  const std::string path = world.segment_paths().back();
  stream.reset();
  ASSERT_TRUE(world.disk.flip_bit(path, kDiskBlockBytes + 200, 3));
  const auto opened = world.open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kCorrupt);
}

struct Counting final : InspectionSink {
  void segment(const std::string&, const SegmentHeader&) override { ++segments; }
  void record(const RecordView&, ByteOffset) override { ++records; }
  void problem(const Error& error) override { problems.push_back(error.what()); }
  void end(Lsn last_lsn, const std::string& text) override {
    last = last_lsn;
    verdict = text;
  }
  int segments = 0;
  int records = 0;
  std::vector<std::string> problems;
  Lsn last;
  std::string verdict;
};

TEST(Inspection, ChecksEveryRecordAndNamesWhatIsWrong) {
  World world(12);
  {
    auto stream = world.open().value();
    for (std::uint64_t i = 1; i <= 150; ++i) {
      const Lsn lsn = append_one(*stream, i, 1000, static_cast<std::uint32_t>(i % 2)).value();
      if (i % 5 == 0) {
        ASSERT_TRUE(ok(stream->wait_durable(lsn)));
      }
    }
    Counting during;
    ASSERT_TRUE(ok(inspect(world.disk, kDirectory, during)));  // takes no lock
    ASSERT_TRUE(ok(stream->close()));
  }
  Counting sound;
  const auto summary = inspect(world.disk, kDirectory, sound).value();
  EXPECT_EQ(summary.records, 150U);
  EXPECT_EQ(summary.payload_bytes, 150'000U);
  EXPECT_EQ(summary.problems, 0U);
  EXPECT_EQ(summary.last, Lsn(150));
  EXPECT_EQ(sound.segments, static_cast<int>(summary.segments));
  const std::string path = world.segment_paths().front();
  ASSERT_TRUE(world.disk.flip_bit(path, kDiskBlockBytes + 500, 1));
  Counting damaged;
  ASSERT_TRUE(ok(inspect(world.disk, kDirectory, damaged)));
  ASSERT_EQ(damaged.problems.size(), 1U);
  EXPECT_NE(damaged.problems[0].find(path), std::string::npos) << damaged.problems[0];
}

}  // namespace
}  // namespace bop::aof::test
