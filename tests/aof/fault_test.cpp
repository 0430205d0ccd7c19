// Disks that fail, fill up and rot.
#include <functional>

#include "aof/inspection.hpp"
#include "aof/record.hpp"
#include "aof/segment_header.hpp"
#include "aof/stream_fixture.hpp"

namespace bop::aof::test {
namespace {

// Opens, appends with rotations, trims, closes; whatever fails ends it. Returns what was acknowledged.
struct Outcome {
  std::uint64_t acknowledged = 0;
  std::uint64_t appended = 0;
  std::optional<Error> error;
};
std::size_t bytes_of(std::uint64_t lsn) { return 200 + lsn * 37 % 2500; }

Outcome live_through(World& world, Options options, std::uint64_t records) {
  Outcome outcome;
  auto opened = world.open(std::move(options));
  if (!opened.has_value()) {
    outcome.error = opened.error();
    return outcome;
  }
  auto& stream = **opened;
  outcome.acknowledged = outcome.appended = stream.appended().value;
  const auto note = [&](Status status) {
    if (!status.has_value() && !outcome.error.has_value()) outcome.error = status.error();
  };
  for (std::uint64_t i = 0; i < records; ++i) {
    const std::uint64_t lsn = stream.appended().value + 1;
    const auto appended = append_one(stream, lsn, bytes_of(lsn));
    outcome.appended = stream.appended().value;
    if (!appended.has_value()) {
      note(std::unexpected(appended.error()));
      continue;
    }
    EXPECT_EQ(appended->value, lsn);
    if (i % 5 == 0) note(stream.wait_durable(*appended));
    if (i % 16 == 0) note(stream.maintain());
  }
  note(stream.wait_durable(stream.appended()));
  note(stream.trim(Lsn(10)));
  const auto copies = read_all(stream, stream.first());
  if (!copies.has_value()) note(std::unexpected(copies.error()));
  note(stream.close());
  outcome.acknowledged = std::max(outcome.acknowledged, stream.durable().value);
  outcome.appended = stream.appended().value;
  EXPECT_LE(outcome.acknowledged, outcome.appended);
  return outcome;
}

void expect_intact(World& world, const Outcome& outcome) {
  auto opened = world.open();
  ASSERT_TRUE(ok(opened));
  ASSERT_GE((*opened)->recovered().last.value, outcome.acknowledged);
  ASSERT_LE((*opened)->recovered().last.value, outcome.appended);
  const auto copies = read_all(**opened, (*opened)->first());
  ASSERT_TRUE(ok(copies));
  for (const Copy& copy : *copies) {
    ASSERT_EQ(copy.payload, payload_of(copy.lsn.value, bytes_of(copy.lsn.value)));
  }
  // It goes on.
  const auto lsn = append_one(**opened, 1, 10);
  ASSERT_TRUE(ok(lsn));
  ASSERT_TRUE(ok((*opened)->wait_durable(*lsn)));
}

class EveryCallFails : public testing::TestWithParam<std::tuple<SimFault, bool>> {};

TEST_P(EveryCallFails, TypedErrorNoFalseAcknowledgementAndAConsistentReopen) {
  const auto [fault, sticky] = GetParam();
  std::uint64_t struck = 0;
  std::uint64_t failed = 0;
  for (std::uint64_t k = 1;; ++k) {
    SCOPED_TRACE("call " + std::to_string(k));
    World world(k);
    const Outcome before = live_through(world, world.options(), 30);
    ASSERT_FALSE(before.error.has_value()) << before.error->what();
    world.disk.fail_call(k, fault, sticky);
    const Outcome outcome = live_through(world, world.options(), 90);
    if (world.disk.faults_struck() == 0) break;  // past the last call
    ++struck;
    if (outcome.error.has_value()) {
      ++failed;
      const ErrorCode code = outcome.error->code();
      EXPECT_TRUE(code == ErrorCode::kIo || code == ErrorCode::kDiskFull || code == ErrorCode::kPoisoned)
          << info(code).name << ": " << outcome.error->what();
    }
    world.disk.clear_faults();
    world.disk.power_cut();
    Outcome expected = outcome;
    expected.acknowledged = std::max(before.acknowledged, outcome.acknowledged);
    expected.appended = std::max(before.appended, outcome.appended);
    expect_intact(world, expected);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(struck, fault == SimFault::kFailedSync ? 8U : 20U);  // there are fewer syncs than calls
  EXPECT_GT(failed, struck / 3);
}
INSTANTIATE_TEST_SUITE_P(Faults, EveryCallFails,
                         testing::Values(std::tuple{SimFault::kIo, false}, std::tuple{SimFault::kIo, true},
                                         std::tuple{SimFault::kDiskFull, false},
                                         std::tuple{SimFault::kDiskFull, true},
                                         std::tuple{SimFault::kShort, false},
                                         std::tuple{SimFault::kFailedSync, true}));

TEST(Poison, TheFirstFailedWriteEndsWritingForGoodAndReadingGoesOn) {
  World world(1);
  auto stream = world.open().value();
  ASSERT_TRUE(ok(stream->wait_durable(append_one(*stream, 1, 100).value())));
  int told = 0;
  stream->on_failure([&](const Error& error) {
    ++told;
    EXPECT_EQ(error.code(), ErrorCode::kPoisoned);
  });
  world.disk.fail_call(1, SimFault::kIo);
  const Lsn lost = append_one(*stream, 2, 100).value();
  EXPECT_EQ(stream->wait_durable(lost).error().code(), ErrorCode::kPoisoned);
  world.disk.clear_faults();
  EXPECT_EQ(told, 1);
  EXPECT_EQ(append_one(*stream, 3, 100).error().code(), ErrorCode::kPoisoned);
  EXPECT_EQ(stream->maintain().error().code(), ErrorCode::kPoisoned);
  EXPECT_EQ(stream->durable(), Lsn(1));
  EXPECT_EQ(stream->appended(), lost);
  EXPECT_EQ(read_all(*stream, Lsn(1)).value().size(), 1U);
  EXPECT_EQ(stream->close().error().code(), ErrorCode::kPoisoned);
}

TEST(Poison, LaterWritesInFlightAcknowledgeNothing) {
  World world(3, {.longest_delay = 6, .trace_length = 0});
  auto stream = world.open().value();
  // Several writes in flight, the first of which fails.
  world.disk.fail_call(1, SimFault::kIo);
  for (std::uint64_t i = 0; i < 6; ++i) {
    ASSERT_TRUE(ok(append_one(*stream, i, 15000)));
  }
  while (world.disk.wait() != 0) {
  }
  EXPECT_GT(stream->metrics().max_in_flight.load(), 1U);
  EXPECT_EQ(stream->durable(), Lsn(0));
  EXPECT_TRUE(stream->failure().has_value());
}

TEST(DiskFull, AppendsAreRefusedAndResumeByThemselves) {
  World world(4);
  auto options = world.options();
  options.ballast_bytes = 128U << 10U;
  auto stream = world.open(options).value();
  EXPECT_TRUE(world.disk.exists("/log/ballast").value());
  world.disk.set_capacity(world.disk.used_bytes() + (20U << 10U));
  Lsn last;
  std::optional<Error> refused;
  for (std::uint64_t i = 1; i < 200 && !refused.has_value(); ++i) {
    auto lsn = append_one(*stream, i, 1000);
    if (lsn.has_value()) last = *lsn;
    if (!lsn.has_value()) refused = lsn.error();
  }
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->code(), ErrorCode::kDiskFull);
  EXPECT_FALSE(stream->failure().has_value());
  ASSERT_TRUE(ok(stream->wait_durable(last)));
  EXPECT_EQ(read_all(*stream, Lsn(1)).value().size(), last.value);
  EXPECT_FALSE(world.disk.exists("/log/ballast").value()) << "the ballast is given back";
  EXPECT_EQ(stream->maintain().error().code(), ErrorCode::kDiskFull);
  EXPECT_EQ(append_one(*stream, 1, 1000).error().code(), ErrorCode::kDiskFull);
  // A restart at that point works, and serves reads.
  stream.reset();
  world.disk.set_capacity(world.disk.used_bytes());
  stream = world.open(options).value();
  EXPECT_EQ(read_all(*stream, Lsn(1)).value().size(), last.value);
  EXPECT_EQ(append_one(*stream, 1, 1000).error().code(), ErrorCode::kDiskFull);
  ASSERT_TRUE(ok(stream->trim(Lsn(1))));
  // Space comes back.
  world.disk.set_capacity(0);
  ASSERT_TRUE(ok(stream->maintain()));
  const auto next = append_one(*stream, 7, 1000);
  ASSERT_TRUE(ok(next));
  EXPECT_EQ(*next, last.next());
  ASSERT_TRUE(ok(stream->wait_durable(*next)));
  EXPECT_TRUE(world.disk.exists("/log/ballast").value());
  ASSERT_TRUE(ok(stream->close()));
}

TEST(DiskFull, TheBallastHasTheSizeOfTheOptionAndIsGivenBackToOthers) {
  World world(6);
  auto options = world.options();
  const auto ballast = [&]() -> std::uint64_t {
    if (!world.disk.exists("/log/ballast").value()) return 0;
    return world.disk.open("/log/ballast", OpenMode::kRead).value()->size().value();
  };
  for (const std::uint64_t size : {128U << 10U, 64U << 10U, 192U << 10U, 0U}) {
    options.ballast_bytes = size;
    auto stream = world.open(options).value();
    ASSERT_TRUE(ok(stream->maintain()));
    EXPECT_EQ(ballast(), size);
    ASSERT_TRUE(ok(stream->close()));
  }
  options.ballast_bytes = 128U << 10U;
  auto stream = world.open(options).value();
  ASSERT_TRUE(ok(stream->maintain()));
  world.disk.set_capacity(world.disk.used_bytes());
  stream->give_back_ballast();
  EXPECT_EQ(ballast(), 0U);
  ASSERT_TRUE(ok(stream->maintain()));
  EXPECT_EQ(ballast(), 0U) << "there is no room for it";
  // A start on a disk that is full gives it back, too, also of a log that was closed in order.
  world.disk.set_capacity(0);
  ASSERT_TRUE(ok(stream->maintain()));
  EXPECT_EQ(ballast(), options.ballast_bytes);
  ASSERT_TRUE(ok(stream->close()));
  stream.reset();
  world.disk.set_capacity(world.disk.used_bytes());
  stream = world.open(options).value();
  EXPECT_EQ(ballast(), 0U);
}

TEST(DiskFull, WhatStandsBeforeAFenceThatWasNeverUsedIsReadWhenThereIsNoRoomForAnotherOne) {
  World world(4);
  std::uint64_t last = 0;
  const auto append_three = [&](CommitStream& stream) {
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(ok(append_one(stream, ++last, 5000)));
    }
    ASSERT_TRUE(ok(stream.wait_durable(Lsn(last))));
  };
  {
    auto stream = world.open().value();
    append_three(*stream);
    // Behind the end lies a torn write, too.
    ASSERT_TRUE(ok(append_one(*stream, last + 1, 20000)));
    world.disk.power_cut();
  }
  for (int crash = 0; crash < 3; ++crash) {
    SCOPED_TRACE(crash);
    last = world.open().value()->recovered().last.value;  // makes the fence
    world.disk.process_kill();
    world.disk.set_capacity(world.disk.used_bytes());
    auto stream = world.open();
    ASSERT_TRUE(ok(stream));
    const auto copies = read_all(**stream, Lsn(1));
    ASSERT_TRUE(ok(copies));
    EXPECT_EQ(copies->size(), last);
    EXPECT_EQ(append_one(**stream, 1, 1000).error().code(), ErrorCode::kDiskFull);
    world.disk.set_capacity(0);
    ASSERT_TRUE(ok((*stream)->maintain()));
    append_three(**stream);
    EXPECT_EQ(read_all(**stream, Lsn(1)).value().size(), last);
    world.disk.process_kill();
  }
}

TEST(Rot, AnUnreadableSectorIsNotTheEndOfTheLog) {
  World world(5);
  {
    auto stream = world.open().value();
    for (std::uint64_t i = 1; i <= 20; ++i) {
      ASSERT_TRUE(ok(stream->wait_durable(append_one(*stream, i, 3000).value())));
    }
  }
  const std::string path = world.segment_paths().back();
  ASSERT_TRUE(world.disk.break_sector(path, 5 * kDiskBlockBytes + 600));
  const auto opened = world.open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kIo);
  EXPECT_NE(opened.error().what().find(path), std::string::npos) << opened.error().what();
}

