#include "database/sequences.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"

namespace bop::database {
namespace {

class SequencesTest : public ::testing::Test {
 protected:
  using Record = std::vector<std::byte>;
  std::vector<Record> log;
  bool refuse = false;
  Sequences sequences{[this](std::span<const std::byte> payload, const aof::FlushPolicy&) -> Result<Lsn> {
    if (refuse) return fail(ErrorCode::kPoisoned, "the log");
    log.emplace_back(payload.begin(), payload.end());
    return Lsn(log.size());
  }};
  std::int64_t next(const SequenceSpec& spec) {
    auto value = sequences.nextval(1, spec);
    EXPECT_TRUE(value.has_value());
    return value ? value->value : -1;
  }
  // What a restart knows.
  void restart() {
    sequences.restore({});
    for (const Record& record : log) ASSERT_TRUE(sequences.replay(record).has_value());
  }
};

TEST_F(SequencesTest, OneRecordABlockAndTheAnswerWaitsForIt) {
  SequenceSpec spec{.block = 3};
  for (std::int64_t i = 1; i <= 7; ++i) {
    auto value = sequences.nextval(1, spec);
    ASSERT_TRUE(value.has_value());
    EXPECT_EQ(value->value, i);
    EXPECT_EQ(value->gate, Lsn(static_cast<std::uint64_t>((i + 2) / 3)));
  }
  EXPECT_EQ(log.size(), 3U);
  EXPECT_EQ(sequences.last_value(1), 7);
}

TEST_F(SequencesTest, AfterARestartNoValueComesAgain) {
  SequenceSpec spec{.block = 5};
  next(spec);
  next(spec);
  restart();
  EXPECT_EQ(next(spec), 6);
}

TEST_F(SequencesTest, TheEndIsExactAndStaysTheEnd) {
  SequenceSpec spec{.max = 3, .block = 32};
  EXPECT_EQ(next(spec), 1);
  EXPECT_EQ(next(spec), 2);
  EXPECT_EQ(next(spec), 3);
  for (int i = 0; i < 2; ++i) {
    auto over = sequences.nextval(1, spec);
    ASSERT_FALSE(over.has_value());
    EXPECT_EQ(over.error().code(), ErrorCode::kSequenceLimitExceeded);
    restart();
  }
}

TEST_F(SequencesTest, DescendingCyclingAndTheEdgesOfTheType) {
  SequenceSpec down{.start = -1, .increment = -2, .min = -6, .max = -1, .cycle = true, .block = 4};
  std::vector<std::int64_t> got;
  for (int i = 0; i < 5; ++i) got.push_back(next(down));
  EXPECT_EQ(got, (std::vector<std::int64_t>{-1, -3, -5, -1, -3}));
  SequenceSpec edge{.start = INT64_MAX - 1, .increment = 1, .block = 10};
  EXPECT_EQ(sequences.nextval(2, edge)->value, INT64_MAX - 1);
  EXPECT_EQ(sequences.nextval(2, edge)->value, INT64_MAX);
  EXPECT_FALSE(sequences.nextval(2, edge).has_value());
}

TEST_F(SequencesTest, SetvalCalledOrNot) {
  SequenceSpec spec{.max = 100};
  ASSERT_TRUE(sequences.setval(1, spec, 41, true).has_value());
  EXPECT_EQ(next(spec), 42);
  ASSERT_TRUE(sequences.setval(1, spec, 41, false).has_value());
  EXPECT_EQ(next(spec), 41);
  ASSERT_TRUE(sequences.setval(1, spec, 100, true).has_value());
  EXPECT_FALSE(sequences.nextval(1, spec).has_value());
  EXPECT_EQ(sequences.setval(1, spec, 101, true).error().code(), ErrorCode::kNumericOutOfRange);
  restart();
  EXPECT_FALSE(sequences.nextval(1, spec).has_value());
}

TEST_F(SequencesTest, ADroppedSequenceBeginsAnew) {
  SequenceSpec spec;
  next(spec);
  ASSERT_TRUE(sequences.drop(1).has_value());
  restart();
  EXPECT_TRUE(sequences.save().empty());
  EXPECT_EQ(next(spec), 1);
}

TEST_F(SequencesTest, WithoutTheLogNoValue) {
  SequenceSpec spec{.block = 1};
  next(spec);
  refuse = true;
  EXPECT_EQ(sequences.nextval(1, spec).error().code(), ErrorCode::kPoisoned);
  refuse = false;
  EXPECT_EQ(next(spec), 2);
}

TEST_F(SequencesTest, StateIsSavedAndRestored) {
  SequenceSpec spec{.block = 10};
  next(spec);
  const auto saved = sequences.save();
  sequences.restore({});
  EXPECT_EQ(next(spec), 1);
  sequences.restore(saved);
  EXPECT_EQ(next(spec), 11);
}

TEST_F(SequencesTest, ArbitraryBytesAreRefusedOrHarmless) {
  SequenceSpec spec;
  next(spec);
  SimRandom random(4);
  for (int i = 0; i < 20'000; ++i) {
    Record bad = log.front();
    bad[random.below(bad.size())] = static_cast<std::byte>(random.next());
    if (random.chance(1, 3)) bad.resize(random.below(bad.size() + 1));
    bad.shrink_to_fit();
    auto replayed = sequences.replay(bad);
    if (!replayed) {
      EXPECT_EQ(replayed.error().code(), ErrorCode::kCorrupt);
    }
  }
}

}  // namespace
}  // namespace bop::database
