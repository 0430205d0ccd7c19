// Bases, markers, rewind and restarts by name.
#include "rowstore/sim_node.hpp"

namespace bop::rowstore {
namespace {

using testing::SimNode;
using testing::SimNodeOptions;

SimNodeOptions small_segments() {
  SimNodeOptions options;
  options.segment_bytes = 256U << 10U;
  return options;
}

class Recovery : public ::testing::Test {
 protected:
  Recovery() : world(7), disk(7) { world.attach(disk); }
  ~Recovery() override {
    node.reset();
    world.detach(disk);
  }
  void start(SimNodeOptions options = {}) {
    node.reset();
    auto started = SimNode::start(world, disk, options);
    ASSERT_TRUE(started.has_value()) << testing::text_of(started.error());
    node = std::move(*started);
  }
  void cut() {
    node.reset();
    disk.power_cut();
  }
  // Table t in database 1, table q in database 5, "quiet".
  void start_with_a_quiet_database(SimNodeOptions options) {
    start(options);
    BOP_OK(node->databases().create_database(DatabaseId(5), "quiet"));
    BOP_OK(node->commit("CREATE TABLE t(a)"));
    BOP_OK(node->commit("CREATE TABLE q(a)", 5));
  }
  // As the node does that finds the rows of `system`.
  void reconcile_with_the_quiet_database() {
    BOP_OK(node->databases().reconcile(std::vector{database::DatabaseEntry{DatabaseId(5), "quiet"}}));
  }
  void commit_many(int count, const std::string& sql) {
    for (int i = 0; i < count; ++i) BOP_OK(node->commit(sql));
  }
  // Rows of 2000 bytes into t, durable in twenties; with `between` after each hundred.
  void fill(int rows, const std::function<void()>& between = [] {}) {
    for (int i = 0; i < rows; ++i) {
      BOP_OK(node->commit("INSERT INTO t VALUES(randomblob(2000))"));
      if (i % 20 == 0) BOP_OK(node->wait_durable());
      if (i % 100 == 0) between();
    }
  }
  // What the node does each second, and all that follows from it.
  void settle() {
    node->databases().tick(node->executor());
    world.run_until_idle();
  }
  // `outcome` is set when it has ended.
  void begin_checkpoint(std::optional<Result<Lsn>>& outcome) {
    node->rows().checkpoint(node->executor(), [&](Result<Lsn> base) { outcome = std::move(base); });
  }
  SimScheduler world;
  SimDisk disk;
  std::unique_ptr<SimNode> node;
};

TEST_F(Recovery, DurableCommitsSurviveAPowerCutWithoutAnyCheckpoint) {
  start();
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  for (int i = 0; i < 50; ++i) BOP_OK(node->commit("INSERT INTO t VALUES(" + std::to_string(i) + ")"));
  BOP_OK(node->wait_durable());
  cut();
  start();
  EXPECT_EQ(node->read("SELECT count(*) || ',' || sum(a) FROM t"), "50,1225");
  EXPECT_EQ(node->read("PRAGMA integrity_check"), "ok");
  BOP_OK(node->rows().verify());
}

TEST_F(Recovery, ACheckpointMovesTheBaseAndTheLogIsOnlyReadAboveIt) {
  start();
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  BOP_OK(node->commit("INSERT INTO t VALUES(1)"));
  auto base = node->checkpoint();
  BOP_OK(base);
  EXPECT_EQ(*base, node->rows().base());
  EXPECT_GT(*base, Lsn(0));
  BOP_OK(node->commit("INSERT INTO t VALUES(2)"));
  BOP_OK(node->wait_durable());
  cut();
  start();
  EXPECT_EQ(node->rows().base(), *base);
  EXPECT_EQ(node->read("SELECT sum(a) FROM t"), "3");
}

TEST_F(Recovery, TheFirstRecordOfAPageAfterAMarkerIsAFullImage) {
  start();
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  BOP_OK(node->commit("INSERT INTO t VALUES(1)"));
  const auto before = node->rows().numbers();
  BOP_OK(node->commit("INSERT INTO t VALUES(2)"));
  const auto delta = node->rows().numbers();
  EXPECT_EQ(delta.full_pages, before.full_pages);
  EXPECT_GT(delta.delta_pages, before.delta_pages);
  BOP_OK(node->checkpoint());
  BOP_OK(node->commit("INSERT INTO t VALUES(3)"));
  const auto after = node->rows().numbers();
  EXPECT_GT(after.full_pages, delta.full_pages);
  EXPECT_EQ(after.delta_pages, delta.delta_pages);
}

TEST_F(Recovery, TheFirstRecordOfAPageAfterARestartIsAFullImage) {
  start();
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  BOP_OK(node->wait_durable());
  start();
  BOP_OK(node->commit("INSERT INTO t VALUES(1)"));
  EXPECT_EQ(node->rows().numbers().delta_pages, 0U);
}

TEST_F(Recovery, AReaderHoldsTheBaseBack) {
  start();
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  BOP_OK(node->checkpoint());
  BOP_OK(node->commit("INSERT INTO t VALUES(1)"));
  const Lsn before = node->rows().base();
  auto reader = node->rows().try_borrow_reader();
  BOP_OK(reader);
  BOP_OK((*reader)->begin_read());
  BOP_OK(node->commit("INSERT INTO t VALUES(2)"));
  auto held = node->checkpoint();
  BOP_OK(held);
  EXPECT_EQ(*held, before);
  *reader = ReaderLease();
  auto moved = node->checkpoint();
  BOP_OK(moved);
  EXPECT_GT(*moved, before);
  BOP_OK(node->commit("INSERT INTO t VALUES(3)"));
  BOP_OK(node->wait_durable());
  cut();
  start();
  EXPECT_EQ(node->read("SELECT sum(a) FROM t"), "6");
}

TEST_F(Recovery, NothingUncommittedReachesTheFile) {
  start();
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  BOP_OK(node->checkpoint());
  disk.stall(1'000'000);
  BOP_OK(node->commit("INSERT INTO t VALUES(1)"));
  std::optional<Result<Lsn>> outcome;
  begin_checkpoint(outcome);
  for (int i = 0; i < 1000; ++i) world.run_one();
  EXPECT_FALSE(outcome.has_value()) << "the checkpoint waits for the log";
  cut();
  start();
  EXPECT_EQ(node->read("SELECT count(*) FROM t"), "0");
}

TEST_F(Recovery, RotInTheMainFileIsNamedAndNeverServed) {
  start();
  BOP_OK(node->transact({"CREATE TABLE t(a)", "INSERT INTO t VALUES(zeroblob(20000))"}));
  BOP_OK(node->checkpoint());
  BOP_OK(node->wait_durable());
  start();  // a fresh instance reads from the file
  ASSERT_TRUE(disk.flip_bit("/data/db/1/rows.db", 4096 * 4 + 100, 3));
  auto verified = node->rows().verify();
  ASSERT_FALSE(verified.has_value());
  EXPECT_EQ(verified.error().code(), ErrorCode::kCorrupt);
  EXPECT_NE(verified.error().what().find("page 5"), std::string::npos) << verified.error().what();
  EXPECT_NE(verified.error().what().find("rows.db"), std::string::npos);
  auto read = node->read("SELECT sum(unicode(substr(CAST(a AS TEXT),1,1))), hex(a) FROM t");
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code(), ErrorCode::kCorrupt) << testing::text_of(read.error());
}

TEST_F(Recovery, RewindGoesBackToWhatIsCommitted) {
  start();
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  BOP_OK(node->commit("INSERT INTO t VALUES(1)"));
  BOP_OK(node->wait_durable());
  auto reader = node->rows().try_borrow_reader();
  BOP_OK(reader);
  node->rows().discard(error(ErrorCode::kOutcomeUnknown, "test"));
  EXPECT_EQ(node->commit("INSERT INTO t VALUES(2)").error().code(), ErrorCode::kOutcomeUnknown);
  EXPECT_EQ((*reader)->begin_read().error().code(), ErrorCode::kOutcomeUnknown);
  BOP_OK(node->rows().rewind());
  EXPECT_FALSE((*reader)->begin_read().has_value()) << "a connection of the discarded instance";
  *reader = ReaderLease();
  EXPECT_EQ(node->read("SELECT sum(a) FROM t"), "1");
  BOP_OK(node->commit("INSERT INTO t VALUES(4)"));
  BOP_OK(node->wait_durable());
  cut();
  start();
  EXPECT_EQ(node->read("SELECT sum(a) FROM t"), "5");
}

TEST_F(Recovery, AfterAFailedLogWriteARetreatLeavesWhatIsCommittedReadable) {
  start();
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  BOP_OK(node->commit("INSERT INTO t VALUES(1)"));
  BOP_OK(node->wait_durable());
  disk.fail_call(1, SimFault::kIo, true);
  BOP_OK(node->commit("INSERT INTO t VALUES(2)"));
  EXPECT_FALSE(node->wait_durable().has_value());
  disk.clear_faults();
  ASSERT_TRUE(node->databases().gate().failure().has_value());
  EXPECT_EQ(node->read("SELECT sum(a) FROM t"), "3")
      << "runs ahead of the log: the gate holds such answers back";
  node->databases().retreat_all(error(ErrorCode::kPoisoned, "test"), node->executor());
  std::optional<Result<ReaderLease>> lent;
  node->rows().borrow_reader(node->executor(), {},
                             [&](Result<ReaderLease> lease) { lent = std::move(lease); });
  while (world.run_one()) {
  }
  EXPECT_LE(node->rows().tip(), node->databases().gate().released());
  ASSERT_TRUE(lent.has_value()) << "waited for the retreat";
  BOP_OK(*lent);
  lent.reset();
  EXPECT_EQ(node->read("SELECT sum(a) FROM t"), "1");
  auto refused = node->commit("INSERT INTO t VALUES(4)");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kPoisoned) << testing::text_of(refused.error());
  EXPECT_EQ(node->read("SELECT sum(a) FROM t"), "1");
}

