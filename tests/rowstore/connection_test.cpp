// Connections, snapshots, errors and limits over a simulated disk.
#include <thread>

#include "rowstore/sim_node.hpp"

namespace bop::rowstore {
namespace {

using testing::SimNode;
using testing::SimNodeOptions;

struct World {
  explicit World(SimNodeOptions options = {}) : world(1), disk(1) {
    world.attach(disk);
    auto started = SimNode::start(world, disk, options);
    EXPECT_TRUE(started.has_value()) << (started ? "" : testing::text_of(started.error()));
    if (started) node = std::move(*started);
  }
  ~World() {
    node.reset();
    world.detach(disk);
  }
  SimScheduler world;
  SimDisk disk;
  std::unique_ptr<SimNode> node;
};

TEST(Connection, ACommitIsReadByTheNextSnapshotWithItsCsn) {
  World w;
  BOP_OK(w.node->commit("CREATE TABLE t(a)"));
  auto csn = w.node->commit("INSERT INTO t VALUES(7)");
  BOP_OK(csn);
  auto reader = w.node->rows().try_borrow_reader();
  BOP_OK(reader);
  auto seen = (*reader)->begin_read();
  BOP_OK(seen);
  EXPECT_EQ(*seen, *csn);
  EXPECT_EQ(w.node->rows().tip(), *csn);
  (*reader)->rollback();
  EXPECT_EQ(w.node->read("SELECT a FROM t"), "7");
}

TEST(Connection, ASnapshotKeepsItsCsnWhileOthersCommit) {
  World w;
  BOP_OK(w.node->commit("CREATE TABLE t(a)"));
  auto first = w.node->commit("INSERT INTO t VALUES(1)");
  BOP_OK(first);
  auto reader = w.node->rows().try_borrow_reader();
  BOP_OK(reader);
  EXPECT_EQ((*reader)->begin_read(), *first);
  BOP_OK(w.node->commit("INSERT INTO t VALUES(2)"));
  auto count = (*reader)->prepare("SELECT count(*) FROM t");
  BOP_OK(count);
  ASSERT_EQ(sqlite3_step(count->get()), SQLITE_ROW);
  EXPECT_EQ(sqlite3_column_int(count->get(), 0), 1);
}

TEST(Connection, TheCsnOfAnEmptyWalIsTheRecoveredOne) {
  World w;
  auto reader = w.node->rows().try_borrow_reader();
  BOP_OK(reader);
  EXPECT_EQ((*reader)->begin_read(), w.node->rows().tip());
}

TEST(Connection, CsnsAreRightAcrossARestartOfTheWal) {
  World w;
  BOP_OK(w.node->commit("CREATE TABLE t(a)"));
  for (int round = 0; round < 5; ++round) {
    auto csn = w.node->commit("INSERT INTO t VALUES(1)");
    BOP_OK(csn);
    BOP_OK(w.node->checkpoint());  // everything is in the file: the next write restarts the WAL
    auto reader = w.node->rows().try_borrow_reader();
    BOP_OK(reader);
    EXPECT_EQ((*reader)->begin_read(), *csn);
    (*reader)->rollback();
    EXPECT_LE(w.node->rows().numbers().wal_frames, 4U);
  }
}

TEST(Connection, ATransactionWithoutChangesHasTheCsnOfItsSnapshotAndNoRecord) {
  World w;
  auto csn = w.node->commit("CREATE TABLE t(a)");
  BOP_OK(csn);
  const Lsn appended = w.node->group().appended();
  EXPECT_EQ(w.node->commit("SELECT 1"), *csn);
  EXPECT_EQ(w.node->group().appended(), appended);
}

TEST(Connection, ARolledBackTransactionLeavesNothing) {
  World w;
  BOP_OK(w.node->commit("CREATE TABLE t(a)"));
  auto writer = w.node->rows().writer();
  BOP_OK(writer);
  BOP_OK((*writer)->begin_write());
  BOP_OK((*writer)->execute("INSERT INTO t VALUES(1)"));
  (*writer)->rollback();
  EXPECT_EQ(w.node->read("SELECT count(*) FROM t"), "0");
}

TEST(Connection, ForeignKeysAreOnAndAFailedCommitRollsBack) {
  World w;
  BOP_OK(w.node->transact({"CREATE TABLE p(id INTEGER PRIMARY KEY)",
                           "CREATE TABLE c(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)"}));
  auto failed = w.node->commit("INSERT INTO c VALUES(5)");
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code(), ErrorCode::kForeignKeyViolation);
  EXPECT_EQ(w.node->read("SELECT count(*) FROM c"), "0");
  BOP_OK(w.node->commit("INSERT INTO p VALUES(5)"));
}

TEST(Connection, WhatWouldChangeTheFormatIsRefused) {
  World w;
  auto writer = w.node->rows().writer();
  BOP_OK(writer);
  for (const char* sql : {"ATTACH 'x' AS y", "PRAGMA journal_mode=DELETE", "PRAGMA locking_mode=EXCLUSIVE",
                          "PRAGMA page_size=8192", "PRAGMA wal_checkpoint", "PRAGMA foreign_keys=OFF",
                          "VACUUM", "PRAGMA temp_store_directory='/'"}) {
    EXPECT_FALSE((*writer)->execute(sql).has_value()) << sql;
  }
  BOP_OK((*writer)->execute("PRAGMA table_info(sqlite_schema)"));
}

TEST(Connection, AReaderCannotWrite) {
  World w;
  BOP_OK(w.node->commit("CREATE TABLE t(a)"));
  auto reader = w.node->rows().try_borrow_reader();
  BOP_OK(reader);
  BOP_OK((*reader)->begin_read());
  auto written = (*reader)->execute("INSERT INTO t VALUES(1)");
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().code(), ErrorCode::kReadOnlyTransaction);
}

