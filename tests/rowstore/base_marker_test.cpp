// The cases in which a base and the records above it have to make a page good, by name.
#include <array>
#include <functional>
#include <map>
#include <set>

#include "aof/reader.hpp"
#include "rowstore/page_delta.hpp"
#include "rowstore/page_file.hpp"
#include "rowstore/page_source.hpp"
#include "rowstore/sim_node.hpp"

namespace bop::rowstore {
namespace {

using testing::SimNode;
using testing::SimNodeOptions;
using testing::text_of;

constexpr const char* kFile = "/data/db/1/rows.db";

struct World {
  explicit World(std::uint64_t seed = 7) : world(seed), disk(seed) { world.attach(disk); }
  ~World() {
    node.reset();
    world.detach(disk);
  }
  void start(SimNodeOptions options = {}) {
    node.reset();
    auto started = SimNode::start(world, disk, std::move(options));
    ASSERT_TRUE(started.has_value()) << text_of(started.error());
    node = std::move(*started);
  }
  void cut() {
    node.reset();
    disk.power_cut();
  }
  void kill() {
    node.reset();
    disk.process_kill();
  }
  std::string state() {
    auto text = node->read(
        "SELECT count(*) || ' ' || total(length(b)) || ' ' || hex(group_concat(substr(b, 1, 3))) FROM t");
    EXPECT_TRUE(text.has_value()) << text_of(text.error());
    EXPECT_EQ(node->read("PRAGMA integrity_check"), "ok");
    const Status verified = node->rows().verify();
    EXPECT_TRUE(verified.has_value()) << text_of(verified.error());
    return text.value_or("cannot be read");
  }
  // Pages that have a record above the base.
  std::set<std::uint32_t> pages_above_base() {
    std::set<std::uint32_t> pages;
    auto reader = node->group().read_from(node->rows().base().next(), DatabaseId(1));
    EXPECT_TRUE(reader.has_value());
    for (auto record = (*reader)->next(); record && *record; record = (*reader)->next()) {
      if ((*record)->kind != database::RecordKind::kRowCommit &&
          (*record)->kind != database::RecordKind::kRowPart)
        continue;
      auto parsed = parse_row_record((*record)->kind, (*record)->payload);
      EXPECT_TRUE(parsed.has_value());
      for (const PageEntry& entry : parsed->pages) pages.insert(entry.page.value);
    }
    return pages;
  }
  SimScheduler world;
  SimDisk disk;
  std::unique_ptr<SimNode> node;
};

// Half of the page is what a checkpoint was writing when the power went, half is what was there before.
void tear(SimDisk& disk, std::uint32_t page) {
  auto file = disk.open(kFile, OpenMode::kReadWrite);
  BOP_OK(file);
  std::vector<std::byte> half(kPageBytes / 2, std::byte{0x5a});
  BOP_OK((*file)->write_at(ByteOffset((page - 1) * std::uint64_t{kPageBytes}), half));
  BOP_OK((*file)->sync());
}

// A base, then each page in full, then deltas of it.
void make_deltas_above_a_base(World& w) {
  SimNodeOptions options;
  options.rows.reader_cache_kib = 40;  // what is read is read from WAL and file
  ASSERT_NO_FATAL_FAILURE(w.start(options));
  BOP_OK(w.node->commit("CREATE TABLE t(a INTEGER PRIMARY KEY, b)"));
  for (int i = 0; i < 200; ++i) BOP_OK(w.node->commit("INSERT INTO t(b) VALUES(randomblob(700))"));
  BOP_OK(w.node->checkpoint());
  BOP_OK(w.node->commit("UPDATE t SET b = randomblob(690) WHERE a BETWEEN 10 AND 60"));
  const auto before = w.node->rows().numbers();
  for (int i = 0; i < 5; ++i) BOP_OK(w.node->commit("UPDATE t SET b = randomblob(690) WHERE a = 12"));
  ASSERT_GT(w.node->rows().numbers().delta_pages, before.delta_pages + 4);
  BOP_OK(w.node->wait_durable());
}

TEST(BaseMarker, ATornPageUnderADeltaIsMadeWholeByTheImageAboveTheBase) {
  World w;
  ASSERT_NO_FATAL_FAILURE(make_deltas_above_a_base(w));
  const std::string expected = w.state();
  const auto changed = w.pages_above_base();
  ASSERT_GT(changed.size(), 5U);
  for (const std::uint32_t page : changed) {
    SCOPED_TRACE("page " + std::to_string(page));
    w.cut();
    ASSERT_NO_FATAL_FAILURE(tear(w.disk, page));
    ASSERT_NO_FATAL_FAILURE(w.start());
    ASSERT_EQ(w.state(), expected);
  }
  w.cut();
  for (const std::uint32_t page : changed) ASSERT_NO_FATAL_FAILURE(tear(w.disk, page));
  ASSERT_NO_FATAL_FAILURE(w.start());
  ASSERT_EQ(w.state(), expected);
  // A page below the base has no image above it: torn, it is named and not shown.
  std::uint32_t below = 4;  // a leaf
  while (changed.contains(below)) ++below;
  w.kill();
  ASSERT_NO_FATAL_FAILURE(tear(w.disk, below));
  ASSERT_NO_FATAL_FAILURE(w.start());
  const auto read = w.node->read("SELECT total(length(b)) FROM t");
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code(), ErrorCode::kCorrupt);
  EXPECT_NE(read.error().what().find("page " + std::to_string(below) + " of "), std::string::npos)
      << read.error().what();
}

TEST(BaseMarker, APageThatTheFileGrewAgainIsLoggedInFull) {
  World w;
  ASSERT_NO_FATAL_FAILURE(w.start());
  BOP_OK(w.node->transact(
      {"CREATE TABLE t(a INTEGER PRIMARY KEY, b)", "INSERT INTO t(b) VALUES(randomblob(700))"}));
  BOP_OK(w.node->checkpoint());
  // Always the same bytes: against what a page held before it went, a delta of it would be short.
  const auto grow = [&](const char* half_the_bytes) {
    return w.node->commit("INSERT INTO t(b) VALUES(replace(hex(zeroblob(" + std::string(half_the_bytes) +
                          ")), '00', 'ab'))");
  };
  for (int round = 0; round < 4; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    BOP_OK(grow("200000"));
    const auto grown = w.node->rows().numbers();
    if (round == 2) BOP_OK(w.node->checkpoint());  // the file holds them when they go
    BOP_OK(w.node->commit("DELETE FROM t WHERE length(b) > 1000"));
    auto writer = w.node->rows().writer();
    BOP_OK(writer);
    BOP_OK((*writer)->begin_write());
    BOP_OK(w.node->rows().incremental_vacuum(**writer, 1000));
    BOP_OK((*writer)->commit());
    const auto shrunk = w.node->rows().numbers();
    ASSERT_LT(shrunk.database_pages + 80, grown.database_pages);
    if (round == 3) BOP_OK(w.node->checkpoint());  // ... and when they come back it has been cut
    BOP_OK(grow("190000"));
    const auto again = w.node->rows().numbers();
    EXPECT_GT(again.full_pages, shrunk.full_pages + 85) << "nothing is known of what they were";
    BOP_OK(w.node->commit("UPDATE t SET a = a + 1000 WHERE length(b) > 1000"));
    BOP_OK(w.node->wait_durable());
    const std::string expected = w.state();
    w.cut();
    ASSERT_NO_FATAL_FAILURE(w.start());
    ASSERT_EQ(w.state(), expected);
    BOP_OK(w.node->commit("DELETE FROM t WHERE length(b) > 1000"));
  }
}

// Under a writer, so that records lie between the marker and the manifest. `end` is what follows the fault.
void cut_a_checkpoint_at_every_call(SimFault fault, const std::function<void(World&)>& end) {
  std::uint64_t struck = 0;
  for (std::uint64_t call = 1;; ++call) {
    SCOPED_TRACE("call " + std::to_string(call));
    World w(call);
    ASSERT_NO_FATAL_FAILURE(make_deltas_above_a_base(w));
    const Lsn base = w.node->rows().base();
    BOP_OK(w.node->commit("DELETE FROM t WHERE a % 9 = 0"));
    BOP_OK(w.node->wait_durable());
    std::map<std::string, int> allowed{{w.state(), 0}};
    std::optional<Result<Lsn>> outcome;
    w.disk.fail_call(call, fault, true);
    w.node->rows().checkpoint(w.node->executor(), [&](Result<Lsn> done) { outcome = std::move(done); });
    int written = 0;
    while (!outcome && w.world.run_one()) {
      if (w.disk.faults_struck() != 0 || ++written > 3) continue;
      // Not acknowledged: a start may find it or not.
      w.disk.exempt(true);
      if (w.node->commit("UPDATE t SET b = randomblob(650) WHERE a % 50 = 1"))
        allowed.emplace(w.state(), written);
      w.disk.exempt(false);
    }
    const bool hit = w.disk.faults_struck() != 0;
    w.disk.clear_faults();
    end(w);
    ASSERT_NO_FATAL_FAILURE(w.start());
    ASSERT_TRUE(allowed.contains(w.state()));
    ASSERT_GE(w.node->rows().base(), base);
    const std::string found = w.state();
    BOP_OK(w.node->checkpoint());
    BOP_OK(w.node->databases().trim());
    w.cut();
    ASSERT_NO_FATAL_FAILURE(w.start());
    ASSERT_EQ(w.state(), found);
    if (!hit) break;
    ++struck;
  }
  EXPECT_GT(struck, fault == SimFault::kFailedSync ? 1U : 30U);
}

TEST(BaseMarker, ACheckpointThatIsCutAtEveryWriteChangesNothing) {
  cut_a_checkpoint_at_every_call(SimFault::kIo, [](World& w) { w.cut(); });
}

TEST(BaseMarker, ACheckpointWhoseProcessDiesAtEveryWriteChangesNothing) {
  cut_a_checkpoint_at_every_call(SimFault::kIo, [](World& w) { w.kill(); });
}

TEST(BaseMarker, ACheckpointWhoseSyncFailsIsNotTrustedByTheNextProcess) {
  cut_a_checkpoint_at_every_call(SimFault::kFailedSync, [](World& w) { w.kill(); });
}

TEST(BaseMarker, ARewindWithOpenReadersEndsThemAndTheCheckpointAndNothingElse) {
  World w;
  ASSERT_NO_FATAL_FAILURE(make_deltas_above_a_base(w));
  const std::string expected = w.state();
  const Lsn base = w.node->rows().base();
  auto stepping = w.node->rows().try_borrow_reader();
  auto idle = w.node->rows().try_borrow_reader();
  BOP_OK(stepping);
  BOP_OK(idle);
  BOP_OK((*stepping)->begin_read());
  BOP_OK((*idle)->begin_read());
  auto statement = (*stepping)->prepare("SELECT b FROM t ORDER BY a");
  BOP_OK(statement);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(sqlite3_step(statement->get()), SQLITE_ROW);
  auto pages = (*idle)->page_source();
  BOP_OK(pages);
  // A checkpoint on its way, pinned and waiting for the log.
  std::optional<Result<Lsn>> outcome;
  w.node->rows().checkpoint(w.node->executor(), [&](Result<Lsn> done) { outcome = std::move(done); });
  ASSERT_TRUE(
      w.world.run_until([&] { return w.node->group().appended() > w.node->databases().gate().released(); }));
  ASSERT_FALSE(outcome.has_value());

  w.node->rows().discard(error(ErrorCode::kOutcomeUnknown, "test"));
  BOP_OK(w.node->rows().rewind());

  int rows = 3;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement->get())) == SQLITE_ROW) ++rows;
  EXPECT_NE(code, SQLITE_DONE) << "after " << rows << " rows";
  EXPECT_EQ((*stepping)->sqlite_error(code).code(), ErrorCode::kOutcomeUnknown);
  EXPECT_EQ((*idle)->execute("SELECT total(length(b)) FROM t").error().code(), ErrorCode::kOutcomeUnknown);
  std::array<std::byte, kPageBytes> buffer;
  EXPECT_EQ((*pages)->page(PageNo(2), buffer).error().code(), ErrorCode::kOutcomeUnknown);
  ASSERT_TRUE(w.world.run_until([&] { return outcome.has_value(); }));
  ASSERT_FALSE(outcome->has_value()) << "a checkpoint of the discarded instance";
  EXPECT_EQ(w.node->rows().base(), base);

  // The new instance has nothing to do with them, while they are still held.
  EXPECT_EQ(w.state(), expected);
  BOP_OK(w.node->commit("DELETE FROM t WHERE a % 2 = 0"));
  auto moved = w.node->checkpoint();
  BOP_OK(moved);
  EXPECT_GT(*moved, base);
  const std::string after = w.state();
  statement = fail(ErrorCode::kInternal, "let go");
  *stepping = ReaderLease();
  *idle = ReaderLease();
  EXPECT_EQ(w.state(), after);
  w.cut();
  ASSERT_NO_FATAL_FAILURE(w.start());
  EXPECT_EQ(w.state(), after);
}