TEST_F(Recovery, ARetreatKeepsWhatACheckpointBroughtIntoTheFile) {
  start();
  BOP_OK(node->commit("CREATE TABLE t(a, b)"));
  commit_many(300, "INSERT INTO t VALUES(1, zeroblob(3000))");
  BOP_OK(node->checkpoint());
  commit_many(300, "INSERT INTO t VALUES(1, zeroblob(3000))");
  BOP_OK(node->wait_durable());
  disk.fail_call(1, SimFault::kIo, true);
  commit_many(20, "UPDATE t SET a = 2 WHERE rowid % 10 = 0");
  EXPECT_FALSE(node->wait_durable().has_value());
  disk.clear_faults();
  node->databases().retreat_all(error(ErrorCode::kPoisoned, "test"), node->executor());
  while (world.run_one()) {
  }
  EXPECT_EQ(node->read("SELECT count(*) || ',' || sum(a) FROM t"), "600,600");
  EXPECT_EQ(node->read("PRAGMA integrity_check"), "ok");
  start();
  EXPECT_EQ(node->read("SELECT count(*) || ',' || sum(a) FROM t"), "600,600");
}

TEST_F(Recovery, AfterAFailedSyncOfTheFileReadersTakeItsPagesFromTheWalAndNothingIsWritten) {
  start();
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  BOP_OK(node->commit("INSERT INTO t VALUES(1)"));
  BOP_OK(node->wait_durable());
  disk.fail_call(1, SimFault::kFailedSync);
  auto refused = node->checkpoint();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kPoisoned) << testing::text_of(refused.error());
  // What the file holds now is unknown: here, that it lost what was not synced.
  disk.clear_faults();
  ASSERT_TRUE(disk.flip_bit("/data/db/1/rows.db", 4096 + 100, 3));
  EXPECT_EQ(node->read("SELECT sum(a) FROM t"), "1");
  auto write = node->commit("INSERT INTO t VALUES(2)");
  ASSERT_FALSE(write.has_value());
  EXPECT_EQ(write.error().code(), ErrorCode::kPoisoned);
  EXPECT_TRUE(node->databases().failure().has_value());
  start();
  EXPECT_EQ(node->read("SELECT sum(a) FROM t"), "1");
}

