// Flush strategies: when a record that nobody waits for is written, and that nothing else is held up by it.
#include <map>

#include "aof/stream_fixture.hpp"

namespace bop::aof::test {
namespace {

using namespace std::chrono_literals;

constexpr FlushPolicy kAsync{.strategy = FlushStrategy::kAsync};
constexpr FlushPolicy kByThree{.strategy = FlushStrategy::kBatched, .records = 3};
constexpr FlushPolicy kByTime{.strategy = FlushStrategy::kPeriodic, .interval = 50ms};
constexpr FlushPolicy kByEither{
    .strategy = FlushStrategy::kBatchedOrPeriodic, .records = 3, .interval = 50ms};

class Flush : public ::testing::Test {
 protected:
  Flush() : stream_(world_.open().value()) {
    stream_->on_delay([this](std::chrono::nanoseconds delay) { delays_.push_back(delay); });
  }
  Lsn add(const FlushPolicy& flush, std::size_t bytes = 100) {
    Entry entry{DatabaseId(1), payload_of(++tag_, bytes)};
    entry.flush = flush;
    return append(*stream_, {entry}).value();
  }
  // Everything that is on its way to the disk arrives.
  void arrive() {
    while (world_.disk.in_flight() > 0) world_.disk.poll();
  }
  void pass(std::chrono::nanoseconds time) {
    world_.clock.advance(time);
    stream_->flush_due();
  }
  [[nodiscard]] std::uint64_t flushes(FlushCause cause) const {
    return stream_->metrics().flushes[static_cast<std::size_t>(cause)];
  }

