// Power cuts through the whole stack: log, SQLite files and manifests on the simulated disk.
//
// One seed is one node with two or three lives. In each life random SQL transactions run on several databases
// while the log rotates and checkpoints run; at a random step, or inside a random call of the disk (an error,
// a failed sync, a full disk), everything stops and the power goes; sometimes only the process is killed, and
// the power goes in a later life. In a part of the seeds the next start is cut, too. A log that failed leaves
// what is committed readable. After every start:
//
//   * every commit that was acknowledged (its Csn released by the output gate) is there;
//   * what is there is a prefix of what was executed, and exactly its state: balances, their sum, the ledger;
//   * the pages match their checksums and SQLite's integrity check passes;
//   * no sequence hands out an acknowledged value again; databases that were created are there.
//
// BOP_SIM_SEEDS and BOP_SIM_SEED choose how many seeds run and the first of them; a failure prints its seed.
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>

#include "rowstore/sim_node.hpp"

namespace bop::rowstore {
namespace {

using testing::SimNode;
using testing::SimNodeOptions;

constexpr int kAccounts = 12;
constexpr Oid kSequence = 16500;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// What must be true of one database, kept outside of the node.
struct Model {
  std::vector<std::vector<std::int64_t>> balances;  // after transaction n; [0] = after the tables were made
  bool created = false;                             // its tables were committed (perhaps not acknowledged)
  bool acknowledged = false;                        // ... and acknowledged
  std::size_t acked = 0;                            // newest acknowledged transaction
  std::int64_t acked_value = 0;                     // highest acknowledged sequence value
};

// What all seeds of a part did together: a simulation that quietly does nothing proves nothing.
struct Totals {
  std::uint64_t commits = 0, acknowledged = 0, parts = 0, bases = 0, trims = 0, retreats = 0, kills = 0,
                faults = 0;
};

class Seed {
 public:
  Seed(std::uint64_t seed, Totals& totals)
      : totals_(totals), random_(seed * 7919), world_(seed), disk_(seed) {
    world_.attach(disk_);
    options_.segment_bytes = 256U << 10U;
    options_.rows.writer_cache_kib = random_.chance(1, 2) ? 60 : 1000;
    options_.rows.wal_limit = random_.chance(1, 3) ? 100'000 : 10'000'000;
    options_.rows.deltas = !random_.chance(1, 8);
  }
  ~Seed() {
    node_.reset();
    world_.detach(disk_);
  }

  void run() {
    const auto lives = 2 + random_.below(2);
    for (std::uint64_t life = 0; life < lives; ++life) {
      SCOPED_TRACE("life " + std::to_string(life) + what_happened_);
      ASSERT_NO_FATAL_FAILURE(start());
      ASSERT_NO_FATAL_FAILURE(check());
      ASSERT_NO_FATAL_FAILURE(live());
      stop();
    }
    SCOPED_TRACE("last start" + what_happened_);
    ASSERT_NO_FATAL_FAILURE(start());
    ASSERT_NO_FATAL_FAILURE(check());
  }

 private:
  void stop() {
    totals_.faults += disk_.faults_struck() != faults_before_ ? 1 : 0;
    totals_.trims += node_->group().first() > first_ ? 1 : 0;
    node_.reset();
    if (random_.chance(1, 4) && disk_.faults_struck() == faults_before_) {
      ++totals_.kills;
      what_happened_ += " kill";
      disk_.clear_faults();
      disk_.stall(0);
      return;
    }
    what_happened_ += disk_.faults_struck() != faults_before_ ? " fault+cut" : " cut";
    disk_.power_cut();
    disk_.clear_faults();
    disk_.stall(0);
  }

  void start() {
    while (random_.chance(1, 4)) {
      // The power goes while the node recovers.
      disk_.fail_call(1 + random_.below(120), SimFault::kIo, true);
      what_happened_ += " start-cut";
      auto cut = SimNode::start(world_, disk_, options_);
      if (cut && random_.chance(1, 2)) {
        for (int i = 0; i < 20; ++i) world_.run_one();
      }
      cut = fail(ErrorCode::kIo, "cut");
      disk_.power_cut();
      disk_.clear_faults();
    }
    auto started = SimNode::start(world_, disk_, options_);
    BOP_OK(started);
    node_ = std::move(*started);
    faults_before_ = disk_.faults_struck();
    first_ = node_->group().first();
    maintain_on_request();
    std::vector<database::DatabaseEntry> listed;
    if (!models_[1].created) {
      BOP_OK(node_->commit("CREATE TABLE IF NOT EXISTS listed(id INTEGER PRIMARY KEY)"));
    }
    auto ids = node_->read("SELECT group_concat(id) FROM listed");
    if (ids) {
      for (std::uint32_t id = 2; id <= 3; ++id) {
        if (ids->find(std::to_string(id)) != std::string::npos) listed.push_back({DatabaseId(id), "d"});
      }
    }
    BOP_OK(node_->databases().reconcile(listed));
  }

