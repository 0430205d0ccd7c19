// Rot in each kind of file: found, named, and repaired where something else holds the bytes.
#include "backup/verify.hpp"
#include "backup/repair.hpp"
#include "backup/sim_backup.hpp"

namespace bop::backup {
namespace {

using testing::SimBackup;
using testing::SimNode;
using testing::SimNodeOptions;
using testing::text_of;

class Verify : public SimBackup {
 protected:
  // At rest, with all of the log still there if `keep_log`.
  void build(bool keep_log) {
    SimNodeOptions kept;
    if (keep_log) kept.segment_bytes = 16U << 20U;
    start(kept);
    fill(300);
    for (int i = 0; i < 7; ++i) work();
    if (!keep_log) {
      for (const std::uint32_t id : {1U, 2U}) BOP_OK(node->checkpoint(id));
      for (int i = 0; i < 40; ++i)
        BOP_OK(node->commit("UPDATE t SET b = randomblob(60000) WHERE a = 100001", 2));
      note();
      BOP_OK(node->wait_durable());
      for (const std::uint32_t id : {1U, 2U}) BOP_OK(node->checkpoint(id));
      BOP_OK(node->databases().trim());
    }
    expected = state(*node);
    node.reset();
  }
  Result<VerifyReport> look(const std::string& path = "/data") {
    return verify({.disk = &disk, .path = path, .scratch_dir = "/scratch"});
  }
  Result<VerifyReport> mend(const std::string& backup = "") {
    return repair({.verify = {.disk = &disk, .path = "/data", .scratch_dir = "/scratch"}, .backup = backup});
  }
  static std::string findings(const Result<VerifyReport>& report) {
    if (!report) return text_of(report.error());
    std::string text;
    for (const Finding& finding : report->findings)
      text += std::string(name_of(finding.state)) + ": " + finding.what + "\n";
    return text;
  }
  void expect_sound() {
    const auto report = look();
    ASSERT_TRUE(report.has_value()) << text_of(report.error());
    EXPECT_TRUE(report->sound()) << findings(report);
    start();
    if (HasFatalFailure()) return;
    EXPECT_EQ(state(*node), expected);
    EXPECT_EQ(node->read("PRAGMA integrity_check", 1), "ok");
    EXPECT_EQ(node->read("PRAGMA integrity_check", 2), "ok");
    node.reset();
  }
  std::uint64_t size_of(const std::string& path) {
    return disk.open(path, OpenMode::kRead).value()->size().value();
  }
  std::vector<std::string> segments() {
    std::vector<std::string> names = disk.list("/data/log").value();
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(".log"); });
    return names;
  }

  std::string expected;
};

TEST_F(Verify, ASoundDirectoryAndASoundBackupAreSaidToBe) {
  build(true);
  BOP_OK(back_up(options()));
  for (const char* path : {"/data", "/backup"}) {
    const auto report = look(path);
    ASSERT_TRUE(report.has_value()) << text_of(report.error());
    EXPECT_TRUE(report->findings.empty()) << findings(report);
    EXPECT_EQ(report->databases, 2U);
    EXPECT_GT(report->pages, 300U);
    EXPECT_GT(report->records, 300U);
    EXPECT_EQ(report->is_backup, std::string(path) == "/backup");
  }
  EXPECT_EQ(look("/nothing").error().code(), ErrorCode::kFileNotFound);
  EXPECT_FALSE(disk.exists("/scratch/1-0").value());
}

TEST_F(Verify, ANodeThatWritesIsSound) {
  start();
  fill(300);
  for (int i = 0; i < 30; ++i) {
    work();
    const auto report = look();
    ASSERT_TRUE(report.has_value()) << text_of(report.error());
    EXPECT_TRUE(report->sound()) << findings(report);
  }
}

TEST_F(Verify, EveryDamagedPageIsNamedAndRepairedFromTheLog) {
  build(true);
  const std::string path = "/data/db/1/rows.db";
  const auto pages = static_cast<std::uint32_t>(size_of(path) / kPageBytes);
  std::vector<std::uint32_t> broken;
  for (std::uint32_t n = 1; n <= pages; n += 13) {
    ASSERT_TRUE(disk.flip_bit(path, (n - 1) * 4096ULL + (n * 131) % 4096, n % 8));
    broken.push_back(n);
  }
  const auto report = look();
  ASSERT_TRUE(report.has_value()) << text_of(report.error());
  std::vector<std::uint32_t> named;
  for (const Finding& finding : report->findings) {
    EXPECT_EQ(finding.kind, FindingKind::kPage) << finding.what;
    EXPECT_EQ(finding.database, DatabaseId(1));
    EXPECT_EQ(finding.file, path);
    named.push_back(finding.page.value);
  }
  std::ranges::sort(named);
  EXPECT_EQ(named, broken);
  const auto mended = mend();
  ASSERT_TRUE(mended.has_value()) << text_of(mended.error());
  EXPECT_TRUE(mended->sound()) << findings(mended);
  expect_sound();
}

