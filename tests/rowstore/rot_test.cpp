// Bits that flip in files of a node: whoever reads them is told, by the name of the page or file, and nobody
// is served a wrong byte. What the log holds is made good by it.
#include <array>
#include <functional>

#include "rowstore/page_source.hpp"
#include "rowstore/sim_node.hpp"

namespace bop::rowstore {
namespace {

using testing::SimNode;
using testing::SimNodeOptions;
using testing::text_of;

const std::string kFile = "/data/db/1/rows.db";

class Rot : public ::testing::Test {
 protected:
  Rot() : world(9), disk(9) { world.attach(disk); }
  ~Rot() override {
    node.reset();
    world.detach(disk);
  }
  Status try_start() {
    node.reset();
    disk.process_kill();
    BOP_LET(started, SimNode::start(world, disk, options));
    node = std::move(started);
    return {};
  }
  void start() {
    const Status started = try_start();
    ASSERT_TRUE(started.has_value()) << text_of(started.error());
  }
  // Rows, an index, overflow pages and free ones, all of it below the base.
  void fill() {
    ASSERT_NO_FATAL_FAILURE(start());
    BOP_OK(node->transact({"CREATE TABLE t(a INTEGER PRIMARY KEY, b)", "CREATE INDEX i ON t(b)",
                           "CREATE TABLE gone(c)", "INSERT INTO gone VALUES(randomblob(50000))"}));
    for (int i = 0; i < 60; ++i) BOP_OK(node->commit("INSERT INTO t(b) VALUES(randomblob(400))"));
    BOP_OK(node->transact({"INSERT INTO t(b) VALUES(randomblob(30000))", "DROP TABLE gone"}));
    BOP_OK(node->checkpoint());
    BOP_OK(node->wait_durable());
    expected = state().value();
  }
  // Of every row, and of the index.
  Result<std::string> state() {
    BOP_LET(rows,
            node->read("SELECT count(*) || hex(group_concat(b, '')) FROM (SELECT b FROM t ORDER BY a)"));
    BOP_LET(index,
            node->read("SELECT hex(group_concat(b, '')) FROM (SELECT b FROM t INDEXED BY i WHERE b > x'00' "
                       "ORDER BY b)"));
    return rows + index;
  }
  std::uint64_t size_of(const std::string& path) {
    return disk.open(path, OpenMode::kRead).value()->size().value();
  }
  static void expect_named(const Error& why, std::uint32_t page) {
    EXPECT_EQ(why.code(), ErrorCode::kCorrupt) << text_of(why);
    EXPECT_NE(why.what().find("page " + std::to_string(page) + " of " + kFile + " "), std::string::npos)
        << why.what();
  }
  SimScheduler world;
  SimDisk disk;
  SimNodeOptions options;
  std::unique_ptr<SimNode> node;
  std::string expected;
};

TEST_F(Rot, ABitThatFlipsInAPageIsNamedByEveryReaderAndServedByNone) {
  ASSERT_NO_FATAL_FAILURE(fill());
  const auto pages = static_cast<std::uint32_t>(size_of(kFile) / kPageBytes);
  ASSERT_GT(pages, 40U);
  SimRandom random(1);
  int refused = 0;
  int written = 0;
  for (std::uint32_t i = 0; i < 4 * pages; ++i) {
    const std::uint32_t page = i % pages + 1;
    const std::uint64_t at = (page - 1) * std::uint64_t{kPageBytes} + random.below(kPageBytes);
    const auto bit = static_cast<unsigned>(random.below(8));
    SCOPED_TRACE("byte " + std::to_string(at) + " bit " + std::to_string(bit));
    ASSERT_NO_FATAL_FAILURE(start());  // nothing in memory
    ASSERT_TRUE(disk.flip_bit(kFile, at, bit));
    // SQLite's readers.
    const auto seen = state();
    if (seen) {
      ASSERT_EQ(*seen, expected);
    } else {
      ++refused;
      ASSERT_NO_FATAL_FAILURE(expect_named(seen.error(), page));
    }
    // The scan of pages beside SQLite, one by one and in runs.
    {
      auto reader = node->rows().try_borrow_reader();
      if (!reader) {  // a new connection looks at the schema
        ASSERT_NO_FATAL_FAILURE(expect_named(reader.error(), page));
      } else if (auto begun = (*reader)->begin_read(); begun) {
        auto source = (*reader)->page_source();
        BOP_OK(source);
        std::array<std::byte, kPageBytes> one;
        const auto read = (*source)->page(PageNo(page), one);
        ASSERT_FALSE(read.has_value());
        ASSERT_NO_FATAL_FAILURE(expect_named(read.error(), page));
        std::vector<std::byte> many(4 * kPageBytes);
        const auto run = (*source)->run(PageNo(std::max(page, 3U) - 2), many);
        ASSERT_FALSE(run.has_value());
        ASSERT_NO_FATAL_FAILURE(expect_named(run.error(), page));
      } else {
        ASSERT_NO_FATAL_FAILURE(expect_named(begun.error(), page));
      }
    }
    const Status verified = node->rows().verify();
    ASSERT_FALSE(verified.has_value());
    ASSERT_NO_FATAL_FAILURE(expect_named(verified.error(), page));
    // A writer that needs the page is refused and has changed nothing.
    const auto changed = node->commit("UPDATE t SET b = zeroblob(400) WHERE a % 3 = 0");
    ASSERT_TRUE(disk.flip_bit(kFile, at, bit));
    if (changed) {
      ++written;
      ASSERT_NO_FATAL_FAILURE(start());
      expected = state().value();
      BOP_OK(node->commit("UPDATE t SET b = randomblob(400) WHERE a % 3 = 0"));
      BOP_OK(node->checkpoint());
      BOP_OK(node->wait_durable());
      expected = state().value();
      if (node->rows().numbers().database_pages != pages) break;
      continue;
    }
    ASSERT_NO_FATAL_FAILURE(expect_named(changed.error(), page));
    EXPECT_EQ(state().value_or("cannot be read"), expected) << "nothing is broken for good";
  }
  EXPECT_GT(refused, static_cast<int>(pages));
  EXPECT_GT(written, 3);
}

TEST_F(Rot, APageThatTheLogHoldsInFullIsMadeGoodByTheNextStart) {
  ASSERT_NO_FATAL_FAILURE(fill());
  BOP_OK(node->commit("UPDATE t SET b = randomblob(401)"));
  BOP_OK(node->wait_durable());
  expected = state().value();
  const auto pages = static_cast<std::uint32_t>(size_of(kFile) / kPageBytes);
  int healed = 0;
  for (std::uint32_t page = 1; page <= pages; ++page) {
    SCOPED_TRACE("page " + std::to_string(page));
    ASSERT_TRUE(disk.flip_bit(kFile, (page - 1) * std::uint64_t{kPageBytes} + 1000, 4));
    ASSERT_NO_FATAL_FAILURE(start());
    if (const Status verified = node->rows().verify(); !verified) {
      ASSERT_NO_FATAL_FAILURE(expect_named(verified.error(), page));
      ASSERT_TRUE(disk.flip_bit(kFile, (page - 1) * std::uint64_t{kPageBytes} + 1000, 4));
      continue;
    }
    ++healed;
    ASSERT_EQ(state().value_or("cannot be read"), expected);
  }
  EXPECT_GT(healed, 15);
}

// While it runs a node reads its log only to rewind.
TEST_F(Rot, ARewindOverADamagedRecordIsRefusedAndWorksOnceTheRecordIsWhole) {
  ASSERT_NO_FATAL_FAILURE(fill());
  BOP_OK(node->commit("UPDATE t SET b = randomblob(402) WHERE a % 2 = 0"));
  BOP_OK(node->wait_durable());
  expected = state().value();
  const std::string segment = "/data/log/" + disk.list("/data/log").value().front();
  std::uint64_t end = size_of(segment);
  std::vector<std::byte> bytes(end);
  BOP_OK(disk.open(segment, OpenMode::kRead).value()->read_at(ByteOffset(0), bytes));
  while (bytes[end - 1] == std::byte{0}) --end;
  const std::uint64_t at = end - 9000;  // in the last record
  ASSERT_TRUE(disk.flip_bit(segment, at, 1));
  node->rows().discard(error(ErrorCode::kOutcomeUnknown, "test"));
  for (int i = 0; i < 3; ++i) {
    const Status rewound = node->rows().rewind();
    ASSERT_FALSE(rewound.has_value());
    EXPECT_EQ(rewound.error().code(), ErrorCode::kCorrupt) << text_of(rewound.error());
    EXPECT_NE(rewound.error().what().find(segment), std::string::npos) << rewound.error().what();
    EXPECT_FALSE(node->rows().try_borrow_reader().has_value()) << "half a state is not shown";
    EXPECT_FALSE(node->rows().writer().has_value());
    EXPECT_TRUE(node->rows().wants_rewind()) << "it is tried again";
  }
  ASSERT_TRUE(disk.flip_bit(segment, at, 1));
  node->databases().tick(node->executor());
  world.run_until_idle();
  EXPECT_EQ(state().value_or("cannot be read"), expected);
  BOP_OK(node->commit("DELETE FROM t WHERE a = 1"));
}

// Every bit of both manifests: a start finds the whole state, or says what is missing.
TEST_F(Rot, AFlippedBitOfAManifestLosesNothing) {
  for (const bool trimmed : {false, true}) {
    SCOPED_TRACE(trimmed ? "the log is trimmed" : "the log is all there");
    if (trimmed) {
      node.reset();
      BOP_OK(disk.remove("/data/db/1/rows.db"));
      const auto names = disk.list("/data/log").value();
      for (const auto& name : names) BOP_OK(disk.remove("/data/log/" + name));
      for (const char* name : {"manifest.0", "manifest.1"})
        BOP_OK(disk.remove(std::string("/data/db/1/") + name));
      options.segment_bytes = 256U << 10U;
    }
    ASSERT_NO_FATAL_FAILURE(fill());
    database::SequenceSpec spec;
    BOP_OK(node->database()->sequences().nextval(16400, spec));
    if (trimmed) {
      for (int i = 0; i < 20; ++i) BOP_OK(node->commit("UPDATE t SET b = randomblob(30000) WHERE a = 61"));
    }
    BOP_OK(node->checkpoint());
    BOP_OK(node->wait_durable());
    BOP_OK(node->databases().trim());
    expected = state().value();
    int refused = 0;
    for (const char* name : {"/data/db/1/manifest.0", "/data/db/1/manifest.1"}) {
      const std::uint64_t size = size_of(name);
      for (std::uint64_t at = 0; at < size; ++at) {
        SCOPED_TRACE(std::string(name) + " byte " + std::to_string(at));
        ASSERT_TRUE(disk.flip_bit(name, at, at % 8));
        if (const Status started = try_start(); started) {
          ASSERT_EQ(state().value_or("cannot be read"), expected);
          BOP_OK(node->rows().verify());
        } else {
          ++refused;
          ASSERT_EQ(started.error().code(), ErrorCode::kCorrupt) << text_of(started.error());
          ASSERT_NE(started.error().what().find("database 1"), std::string::npos) << text_of(started.error());
        }
        ASSERT_TRUE(disk.flip_bit(name, at, at % 8));
      }
    }
    EXPECT_EQ(refused > 0, trimmed);
    ASSERT_NO_FATAL_FAILURE(start());
    EXPECT_EQ(state().value_or("cannot be read"), expected);
  }
}

}  // namespace
}  // namespace bop::rowstore