  void maintain_on_request() {
    node_->group().stream().on_maintenance([this] {
      node_->executor().post([this] { static_cast<void>(node_->group().stream().maintain()); });
    });
  }

  void check() {
    for (auto& [id, model] : models_) {
      SCOPED_TRACE("database " + std::to_string(id));
      if (!node_->database(id)) {
        ASSERT_FALSE(model.acknowledged) << "an acknowledged database is gone";
        model = {};
        continue;
      }
      BOP_OK(node_->rows(id).verify());
      ASSERT_EQ(node_->read("PRAGMA integrity_check", id).value_or("cannot be read"), "ok");
      auto tables = node_->read("SELECT count(*) FROM sqlite_schema WHERE name = 'ledger'", id);
      BOP_OK(tables);
      if (*tables == "0") {
        ASSERT_FALSE(model.acknowledged) << "acknowledged tables are gone";
        model = {};
        continue;
      }
      ASSERT_TRUE(model.created);
      auto newest = node_->read("SELECT count(*) || ' ' || coalesce(max(n), 0) FROM ledger", id);
      BOP_OK(newest);
      const std::size_t n = std::strtoull(newest->c_str(), nullptr, 10);
      ASSERT_EQ(*newest, std::to_string(n) + " " + std::to_string(n)) << "the ledger has a hole";
      ASSERT_GE(n, model.acked) << "acknowledged commits are lost";
      ASSERT_LT(n, model.balances.size());
      std::string expected;
      std::int64_t sum = 0;
      for (const auto balance : model.balances[n]) {
        expected += (expected.empty() ? "" : ",") + std::to_string(balance);
        sum += balance;
      }
      ASSERT_EQ(sum, kAccounts * 1000);
      ASSERT_EQ(node_->read("SELECT group_concat(b) FROM (SELECT b FROM account ORDER BY id)", id), expected)
          << "torn at transaction " << n;
      model.balances.resize(n + 1);
      model.acked = n;  // durable now, and shown
      model.acknowledged = true;
    }
  }

  // The Csn is released at once, later, or never.
  void when_acknowledged(Csn csn, std::move_only_function<void()> then) {
    auto both = std::make_shared<std::move_only_function<void()>>(std::move(then));
    const bool now = node_->databases().gate().when(csn, node_->executor(), [both](Status status) {
      if (status) (*both)();
    });
    if (now) (*both)();
  }

  bool create(std::uint32_t id) {
    if (id != 1) {
      auto listed = node_->commit("INSERT OR IGNORE INTO listed VALUES(" + std::to_string(id) + ")");
      if (!listed) return false;
      if (!node_->wait_durable()) return false;
      if (!node_->databases().create_database(DatabaseId(id), "d")) return false;
    }
    std::string rows;
    for (int i = 0; i < kAccounts; ++i)
      rows += std::string(i == 0 ? "" : ",") + "(" + std::to_string(i) + ",1000)";
    auto csn = node_->transact({"CREATE TABLE IF NOT EXISTS listed(id INTEGER PRIMARY KEY)",
                                "CREATE TABLE account(id INTEGER PRIMARY KEY, b)",
                                "CREATE TABLE ledger(n INTEGER PRIMARY KEY, note)",
                                "CREATE INDEX notes ON ledger(note)", "INSERT INTO account VALUES" + rows},
                               id);
    if (!csn) return false;
    models_[id].created = true;
    models_[id].balances.push_back(std::vector<std::int64_t>(kAccounts, 1000));
    when_acknowledged(*csn, [this, id] { models_[id].acknowledged = true; });
    return true;
  }

