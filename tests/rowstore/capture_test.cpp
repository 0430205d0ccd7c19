// The capture against an oracle: what the log says, replayed into a fresh file, is the database page by page.
#include <algorithm>
#include <array>

#include "aof/reader.hpp"
#include "rowstore/page_applier.hpp"
#include "rowstore/sim_node.hpp"

namespace bop::rowstore {
namespace {

using testing::SimNode;
using testing::SimNodeOptions;
using Page = std::array<std::byte, kPageBytes>;

// Pages on the freelist have no meaning: SQLite does not even write some of them.
std::vector<bool> free_pages(const PageFile& file) {
  std::vector<bool> out(file.pages() + 1);
  Page page;
  EXPECT_TRUE(file.read(PageNo(1), page).has_value());
  const auto number = [&](std::size_t at) {
    std::uint32_t v = 0;
    for (std::size_t i = 0; i < 4; ++i) v = (v << 8) | static_cast<std::uint32_t>(page[at + i]);
    return v;
  };
  for (std::uint32_t trunk = number(32); trunk != 0;) {
    EXPECT_TRUE(file.read(PageNo(trunk), page).has_value());
    for (std::uint32_t i = 0; i < number(4); ++i) out.at(number(8 + i * 4)) = true;
    trunk = number(0);
  }
  return out;
}

void expect_replay_equals_file(SimNode& node, SimDisk& disk) {
  auto live = PageFile::open(disk, "/data/db/1/rows.db", DatabaseId(1));
  BOP_OK(live);
  static_cast<void>(disk.remove("/replica.db"));
  auto replica = PageFile::open(disk, "/replica.db", DatabaseId(1));
  BOP_OK(replica);
  Page first;
  make_first_page(first);
  BOP_OK((*replica)->write(PageNo(1), first));
  PageApplier applier(**replica, DatabaseId(1), Csn(0), 1);
  auto reader = node.group().read_from(Lsn(1), DatabaseId(1));
  BOP_OK(reader);
  for (;;) {
    auto record = (*reader)->next();
    BOP_OK(record);
    if (!*record) break;
    BOP_OK(applier.apply(
        {(*record)->lsn, (*record)->database_previous.index, (*record)->kind, (*record)->payload}));
  }
  BOP_OK(applier.finish());
  ASSERT_EQ((*replica)->pages(), (*live)->pages());
  const auto is_free = free_pages(**live);
  for (std::uint32_t n = 1; n <= (*live)->pages(); ++n) {
    if (is_free[n]) continue;
    Page a;
    Page b;
    BOP_OK((*live)->read(PageNo(n), a));
    BOP_OK((*replica)->read(PageNo(n), b));
    ASSERT_EQ(std::memcmp(a.data(), b.data(), kPageUsableBytes), 0) << "page " << n;
  }
}

// Random SQL with everything that makes frames move: spills, savepoints, rollbacks, vacuum steps, blobs, DDL.
class Workload {
 public:
  Workload(SimNode& node, SimRandom& random) : node_(node), random_(random) {}

  void run(int transactions) {
    ASSERT_NO_FATAL_FAILURE(start());
    for (int i = 0; i < transactions; ++i) {
      ASSERT_NO_FATAL_FAILURE(one());
      if (random_.chance(1, 40)) BOP_OK(node_.wait_durable());
      if (random_.chance(1, 60)) BOP_OK(node_.checkpoint());
    }
  }

 private:
  void start() {
    BOP_OK(node_.transact({"CREATE TABLE t(id INTEGER PRIMARY KEY, a, b BLOB)", "CREATE INDEX i ON t(a)"}));
  }

  std::string statement() {
    const auto n = std::to_string(random_.below(400));
    switch (random_.below(9)) {
      case 0:
      case 1:
      case 2:
        return "INSERT INTO t(a, b) VALUES(" + n + ", randomblob(" + std::to_string(random_.below(600)) +
               "))";
      case 3:
        return "INSERT INTO t(a, b) VALUES(" + n + ", randomblob(" + std::to_string(random_.below(60000)) +
               "))";
      case 4: return "UPDATE t SET a = a + 1 WHERE id % 37 = " + std::to_string(random_.below(37));
      case 5: return "DELETE FROM t WHERE id % 23 = " + std::to_string(random_.below(23));
      case 6: return "UPDATE t SET b = randomblob(length(b)) WHERE a = " + n;
      case 7:
        return "INSERT INTO t(a, b) SELECT a + 1, randomblob(300) FROM t WHERE id % 11 = " + n +
               " % 11 LIMIT 200";
      default: {
        const auto k = std::to_string(random_.below(4));
        return random_.chance(1, 2) ? "CREATE TABLE IF NOT EXISTS x" + k + "(a, b, UNIQUE(a))"
                                    : "DROP TABLE IF EXISTS x" + k;
      }
    }
  }