TEST(Rot, AMissingSegmentIsNamed) {
  World world(6);
  {
    auto stream = world.open().value();
    for (std::uint64_t i = 1; i <= 200; ++i) {
      ASSERT_TRUE(ok(stream->wait_durable(append_one(*stream, i, 1000).value())));
    }
    ASSERT_TRUE(ok(stream->close()));
  }
  const auto paths = world.segment_paths();
  ASSERT_GE(paths.size(), 3U);
  ASSERT_TRUE(ok(world.disk.remove(paths[1])));
  const auto opened = world.open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kCorrupt);
}

TEST(Rot, ASegmentOfAnotherLogOrPlaceIsRefused) {
  World world(7);
  {
    auto stream = world.open().value();
    for (std::uint64_t i = 1; i <= 200; ++i) {
      ASSERT_TRUE(ok(stream->wait_durable(append_one(*stream, i, 1000).value())));
    }
    ASSERT_TRUE(ok(stream->close()));
  }
  const auto paths = world.segment_paths();
  ASSERT_TRUE(ok(world.disk.rename(paths.front(), paths.back())));
  EXPECT_EQ(world.open().error().code(), ErrorCode::kCorrupt);
}

// A log whose second segment begins with a write of marks alone. LSN 1 to 3 lie before it; what `then` does
// to the stream comes behind it.
void begin_second_segment_with_marks(World& world, const std::function<void(CommitStream&)>& then) {
  {
    auto stream = world.open().value();
    for (std::uint64_t i = 1; i <= 3; ++i) {
      ASSERT_TRUE(ok(stream->wait_durable(append_one(*stream, i, 100).value())));
    }
    world.disk.process_kill();
  }
  auto stream = world.open().value();
  ASSERT_TRUE(ok(stream->maintain()));
  ASSERT_GT(world.disk.wait(), 0U);
  then(*stream);
  world.disk.process_kill();
}