TEST_F(Verify, APageThatTheLogLacksIsRefusedAndRepairedFromABackup) {
  start();
  fill(300);
  BOP_OK(back_up(options()));
  // Extended until the log behind the first base is gone from the node.
  for (int i = 0; i < 12; ++i) {
    work();
    BOP_OK(back_up(options()));
  }
  for (const std::uint32_t id : {1U, 2U}) BOP_OK(node->checkpoint(id));
  BOP_OK(back_up(options()));
  for (int i = 0; i < 40; ++i) {
    BOP_OK(node->commit("UPDATE t SET b = randomblob(60000) WHERE a = 100001", 2));
    if (i % 10 == 0) {
      BOP_OK(node->wait_durable());
      BOP_OK(back_up(options()));
    }
  }
  note();
  BOP_OK(node->wait_durable());
  for (const std::uint32_t id : {1U, 2U}) BOP_OK(node->checkpoint(id));
  BOP_OK(back_up(options()));
  BOP_OK(node->databases().trim());
  expected = state(*node);
  node.reset();
  const std::string path = "/data/db/1/rows.db";
  const auto pages = static_cast<std::uint32_t>(size_of(path) / kPageBytes);
  for (std::uint32_t n = 1; n <= pages; ++n) ASSERT_TRUE(disk.flip_bit(path, (n - 1) * 4096ULL + 77, 1));
  const auto alone = mend();
  ASSERT_TRUE(alone.has_value()) << text_of(alone.error());
  EXPECT_FALSE(alone->sound());
  // The start reads no page, a query does.
  const auto mended = mend("/backup");
  ASSERT_TRUE(mended.has_value()) << text_of(mended.error());
  EXPECT_TRUE(mended->sound()) << findings(mended);
  expect_sound();
}

TEST_F(Verify, ADamagedOrMissingSegmentIsNamedAndRepairedFromABackup) {
  build(true);
  BOP_OK(back_up(options()));
  for (const std::string& name : segments()) {
    const std::string path = "/data/log/" + name;
    const auto label = read_label(disk, "/backup").value().value();
    const auto log = std::ranges::find(label.logs, aof::segment_number(name).value(), &LabelLog::number);
    ASSERT_NE(log, label.logs.end());
    for (const std::uint64_t at : {std::uint64_t{20}, std::uint64_t{4096 + 5}, log->bytes / 2}) {
      if (at >= log->bytes) continue;
      ASSERT_TRUE(disk.flip_bit(path, at, 2));
      const auto found = look();
      ASSERT_TRUE(found.has_value()) << text_of(found.error());
      if (found->sound()) {  // padding, or nothing behind it was known to be durable
        ASSERT_TRUE(disk.flip_bit(path, at, 2));
        continue;
      }
      EXPECT_NE(findings(found).find(name), std::string::npos) << findings(found);
      const auto mended = mend("/backup");
      ASSERT_TRUE(mended.has_value()) << text_of(mended.error());
      EXPECT_TRUE(mended->sound()) << findings(mended);
    }
  }
  if (segments().size() > 2) {
    BOP_OK(disk.remove("/data/log/" + segments()[1]));
    const auto found = look();
    EXPECT_FALSE(found->sound());
    const auto mended = mend("/backup");
    ASSERT_TRUE(mended.has_value()) << text_of(mended.error());
    EXPECT_TRUE(mended->sound()) << findings(mended);
  }
  expect_sound();
}

TEST_F(Verify, ADamagedManifestIsWrittenAnewFromTheOtherIfTheLogReachesBack) {
  build(true);
  for (const char* name : {"manifest.0", "manifest.1"}) {
    const std::string path = std::string("/data/db/2/") + name;
    ASSERT_TRUE(disk.flip_bit(path, 33, 0));
    const auto found = look();
    ASSERT_TRUE(found.has_value()) << text_of(found.error());
    EXPECT_FALSE(found->sound());
    EXPECT_NE(findings(found).find(path), std::string::npos) << findings(found);
    const auto mended = mend();
    ASSERT_TRUE(mended.has_value()) << text_of(mended.error());
    EXPECT_TRUE(mended->sound()) << findings(mended);
    expect_sound();
  }
}

TEST_F(Verify, WithoutBothManifestsADatabaseIsRefused) {
  build(true);
  for (const char* name : {"/manifest.0", "/manifest.1"}) {
    ASSERT_TRUE(disk.flip_bit(std::string("/data/db/2") + name, 33, 0));
  }
  const auto mended = mend();
  ASSERT_TRUE(mended.has_value()) << text_of(mended.error());
  EXPECT_FALSE(mended->sound());
  EXPECT_NE(findings(mended).find("neither manifest in /data/db/2 is valid"), std::string::npos);
}