  void one() {
    auto writer = node_.rows().writer();
    BOP_OK(writer);
    Connection& c = **writer;
    BOP_OK(c.begin_write());
    bool savepoint = false;
    const auto count = 1 + random_.below(8);
    for (std::uint64_t i = 0; i < count; ++i) {
      BOP_OK(c.execute(statement()));
      if (random_.chance(1, 5)) {
        BOP_OK(c.execute(savepoint ? "ROLLBACK TO s" : "SAVEPOINT s"));
        savepoint = true;
      }
    }
    if (random_.chance(1, 8)) BOP_OK(node_.rows().incremental_vacuum(c, 1 + random_.below(20)));
    if (random_.chance(1, 30)) BOP_OK(c.execute("DELETE FROM t WHERE id % 3 <> 0"));
    if (random_.chance(1, 4)) {
      c.rollback();
    } else {
      BOP_OK(c.commit());
    }
  }

  SimNode& node_;
  SimRandom& random_;
};

void check_workload(std::uint64_t seed, bool deltas) {
  SimScheduler world(seed);
  SimDisk disk(seed);
  world.attach(disk);
  {
    SimNodeOptions options;
    options.segment_bytes = 8U << 20U;
    options.rows.writer_cache_kib = 40;  // about ten pages: transactions spill
    options.rows.deltas = deltas;
    auto node = SimNode::start(world, disk, options);
    BOP_OK(node);
    SimRandom random(seed);
    ASSERT_NO_FATAL_FAILURE(Workload(**node, random).run(150));
    EXPECT_EQ((*node)->read("PRAGMA integrity_check"), "ok");
    BOP_OK((*node)->checkpoint());
    BOP_OK((*node)->wait_durable());
    BOP_OK((*node)->rows().verify());
    ASSERT_NO_FATAL_FAILURE(expect_replay_equals_file(**node, disk));
    if (deltas) {
      EXPECT_GT((*node)->rows().numbers().delta_pages, 50U);
    }
  }
  world.detach(disk);
}

TEST(Capture, ReplayOfTheLogIsTheDatabase) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ASSERT_NO_FATAL_FAILURE(check_workload(seed, true));
  }
}

TEST(Capture, ReplayOfFullImagesIsTheDatabase) {
  for (std::uint64_t seed = 101; seed <= 103; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ASSERT_NO_FATAL_FAILURE(check_workload(seed, false));
  }
}

class CaptureCase : public ::testing::Test {
 protected:
  CaptureCase() : world(3), disk(3) { world.attach(disk); }
  ~CaptureCase() override {
    node.reset();
    world.detach(disk);
  }
  void start(int cache_kib = 40) {
    SimNodeOptions options;
    options.segment_bytes = 16U << 20U;
    options.rows.writer_cache_kib = cache_kib;
    auto started = SimNode::start(world, disk, options);
    BOP_OK(started);
    node = std::move(*started);
    BOP_OK(node->commit("CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB)"));
  }
  void finish() {
    BOP_OK(node->checkpoint());
    BOP_OK(node->wait_durable());
    expect_replay_equals_file(*node, disk);
  }
  SimScheduler world;
  SimDisk disk;
  std::unique_ptr<SimNode> node;
};

TEST_F(CaptureCase, ASmallTransactionAfterASpilledRollbackShipsOnlyItsOwnPages) {
  start();
  auto writer = node->rows().writer();
  BOP_OK(writer);
  BOP_OK((*writer)->begin_write());
  BOP_OK((*writer)->execute("INSERT INTO t(b) VALUES(randomblob(2000000))"));
  (*writer)->rollback();
  const auto before = node->rows().numbers();
  BOP_OK(node->commit("INSERT INTO t(b) VALUES(1)"));
  const auto after = node->rows().numbers();
  EXPECT_LE(after.full_pages + after.delta_pages - before.full_pages - before.delta_pages, 3U);
  finish();
}

TEST_F(CaptureCase, PagesRewrittenInPlaceShipTheirLastContent) {
  start();
  BOP_OK(node->commit(
      "INSERT INTO t(b) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300) "
      "SELECT randomblob(900) FROM n"));
  // Two passes over more pages than the cache holds: the second rewrites frames of the first.
  BOP_OK(node->transact({"UPDATE t SET b = randomblob(900)", "UPDATE t SET b = randomblob(900)"}));
  finish();
}