TEST(Connection, TooLargeATransactionIsRefusedAndTheNextOneWorks) {
  SimNodeOptions options;
  options.rows.max_transaction_bytes = 1 << 20;
  options.rows.writer_cache_kib = 64;
  World w(options);
  BOP_OK(w.node->commit("CREATE TABLE t(a)"));
  auto large = w.node->commit("INSERT INTO t VALUES(randomblob(3000000))");
  ASSERT_FALSE(large.has_value());
  EXPECT_EQ(large.error().code(), ErrorCode::kTransactionTooLarge);
  BOP_OK(w.node->commit("INSERT INTO t VALUES(1)"));
  EXPECT_EQ(w.node->read("SELECT count(*) FROM t"), "1");
  EXPECT_EQ(w.node->read("PRAGMA integrity_check"), "ok");
}

TEST(Connection, ALogThatRefusesTheRecordRollsTheTransactionBack) {
  World w;
  BOP_OK(w.node->commit("CREATE TABLE t(a)"));
  BOP_OK(w.node->wait_durable());
  BOP_OK(w.node->group().close());
  auto refused = w.node->commit("INSERT INTO t VALUES(1)");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kAdminShutdown) << testing::text_of(refused.error());
  EXPECT_EQ(w.node->read("SELECT count(*) FROM t"), "0");
  EXPECT_FALSE(w.node->rows().discarded());
}

TEST(Connection, TheCommitHookRunsBeforeTheCommitIsVisible) {
  World w;
  BOP_OK(w.node->commit("CREATE TABLE t(a)"));
  auto writer = w.node->rows().writer();
  BOP_OK(writer);
  BOP_OK((*writer)->begin_write());
  BOP_OK((*writer)->execute("INSERT INTO t VALUES(1)"));
  Csn in_hook;
  (*writer)->on_commit([&](Csn csn) {
    in_hook = csn;
    EXPECT_EQ(w.node->read("SELECT count(*) FROM t"), "0");
    w.node->database()->publish_attachment(csn, std::make_shared<int>(42));
  });
  auto csn = (*writer)->commit();
  BOP_OK(csn);
  EXPECT_EQ(in_hook, *csn);
  EXPECT_EQ(w.node->read("SELECT count(*) FROM t"), "1");
  auto attached = w.node->database()->attachment_at(*csn);
  ASSERT_TRUE(attached);
  EXPECT_EQ(*static_cast<const int*>(attached.get()), 42);
  EXPECT_FALSE(w.node->database()->attachment_at(Csn(csn->value - 1)));
}

TEST(Connection, ProgressCanStopAStatementWithItsOwnError) {
  World w;
  auto writer = w.node->rows().writer();
  BOP_OK(writer);
  (*writer)->set_progress(1000, [] { return std::optional(error(ErrorCode::kCancelled, "enough")); });
  BOP_OK((*writer)->begin_write());
  auto stopped = (*writer)->execute(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 10000000) SELECT count(*) FROM n");
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().what(), "enough");
  (*writer)->rollback();
  (*writer)->set_progress(0, {});
  BOP_OK(w.node->commit("CREATE TABLE t(a)"));
}

TEST(Connection, TheWalAboveItsMemoryGoesToAScratchFile) {
  SimNodeOptions options;
  options.segment_bytes = 16U << 20U;
  options.rows.wal_memory = 1;  // one chunk of 256 frames
  options.rows.scratch_dir = "/data/tmp";
  options.rows.writer_cache_kib = 100;
  World w(options);
  BOP_OK(w.node->commit("CREATE TABLE t(a)"));
  BOP_OK(w.node->commit("INSERT INTO t VALUES(randomblob(4000000))"));
  BOP_OK(w.node->commit("INSERT INTO t VALUES(randomblob(4000))"));
  EXPECT_EQ(w.node->read("SELECT sum(length(a)) FROM t"), "4004000");
  EXPECT_EQ(w.node->read("PRAGMA integrity_check"), "ok");
  EXPECT_TRUE(w.disk.list("/data/tmp")->empty());
  BOP_OK(w.node->checkpoint());
  BOP_OK(w.node->rows().verify());
}