TEST_F(Recovery, ATransactionLargerThanWhatMayWaitForTheLogCommits) {
  SimNodeOptions options;
  options.segment_bytes = 4U << 20U;
  options.max_unacknowledged = 1U << 20U;  // four times this is the log's hard limit
  start(options);
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  std::vector<std::string> statements(12, "INSERT INTO t VALUES(randomblob(1000000))");
  BOP_OK(node->transact(statements));
  BOP_OK(node->commit("INSERT INTO t VALUES(x'01')"));
  BOP_OK(node->wait_durable());
  cut();
  start(options);
  EXPECT_EQ(node->read("SELECT count(*) || ',' || sum(length(a)) FROM t"), "13,12000001");
}

TEST_F(Recovery, SequencesContinueAboveWhatWasHandedOut) {
  start();
  database::SequenceSpec spec;
  spec.block = 4;
  std::int64_t last = 0;
  for (int i = 0; i < 6; ++i) {
    auto value = node->database()->sequences().nextval(16400, spec);
    BOP_OK(value);
    EXPECT_GT(value->value, last);
    last = value->value;
    if (i == 2) BOP_OK(node->checkpoint());
  }
  BOP_OK(node->wait_durable());
  cut();
  start();
  auto value = node->database()->sequences().nextval(16400, spec);
  BOP_OK(value);
  EXPECT_GT(value->value, last);
  BOP_OK(node->database()->sequences().setval(16400, spec, 3, false));
  BOP_OK(node->wait_durable());
  cut();
  start();
  EXPECT_EQ(node->database()->sequences().nextval(16400, spec)->value, 3);
}