TEST_F(CaptureCase, ABigTransactionTravelsInParts) {
  start();
  BOP_OK(node->commit("INSERT INTO t(b) VALUES(randomblob(5000000))"));
  BOP_OK(node->wait_durable());
  int parts = 0;
  auto reader = node->group().read_from(Lsn(1), DatabaseId(1));
  BOP_OK(reader);
  for (;;) {
    auto record = (*reader)->next();
    BOP_OK(record);
    if (!*record) break;
    EXPECT_LE((*record)->payload.size(), database::kMaxPartBytes);
    if ((*record)->kind == database::RecordKind::kRowPart) ++parts;
  }
  EXPECT_GE(parts, 4);
  finish();
}

TEST_F(CaptureCase, AFileThatShrinksAndGrowsAgainStartsItsPagesAnew) {
  start();
  for (int round = 0; round < 3; ++round) {
    BOP_OK(node->commit("INSERT INTO t(b) VALUES(randomblob(400000))"));
    BOP_OK(node->commit("DELETE FROM t"));
    auto writer = node->rows().writer();
    BOP_OK(writer);
    BOP_OK((*writer)->begin_write());
    auto freed = node->rows().incremental_vacuum(**writer, 1000);
    BOP_OK(freed);
    EXPECT_GT(*freed, 50U);
    BOP_OK((*writer)->commit());
  }
  BOP_OK(node->commit("INSERT INTO t(b) VALUES(randomblob(40000))"));
  finish();
}

TEST(PageApplierTest, ADeltaWhoseImageIsNotHeldIsRefused) {
  SimDisk disk(1);
  auto file = PageFile::open(disk, "/x.db", DatabaseId(1));
  BOP_OK(file);
  Page page;
  make_first_page(page);
  BOP_OK((*file)->write(PageNo(1), page));
  Page changed = page;
  changed[200] = std::byte{1};
  const auto record = [&](const std::byte* before, Csn base) {
    Bytes out(database::kRowCommitHeaderBytes);
    const std::uint32_t one = 1;
    std::memcpy(out.data() + 12, &one, 4);
    std::memcpy(out.data() + 16, &one, 4);
    append_page(out, DatabaseId(1), PageNo(1), UsableSpan(changed.data(), kPageUsableBytes), before, base);
    return out;
  };
  const auto apply = [](PageApplier& applier, std::uint64_t lsn, const Bytes& payload) {
    return applier.apply({Lsn(lsn), Lsn(lsn - 1), database::RecordKind::kRowCommit, payload});
  };
  PageApplier applier(**file, DatabaseId(1), Csn(5), 1);
  auto refused = apply(applier, 7, record(page.data(), Csn(6)));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kCorrupt);
  PageApplier second(**file, DatabaseId(1), Csn(5), 1);
  BOP_OK(apply(second, 6, record(nullptr, Csn(0))));
  BOP_OK(apply(second, 7, record(changed.data(), Csn(6))));
  EXPECT_FALSE(apply(second, 8, record(changed.data(), Csn(7))).has_value())
      << "another image than the one held";
}

// Records are bytes from outside: nothing may be read beyond them, and a damaged one is refused or harmless.
TEST(RowRecordTest, MutatedRecordsAreRefusedOrWellFormed) {
  Page a{};
  Page b{};
  SimRandom random(9);
  random.fill(a);
  b = a;
  for (int i = 0; i < 40; ++i) b[random.below(kPageUsableBytes)] = std::byte{7};
  Bytes good(database::kRowCommitHeaderBytes);
  const std::uint32_t pages = 9;
  const std::uint32_t two = 2;
  std::memcpy(good.data() + 12, &pages, 4);
  std::memcpy(good.data() + 16, &two, 4);
  EXPECT_EQ(
      append_page(good, DatabaseId(1), PageNo(3), UsableSpan(b.data(), kPageUsableBytes), a.data(), Csn(4)),
      database::PageForm::kDelta);
  EXPECT_EQ(
      append_page(good, DatabaseId(1), PageNo(4), UsableSpan(b.data(), kPageUsableBytes), nullptr, Csn(0)),
      database::PageForm::kFull);
  ASSERT_TRUE(parse_row_record(database::RecordKind::kRowCommit, good).has_value());
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    Bytes bad = good;
    for (std::uint64_t k = 0; k <= random.below(4); ++k) {
      bad[random.below(random.chance(1, 2) ? 600 : bad.size())] = static_cast<std::byte>(random.next());
    }
    if (random.chance(1, 4)) bad.resize(random.below(bad.size()));
    bad.shrink_to_fit();
    auto parsed = parse_row_record(database::RecordKind::kRowCommit, bad);
    if (!parsed) {
      EXPECT_EQ(parsed.error().code(), ErrorCode::kCorrupt);
      ++refused;
      continue;
    }
    for (const PageEntry& entry : parsed->pages) {
      Page target = a;
      static_cast<void>(apply_page(entry, DatabaseId(1), std::span(target).first<kPageUsableBytes>()));
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace bop::rowstore