// The kernel shows the manifest that it could not store, until the power goes. Whoever trims the log by it
// has lost what lies between.
TEST(BaseMarker, AManifestWhoseSyncFailedCountsOnlyOnceItIsDurable) {
  SimNodeOptions options;
  options.segment_bytes = 256U << 10U;
  std::uint64_t shown = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World w(seed);
    ASSERT_NO_FATAL_FAILURE(w.start(options));
    BOP_OK(w.node->databases().create_database(DatabaseId(5), "other"));
    for (const std::uint32_t id : {1U, 5U}) {
      BOP_OK(w.node->commit("CREATE TABLE t(a INTEGER PRIMARY KEY, b)", id));
      BOP_OK(w.node->checkpoint(id));
    }
    for (int i = 0; i < 6; ++i) {
      for (const std::uint32_t id : {1U, 5U})
        BOP_OK(w.node->commit("INSERT INTO t(b) VALUES(randomblob(60000))", id));
      BOP_OK(w.node->wait_durable());
    }
    const std::string expected = w.state();
    const Lsn before = w.node->rows().base();
    for (const char* manifest : {"/data/db/1/manifest.0", "/data/db/1/manifest.1"}) {
      w.disk.fail_path(manifest, SimFault::kFailedSync);
    }
    ASSERT_FALSE(w.node->checkpoint().has_value());
    ASSERT_EQ(w.node->rows().base(), before);
    w.disk.clear_faults();
    w.kill();
    ASSERT_NO_FATAL_FAILURE(w.start(options));
    shown += w.node->rows().base() > before ? 1 : 0;
    ASSERT_EQ(w.state(), expected);
    BOP_OK(w.node->checkpoint(5));
    BOP_OK(w.node->databases().trim());
    w.cut();
    ASSERT_NO_FATAL_FAILURE(w.start(options));
    ASSERT_EQ(w.state(), expected);
  }
  EXPECT_GT(shown, 5U);
}