Lsn newest_before(CommitStream& stream, Lsn lsn) {
  return stream.read_from(lsn).value()->next().value().value().database_previous.index;
}

TEST(Heads, AreFoundWhereNothingFollowsThemInTheirSegment) {
  World world(21);
  begin_second_segment_with_marks(world, [](CommitStream&) {});
  {
    auto stream = world.open().value();  // makes a third segment, to which nothing is written
    world.disk.process_kill();
  }
  ASSERT_EQ(world.segment_paths().size(), 3U);
  auto stream = world.open().value();
  ASSERT_TRUE(ok(stream->wait_durable(append_one(*stream, 4, 100).value())));
  EXPECT_EQ(newest_before(*stream, Lsn(4)), Lsn(3));
}

TEST(Heads, ASegmentThatLostItsOwnKeepsTheOldestFromBeingTrimmed) {
  World world(22);
  begin_second_segment_with_marks(world, [](CommitStream& stream) {
    ASSERT_TRUE(ok(stream.wait_durable(append_one(stream, 4, 100).value())));
  });
  // As if both writes had been in flight when the power failed, and only the second one arrived.
  ASSERT_TRUE(world.disk.flip_bit(world.segment_paths().back(), kSegmentHeaderBytes + 100, 5));
  {
    auto stream = world.open().value();
    ASSERT_EQ(stream->recovered().last, Lsn(4));
    ASSERT_TRUE(ok(stream->trim(Lsn(5))));
    world.disk.process_kill();
  }
  auto stream = world.open();
  ASSERT_TRUE(ok(stream));
  ASSERT_TRUE(ok((*stream)->wait_durable(append_one(**stream, 5, 100).value())));
  EXPECT_EQ(newest_before(**stream, Lsn(5)), Lsn(4));
  // Once a later segment holds heads, the old ones may go.
  ASSERT_TRUE(ok((*stream)->trim(Lsn(5))));
  EXPECT_EQ((*stream)->first(), Lsn(5));
}

