// Commits that nobody waits for (volatile sessions), beside ones that somebody does, through power cuts: a
// volatile commit may be lost, is never half there, and takes no durable one with it; what comes back is a
// beginning of what was executed.
#include <array>

#include "rowstore/sim_node.hpp"

namespace bop::rowstore {
namespace {

using namespace std::chrono_literals;
using testing::SimNode;
using testing::SimNodeOptions;

constexpr std::array kPolicies{
    aof::FlushPolicy{.strategy = aof::FlushStrategy::kAsync},
    aof::FlushPolicy{.strategy = aof::FlushStrategy::kBatched, .records = 4},
    aof::FlushPolicy{.strategy = aof::FlushStrategy::kPeriodic, .interval = 20ms},
    aof::FlushPolicy{.strategy = aof::FlushStrategy::kBatchedOrPeriodic, .records = 4, .interval = 20ms}};

struct Totals {
  std::uint64_t durable = 0, volatile_ones = 0, lost = 0;
};

class Seed {
 public:
  Seed(std::uint64_t seed, Totals& totals)
      : totals_(totals), random_(seed * 104'729), world_(seed), disk_(seed) {
    world_.attach(disk_);
    options_.segment_bytes = 256U << 10U;
  }
  ~Seed() {
    node_.reset();
    world_.detach(disk_);
  }

  void run() {
    for (int life = 0; life < 3; ++life) {
      auto started = SimNode::start(world_, disk_, options_);
      BOP_OK(started);
      node_ = std::move(*started);
      node_->group().stream().on_maintenance([this] {
        node_->executor().post([this] { static_cast<void>(node_->group().stream().maintain()); });
      });
      if (life == 0) {
        BOP_OK(node_->transact(
            {"CREATE TABLE a(n INTEGER PRIMARY KEY, v)", "CREATE TABLE b(n INTEGER PRIMARY KEY, v)"}));
        BOP_OK(node_->wait_durable());
      }
      ASSERT_NO_FATAL_FAILURE(check());
      ASSERT_NO_FATAL_FAILURE(live());
      node_.reset();
      disk_.power_cut();
    }
    auto started = SimNode::start(world_, disk_, options_);
    BOP_OK(started);
    node_ = std::move(*started);
    ASSERT_NO_FATAL_FAILURE(check());
  }

 private:
  // Both tables hold 1 to n, each row as its transaction wrote it.
  void check() {
    BOP_OK(node_->rows().verify());
    std::string states[2];
    for (int i = 0; i < 2; ++i) {
      const std::string table = i == 0 ? "a" : "b";
      auto state = node_->read(
          "SELECT count(*) || ' ' || coalesce(max(n), 0) || ' ' || coalesce(sum(length(v)), 0) FROM " +
          table);
      BOP_OK(state);
      states[i] = *state;
    }
    ASSERT_EQ(states[0], states[1]) << "a transaction is half there";
    const std::uint64_t n = std::strtoull(states[0].c_str(), nullptr, 10);
    ASSERT_EQ(states[0].substr(0, states[0].rfind(' ')), std::to_string(n) + " " + std::to_string(n));
    ASSERT_GE(n, acknowledged_) << "a durable commit is lost";
    ASSERT_LE(n, executed_);
    totals_.lost += executed_ - n;
    executed_ = acknowledged_ = n;
  }

  void live() {
    for (auto left = random_.below(40); left > 0; --left) {
      const bool is_volatile = random_.chance(2, 3);
      const std::uint64_t size = random_.chance(1, 8) ? 100'000 : random_.below(500);
      const std::string row =
          "(" + std::to_string(executed_ + 1) + ", hex(zeroblob(" + std::to_string(size) + ")))";
      const auto flush = is_volatile ? kPolicies[random_.below(kPolicies.size())] : aof::FlushPolicy{};
      auto csn = node_->transact({"INSERT INTO a VALUES" + row, "INSERT INTO b VALUES" + row}, 1, flush);
      BOP_OK(csn);
      ++executed_;
      ++(is_volatile ? totals_.volatile_ones : totals_.durable);
      // Of a volatile one nobody is told when it is durable.
      if (!is_volatile) when_durable(*csn, executed_);
      if (random_.chance(1, 10)) read_durably();
      if (random_.chance(1, 12)) {
        node_->rows().checkpoint(node_->executor(), [this](const Result<Lsn>& base) {
          if (base) static_cast<void>(node_->databases().trim());
        });
      }
      for (auto steps = random_.below(12); steps > 0; --steps) world_.run_one();
    }
  }

  void when_durable(Csn csn, std::uint64_t n) {
    const auto told = [this, n] { acknowledged_ = std::max(acknowledged_, n); };
    const bool now = node_->databases().gate().when(csn, node_->executor(), [told](const Status& status) {
      if (status) told();
    });
    if (now) told();
  }

  // A session that is not volatile is shown what volatile ones wrote: the answer waits, not longer than a
  // write.
  void read_durably() {
    const std::uint64_t n = executed_;
    const Csn shown = node_->rows().tip();
    when_durable(shown, n);
    const std::int64_t before = world_.clock().steady_ns();
    ASSERT_TRUE(world_.run_until([&] { return acknowledged_ >= n; }));
    ASSERT_LT(world_.clock().steady_ns() - before, std::chrono::nanoseconds(20ms).count());
  }

  Totals& totals_;
  SimRandom random_;
  SimScheduler world_;
  SimDisk disk_;
  SimNodeOptions options_;
  std::unique_ptr<SimNode> node_;
  std::uint64_t executed_ = 0;
  std::uint64_t acknowledged_ = 0;
};

TEST(VolatileCommit, MayBeLostIsNeverHalfThereAndTakesNoDurableOneWithIt) {
  Totals totals;
  constexpr std::uint64_t kSeeds = 120;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Seed(seed, totals).run();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
  std::printf("durable commits %llu, volatile ones %llu, executed and lost %llu\n",
              static_cast<unsigned long long>(totals.durable),
              static_cast<unsigned long long>(totals.volatile_ones),
              static_cast<unsigned long long>(totals.lost));
  EXPECT_GT(totals.durable, kSeeds * 5);
  EXPECT_GT(totals.volatile_ones, kSeeds * 10);
  EXPECT_GT(totals.lost, kSeeds);
}

}  // namespace
}  // namespace bop::rowstore
