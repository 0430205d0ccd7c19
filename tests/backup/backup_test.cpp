// Backups by what may happen to them.
#include "backup/sim_backup.hpp"

namespace bop::backup {
namespace {

using testing::SimBackup;
using testing::SimNodeOptions;
using testing::text_of;

class Backup : public SimBackup {};

TEST_F(Backup, OfANodeAtRestIsItsState) {
  start();
  fill(300);
  node.reset();
  const auto done = back_up(options());
  ASSERT_TRUE(done.has_value()) << text_of(done.error());
  EXPECT_EQ(done->kind, BackupKind::kNew);
  EXPECT_GT(done->verified_pages, 300U);
  expect_restored("/restored");
}

TEST_F(Backup, TakenWhileTheNodeWritesChecksPointsAndTrimsIsOneOfItsStates) {
  start();
  fill(1500);
  auto traffic = options();
  traffic.progress = [&](std::string_view phase, std::uint64_t, std::uint64_t) {
    if (phase == "pages") work();
  };
  const auto done = back_up(traffic);
  ASSERT_TRUE(done.has_value()) << text_of(done.error());
  EXPECT_GT(round, 5);
  expect_restored("/at_end");
  expect_restored("/at_consistent", done->label.consistent);
}

TEST_F(Backup, ExtendsByTheLogAndRestoresToEveryCsnBetween) {
  start();
  fill(300);
  auto first = back_up(options());
  ASSERT_TRUE(first.has_value()) << text_of(first.error());
  for (int i = 0; i < 2; ++i) work();
  const auto second = back_up(options());
  ASSERT_TRUE(second.has_value()) << text_of(second.error());
  EXPECT_EQ(second->kind, BackupKind::kExtended);
  EXPECT_EQ(second->label.consistent, first->label.consistent);
  EXPECT_GT(second->label.end, first->label.end);
  int number = 0;
  for (Lsn csn = second->label.consistent; csn <= second->label.end; csn = csn.next()) {
    expect_restored("/restored" + std::to_string(number++), csn);
  }
  EXPECT_EQ(restore_to("/x", Lsn(first->label.consistent.value - 1)).error().code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(restore_to("/x", second->label.end.next()).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(Backup, WhoseNodeHasTrimmedTheLogSinceStaysAsItIs) {
  start();
  fill(300);
  const auto first = back_up(options());
  ASSERT_TRUE(first.has_value()) << text_of(first.error());
  for (int i = 0; i < 60; ++i) work();
  BOP_OK(node->checkpoint(1));
  BOP_OK(node->checkpoint(2));
  BOP_OK(node->databases().trim());
  const auto second = back_up(options());
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), ErrorCode::kNotInPrerequisiteState) << second.error().what();
  expect_restored("/restored");
}

TEST_F(Backup, OfANodeThatDiesAndComesBackMeanwhileIsOneOfItsStates) {
  for (int seed = 1; seed <= 12; ++seed) {
    SimRandom random(seed);
    SimNodeOptions small;
    small.data_dir = "/data";
    start(small);
    if (seed == 1) fill(1500);
    directory = "/backup" + std::to_string(seed);
    auto traffic = options();
    traffic.progress = [&](std::string_view phase, std::uint64_t, std::uint64_t) {
      if (phase == "verify") return;
      for (std::uint64_t i = random.u64() % 4; i > 0; --i) work();
      if (random.u64() % 3 == 0) {
        start(small);
      } else if (random.u64() % 3 == 0) {
        BOP_OK(node->checkpoint(1));
        BOP_OK(node->checkpoint(2));
        BOP_OK(node->databases().trim());
      }
    };
    const auto done = back_up(traffic);
    ASSERT_TRUE(done.has_value()) << "seed " << seed << ": " << text_of(done.error());
    expect_restored("/end" + std::to_string(seed));
    expect_restored("/consistent" + std::to_string(seed), done->label.consistent);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST_F(Backup, WhoseNodeWasSetBackBehindItStaysAsItIs) {
  start();
  fill(200);
  node.reset();
  const auto copy_all = [&](const std::string& from, const std::string& to) {
    for (const char* folder : {"", "/log", "/db", "/db/1", "/db/2"}) {
      BOP_OK(disk.create_directories(to + folder));
      const auto old_names = disk.list(to + folder).value();
      for (const auto& name : old_names) (void)disk.remove(to + folder + "/" + name);
      const auto names = disk.list(from + folder).value();
      for (const auto& name : names) {
        auto source = disk.open(from + folder + "/" + name, OpenMode::kRead);
        if (!source || name == "lock") continue;
        std::vector<std::byte> bytes((*source)->size().value());
        BOP_OK((*source)->read_at(ByteOffset(0), bytes));
        auto target = disk.open(to + folder + "/" + name, OpenMode::kOpenOrCreate).value();
        BOP_OK(target->write_at(ByteOffset(0), bytes));
      }
    }
  };
  copy_all("/data", "/old");
  const auto before = states;
  start();
  for (int i = 0; i < 4; ++i) work();
  const auto taken = back_up(options());
  ASSERT_TRUE(taken.has_value()) << text_of(taken.error());
  const auto then = states;
  node.reset();
  copy_all("/old", "/data");
  states = before;
  start();
  work();
  const auto extended = back_up(options());
  ASSERT_FALSE(extended.has_value());
  EXPECT_EQ(extended.error().code(), ErrorCode::kNotInPrerequisiteState) << text_of(extended.error());
  states = then;
  expect_restored("/restored");
}

TEST_F(Backup, IsNotSaidToBeCompleteWhenAWriteOrASyncFailed) {
  start();
  fill(300);
  for (const SimFault fault : {SimFault::kDiskFull, SimFault::kShort, SimFault::kFailedSync}) {
    for (std::uint64_t k = 1;; k += 2) {
      directory = "/backup-" + std::to_string(static_cast<int>(fault)) + "-" + std::to_string(k);
      const std::uint64_t struck = disk.faults_struck();
      disk.fail_call(k, fault);
      const auto failed = back_up(options());
      const bool hit = disk.faults_struck() != struck;
      disk.clear_faults();
      if (!hit) break;
      // A removal succeeds on a full disk.
      const auto label = read_label(disk, directory);
      EXPECT_EQ(label && *label && (*label)->complete, failed.has_value()) << k;
      if (!failed) BOP_OK(back_up(options()));
      if (failed || k % 8 == 1) expect_restored("/restored" + directory);
    }
  }
}

TEST_F(Backup, CutAtAnyCallIsGoneOnWith) {
  start();
  fill(600);
  int resumed = 0;
  std::uint64_t k = 1;
  for (;; k += 3 + k / 16) {
    node.reset();
    directory = "/backup" + std::to_string(k);
    disk.fail_call(k, SimFault::kIo, true);
    const auto cut = back_up(options());
    disk.clear_faults();
    disk.power_cut();
    start();
    for (int i = 0; i < 2; ++i) work();
    const auto again = back_up(options());
    ASSERT_TRUE(again.has_value()) << "call " << k << ": " << text_of(again.error());
    if (again->kind == BackupKind::kResumed) ++resumed;
    expect_restored("/restored" + std::to_string(k));
    if (HasFailure()) FAIL() << "call " << k;
    if (cut) break;
  }
  EXPECT_GT(k, 50U);
  EXPECT_GT(resumed, 5);
}

TEST_F(Backup, ARestoreThatWasCutCanBeRepeatedAndAForeignFolderIsRefused) {
  start();
  fill(100);
  node.reset();
  BOP_OK(back_up(options()));
  for (std::uint64_t k = 1;; k += 5) {
    const std::string data_dir = "/restored" + std::to_string(k);
    disk.fail_call(k, SimFault::kIo, true);
    const auto cut = restore_to(data_dir);
    disk.clear_faults();
    if (cut) break;
    // What fails behind the last file that counts leaves a whole data directory.
    if (!disk.exists(data_dir + "/format").value_or(false)) expect_restored(data_dir);
    EXPECT_EQ(restore_to(data_dir).error().code(), ErrorCode::kFileExists);
  }
  EXPECT_EQ(restore_to("/data").error().code(), ErrorCode::kFileExists);
}

TEST_F(Backup, APageThatIsDamagedInTheNodeAndNotInItsLogIsNamed) {
  start();
  fill(300);
  node.reset();
  ASSERT_TRUE(disk.flip_bit("/data/db/1/rows.db", 4096 * 77 + 1234, 3));
  // The log still holds the page.
  const auto whole = back_up(options());
  if (whole) {
    expect_restored("/restored");
    return;
  }
  EXPECT_EQ(whole.error().code(), ErrorCode::kCorrupt);
  EXPECT_NE(whole.error().what().find("page 78 of"), std::string::npos) << whole.error().what();
  const auto refused = restore_to("/restored");
  EXPECT_EQ(refused.error().code(), ErrorCode::kNotInPrerequisiteState);
  // Repaired, it can be taken.
  ASSERT_TRUE(disk.flip_bit("/data/db/1/rows.db", 4096 * 77 + 1234, 3));
  BOP_OK(back_up(options()));
  expect_restored("/restored");
}

TEST_F(Backup, EveryFlippedBitOfItStopsTheRestore) {
  start();
  fill(60);
  BOP_OK(back_up(options()));
  for (int i = 0; i < 2; ++i) work();
  const auto done = back_up(options());
  ASSERT_TRUE(done.has_value()) << text_of(done.error());
  node.reset();
  std::vector<std::pair<std::string, std::uint64_t>> files{
      {"/backup/backup", print_label(done->label).size()}};
  for (const auto& log : done->label.logs) files.emplace_back(log_path("/backup", log.number), log.bytes);
  for (const auto& file : done->label.files) files.emplace_back("/backup/" + file.name, file.bytes);
  for (const auto& database : done->label.databases) {
    files.emplace_back(database_path("/backup", database.id) + "/rows.db", database.pages * 4096ULL);
  }
  int number = 0;
  for (const auto& [path, size] : files) {
    for (std::uint64_t at = 0; at < size; at += 1 + size / 20) {
      ASSERT_TRUE(disk.flip_bit(path, at, at % 8)) << path << ' ' << at;
      const std::string data_dir = "/broken" + std::to_string(number++);
      EXPECT_FALSE(restore_to(data_dir).has_value()) << path << ' ' << at;
      EXPECT_FALSE(disk.exists(data_dir + "/format").value_or(true));
      ASSERT_TRUE(disk.flip_bit(path, at, at % 8));
    }
  }
  expect_restored("/restored");
}

TEST_F(Backup, IntoAFolderOfSomethingElseOrOfTheNodeIsRefused) {
  start();
  fill(10);
  BOP_OK(disk.create_directories("/other"));
  BOP_OK(write_whole_file(disk, "/other", "letter", "dear"));
  for (const char* folder : {"/other", "/data", "/data/backup"}) {
    auto wrong = options();
    wrong.directory = folder;
    EXPECT_FALSE(back_up(wrong).has_value()) << folder;
  }
  auto nowhere = options();
  nowhere.data_dir = "/nowhere";
  EXPECT_EQ(back_up(nowhere).error().code(), ErrorCode::kFileNotFound);
  EXPECT_EQ(disk.list("/other")->size(), 1U + 1U);  // and the lock
}

}  // namespace
}  // namespace bop::backup