struct Silent final : InspectionSink {
  void segment(const std::string&, const SegmentHeader&) override {}
  void record(const RecordView&, ByteOffset) override {}
  void problem(const Error&) override { ++problems; }
  void end(Lsn, const std::string&) override {}
  int problems = 0;
};

// Every single bit of a log that was closed: opening and reading either refuses with a typed error or gives
// exactly what was written.
TEST(Rot, EveryFlippedBitIsDetectedOrHarmless) {
  World world(8);
  std::vector<Copy> written;
  {
    auto stream = world.open().value();
    ASSERT_TRUE(
        ok(append(*stream, {{DatabaseId(1), payload_of(1, 50)}, {DatabaseId(2), payload_of(2, 13)}})));
    ASSERT_TRUE(ok(stream->wait_durable(Lsn(2))));
    ASSERT_TRUE(ok(stream->wait_durable(append_one(*stream, 3, 700).value())));
    ASSERT_TRUE(ok(stream->close()));
    stream.reset();
    stream = world.open().value();
    written = read_all(*stream, Lsn(1)).value();
    ASSERT_TRUE(ok(stream->close()));
  }
  ASSERT_EQ(written.size(), 3U);
  const auto paths = world.segment_paths();
  ASSERT_EQ(paths.size(), 1U);
  std::uint64_t detected = 0;
  std::uint64_t harmless = 0;
  for (std::uint64_t offset = 0; offset < 5 * kDiskBlockBytes; ++offset) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      ASSERT_TRUE(world.disk.flip_bit(paths[0], offset, bit));
      Silent sink;
      const auto summary = inspect(world.disk, kDirectory, sink);
      if (!summary.has_value() || sink.problems != 0) {
        ++detected;
      } else {
        ASSERT_EQ(summary->records, 3U) << "byte " << offset << " bit " << bit;
        ASSERT_EQ(summary->last, Lsn(3)) << "byte " << offset << " bit " << bit;
        ++harmless;
      }
      ASSERT_TRUE(world.disk.flip_bit(paths[0], offset, bit));
    }
  }
  printf("%llu bits detected, %llu harmless (padding, behind the end)\n",
         static_cast<unsigned long long>(detected), static_cast<unsigned long long>(harmless));
  EXPECT_GT(detected, 4096U * 8 + 1000 * 8);
}

