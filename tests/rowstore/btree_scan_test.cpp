// The b-tree scan against sqlite3_step, its oracle: random tables, values, sizes, changes and moments.
#include "rowstore/btree_scan.hpp"

#include <fmt/format.h>

#include <map>
#include <random>
#include <thread>

#include "rowstore/sim_node.hpp"

namespace bop::rowstore {
namespace {

using testing::SimNode;

struct World {
  World() : world(1), disk(1) {
    world.attach(disk);
    auto started = SimNode::start(world, disk, {});
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

using Rows = std::vector<std::string>;

std::string show(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string show(const RecordField& f) {
  if (f.is_null()) return "null";
  if (f.is_integer()) return fmt::format("{}", f.integer());
  if (f.is_real()) return fmt::format("{:a}", f.real());
  return (f.is_text() ? "t" : "b") + show(f.bytes());
}

// The leading columns, some of which (every one whose bit is set in `left_out`) are not asked for and shown
// by the oracle as well as here as "-"; rows are chosen by a modulus when some of the fields have been
// located.
struct Asked {
  std::size_t columns = 0;
  std::uint64_t left_out = 0;
  std::size_t early = 0;    // at most as many as are asked for
  std::int64_t every = 1;   // rowids that this divides
  std::size_t lot = 32;     // leaves
  std::size_t most = 2048;  // rows at once

  bool asks(std::size_t i) const { return (left_out >> i & 1U) == 0; }
};

Rows oracle(Connection& connection, const Asked& asked, RowidRange range) {
  std::string sql = "SELECT rowid";
  for (std::size_t i = 0; i < asked.columns; ++i) sql += fmt::format(", c{}", i);
  sql += " FROM t WHERE rowid BETWEEN ?1 AND ?2 AND rowid % ?3 = 0 ORDER BY rowid";
  auto statement = connection.prepare(sql);
  EXPECT_TRUE(statement.has_value()) << (statement ? "" : testing::text_of(statement.error()));
  Rows out;
  if (!statement) return out;
  sqlite3_stmt* s = statement->get();
  sqlite3_bind_int64(s, 1, range.lowest);
  sqlite3_bind_int64(s, 2, range.highest);
  sqlite3_bind_int64(s, 3, asked.every);
  while (sqlite3_step(s) == SQLITE_ROW) {
    std::string row = fmt::format("{}", sqlite3_column_int64(s, 0));
    for (int i = 1; i <= static_cast<int>(asked.columns); ++i) {
      if (!asked.asks(static_cast<std::size_t>(i - 1))) {
        row += "|-";
        continue;
      }
      const auto bytes = [&] {
        const auto* p = static_cast<const char*>(sqlite3_column_blob(s, i));
        return show({p == nullptr ? "" : p, static_cast<std::size_t>(sqlite3_column_bytes(s, i))});
      };
      switch (sqlite3_column_type(s, i)) {
        case SQLITE_NULL: row += "|null"; break;
        case SQLITE_INTEGER: row += fmt::format("|{}", sqlite3_column_int64(s, i)); break;
        case SQLITE_FLOAT: row += fmt::format("|{:a}", sqlite3_column_double(s, i)); break;
        case SQLITE_TEXT: row += "|t" + bytes(); break;
        default: row += "|b" + bytes(); break;
      }
    }
    out.push_back(std::move(row));
  }
  return out;
}

Result<Rows> scan(Connection& connection, const Asked& asked, RowidRange range) {
  PageNo root;
  {
    BOP_LET(statement, connection.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 't'"));
    EXPECT_EQ(sqlite3_step(statement.get()), SQLITE_ROW);
    root = PageNo(static_cast<std::uint32_t>(sqlite3_column_int64(statement.get(), 0)));
  }
  BOP_LET(source, connection.page_source());
  BOP_LET(tree, TableTree::open(source, root, range, asked.lot));
  std::vector<unsigned> fields;
  for (std::size_t i = 0; i < asked.columns; ++i) {
    if (asked.asks(i)) fields.push_back(static_cast<unsigned>(i));
  }
  RowReader reader(source, fields, std::min(asked.early, fields.size()), range);
  Rows out;
  for (;;) {
    BOP_LET(lot, tree->next_lot());
    if (lot.empty()) break;
    EXPECT_LE(lot.leaves.size(), asked.lot);
    EXPECT_FALSE(lot.inside().empty());
    BOP_TRY(reader.open(lot.inside()));
    for (;;) {
      BOP_LET(count, reader.read(asked.most));
      if (count == 0) break;
      EXPECT_LE(count, asked.most);
      std::vector<std::uint32_t> kept;
      for (std::uint32_t row = 0; row < count; ++row) {
        if (reader.rowids()[row] % asked.every == 0) kept.push_back(row);
      }
      reader.keep(kept);
      BOP_TRY(reader.locate_rest());
      for (std::size_t row = 0; row < kept.size(); ++row) {
        std::string text = fmt::format("{}", reader.rowids()[row]);
        std::size_t slot = 0;
        for (std::size_t i = 0; i < asked.columns; ++i)
          text += "|" + (asked.asks(i) ? show(reader.column(slot++)[row]) : "-");
        out.push_back(std::move(text));
      }
    }
  }
  EXPECT_NEAR(tree->progress(), 1, 1e-9);
  return out;
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  std::uint64_t below(std::uint64_t n) { return engine_() % n; }
  std::string literal() {
    switch (below(9)) {
      case 0: return "NULL";
      case 1: return fmt::format("{}", static_cast<std::int64_t>(engine_()) >> below(64));
      case 2: return fmt::format("{}", below(3));
      case 3: return fmt::format("{}.25", static_cast<std::int64_t>(below(1000)) - 500);
      case 4: return fmt::format("randomblob({})", below(40));
      case 5: return fmt::format("hex(randomblob({}))", below(200));
      case 6: return below(8) == 0 ? fmt::format("hex(randomblob({}))", below(9000)) : "''";
      case 7: return below(20) == 0 ? fmt::format("zeroblob({})", below(30000)) : "x''";
      default: return fmt::format("'{}'", below(100000));
    }
  }

 private:
  std::mt19937_64 engine_;
};

class Scan : public ::testing::TestWithParam<unsigned> {};

TEST_P(Scan, AnswersWhatSqliteAnswers) {
  SCOPED_TRACE(fmt::format("seed {}", GetParam()));
  Random random(GetParam());
  World w;
  std::size_t columns = 1 + random.below(12);
  std::string create = "CREATE TABLE t(c0";
  for (std::size_t i = 1; i < columns; ++i) create += fmt::format(", c{}", i);
  BOP_OK(w.node->commit(create + ")"));
  const auto check = [&](Connection& connection) {
    RowidRange range;
    if (random.below(2) == 0) range.lowest = static_cast<std::int64_t>(random.below(3000)) - 100;
    if (random.below(2) == 0)
      range.highest = range.lowest / 2 + static_cast<std::int64_t>(random.below(3000));
    const Asked asked{.columns = random.below(columns + 1),
                      .left_out = random.below(2) == 0 ? 0 : random.below(1U << 12),
                      .early = random.below(4),
                      .every = 1 + static_cast<std::int64_t>(random.below(3)),
                      .lot = 1 + random.below(RowReader::kMostLeaves),
                      .most = 1 + random.below(random.below(2) == 0 ? 20 : 2048)};
    auto rows = scan(connection, asked, range);
    BOP_OK(rows);
    EXPECT_EQ(*rows, oracle(connection, asked, range));
  };
  for (int round = 0; round < 8; ++round) {
    auto writer = w.node->rows().writer();
    BOP_OK(writer);
    BOP_OK((*writer)->begin_write());
    const std::size_t columns_before = columns;
    const std::size_t changes = 1 + random.below(300);
    for (std::size_t i = 0; i < changes; ++i) {
      std::string values;
      for (std::size_t c = 0; c < columns; ++c) values += ", " + random.literal();
      const auto rowid = static_cast<std::int64_t>(random.below(2500)) - (random.below(50) == 0 ? 5000 : 0);
      BOP_OK((*writer)->execute(random.below(5) == 0 ? fmt::format("DELETE FROM t WHERE rowid = {}", rowid)
                                                     : fmt::format(
                                                           "INSERT OR REPLACE INTO t(rowid{}) VALUES({}{})",
                                                           [&] {
                                                             std::string names;
                                                             for (std::size_t c = 0; c < columns; ++c)
                                                               names += fmt::format(", c{}", c);
                                                             return names;
                                                           }(),
                                                           rowid, values)));
    }
    if (random.below(4) == 0) {
      BOP_OK((*writer)->execute(fmt::format("ALTER TABLE t ADD COLUMN c{}", columns)));
      ++columns;
    }
    check(**writer);  // its own changes
    // A snapshot of before the commit stays what it was, beside the writer's further work.
    if (random.below(6) == 0) {
      (*writer)->rollback();
      columns = columns_before;
      continue;
    }
    BOP_OK((*writer)->commit());
    auto reader = w.node->rows().try_borrow_reader();
    BOP_OK(reader);
    BOP_OK((*reader)->begin_read());
    check(**reader);
    BOP_OK(w.node->commit("DELETE FROM t WHERE rowid % 7 = 3"));
    if (random.below(2) == 0) BOP_OK(w.node->checkpoint());
    check(**reader);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Scan, ::testing::Range(1U, 13U));

// What is kept by page and version (executor/column_cache.hpp) rests on it.
TEST(BtreeScan, TheSameVersionOfAPageIsTheSameBytes) {
  World w;
  std::mt19937_64 random(11);
  BOP_OK(w.node->transact({"CREATE TABLE t(c0 INTEGER PRIMARY KEY, c1)",
                           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) "
                           "INSERT INTO t SELECT i, hex(randomblob(20)) FROM n"}));
  using Version = std::tuple<std::uint64_t, std::uint32_t, std::uint64_t>;
  std::map<Version, std::string> bytes_of;
  std::size_t again = 0;
  const auto look = [&](Connection& reader) {
    auto source = reader.page_source();
    BOP_OK(source);
    std::vector<PageNo> pages;
    for (std::uint32_t page = 1; page <= 45; ++page) pages.emplace_back(page);
    std::vector<std::uint64_t> versions(pages.size());
    ASSERT_TRUE((*source)->versions(pages, versions));
    for (std::size_t i = 0; i < pages.size(); ++i) {
      std::array<std::byte, kPageBytes> buffer;
      auto page = (*source)->page(pages[i], buffer);
      BOP_OK(page);
      const std::string bytes(reinterpret_cast<const char*>(*page), kPageUsableBytes);
      const auto [at, is_new] = bytes_of.try_emplace({(*source)->file(), pages[i].value, versions[i]}, bytes);
      again += is_new ? 0 : 1;
      ASSERT_EQ(at->second, bytes) << "page " << pages[i].value;
    }
  };
  auto old = w.node->rows().try_borrow_reader();
  BOP_OK(old);
  bool is_held = false;
  for (int round = 0; round < 150; ++round) {
    BOP_OK(
        w.node->commit(fmt::format("UPDATE t SET c1 = hex(randomblob(20)) WHERE c0 BETWEEN {0} AND {0} + {1}",
                                   random() % 4000, random() % 100)));
    if (random() % 4 == 0) BOP_OK(w.node->checkpoint());
    if (is_held && random() % 5 == 0) {
      (*old)->rollback();
      is_held = false;
    } else if (!is_held && random() % 3 == 0) {
      BOP_OK((*old)->begin_read());
      is_held = true;
    }
    if (is_held) look(**old);
    auto lease = w.node->rows().try_borrow_reader();
    BOP_OK(lease);
    BOP_OK((*lease)->begin_read());
    look(**lease);
    (*lease)->rollback();
  }
  EXPECT_GT(again, 5000U);
  EXPECT_GT(bytes_of.size(), 300U);
}

TEST(BtreeScan, ReadersOfSeveralThreadsShareATreeWhileAWriterCommits) {
  World w;
  BOP_OK(w.node->transact({"CREATE TABLE t(c0)",
                           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
                           "INSERT INTO t SELECT i FROM n"}));
  auto lease = w.node->rows().try_borrow_reader();
  BOP_OK(lease);
  BOP_OK((*lease)->begin_read());
  auto source = (*lease)->page_source();
  BOP_OK(source);
  ASSERT_TRUE((*source)->parallel());
  auto root = w.node->read("SELECT rootpage FROM sqlite_schema WHERE name = 't'");
  BOP_OK(root);
  const PageNo root_page(static_cast<std::uint32_t>(std::stoul(*root)));
  auto size = TableTree::estimate(**source, root_page);
  BOP_OK(size);
  EXPECT_NEAR(static_cast<double>(size->rows), 20000, 4000);
  for (int round = 0; round < 5; ++round) {
    auto tree = TableTree::open(*source, root_page, {}, 3);
    BOP_OK(tree);
    std::atomic<std::int64_t> sum{0};
    const auto work = [&] {
      RowReader reader(*source, {0}, 1);
      for (;;) {
        auto lot = (*tree)->next_lot();
        ASSERT_TRUE(lot.has_value());
        if (lot->empty()) return;
        ASSERT_TRUE(reader.open(lot->inside()).has_value());
        for (;;) {
          auto count = reader.read(100);
          ASSERT_TRUE(count.has_value());
          if (*count == 0) break;
          for (const RecordField& field : reader.column(0)) sum += field.integer();
        }
      }
    };
    std::thread a(work);
    std::thread b(work);
    BOP_OK(w.node->commit("UPDATE t SET c0 = c0 + 1"));
    if (round == 2) BOP_OK(w.node->checkpoint());
    a.join();
    b.join();
    EXPECT_EQ(sum, std::int64_t{20000} * 20001 / 2);
  }
}

// Pages of noise: refused or read, never out of bounds (the address sanitizer runs this, too).
TEST(BtreeScan, DamagedPagesAreRefusedOrRead) {
  class Damaged final : public PageSource {
   public:
    Damaged(std::shared_ptr<const PageSource> below, Random& random)
        : below_(std::move(below)), random_(random) {}
    Result<const std::byte*> page(PageNo page, std::span<std::byte, kPageBytes> buffer) const override {
      BOP_LET(good, below_->page(PageNo(1 + page.value % 40), buffer));
      if (good != buffer.data()) std::copy_n(good, kPageBytes, buffer.data());
      for (std::uint64_t n = random_.below(30); n > 0; --n) {
        const std::uint64_t at = random_.below(3) == 0 ? random_.below(300) : random_.below(kPageBytes);
        buffer[at] = static_cast<std::byte>(random_.below(256));
      }
      return buffer.data();
    }
    bool parallel() const noexcept override { return false; }

   private:
    std::shared_ptr<const PageSource> below_;
    Random& random_;
  };
  World w;
  Random random(7);
  BOP_OK(w.node->transact({"CREATE TABLE t(c0, c1, c2)",
                           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) "
                           "INSERT INTO t SELECT i, hex(randomblob(i % 90)), zeroblob(i % 7 * 900) FROM n"}));
  auto lease = w.node->rows().try_borrow_reader();
  BOP_OK(lease);
  BOP_OK((*lease)->begin_read());
  auto source = (*lease)->page_source();
  BOP_OK(source);
  const auto damaged = std::make_shared<Damaged>(*source, random);
  int refused = 0;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    RowReader reader(damaged, {0, 1, 2}, i % 4);
    if (auto tree = TableTree::open(damaged, PageNo(2 + i % 38)); tree) {
      // A damaged tree may be long: a few lots are enough.
      for (int lots = 0; lots < 3; ++lots) {
        auto lot = (*tree)->next_lot();
        refused += lot ? 0 : 1;
        if (!lot || lot->empty()) break;
        if (!reader.open(lot->inside())) continue;
        for (auto count = reader.read(50); count && *count > 0; count = reader.read(50)) {
          if (!reader.locate_rest()) break;
          for (std::size_t f = 0; f < 3; ++f) {
            for (const RecordField& field : reader.column(f)) (void)show(field).size();
          }
        }
      }
    } else {
      EXPECT_EQ(tree.error().code(), ErrorCode::kCorrupt);
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace bop::rowstore