  bool transfer(std::uint32_t id) {
    Model& model = models_[id];
    auto balances = model.balances.back();
    const std::size_t n = model.balances.size();
    const auto from = random_.below(kAccounts);
    const auto to = random_.below(kAccounts);
    const auto amount = static_cast<std::int64_t>(random_.below(50));
    balances[from] -= amount;
    balances[to] += amount;
    const auto size = random_.chance(1, 6) ? random_.below(30000) : random_.below(200);
    std::vector<std::string> statements{
        "UPDATE account SET b = b - " + std::to_string(amount) + " WHERE id = " + std::to_string(from),
        "INSERT INTO ledger VALUES(" + std::to_string(n) + ", hex(randomblob(" + std::to_string(size) + ")))",
        "UPDATE account SET b = b + " + std::to_string(amount) + " WHERE id = " + std::to_string(to)};
    if (random_.chance(1, 6)) {
      statements.insert(
          statements.begin() + 1,
          {"SAVEPOINT s", "UPDATE ledger SET note = hex(randomblob(900))", "ROLLBACK TO s", "RELEASE s"});
    }
    if (random_.chance(1, 10)) statements.push_back("UPDATE ledger SET note = NULL WHERE n % 2 = 0");
    if (random_.chance(1, 10)) statements.push_back("DROP INDEX IF EXISTS notes");
    if (random_.chance(1, 10)) statements.push_back("CREATE INDEX IF NOT EXISTS notes ON ledger(note)");
    if (random_.chance(1, 8)) {
      // Executed and rolled back first: its frames are overwritten.
      auto writer = node_->rows(id).writer();
      if (!writer || !(*writer)->begin_write()) return false;
      static_cast<void>((*writer)->execute("UPDATE account SET b = -1"));
      static_cast<void>((*writer)->execute("UPDATE ledger SET note = hex(randomblob(1500))"));
      if (random_.chance(1, 2)) static_cast<void>(node_->rows(id).incremental_vacuum(**writer, 5));
      (*writer)->rollback();
    }
    const std::uint64_t bytes = node_->rows(id).numbers().record_bytes;
    auto csn = node_->transact(statements, id);
    if (!csn) return false;
    model.balances.push_back(std::move(balances));
    ++totals_.commits;
    totals_.parts +=
        node_->rows(id).numbers().record_bytes - bytes > node_->group().max_batch_bytes() / 2 ? 1 : 0;
    when_acknowledged(*csn, [this, id, n] {
      models_[id].acked = std::max(models_[id].acked, n);
      ++totals_.acknowledged;
    });
    return true;
  }

  bool draw(std::uint32_t id) {
    database::SequenceSpec spec;
    spec.block = static_cast<std::uint32_t>(1 + random_.below(5));
    auto value = node_->database(id)->sequences().nextval(kSequence, spec);
    if (!value) return false;
    EXPECT_GT(value->value, models_[id].acked_value) << "a value was handed out again";
    when_acknowledged(value->gate, [this, id, v = value->value] {
      models_[id].acked_value = std::max(models_[id].acked_value, v);
    });
    return true;
  }

  void live() {
    const auto actions = random_.below(45);
    if (random_.chance(1, 3)) {
      const SimFault faults[] = {SimFault::kIo, SimFault::kIo, SimFault::kFailedSync, SimFault::kDiskFull};
      const SimFault fault = faults[random_.below(4)];
      disk_.fail_call(1 + random_.below(fault == SimFault::kFailedSync ? 60 : 400), fault, true);
      what_happened_ += fault == SimFault::kIo ? " io" : fault == SimFault::kFailedSync ? " sync" : " full";
    }
    for (std::uint64_t i = 0; i < actions && !::testing::Test::HasFailure(); ++i) {
      const auto id = static_cast<std::uint32_t>(1 + random_.below(3));
      bool went_well = true;
      if (!models_[id].created || !node_->database(id)) {
        if (id != 1 && !models_[1].created) continue;
        went_well = node_->database(id) && id != 1 ? tables(id) : create(id);
      } else if (random_.chance(1, 10)) {
        node_->rows(id).checkpoint(node_->executor(), [this](Result<Lsn> base) {
          if (!base) return;
          ++totals_.bases;
          static_cast<void>(node_->databases().trim());
        });
      } else if (random_.chance(1, 6)) {
        went_well = draw(id);
      } else {
        went_well = transfer(id);
      }
      if (went_well && random_.chance(1, 4)) went_well = node_->wait_durable().has_value();
      if (!went_well) {  // the disk failed: the power goes now
        ASSERT_NE(disk_.faults_struck(), faults_before_) << "failed on a disk that did not";
        if (node_->databases().gate().has_failed()) go_on_reading();
        return;
      }
      for (auto steps = random_.below(30); steps > 0; --steps) world_.run_one();
    }
  }