TEST(Connection, ReadersWaitInTurnForABoundedPool) {
  SimNodeOptions options;
  options.rows.max_readers = 2;
  World w(options);
  BOP_OK(w.node->commit("CREATE TABLE t(a)"));
  auto one = w.node->rows().try_borrow_reader();
  BOP_OK(one);
  auto two = w.node->rows().try_borrow_reader();
  BOP_OK(two);
  auto none = w.node->rows().try_borrow_reader();
  BOP_OK(none);
  EXPECT_FALSE(*none);
  std::vector<int> order;
  std::vector<ReaderLease> leases;
  for (int i = 0; i < 2; ++i) {
    w.node->rows().borrow_reader(w.node->executor(), {}, [&, i](Result<ReaderLease> lease) {
      ASSERT_TRUE(lease.has_value());
      order.push_back(i);
      leases.push_back(std::move(*lease));
    });
  }
  w.world.run_until_idle();
  EXPECT_TRUE(order.empty());
  *one = ReaderLease();
  *two = ReaderLease();
  w.world.run_until_idle();
  EXPECT_EQ(order, (std::vector{0, 1}));
  EXPECT_EQ(w.node->rows().numbers().readers_lent, 2U);
}

TEST(Connection, StatementsAreCachedByTheirText) {
  World w;
  BOP_OK(w.node->commit("CREATE TABLE t(a)"));
  auto writer = w.node->rows().writer();
  BOP_OK(writer);
  sqlite3_stmt* first = nullptr;
  {
    auto statement = (*writer)->prepare("INSERT INTO t VALUES(?)");
    BOP_OK(statement);
    first = statement->get();
    auto twin = (*writer)->prepare("INSERT INTO t VALUES(?)");
    BOP_OK(twin);
    EXPECT_NE(twin->get(), first);
    sqlite3_bind_int(first, 1, 5);
  }
  auto again = (*writer)->prepare("INSERT INTO t VALUES(?)");
  BOP_OK(again);
  BOP_OK((*writer)->begin_write());
  EXPECT_EQ(sqlite3_step(again->get()), SQLITE_DONE);
  BOP_OK((*writer)->commit());
  EXPECT_EQ(w.node->read("SELECT a IS NULL FROM t"), "1") << "bindings are cleared";
  EXPECT_FALSE((*writer)->prepare("SELECT nonsense FROM nowhere").has_value());
}

TEST(Connection, ReadersInOtherThreadsSeeWholeCommitsAndRightCsns) {
  World w;
  BOP_OK(w.node->transact(
      {"CREATE TABLE t(id INTEGER PRIMARY KEY, csn)", "CREATE TABLE twin(id INTEGER PRIMARY KEY)"}));
  std::atomic<bool> stop{false};
  std::atomic<int> reads{0};
  std::mutex mutex;
  std::map<Csn, int> rows_at;  // filled before the commit is visible
  rows_at[w.node->rows().tip()] = 0;
  auto reader_loop = [&] {
    while (!stop) {
      auto reader = w.node->rows().try_borrow_reader();
      ASSERT_TRUE(reader && *reader);
      auto csn = (*reader)->begin_read();
      ASSERT_TRUE(csn.has_value()) << testing::text_of(csn.error());
      auto count = (*reader)->prepare("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM twin)");
      ASSERT_TRUE(count.has_value());
      ASSERT_EQ(sqlite3_step(count->get()), SQLITE_ROW);
      const int n = sqlite3_column_int(count->get(), 0);
      EXPECT_EQ(n, sqlite3_column_int(count->get(), 1));
      std::lock_guard lock(mutex);
      ASSERT_TRUE(rows_at.contains(*csn)) << csn->value;
      EXPECT_EQ(rows_at[*csn], n);
      ++reads;
    }
  };
  std::thread a(reader_loop);
  std::thread b(reader_loop);
  for (int i = 1; i <= 2000 || reads < 200; ++i) {
    auto writer = w.node->rows().writer();
    ASSERT_TRUE(writer.has_value());
    ASSERT_TRUE((*writer)->begin_write().has_value());
    ASSERT_TRUE((*writer)->execute("INSERT INTO t(csn) VALUES(0)").has_value());
    ASSERT_TRUE((*writer)->execute("INSERT INTO twin DEFAULT VALUES").has_value());
    (*writer)->on_commit([&](Csn csn) {
      std::lock_guard lock(mutex);
      rows_at[csn] = i;
    });
    auto csn = (*writer)->commit();
    ASSERT_TRUE(csn.has_value()) << testing::text_of(csn.error());
    if (i % 300 == 0) BOP_OK(w.node->checkpoint());
  }
  stop = true;
  a.join();
  b.join();
}

}  // namespace
}  // namespace bop::rowstore