TEST_F(Recovery, AListedDatabaseWithoutFilesIsMadeAnewFromTheLog) {
  start();
  BOP_OK(node->databases().create_database(DatabaseId(5), "shop"));
  BOP_OK(node->commit("CREATE TABLE t(a)", 5));
  BOP_OK(node->commit("INSERT INTO t VALUES(9)", 5));
  BOP_OK(node->wait_durable());
  node.reset();
  for (const char* file : {"rows.db", "manifest.0", "manifest.1"}) {
    static_cast<void>(disk.remove(std::string("/data/db/5/") + file));
  }
  BOP_OK(disk.remove("/data/db/5"));
  start();
  EXPECT_EQ(node->database(5), nullptr);
  const database::DatabaseEntry listed[] = {{DatabaseId(5), "shop"}};
  BOP_OK(node->databases().reconcile(listed));
  ASSERT_NE(node->databases().find("shop"), nullptr);
  EXPECT_EQ(node->read("SELECT a FROM t", 5), "9");
}

TEST_F(Recovery, AnUnlistedDirectoryIsRemovedAndADroppedDatabaseSaysSo) {
  start();
  BOP_OK(node->databases().create_database(DatabaseId(5), "shop"));
  BOP_OK(node->databases().create_database(DatabaseId(6), "bank"));
  auto shop = node->database(5);
  BOP_OK(node->databases().drop_database(DatabaseId(5)));
  EXPECT_TRUE(shop->dropped());
  EXPECT_FALSE(*disk.exists("/data/db/5"));
  start();
  ASSERT_NE(node->database(6), nullptr);
  BOP_OK(node->databases().reconcile({}));
  EXPECT_EQ(node->database(6), nullptr);
  EXPECT_FALSE(*disk.exists("/data/db/6"));
}

