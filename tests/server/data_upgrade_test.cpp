// Upgrades of a data directory on a simulated disk: cut at every call, the next start ends them, and the copy
// is what was there before.
#include "server/data_upgrade.hpp"

#include <gtest/gtest.h>

#include <map>

#include "aof/commit_stream.hpp"
#include "base/sim.hpp"
#include "base/sim_disk.hpp"

namespace bop::server {
namespace {

constexpr const char* kData = "/data";

void write(Disk& disk, const std::string& path, std::string_view text) {
  auto file = disk.open(path, OpenMode::kOpenOrCreate).value();
  ASSERT_TRUE(file->truncate(0).has_value());
  ASSERT_TRUE(file->write_at(ByteOffset(0), std::as_bytes(std::span(text))).has_value());
  ASSERT_TRUE(file->sync().has_value());
  ASSERT_TRUE(disk.sync_directory(path.substr(0, path.rfind('/'))).has_value());
}

Result<std::string> read(Disk& disk, const std::string& path) {
  BOP_LET(file, disk.open(path, OpenMode::kRead));
  BOP_LET(size, file->size());
  std::string text(size, '\0');
  BOP_LET(got, file->read_at(ByteOffset(0), std::as_writable_bytes(std::span(text))));
  text.resize(got);
  return text;
}

// Appends a word to two files.
UpgradeStep appends(std::string word) {
  return {.what = "words",
          .rewrites = [](Disk&, const std::string&) -> Result<std::vector<std::string>> {
            return std::vector<std::string>{"db/one", "db/two"};
          },
          .run = [word](Disk& disk, Random&, const std::string& path,
                        const std::string& copy) -> Result<DataFormat> {
            for (const char* name : {"/db/one", "/db/two"}) {
              BOP_LET(text, read(disk, copy + name));
              text += word;
              BOP_LET(file, disk.open(path + name, OpenMode::kReadWrite));
              BOP_TRY(file->truncate(0));
              BOP_TRY(file->write_at(ByteOffset(0), std::as_bytes(std::span(text))));
              BOP_TRY(file->sync());
            }
            return DataFormat{};
          }};
}

std::string format_of(Disk& disk) { return read(disk, std::string(kData) + "/format").value_or("none"); }

// As a start does.
Result<DataFormat> open(Disk& disk, std::span<const UpgradeStep> steps) {
  SimRandom random(1);
  BOP_LET(text, read(disk, std::string(kData) + "/format"));
  const auto version = static_cast<std::uint32_t>(text[4] - '0');
  return upgrade_data_directory(disk, random, kData, DataFormat{.version = version, .log = {}}, steps);
}

TEST(DataUpgrade, CutAtEveryCallTheNextStartEndsIt) {
  const std::array steps{appends("+two"), appends("+three")};
  std::uint64_t calls = 0;
  for (std::uint64_t k = 1;; ++k) {
    SCOPED_TRACE(k);
    SimDisk disk(k);
    ASSERT_TRUE(disk.create_directories("/data/db").has_value());
    write(disk, "/data/db/one", "first");
    write(disk, "/data/db/two", "second");
    write(disk, "/data/format", "bop 1\n");
    const std::uint64_t before = disk.io_calls();
    disk.fail_call(k, SimFault::kIo, true);
    auto cut = open(disk, steps);
    if (cut) {
      calls = disk.io_calls() - before;
      EXPECT_LT(calls, k);
      break;
    }
    disk.power_cut();
    disk.clear_faults();
    const auto done = open(disk, steps);
    ASSERT_TRUE(done.has_value()) << done.error().what();
    EXPECT_EQ(done->version, 3U);
    EXPECT_EQ(format_of(disk), "bop 3\n");
    disk.power_cut();
    EXPECT_EQ(format_of(disk), "bop 3\n");
    EXPECT_EQ(read(disk, "/data/db/one").value(), "first+two+three");
    EXPECT_EQ(read(disk, "/data/db/two").value(), "second+two+three");
    EXPECT_EQ(read(disk, "/data/before-format-2/db/one").value(), "first");
    EXPECT_EQ(read(disk, "/data/before-format-2/db/two").value(), "second");
    EXPECT_EQ(read(disk, "/data/before-format-2/format").value(), "bop 1\n");
    EXPECT_EQ(read(disk, "/data/before-format-3/db/two").value(), "second+two");
    ASSERT_TRUE(open(disk, steps).has_value());
    EXPECT_FALSE(disk.exists("/data/upgrading-2").value());
    EXPECT_FALSE(disk.exists("/data/upgrading-3").value());
  }
  EXPECT_GT(calls, 40U);
}

TEST(DataUpgrade, WithoutRoomForTheCopyNothingIsChanged) {
  const std::array steps{appends("+two")};
  SimDisk disk(1);
  ASSERT_TRUE(disk.create_directories("/data/db").has_value());
  write(disk, "/data/db/one", std::string(100'000, 'x'));
  write(disk, "/data/db/two", "second");
  write(disk, "/data/format", "bop 1\n");
  disk.set_capacity(disk.used_bytes() + 3 * kDiskBlockBytes);
  const auto refused = open(disk, steps);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kDiskFull);
  EXPECT_NE(refused.error().what().find("has format 1 and cannot be upgraded to 2"), std::string::npos);
  EXPECT_EQ(format_of(disk), "bop 1\n");
  EXPECT_EQ(read(disk, "/data/db/two").value(), "second");
  disk.set_capacity(0);
  ASSERT_TRUE(open(disk, steps).has_value());
  EXPECT_EQ(read(disk, "/data/db/two").value(), "second+two");
}

// A directory whose copy was put back is upgraded from what it holds now.
TEST(DataUpgrade, ACopyOfAnEarlierUpgradeIsMadeAnew) {
  const std::array steps{appends("+two")};
  SimDisk disk(1);
  ASSERT_TRUE(disk.create_directories("/data/db").has_value());
  for (const char* text : {"first", "changed since"}) {
    write(disk, "/data/db/one", text);
    write(disk, "/data/db/two", text);
    write(disk, "/data/format", "bop 1\n");
    ASSERT_TRUE(open(disk, steps).has_value());
    EXPECT_EQ(read(disk, "/data/before-format-2/db/one").value(), text);
    EXPECT_EQ(read(disk, "/data/db/one").value(), std::string(text) + "+two");
  }
}

TEST(DataUpgrade, FromOneToTwoTheFormatNamesTheLog) {
  SimDisk disk(1);
  SimClock clock;
  SimRandom random(2);
  aof::StreamIdentity identity{};
  {
    ASSERT_TRUE(disk.create_directories("/data/log").has_value());
    auto stream = aof::CommitStream::open(disk, clock, random, {.directory = "/data/log"}).value();
    identity = stream->recovered().identity;
    ASSERT_TRUE(stream->close().has_value());
  }
  write(disk, "/data/format", "bop 1\n");
  const auto upgraded = upgrade_data_directory(disk, random, kData, {.version = 1, .log = {}});
  ASSERT_TRUE(upgraded.has_value()) << upgraded.error().what();
  EXPECT_EQ(upgraded->version, kDataFormat);
  EXPECT_EQ(upgraded->log, identity);
  EXPECT_EQ(parse_data_format(format_of(disk), kData).value(), *upgraded);
  EXPECT_EQ(read(disk, "/data/before-format-2/format").value(), "bop 1\n");
}

TEST(DataFormat, IsReadAsItIsWrittenAndNothingElse) {
  DataFormat format;
  format.log.emplace().fill(0xab);
  EXPECT_EQ(text_of(format), "bop 2\nlog abababababababababababababababab\n");
  EXPECT_EQ(parse_data_format(text_of(format), "d").value(), format);
  EXPECT_EQ(parse_data_format("bop 1\n", "d").value(), (DataFormat{.version = 1, .log = {}}));
  EXPECT_EQ(parse_data_format("bop 3\nwhatever", "d").error().code(), ErrorCode::kFormatTooNew);
  for (const std::string_view text :
       {"", "bop", "bop x\n", "bop 0\n", "bop 2\n", "bop 2\nlog 12\n", "bop 1\nmore\n", "bop 1x\n",
        "bop 2\nlog abababababababababababababababxx\n", "bop 2\nlog abababababababababababababababab",
        "bop 2\nlog abababababababababababababababab\nmore"}) {
    const auto refused = parse_data_format(text, "d");
    ASSERT_FALSE(refused.has_value()) << text;
    EXPECT_EQ(refused.error().code(), ErrorCode::kCorrupt) << text;
  }
}

}  // namespace
}  // namespace bop::server