TEST_F(Verify, ALostDatabaseIsMadeAnewFromABackupAndTheLogSince) {
  SimNodeOptions kept;
  kept.segment_bytes = 16U << 20U;
  start(kept);
  fill(300);
  BOP_OK(back_up(options()));
  for (int i = 0; i < 9; ++i) work();
  expected = state(*node);
  node.reset();
  const auto damages = std::to_array<std::function<void()>>({
      [&] {
        for (const char* name : {"/manifest.0", "/manifest.1"}) {
          ASSERT_TRUE(disk.flip_bit(std::string("/data/db/2") + name, 33, 0));
        }
      },
      [&] { BOP_OK(disk.remove("/data/db/1/rows.db")); },
  });
  for (const auto& damage : damages) {
    damage();
    EXPECT_FALSE(look()->sound());
    EXPECT_FALSE(mend()->sound());
    // Cut anywhere it can be repeated, and never makes anything else of it.
    for (std::uint64_t k = 40;; k += 11) {
      disk.fail_call(k, SimFault::kIo, true);
      const auto cut = mend("/backup");
      disk.clear_faults();
      if (cut) break;
    }
    const auto mended = mend("/backup");
    ASSERT_TRUE(mended.has_value()) << text_of(mended.error());
    EXPECT_TRUE(mended->sound()) << findings(mended);
    expect_sound();
    start(kept);
    work();
    expected = state(*node);
    node.reset();
    expect_sound();
  }
}

TEST_F(Verify, EveryFlippedBitOfABackupIsFound) {
  build(true);
  const auto done = back_up(options());
  ASSERT_TRUE(done.has_value()) << text_of(done.error());
  std::vector<std::pair<std::string, std::uint64_t>> files;
  for (const auto& log : done->label.logs) files.emplace_back(log_path("/backup", log.number), log.bytes);
  for (const auto& file : done->label.files) files.emplace_back("/backup/" + file.name, file.bytes);
  for (const auto& database : done->label.databases) {
    files.emplace_back(database_path("/backup", database.id) + "/rows.db", database.pages * 4096ULL);
  }
  for (const auto& [path, size] : files) {
    for (std::uint64_t at = size / 7; at < size; at += 1 + size / 4) {
      ASSERT_TRUE(disk.flip_bit(path, at, at % 8)) << path << ' ' << at;
      const auto report = look("/backup");
      ASSERT_TRUE(report.has_value()) << text_of(report.error());
      EXPECT_FALSE(report->sound()) << path << ' ' << at;
      EXPECT_NE(findings(report).find(path), std::string::npos) << findings(report);
      ASSERT_TRUE(disk.flip_bit(path, at, at % 8));
    }
  }
  EXPECT_EQ(repair({.verify = {.disk = &disk, .path = "/backup", .scratch_dir = "/scratch"}}).error().code(),
            ErrorCode::kInvalidArgument);
}

TEST_F(Verify, RepairOfARunningNodeIsRefused) {
  start();
  fill(10);
  EXPECT_EQ(mend().error().code(), ErrorCode::kLocked);
}

TEST_F(Verify, ABackupWhoseLogDoesNotReachTheNodesRepairsNothingAndThePageIsRefused) {
  start();
  fill(300);
  BOP_OK(back_up(options()));
  for (int i = 0; i < 60; ++i) work();
  for (const std::uint32_t id : {1U, 2U}) BOP_OK(node->checkpoint(id));
  BOP_OK(node->databases().trim());
  BOP_OK(node->commit("UPDATE t SET a = a WHERE a = 100001", 2));
  BOP_OK(node->wait_durable());
  node.reset();
  const std::string path = "/data/db/1/rows.db";
  const auto pages = static_cast<std::uint32_t>(size_of(path) / kPageBytes);
  for (std::uint32_t n = 3; n <= pages; ++n) ASSERT_TRUE(disk.flip_bit(path, (n - 1) * 4096ULL + 77, 1));
  const auto mended = mend("/backup");
  ASSERT_TRUE(mended.has_value()) << text_of(mended.error());
  EXPECT_FALSE(mended->sound());
  EXPECT_EQ(findings(mended).find("from /backup"), std::string::npos);
  start();
  const auto read = node->read("SELECT sum(length(b)) FROM t", 1);
  ASSERT_FALSE(read.has_value());
  EXPECT_NE(read.error().what().find("of /data/db/1/rows.db does not match its checksum"), std::string::npos)
      << read.error().what();
}

}  // namespace
}  // namespace bop::backup