TEST_F(Recovery, TheLogIsTrimmedBelowTheBasesAndEverythingIsStillThere) {
  start_with_a_quiet_database(small_segments());
  fill(400);
  BOP_OK(node->checkpoint_all());
  EXPECT_GT(node->group().first(), Lsn(10));
  BOP_OK(node->commit("INSERT INTO q VALUES(1)", 5));
  BOP_OK(node->wait_durable());
  cut();
  start(small_segments());
  EXPECT_EQ(node->read("SELECT count(*) FROM t"), "400");
  EXPECT_EQ(node->read("SELECT count(*) FROM q", 5), "1");
}

// What a start reads does not depend on when a database that nobody writes to was last checkpointed.
TEST_F(Recovery, AStartReadsNothingForDatabasesThatAreUpToDate) {
  start_with_a_quiet_database(small_segments());
  BOP_OK(node->checkpoint_all());
  fill(400);
  BOP_OK(node->checkpoint());
  BOP_OK(node->commit("INSERT INTO t VALUES(1)"));
  BOP_OK(node->wait_durable());
  cut();
  auto names = disk.list("/data/log");
  BOP_OK(names);
  std::ranges::sort(*names);
  std::erase_if(*names, [](const std::string& name) { return !name.ends_with(".log"); });
  ASSERT_GT(names->size(), 3U);
  ASSERT_TRUE(disk.break_sector("/data/log/" + (*names)[1], 128U << 10U));
  start(small_segments());
  reconcile_with_the_quiet_database();
  EXPECT_EQ(node->read("SELECT count(*) FROM t"), "401");
  EXPECT_EQ(node->read("SELECT count(*) FROM q", 5), "0");
}

TEST_F(Recovery, ADatabaseThatRestsIsBroughtUpToDateBeforeMuchLogLiesAboveItsBase) {
  start_with_a_quiet_database(small_segments());
  const Lsn before = node->rows(5).base();
  std::uint64_t bytes = 0;
  while (node->rows(5).base() == before && bytes < (96U << 20U)) {
    BOP_OK(node->commit("INSERT INTO t VALUES(randomblob(500000))"));
    bytes += 500'000;
    BOP_OK(node->wait_durable());
    settle();
  }
  EXPECT_GT(bytes, 60U << 20U);
  EXPECT_LT(bytes, 72U << 20U);
}

TEST_F(Recovery, AnIdleDatabaseDoesNotHoldTheLogAndALongLogStartsCheckpoints) {
  SimNodeOptions options = small_segments();
  options.log_limit = 1U << 20U;
  start_with_a_quiet_database(options);
  fill(4000, [&] { settle(); });
  settle();
  EXPECT_LE(node->group().retained_bytes(), 3U << 20U)
      << "base of the quiet one " << node->rows(5).base().value;
  BOP_OK(node->commit("INSERT INTO q VALUES(1)", 5));
  BOP_OK(node->wait_durable());
  cut();
  start(options);
  reconcile_with_the_quiet_database();
  EXPECT_EQ(node->read("SELECT count(*) FROM t"), "4000");
  EXPECT_EQ(node->read("SELECT count(*) FROM q", 5), "1");
}