  // Nothing can be written: what is committed is there, what ran ahead of the log is not.
  void go_on_reading() {
    disk_.clear_faults();
    const Error why = *node_->databases().gate().failure();
    node_->databases().retreat_all(why, node_->executor());
    for (int i = 0; i < 1000 && world_.run_one(); ++i) {
    }
    ++totals_.retreats;
    for (const auto& [id, model] : models_) {
      if (!model.acknowledged) continue;
      SCOPED_TRACE("database " + std::to_string(id) + " after a failed log");
      ASSERT_LE(node_->rows(id).tip(), node_->databases().gate().released());
      auto newest = node_->read("SELECT count(*) FROM ledger", id);
      if (!newest) {
        // The sync of the main file failed before: what it lost is told, never served.
        ASSERT_TRUE(node_->rows(id).failure().has_value()) << testing::text_of(newest.error());
        continue;
      }
      const std::size_t n = std::strtoull(newest->c_str(), nullptr, 10);
      ASSERT_GE(n, model.acked) << "acknowledged commits are not shown";
      ASSERT_LT(n, model.balances.size());
      std::string expected;
      for (const auto balance : model.balances[n])
        expected += (expected.empty() ? "" : ",") + std::to_string(balance);
      ASSERT_EQ(node_->read("SELECT group_concat(b) FROM (SELECT b FROM account ORDER BY id)", id), expected);
      ASSERT_FALSE(node_->commit("UPDATE account SET b = 0", id).has_value()) << "the log had failed";
    }
  }

  // The database was made, its tables were not.
  bool tables(std::uint32_t id) {
    std::string rows;
    for (int i = 0; i < kAccounts; ++i)
      rows += std::string(i == 0 ? "" : ",") + "(" + std::to_string(i) + ",1000)";
    auto csn = node_->transact({"CREATE TABLE account(id INTEGER PRIMARY KEY, b)",
                                "CREATE TABLE ledger(n INTEGER PRIMARY KEY, note)",
                                "CREATE INDEX notes ON ledger(note)", "INSERT INTO account VALUES" + rows},
                               id);
    if (!csn) return false;
    models_[id].created = true;
    models_[id].balances.assign(1, std::vector<std::int64_t>(kAccounts, 1000));
    when_acknowledged(*csn, [this, id] { models_[id].acknowledged = true; });
    return true;
  }

  Totals& totals_;
  std::string what_happened_;  // for a failure's trace
  std::uint64_t faults_before_ = 0;
  Lsn first_;
  SimRandom random_;
  SimScheduler world_;
  SimDisk disk_;
  SimNodeOptions options_;
  std::unique_ptr<SimNode> node_;
  std::map<std::uint32_t, Model> models_{{1, {}}, {2, {}}, {3, {}}};
};

// Four parts, so that ctest runs them side by side.
void run_part(std::uint64_t part) {
  const std::uint64_t first = from_environment("BOP_SIM_SEED", 1);
  const std::uint64_t seeds = from_environment("BOP_SIM_SEEDS", BOP_SIM_DEFAULT_SEEDS);
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t count = 0;
  Totals totals;
  for (std::uint64_t seed = first + part; seed < first + seeds; seed += 4) {
    SCOPED_TRACE("BOP_SIM_SEED=" + std::to_string(seed) + " BOP_SIM_SEEDS=1");
    Seed(seed, totals).run();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
    ++count;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::printf("seeds %llu..%llu step 4: %llu seeds, %.1f seeds/s\n",
              static_cast<unsigned long long>(first + part),
              static_cast<unsigned long long>(first + seeds - 1), static_cast<unsigned long long>(count),
              static_cast<double>(count) / took.count());
  std::printf(
      "commits %llu, acknowledged %llu, in parts %llu, bases %llu, lives with trims %llu, faults %llu, "
      "failed logs read %llu, kills without a power cut %llu\n",
      static_cast<unsigned long long>(totals.commits), static_cast<unsigned long long>(totals.acknowledged),
      static_cast<unsigned long long>(totals.parts), static_cast<unsigned long long>(totals.bases),
      static_cast<unsigned long long>(totals.trims), static_cast<unsigned long long>(totals.faults),
      static_cast<unsigned long long>(totals.retreats), static_cast<unsigned long long>(totals.kills));
  if (count < 200) return;
  EXPECT_GT(totals.commits, count * 10);
  EXPECT_GT(totals.acknowledged, count * 5);
  EXPECT_GT(totals.parts, count / 20);
  EXPECT_GT(totals.bases, count);
  EXPECT_GT(totals.trims, count / 20);
  EXPECT_GT(totals.faults, count / 20);
  EXPECT_GT(totals.retreats, count / 50);
  EXPECT_GT(totals.kills, count / 10);
}

TEST(PowerCut, PartOne) { run_part(0); }
TEST(PowerCut, PartTwo) { run_part(1); }
TEST(PowerCut, PartThree) { run_part(2); }
TEST(PowerCut, PartFour) { run_part(3); }

}  // namespace
}  // namespace bop::rowstore