// A start opens the files before it knows that nobody wants them any more.
TEST(BaseMarker, FilesThatADroppedDatabaseLeavesHoldTheLogUntilTheyAreGone) {
  SimNodeOptions options;
  options.segment_bytes = 256U << 10U;
  for (const bool restart : {true, false}) {
    SCOPED_TRACE(restart);
    World w;
    ASSERT_NO_FATAL_FAILURE(w.start(options));
    BOP_OK(w.node->databases().create_database(DatabaseId(5), "dropped"));
    for (const std::uint32_t id : {1U, 5U}) {
      BOP_OK(w.node->commit("CREATE TABLE t(a INTEGER PRIMARY KEY, b)", id));
    }
    BOP_OK(w.node->checkpoint(5));
    BOP_OK(w.node->commit("INSERT INTO t(b) VALUES(randomblob(60000))", 5));
    BOP_OK(w.node->wait_durable());
    const Lsn needed = w.node->rows(5).base().next();
    w.disk.fail_path("/data/db/5", SimFault::kIo);
    EXPECT_EQ(w.node->databases().drop_database(DatabaseId(5)).error().code(), ErrorCode::kIo);
    EXPECT_EQ(w.node->database(5), nullptr);
    for (int i = 0; i < 12; ++i) BOP_OK(w.node->commit("INSERT INTO t(b) VALUES(randomblob(60000))"));
    BOP_OK(w.node->checkpoint());
    BOP_OK(w.node->databases().trim());
    EXPECT_LE(w.node->group().first(), needed);
    const std::string expected = w.state();
    w.disk.clear_faults();
    if (restart) {
      w.cut();
      ASSERT_NO_FATAL_FAILURE(w.start(options));
      BOP_OK(w.node->databases().reconcile({}));
    } else {
      w.node->databases().tick(w.node->executor());
      w.world.run_until_idle();
    }
    EXPECT_FALSE(*w.disk.exists("/data/db/5"));
    BOP_OK(w.node->databases().trim());
    EXPECT_GT(w.node->group().first(), needed) << "nothing holds it any more";
    w.cut();
    ASSERT_NO_FATAL_FAILURE(w.start(options));
    EXPECT_EQ(w.state(), expected);
  }
}

}  // namespace
}  // namespace bop::rowstore