TEST_F(Recovery, ABaseWaitsForTheCommitsWhosePagesTheBackfillLeftOut) {
  start();
  BOP_OK(node->commit("CREATE TABLE t(a INTEGER PRIMARY KEY, b)"));
  commit_many(40, "INSERT INTO t(b) VALUES(zeroblob(500))");
  BOP_OK(node->checkpoint());
  BOP_OK(node->commit("UPDATE t SET b = randomblob(900)"));  // moves cells between pages
  BOP_OK(node->wait_durable());
  std::optional<Result<Lsn>> outcome;
  const Lsn before = node->group().appended();
  begin_checkpoint(outcome);
  ASSERT_TRUE(world.run_until([&] { return node->group().appended() > before; }));  // the marker
  const Lsn marker = node->group().appended();
  BOP_OK(node->commit("UPDATE t SET b = randomblob(100)"));  // SQLite leaves its pages out of the backfill
  ASSERT_TRUE(world.run_until([&] { return node->databases().gate().released() >= marker; }));
  ASSERT_EQ(node->databases().gate().released(), marker);
  disk.stall(1'000'000);
  for (int i = 0; i < 1000; ++i) world.run_one();
  EXPECT_FALSE(outcome.has_value());
  cut();
  start();
  EXPECT_EQ(node->read("PRAGMA integrity_check"), "ok");
  EXPECT_EQ(node->read("SELECT count(*) || ',' || sum(length(b)) FROM t"), "40,36000");
}

TEST_F(Recovery, ARemovalThatIsCutAnywhereIsFinishedByTheNextStart) {
  start();
  for (std::uint64_t call = 1; call <= 24; ++call) {
    SCOPED_TRACE(call);
    const auto id = static_cast<std::uint32_t>(100 + call);  // ids are never used again
    BOP_OK(node->databases().create_database(DatabaseId(id), "short"));
    BOP_OK(node->commit("CREATE TABLE q(a)", id));
    BOP_OK(node->checkpoint(id));
    BOP_OK(node->commit("INSERT INTO q VALUES(1)", id));
    BOP_OK(node->wait_durable());
    disk.fail_call(call, SimFault::kIo, true);
    static_cast<void>(node->databases().drop_database(DatabaseId(id)));
    cut();
    disk.clear_faults();
    start();
    BOP_OK(node->databases().reconcile({}));
    EXPECT_EQ(node->database(id), nullptr);
    auto left = disk.exists("/data/db/" + std::to_string(id));
    BOP_OK(left);
    EXPECT_FALSE(*left);
  }
}

TEST_F(Recovery, ADatabaseIsRemovedFromAFullDisk) {
  start();
  BOP_OK(node->databases().create_database(DatabaseId(5), "shop"));
  BOP_OK(node->commit("CREATE TABLE q(a)", 5));
  BOP_OK(node->checkpoint(5));
  disk.set_capacity(disk.used_bytes());
  BOP_OK(node->databases().drop_database(DatabaseId(5)));
  auto left = disk.exists("/data/db/5");
  BOP_OK(left);
  EXPECT_FALSE(*left);
}

TEST_F(Recovery, ATransactionWhosePagesWouldNotFitIsRefusedAndTheNodeStartsAgain) {
  SimNodeOptions options;
  options.segment_bytes = 8U << 20U;
  start(options);
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  BOP_OK(node->checkpoint());
  BOP_OK(node->commit("INSERT INTO t VALUES(1)"));
  BOP_OK(node->wait_durable());
  disk.set_capacity(disk.used_bytes() + (1U << 20U));
  auto full = node->commit("INSERT INTO t VALUES(zeroblob(1 << 21))");
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code(), ErrorCode::kDiskFull) << testing::text_of(full.error());
  EXPECT_LT(node->rows().growth_bytes(), 2U << 20U) << "nothing is kept for what was refused";
  const Lsn base = node->rows().base();
  settle();
  EXPECT_GT(node->rows().base(), base) << "a checkpoint may free some of the log";
  std::uint64_t taken = 1;
  while (node->commit("INSERT INTO t VALUES(zeroblob(10000))")) ++taken;
  EXPECT_GT(taken, 50U);
  BOP_OK(node->wait_durable());
  cut();
  start(options);
  EXPECT_EQ(node->read("SELECT count(*) FROM t"), std::to_string(taken));
  BOP_OK(node->checkpoint());
  disk.set_capacity(0);
  start(options);
  BOP_OK(node->commit("INSERT INTO t VALUES(zeroblob(1 << 21))"));
}

