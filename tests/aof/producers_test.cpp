// A repeated append is not stored twice: over restarts, power cuts, rotations and trims.
#include <set>

#include "aof/producer_table.hpp"
#include "aof/stream_fixture.hpp"

namespace bop::aof::test {
namespace {

constexpr DatabaseId kRecords(7);
constexpr DatabaseId kStates(8);

struct Log {
  explicit Log(World& world, std::size_t most = 10)
      : stream(world.open().value()), producers(*stream, kRecords, kStates, most) {
    EXPECT_TRUE(ok(producers.open()));
  }
  Result<Producers::Appended> append(std::uint64_t producer, std::uint64_t sequence,
                                     std::size_t bytes = 100) {
    const auto payload = payload_of(producer * 1000 + sequence, bytes);
    const std::span<const std::byte> part(payload);
    return producers.append({.database = kRecords,
                             .kind = RecordKind::kAppend,
                             .producer = producer,
                             .sequence = sequence,
                             .payload = std::span(&part, 1)});
  }
  std::unique_ptr<CommitStream> stream;
  Producers producers;
};

TEST(Producers, ARepeatAnswersTheFirstIdAndAppendsNothing) {
  World world(1);
  Log log(world);
  const auto first = log.append(1, 10).value();
  const auto second = log.append(1, 11).value();
  EXPECT_FALSE(first.repeated);
  const Lsn newest = log.stream->appended();
  const auto again = log.append(1, 10).value();
  EXPECT_TRUE(again.repeated);
  EXPECT_EQ(again.lsn, first.lsn);
  EXPECT_EQ(log.append(1, 11).value().lsn, second.lsn);
  EXPECT_EQ(log.stream->appended(), newest);
  EXPECT_FALSE(log.append(2, 10).value().repeated);
  EXPECT_EQ(log.producers.newest(1), 11u);
  EXPECT_FALSE(log.producers.newest(3).has_value());
}

TEST(Producers, ANumberBelowTheNewestThatIsNotRememberedIsRefused) {
  World world(2);
  Log log(world);
  for (std::uint64_t number = 1; number <= kRememberedNumbers + 1; ++number) {
    ASSERT_TRUE(ok(log.append(1, number * 2)));
  }
  EXPECT_EQ(log.append(1, 3).error().code(), ErrorCode::kInvalidArgument);  // left out
  EXPECT_EQ(log.append(1, 2).error().code(), ErrorCode::kInvalidArgument);  // forgotten
  EXPECT_TRUE(log.append(1, 4).value().repeated);
}

TEST(Producers, TheirNumberIsLimited) {
  World world(3);
  Log log(world, 2);
  ASSERT_TRUE(ok(log.append(1, 1)));
  ASSERT_TRUE(ok(log.append(2, 1)));
  EXPECT_EQ(log.append(3, 1).error().code(), ErrorCode::kConfigurationLimitExceeded);
  EXPECT_TRUE(log.append(2, 1).value().repeated);
  log.producers.forget(1);
  EXPECT_TRUE(ok(log.append(3, 1)));
}

TEST(Producers, AreRememberedOverRestartsRotationsAndTrims) {
  World world(4);
  std::map<std::uint64_t, Lsn> newest;
  std::uint64_t number = 0;
  for (int life = 0; life < 4; ++life) {
    Log log(world);
    for (const auto& [producer, lsn] : newest) {
      const auto again = log.append(producer, number);
      ASSERT_TRUE(ok(again));
      EXPECT_TRUE(again->repeated) << "life " << life << ", producer " << producer;
      EXPECT_EQ(again->lsn, lsn);
    }
    ++number;
    for (std::uint64_t producer = 1; producer <= 5; ++producer) {
      newest[producer] = log.append(producer, number).value().lsn;
    }
    // Others fill segments, so that the producers' records are far away, or gone.
    for (unsigned i = 0; i < 300; ++i) {
      ASSERT_TRUE(ok(append_one(*log.stream, i, 2000, kRecords.value)));
      ASSERT_TRUE(ok(log.stream->wait_durable(log.stream->appended())));
      ASSERT_TRUE(ok(log.stream->maintain()));
      if (life != 1) {
        ASSERT_TRUE(ok(log.producers.maintain()));
      }
    }
    if (life >= 1) {
      const auto below = log.producers.allow_trim(log.stream->appended());
      ASSERT_TRUE(ok(below));
      ASSERT_TRUE(ok(log.stream->trim(*below)));
      ASSERT_GT(log.stream->first(), newest[5]);
    }
    if (life != 2) {
      ASSERT_TRUE(ok(log.stream->close()));
    }
  }
}

// Clients that retry what they heard no answer to, over power cuts: every number is stored once at most, and
// once if it was acknowledged.
TEST(Producers, NothingIsDoubledOrLostOverPowerCuts) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    World world(seed);
    SimRandom random(seed);
    std::map<std::uint64_t, std::uint64_t> sent;      // by producer, the newest number sent
    std::map<std::uint64_t, std::uint64_t> answered;  // the newest number answered durable
    for (int life = 0; life < 4; ++life) {
      Log log(world);
      for (unsigned i = 0; i < 60; ++i) {
        const std::uint64_t producer = 1 + random.below(3);
        std::uint64_t& newest = sent[producer];
        if (newest == answered[producer]) ++newest;  // else it is the retry
        const auto appended = log.append(producer, newest, random.below(3000));
        ASSERT_TRUE(ok(appended)) << "seed " << seed;
        if (random.chance(2, 3)) {
          ASSERT_TRUE(ok(log.stream->wait_durable(appended->lsn)));
          answered[producer] = newest;
        }
        if (random.chance(1, 10)) {
          ASSERT_TRUE(ok(log.stream->maintain()));
          ASSERT_TRUE(ok(log.producers.maintain()));
        }
      }
      world.disk.power_cut();
    }
    Log log(world);
    std::set<std::pair<std::uint64_t, std::uint64_t>> stored;
    auto reader = log.stream->read_from(log.stream->first(), kRecords).value();
    while (auto record = reader->next().value()) {
      ASSERT_TRUE(stored.emplace(record->producer, record->sequence).second)
          << "seed " << seed << ": number " << record->sequence << " of producer " << record->producer
          << " twice";
    }
    for (const auto& [producer, newest] : answered) {
      for (std::uint64_t number = 1; number <= newest; ++number) {
        ASSERT_TRUE(stored.contains({producer, number})) << "seed " << seed;
      }
    }
  }
}

TEST(ProducerState, IsReadBackAndNothingElseIsTakenForOne) {
  ProducerTable table;
  SimRandom random(5);
  for (std::uint64_t producer = 1; producer < 40; producer += 3) {
    for (std::uint64_t number = 1; number <= producer; ++number)
      table.note(producer, number * 5, Lsn(number));
  }
  const auto bytes = table.encode();
  ProducerTable copy;
  ASSERT_TRUE(copy.decode(bytes));
  EXPECT_EQ(copy.encode(), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(copy.decode(std::span(bytes).first(size))) << size;
  }
  for (int i = 0; i < 100'000; ++i) {
    auto damaged = bytes;
    for (std::uint64_t changes = 1 + random.below(3); changes > 0; --changes) {
      damaged[random.below(damaged.size())] = static_cast<std::byte>(random.below(256));
    }
    if (random.chance(1, 4)) damaged.resize(random.below(damaged.size() + 20));
    ProducerTable other;
    // What is taken is exactly what it says.
    if (other.decode(damaged)) {
      ASSERT_EQ(other.encode(), damaged);
    }
  }
}

}  // namespace
}  // namespace bop::aof::test
