#include "server/recent_activity.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"

namespace bop::server {
namespace {

class RecentActivityTest : public testing::Test {
 protected:
  void pass(std::chrono::milliseconds time) {
    clock_.advance(time);
    recent_.look();
  }
  SimClock clock_;
  RecentActivity::Counts counts_;
  Latency statements_, commits_;
  RecentActivity recent_{
      clock_, [this] { return counts_; },
      [this] { return RecentActivity::Latencies{statements_.counts(), commits_.counts()}; }};
};

TEST_F(RecentActivityTest, RatesAreASecondWhateverTheTimeBetween) {
  counts_.statements = 1000;
  recent_.look();
  EXPECT_TRUE(recent_.samples_after(0).empty()) << "one moment has no rate";
  counts_.statements += 50;
  counts_.commits += 5;
  pass(std::chrono::milliseconds(500));
  counts_.errors += 30;
  pass(std::chrono::milliseconds(3000));
  const auto samples = recent_.samples_after(0);
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_DOUBLE_EQ(samples[0].statements, 100);
  EXPECT_DOUBLE_EQ(samples[0].commits, 10);
  EXPECT_DOUBLE_EQ(samples[1].statements, 0);
  EXPECT_DOUBLE_EQ(samples[1].errors, 10);
  EXPECT_EQ(samples[1].wall_ms - samples[0].wall_ms, 3000);
  EXPECT_EQ(recent_.newest(), 2u);
  EXPECT_EQ(recent_.samples_after(1).size(), 1u);
  EXPECT_TRUE(recent_.samples_after(2).empty());
}

TEST_F(RecentActivityTest, FiveMinutesAreKept) {
  recent_.look();
  for (int i = 0; i < 1000; ++i) {
    ++counts_.commits;
    ++counts_.checkpoint_failures;
    pass(std::chrono::seconds(1));
  }
  const auto samples = recent_.samples_after(0);
  ASSERT_EQ(samples.size(), RecentActivity::kSamples);
  EXPECT_EQ(samples.front().number, 701u);
  EXPECT_EQ(samples.back().number, 1000u);
  EXPECT_EQ(recent_.samples_after(990).size(), 10u);
  EXPECT_EQ(recent_.grown().commits, RecentActivity::kSamples);
  EXPECT_EQ(recent_.grown().checkpoint_failures, RecentActivity::kSamples);
  EXPECT_EQ(recent_.grown().statements, 0u);
}

TEST_F(RecentActivityTest, TheMinuteForgetsWhatIsOlder) {
  statements_.record(5);
  recent_.look();
  EXPECT_EQ(recent_.minute().latencies.statements.count(), 0u) << "was before";
  for (int second = 1; second <= 200; ++second) {
    if (second <= 100) statements_.record(1'000'000);
    commits_.record(7'000);
    pass(std::chrono::seconds(1));
    const auto minute = recent_.minute();
    EXPECT_GT(minute.seconds, std::min(second, 60) - 0.5);
    EXPECT_LT(minute.seconds, std::min(second, 70) + 0.5);
    EXPECT_EQ(minute.latencies.commits.count(), static_cast<std::uint64_t>(minute.seconds + 0.5));
  }
  EXPECT_EQ(recent_.minute().latencies.statements.count(), 0u);
  EXPECT_EQ(recent_.minute().latencies.commits.quantile_ns(0.5), commits_.quantile_ns(0.5));
  EXPECT_EQ(recent_.minute().latencies.commits.sum_ns, recent_.minute().latencies.commits.count() * 7'000);
}

}  // namespace
}  // namespace bop::server