TEST_F(Recovery, AStartTakesNoRoomForTheLogThatTheFilesHaveBeenPromised) {
  const SimNodeOptions options = small_segments();
  start(options);
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  BOP_OK(node->checkpoint());
  commit_many(12, "INSERT INTO t VALUES(randomblob(100000))");
  BOP_OK(node->wait_durable());
  disk.set_capacity(disk.used_bytes() + (3U << 19U));  // for the rows, not for more segments beside them
  for (int crash = 0; crash < 4; ++crash) {
    SCOPED_TRACE(crash);
    cut();
    disk.fail_path("/data/db/1/rows.db", SimFault::kIo);  // a start that has seen the log, and dies
    EXPECT_FALSE(SimNode::start(world, disk, options).has_value());
    disk.clear_faults();
    disk.power_cut();
    start(options);
    ASSERT_FALSE(HasFatalFailure());
    EXPECT_EQ(node->read("SELECT count(*) || ' ' || sum(length(a)) FROM t"), "12 1200000");
  }
  disk.set_capacity(disk.used_bytes() + 4096);
  const auto refused = node->databases().create_database(DatabaseId(9), "no room");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kDiskFull);
  disk.set_capacity(0);
  for (int second = 0; second < 3; ++second) {
    BOP_OK(node->group().stream().maintain());
    settle();
  }
  BOP_OK(node->commit("INSERT INTO t VALUES(randomblob(100000))"));
  BOP_OK(node->wait_durable());
}

TEST_F(Recovery, ACheckpointWithoutRoomFailsAndTheNextWithRoomSucceeds) {
  start();
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  BOP_OK(node->checkpoint());
  const Lsn base = node->rows().base();
  BOP_OK(node->commit("INSERT INTO t VALUES(randomblob(100000))"));
  BOP_OK(node->wait_durable());
  disk.set_capacity(disk.used_bytes());
  for (int i = 0; i < 3; ++i) {
    auto full = node->checkpoint();
    ASSERT_FALSE(full.has_value());
    EXPECT_EQ(full.error().code(), ErrorCode::kDiskFull) << testing::text_of(full.error());
    EXPECT_EQ(node->rows().base(), base);
    EXPECT_EQ(node->read("SELECT length(a) FROM t"), "100000");
    EXPECT_FALSE(node->rows().failure().has_value());
  }
  BOP_OK(node->commit("INSERT INTO t VALUES(randomblob(10))"));  // the segment is there
  BOP_OK(node->wait_durable());
  disk.set_capacity(0);
  auto done = node->checkpoint();
  BOP_OK(done);
  EXPECT_GT(*done, base);
  cut();
  start();
  EXPECT_EQ(node->read("SELECT sum(length(a)) FROM t"), "100010");
}

TEST_F(Recovery, AFullWalIsEmptiedUnderTheWriterLane) {
  SimNodeOptions options;
  options.rows.wal_limit = 200'000;
  start(options);
  BOP_OK(node->commit("CREATE TABLE t(a)"));
  while (!node->rows().wal_full()) BOP_OK(node->commit("INSERT INTO t VALUES(randomblob(3000))"));
  database::LaneRequest request{.session = 1, .description = "a transaction"};
  auto entered = node->database()->lane().enter(std::move(request), node->executor(), [](Status) {});
  ASSERT_TRUE(entered.granted);
  std::optional<Result<Lsn>> outcome;
  begin_checkpoint(outcome);
  world.run_until_idle();
  EXPECT_FALSE(outcome.has_value()) << "it waits for its turn";
  node->database()->lane().leave(entered.ticket);
  ASSERT_TRUE(world.run_until([&] { return outcome.has_value(); }));
  BOP_OK(*outcome);
  EXPECT_FALSE(node->database()->lane().held());
  BOP_OK(node->commit("INSERT INTO t VALUES(1)"));
  EXPECT_LT(node->rows().numbers().wal_frames, 10U);
  EXPECT_FALSE(node->rows().wal_full());
}

}  // namespace
}  // namespace bop::rowstore