// The same through open(), at random places of a longer log with rotations; what opens must be whole.
TEST(Rot, RandomFlipsNeverServeAWrongByte) {
  std::uint64_t refused = 0;
  std::uint64_t opened_whole = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    const Outcome outcome = live_through(world, world.options(), 70);
    ASSERT_FALSE(outcome.error.has_value());
    SimRandom dice(seed);
    const auto paths = world.segment_paths();
    const auto& path = paths[dice.below(paths.size())];
    const std::uint64_t offset = dice.below(64U << 10U);
    ASSERT_TRUE(world.disk.flip_bit(path, offset, static_cast<unsigned>(dice.below(8))));
    auto opened = world.open();
    if (!opened.has_value()) {
      EXPECT_EQ(opened.error().code(), ErrorCode::kCorrupt) << opened.error().what();
      ++refused;
      continue;
    }
    ASSERT_EQ((*opened)->recovered().last.value, outcome.acknowledged);
    const auto copies = read_all(**opened, (*opened)->first());
    if (!copies.has_value()) {
      EXPECT_EQ(copies.error().code(), ErrorCode::kCorrupt);
      ++refused;
      continue;
    }
    ++opened_whole;
    ASSERT_EQ(copies->size(), outcome.acknowledged - (*opened)->first().value + 1);
    for (const Copy& copy : *copies) {
      ASSERT_EQ(copy.payload, payload_of(copy.lsn.value, bytes_of(copy.lsn.value)));
    }
  }
  EXPECT_GT(refused, 50U);
  EXPECT_GT(opened_whole, 20U);
}

}  // namespace
}  // namespace bop::aof::test
