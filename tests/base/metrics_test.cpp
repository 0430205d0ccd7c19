#include "base/metrics.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "base/log.hpp"
#include "base/sim.hpp"
#include "base/trace.hpp"

namespace bop {
namespace {

TEST(Latency, BucketsCoverEveryValueOnceWithinTheirError) {
  std::uint64_t begin = 0;
  for (std::size_t bucket = 0; bucket < Latency::kBuckets; ++bucket) {
    const std::uint64_t end = Latency::end_of(bucket);
    ASSERT_GT(end, begin);
    ASSERT_EQ(Latency::bucket_of(begin), bucket);
    ASSERT_EQ(Latency::bucket_of(end - 1), bucket);
    if (begin >= 16) {
      ASSERT_LE(static_cast<double>(end - begin) / static_cast<double>(begin), 0.0625);
    }
    begin = end;
  }
  EXPECT_GT(begin, 9ULL * 3600 * 1'000'000'000);
  EXPECT_EQ(Latency::bucket_of(~0ULL), Latency::kBuckets - 1);
}

TEST(Latency, QuantilesAreWithinOneBucket) {
  Latency latency;
  EXPECT_EQ(latency.quantile_ns(0.5), 0u);
  for (int i = 1; i <= 1000; ++i) latency.record(i * 1000);
  EXPECT_EQ(latency.count(), 1000u);
  EXPECT_EQ(latency.sum_ns(), 500'500'000u);
  for (const double quantile : {0.5, 0.9, 0.99, 1.0}) {
    EXPECT_NEAR(static_cast<double>(latency.quantile_ns(quantile)), quantile * 1e6, quantile * 1e6 * 0.07);
  }
  latency.record(-5);
  EXPECT_EQ(latency.quantile_ns(0), 1u);
}

TEST(Latency, ThreadsLoseNothing) {
  Latency latency;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) latency.record(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(latency.count(), 40'000u);
  EXPECT_EQ(latency.sum_ns(), 4u * 49'995'000u);
}

// Reads the exposition as Prometheus does: comments, then name{labels} value.
std::map<std::string, double> parse(const std::string& text) {
  std::map<std::string, double> out;
  std::set<std::string> types;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) {
      EXPECT_TRUE(types.insert(line.substr(7, line.find(' ', 7) - 7)).second) << line;
      continue;
    }
    if (line.starts_with("# HELP ")) continue;
    const std::size_t space = line.rfind(' ');
    EXPECT_TRUE(out.emplace(line.substr(0, space), std::stod(line.substr(space + 1))).second)
        << "twice: " << line;
  }
  return out;
}

TEST(Metrics, ExpositionHasEveryMetricOnceAndCumulativeBuckets) {
  Metrics all;
  all.commits_total.add(3);
  all.connections.set(-2);
  for (const std::int64_t ns : {500, 1023, 1024, 5000, 2'000'000'000}) all.stage_parse_seconds.record(ns);
  all.statement_seconds.record(100'000'000'000);
  const std::string text = all.exposition();
  auto values = parse(text);
  EXPECT_EQ(values["bop_commits_total"], 3);
  EXPECT_EQ(values["bop_connections"], -2);
  const std::string stage = "bop_statement_stage_seconds";
  EXPECT_EQ(values[stage + "_bucket{stage=\"parse\",le=\"1.024e-06\"}"], 2);
  EXPECT_EQ(values[stage + "_bucket{stage=\"parse\",le=\"2.048e-06\"}"], 3);
  EXPECT_EQ(values[stage + "_bucket{stage=\"parse\",le=\"8.192e-06\"}"], 4);
  EXPECT_EQ(values[stage + "_bucket{stage=\"parse\",le=\"+Inf\"}"], 5);
  EXPECT_EQ(values[stage + "_count{stage=\"parse\"}"], 5);
  EXPECT_NEAR(values[stage + "_sum{stage=\"parse\"}"], 2.000007547, 1e-9);
  EXPECT_EQ(values["bop_statement_seconds_bucket{le=\"17.179869184\"}"], 0);
  EXPECT_EQ(values["bop_statement_seconds_bucket{le=\"+Inf\"}"], 1);
  EXPECT_GT(values["bop_start_time_seconds"], 1'700'000'000);
  EXPECT_EQ(text.find("{}"), std::string::npos);
}

TEST(Metrics, CollectorsRunUntilTheirHandleEnds) {
  Metrics all;
  int runs = 0;
  auto handle = all.add_collector([&] { all.log_records_total.set(static_cast<std::uint64_t>(++runs)); });
  EXPECT_EQ(parse(all.exposition())["bop_log_records_total"], 1);
  EXPECT_EQ(parse(all.exposition())["bop_log_records_total"], 2);
  handle.reset();
  EXPECT_EQ(parse(all.exposition())["bop_log_records_total"], 2);
}

class Trace : public testing::Test {
 protected:
  void SetUp() override {
    redirect_log([this](std::string_view line) { lines_.emplace_back(line); });
    set_slow_statement_threshold(std::chrono::milliseconds(100));
  }
  void TearDown() override {
    redirect_log({});
    set_slow_statement_threshold(std::chrono::seconds(1));
  }
  SimClock clock_;
  std::vector<std::string> lines_;
};

TEST_F(Trace, TimeIsChargedToTheStageThatRuns) {
  const std::uint64_t parsed = metrics().stage_parse_seconds.count();
  const std::uint64_t durable = metrics().stage_durable_seconds.count();
  const std::uint64_t statements = metrics().statements_total.value();
  StatementTrace trace(clock_);
  EXPECT_LT(trace.id(), StatementTrace(clock_).id());
  clock_.advance(std::chrono::milliseconds(1));
  trace.enter(Stage::kParse);
  clock_.advance(std::chrono::milliseconds(2));
  trace.enter(Stage::kExecute);
  clock_.advance(std::chrono::milliseconds(3));
  trace.enter(Stage::kParse);
  clock_.advance(std::chrono::milliseconds(4));
  EXPECT_EQ(trace.spent_ns(Stage::kParse), 6'000'000);
  trace.finish("SELECT 1");
  EXPECT_EQ(trace.spent_ns(Stage::kWire), 1'000'000);
  EXPECT_EQ(trace.spent_ns(Stage::kParse), 6'000'000);
  EXPECT_EQ(trace.spent_ns(Stage::kDurable), 0);
  EXPECT_EQ(trace.total_ns(), 10'000'000);
  EXPECT_EQ(metrics().stage_parse_seconds.count(), parsed + 1);
  EXPECT_EQ(metrics().stage_durable_seconds.count(), durable);  // never entered
  EXPECT_EQ(metrics().statements_total.value(), statements + 1);
  EXPECT_TRUE(lines_.empty());
}

TEST_F(Trace, TheTimeOfACommitIsItsOwnAndThatOfTheLog) {
  const Latency& commits = metrics().commit_seconds;
  const std::uint64_t count = commits.count(), sum = commits.sum_ns();
  StatementTrace reader(clock_, Stage::kCommit);
  reader.enter(Stage::kDurable);
  clock_.advance(std::chrono::milliseconds(5));
  reader.finish("SELECT 1");  // it has waited for a commit of somebody else
  EXPECT_EQ(commits.count(), count);
  StatementTrace writer(clock_, Stage::kExecute);
  clock_.advance(std::chrono::milliseconds(1));
  writer.enter(Stage::kCommit);
  clock_.advance(std::chrono::milliseconds(2));
  writer.note_commit();
  writer.enter(Stage::kExecute);
  clock_.advance(std::chrono::milliseconds(4));
  writer.enter(Stage::kDurable);
  clock_.advance(std::chrono::milliseconds(8));
  writer.enter(Stage::kFlush);
  clock_.advance(std::chrono::milliseconds(16));
  writer.finish("INSERT INTO t VALUES (1)");
  EXPECT_EQ(commits.count(), count + 1);
  EXPECT_EQ(commits.sum_ns(), sum + 10'000'000);
}

TEST(ShownText, NothingOfAStatementThatNamesAPassword) {
  EXPECT_EQ(shown_text("SELECT 1", 100), "SELECT 1");
  EXPECT_EQ(shown_text("abc\xc3\xa4", 4), "abc");
  EXPECT_EQ(shown_text("ALTER ROLE a PassWord 'hush'", 100), "(not shown: it names a password)");
  EXPECT_EQ(shown_text("SELECT 12345678 PASSWORD", 8), "(not shown: it names a password)");
}

TEST_F(Trace, ASlowStatementIsLoggedWithItsStages) {
  const std::uint64_t failed = metrics().statement_errors_total.value();
  StatementTrace trace(clock_, Stage::kParse);
  trace.enter(Stage::kDurable);
  clock_.advance(std::chrono::milliseconds(250));
  const ErrorCode code = ErrorCode::kCancelled;
  trace.finish(std::string(999, 'x') + "\xc3\xa4 and more", &code);
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_NE(lines_[0].find("slow statement"), std::string::npos);
  EXPECT_NE(lines_[0].find("total_ms=250 wire_ms=0"), std::string::npos) << lines_[0];
  EXPECT_NE(lines_[0].find("durable_ms=250 flush_ms=0 sqlstate=57014 statement=xxx"), std::string::npos)
      << lines_[0];
  EXPECT_TRUE(lines_[0].ends_with("xx"));  // cut before the character that does not fit
  EXPECT_EQ(metrics().statement_errors_total.value(), failed + 1);

  set_slow_statement_threshold(std::chrono::nanoseconds(0));
  StatementTrace quiet(clock_);
  clock_.advance(std::chrono::hours(1));
  quiet.finish("SELECT 1");
  EXPECT_EQ(lines_.size(), 1u);
}

}  // namespace
}  // namespace bop