  World world_{7};
  std::uint64_t tag_ = 0;
  std::vector<std::chrono::nanoseconds> delays_;
  std::unique_ptr<CommitStream> stream_;
};

TEST_F(Flush, SyncAndAsyncAreWrittenAtOnce) {
  const Lsn first = add({});
  EXPECT_EQ(world_.disk.in_flight(), 1U);
  arrive();
  EXPECT_EQ(stream_->durable(), first);
  const Lsn second = add(kAsync);
  EXPECT_EQ(world_.disk.in_flight(), 1U);
  arrive();
  EXPECT_EQ(stream_->durable(), second);
  EXPECT_EQ(flushes(FlushCause::kCommit), 1U);
  EXPECT_EQ(flushes(FlushCause::kAsync), 1U);
  EXPECT_TRUE(delays_.empty());
}

TEST_F(Flush, BatchedIsWrittenWithTheLastOfItsNumber) {
  for (int round = 1; round <= 3; ++round) {
    add(kByThree);
    add(kByThree);
    EXPECT_EQ(world_.disk.in_flight(), 0U);
    pass(1h);
    EXPECT_EQ(world_.disk.in_flight(), 0U) << "time is no reason";
    const Lsn last = add(kByThree);
    EXPECT_EQ(world_.disk.in_flight(), 1U);
    arrive();
    EXPECT_EQ(stream_->durable(), last);
    EXPECT_EQ(flushes(FlushCause::kBatched), static_cast<std::uint64_t>(round));
  }
}

TEST_F(Flush, PeriodicIsWrittenWhenItsOldestHasWaitedSoLong) {
  add(kByTime);
  ASSERT_EQ(delays_, std::vector<std::chrono::nanoseconds>{50ms});
  pass(49ms);
  const Lsn last = add(kByTime);
  EXPECT_EQ(delays_.size(), 1U) << "it goes with the first";
  EXPECT_EQ(world_.disk.in_flight(), 0U);
  pass(1ms);
  EXPECT_EQ(world_.disk.in_flight(), 1U);
  arrive();
  EXPECT_EQ(stream_->durable(), last);
  EXPECT_EQ(flushes(FlushCause::kPeriodic), 1U);
  add(kByTime);
  EXPECT_EQ(delays_.size(), 2U) << "the next one is told anew";
}

TEST_F(Flush, PeriodicIsWrittenByALateAppendToo) {
  add(kByTime);
  world_.clock.advance(60ms);
  add(kByTime);
  EXPECT_EQ(world_.disk.in_flight(), 1U);
}

TEST_F(Flush, AShorterTimeIsToldAndHolds) {
  add(kByTime);
  FlushPolicy soon = kByTime;
  soon.interval = 10ms;
  add(soon);
  ASSERT_EQ(delays_, (std::vector<std::chrono::nanoseconds>{50ms, 10ms}));
  pass(10ms);
  EXPECT_EQ(world_.disk.in_flight(), 1U);
  arrive();
  pass(40ms);  // the first timer finds nothing to do
  EXPECT_EQ(world_.disk.in_flight(), 0U);
}

TEST_F(Flush, EitherIsWhicheverComesFirst) {
  add(kByEither);
  add(kByEither);
  EXPECT_EQ(world_.disk.in_flight(), 0U);
  add(kByEither);
  EXPECT_EQ(world_.disk.in_flight(), 1U);
  arrive();
  add(kByEither);
  pass(50ms);
  EXPECT_EQ(world_.disk.in_flight(), 1U);
  EXPECT_EQ(flushes(FlushCause::kBatched), 1U);
  EXPECT_EQ(flushes(FlushCause::kPeriodic), 1U);
}

TEST_F(Flush, WhoWaitsTakesAllBeforeAlong) {
  add(kByTime);
  add(kByThree);
  EXPECT_EQ(world_.disk.in_flight(), 0U);
  const Lsn last = add({});
  EXPECT_EQ(world_.disk.in_flight(), 1U);
  arrive();
  EXPECT_EQ(stream_->durable(), last);
  EXPECT_EQ(flushes(FlushCause::kCommit), 1U);
}

TEST_F(Flush, SomebodyWhoWantsItDurableNeedNotWait) {
  const Lsn before = add({});
  arrive();
  const Lsn first = add(kByTime);
  add(kByTime);
  stream_->want_durable(before);
  EXPECT_EQ(world_.disk.in_flight(), 0U) << "nobody has asked for it";
  stream_->want_durable(first);
  EXPECT_EQ(world_.disk.in_flight(), 1U);
  arrive();
  EXPECT_EQ(stream_->durable(), stream_->appended());
  EXPECT_EQ(flushes(FlushCause::kWanted), 1U);
  const Lsn last = add(kByThree);
  ASSERT_TRUE(ok(stream_->wait_durable(last)));
  EXPECT_EQ(flushes(FlushCause::kWanted), 2U);
}

TEST_F(Flush, NoMoreThanAWriteIsHeldBack) {
  const FlushPolicy never{.strategy = FlushStrategy::kBatched, .records = 1'000'000};
  const std::uint64_t write_bytes = world_.options().write_bytes;
  for (int i = 0; i < 500; ++i) {
    add(never, 1000);
    arrive();
    EXPECT_LE(stream_->metrics().unacknowledged_bytes, write_bytes + 2 * kDiskBlockBytes);
  }
  EXPECT_GT(flushes(FlushCause::kFull), 10U);
  EXPECT_EQ(flushes(FlushCause::kBatched), 0U);
}

TEST_F(Flush, AStopMakesAllDurable) {
  add(kByThree);
  const Lsn last = add(kByTime);
  ASSERT_TRUE(ok(stream_->close()));
  EXPECT_EQ(stream_->durable(), last);
  world_.disk.power_cut();
  stream_ = world_.open().value();
  EXPECT_EQ(stream_->recovered().last, last);
}

TEST_F(Flush, AWriteInFlightHoldsNobodyBack) {
  add({});
  add(kByTime);
  const Lsn last = add({});
  arrive();
  EXPECT_EQ(stream_->durable(), last);
  EXPECT_EQ(flushes(FlushCause::kCommit), 2U);
}

// What nobody waits for may be lost; what comes back is a beginning of the log that holds all that was
// durable.
TEST(FlushPowerCut, WhatIsLeftIsABeginning) {
  std::uint64_t lost = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    auto stream = world.open().value();
    SimRandom random(seed);
    constexpr std::array kPolicies{FlushPolicy{}, kAsync, kByThree, kByTime, kByEither};
    std::map<std::uint64_t, std::size_t> sizes;
    for (std::uint64_t i = 1 + random.below(60); i > 0; --i) {
      const std::size_t bytes = random.below(3000);
      Entry entry{DatabaseId(1), {}};
      entry.flush = kPolicies[random.below(kPolicies.size())];
      entry.payload = payload_of(stream->appended().value + 1, bytes);
      const Lsn lsn = append(*stream, {entry}).value();
      sizes[lsn.value] = bytes;
      if (random.chance(1, 3)) world.disk.poll();
      if (random.chance(1, 8)) {
        world.clock.advance(std::chrono::milliseconds(random.below(60)));
        stream->flush_due();
      }
    }
    const Lsn durable = stream->durable();
    const Lsn appended = stream->appended();
    stream.reset();
    world.disk.power_cut();
    stream = world.open().value();
    const Lsn last = stream->recovered().last;
    EXPECT_GE(last, durable);
    EXPECT_LE(last, appended);
    lost += appended.value - last.value;
    const auto copies = read_all(*stream, Lsn(1)).value();
    for (const Copy& copy : copies) {
      EXPECT_EQ(copy.payload, payload_of(copy.lsn.value, sizes[copy.lsn.value]));
    }
  }
  EXPECT_GT(lost, 300U);
}

}  // namespace
}  // namespace bop::aof::test
