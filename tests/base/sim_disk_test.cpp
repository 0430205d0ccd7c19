#include "base/sim_disk.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <set>

#include "base/disk_contract.hpp"

namespace bop {
namespace {

constexpr std::size_t kBlock = kDiskBlockBytes;

std::unique_ptr<File> open_file(Disk& disk, const std::string& path) {
  return std::move(*disk.open(path, OpenMode::kOpenOrCreate));
}
std::unique_ptr<File> durable_file(Disk& disk, const std::string& path, std::string_view text) {
  auto file = open_file(disk, path);
  EXPECT_TRUE(file->write_at(ByteOffset(0), bytes_of(text)));
  EXPECT_TRUE(file->sync());
  EXPECT_TRUE(disk.sync_directory("."));
  return file;
}
std::string contents(Disk& disk, const std::string& path) {
  auto file = disk.open(path, OpenMode::kRead);
  return file ? text_of(**file) : "(none)";
}
// One letter for each sector: what it is filled with, '?' if it is not filled with one.
std::string sectors(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += kSectorBytes) {
    const std::string sector = text.substr(at, kSectorBytes);
    const bool even = sector.find_first_not_of(sector[0]) == std::string::npos;
    out += !even ? '?' : sector[0] == '\0' ? '0' : sector[0];
  }
  return out;
}

TEST(SimDisk, KeepsTheContract) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimDisk disk(seed);
    check_disk_contract(disk, "top");
    check_disk_contract(disk, "/absolute/top");
  }
}

TEST(SimDisk, SyncedBytesAndNamesSurviveEveryPowerCut) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimDisk disk(seed);
    durable_file(disk, "f", "kept");
    for (int i = 0; i < 3; ++i) disk.power_cut();
    ASSERT_EQ(contents(disk, "f"), "kept");
  }
}

TEST(SimDisk, UnsyncedSectorsAreKeptLostAndTornIndependently) {
  std::map<std::string, int> outcomes;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SimDisk disk(seed);
    auto file = durable_file(disk, "f", std::string(4 * kSectorBytes, 'a'));
    ASSERT_TRUE(file->write_at(ByteOffset(0), bytes_of(std::string(4 * kSectorBytes, 'b'))));
    disk.power_cut();
    const std::string left = sectors(contents(disk, "f"));
    ASSERT_EQ(left.find('?'), std::string::npos);  // never within a sector
    ++outcomes[left];
  }
  EXPECT_EQ(outcomes.size(), 16u);  // every combination of old and new
  EXPECT_GT(outcomes["aaaa"], 30);
  EXPECT_GT(outcomes["bbbb"], 30);
  EXPECT_GT(outcomes["abab"], 0);  // later sectors without earlier ones: reordered
}

TEST(SimDisk, AnIntermediateVersionMaySurvive) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimDisk disk(seed);
    auto file = durable_file(disk, "f", std::string(kSectorBytes, 'a'));
    for (const char c : {'b', 'c'}) {
      ASSERT_TRUE(file->write_at(ByteOffset(0), bytes_of(std::string(kSectorBytes, c))));
    }
    disk.power_cut();
    outcomes.insert(sectors(contents(disk, "f")));
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"a", "b", "c"}));
}

TEST(SimDisk, GrowthMaySurviveWithoutItsBytesAndBytesNeverWithoutGrowth) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SimDisk disk(seed);
    auto file = durable_file(disk, "f", std::string(kSectorBytes, 'a'));
    ASSERT_TRUE(file->write_at(ByteOffset(kSectorBytes), bytes_of(std::string(kSectorBytes, 'b'))));
    disk.power_cut();
    outcomes.insert(sectors(contents(disk, "f")));
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"a", "a0", "ab"}));
}

TEST(SimDisk, ATruncationSurvivesOrTheOldTailIsWhole) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    SimDisk disk(seed);
    auto file = durable_file(disk, "f", std::string(3 * kSectorBytes, 'a'));
    ASSERT_TRUE(file->truncate(kSectorBytes));
    ASSERT_TRUE(file->write_at(ByteOffset(kSectorBytes), bytes_of(std::string(kSectorBytes, 'b'))));
    disk.power_cut();
    outcomes.insert(sectors(contents(disk, "f")));
  }
  // Nothing of the truncation; the truncation alone; with growth; with growth and bytes. Never "aba".
  EXPECT_EQ(outcomes, (std::set<std::string>{"aaa", "a", "a0", "ab"}));
}

TEST(SimDisk, NamesSurviveOnlyForSureAfterSyncDirectory) {
  std::set<std::string> created, renamed, removed;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimDisk disk(seed);
    auto file = open_file(disk, "new");
    ASSERT_TRUE(file->write_at(ByteOffset(0), bytes_of("x")));
    ASSERT_TRUE(file->sync());
    durable_file(disk, "gone", "g");
    durable_file(disk, "from", "1");
    durable_file(disk, "to", "2");
    open_file(disk, "new2");
    ASSERT_TRUE(disk.remove("gone"));
    ASSERT_TRUE(disk.rename("from", "to"));
    disk.power_cut();
    ASSERT_EQ(contents(disk, "new"), "x");  // its folder was synced after it
    created.insert(contents(disk, "new2"));
    removed.insert(contents(disk, "gone"));
    renamed.insert(contents(disk, "from") + contents(disk, "to"));
  }
  EXPECT_EQ(created, (std::set<std::string>{"(none)", ""}));
  EXPECT_EQ(removed, (std::set<std::string>{"(none)", "g"}));
  EXPECT_EQ(renamed, (std::set<std::string>{"12", "(none)1"}));  // atomic
}

TEST(SimDisk, ARenameIntoASyncedFolderDoesNotLeaveTheOldNameBehind) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimDisk disk(seed);
    ASSERT_TRUE(disk.create_directories("d"));
    auto file = open_file(disk, "f");
    ASSERT_TRUE(disk.rename("f", "d/f"));
    ASSERT_TRUE(disk.sync_directory("d"));
    ASSERT_TRUE(disk.sync_directory("."));
    disk.power_cut();
    EXPECT_TRUE(disk.exists("d/f").value());
    EXPECT_FALSE(disk.exists("f").value());
  }
}

TEST(SimDisk, DurableWritesCompleteLaterInAnyOrderAndThenSurvive) {
  std::set<std::string> orders;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SimDisk disk(seed);
    auto file = durable_file(disk, "f", "");
    ASSERT_TRUE(file->prewrite(0, 3 * kBlock));
    ASSERT_TRUE(file->sync());
    const Aligned a(kBlock, 'a'), b(kBlock, 'b'), c(kBlock, 'c');
    std::string order;
    int i = 0;
    for (const Aligned* buffer : {&a, &b, &c}) {
      file->write_durable(ByteOffset(kBlock * static_cast<std::size_t>(i)), buffer->span(),
                          [&, i](Status status) {
                            EXPECT_TRUE(status);
                            order += static_cast<char>('a' + i);
                          });
      ++i;
    }
    EXPECT_EQ(order, "");
    while (disk.wait() > 0) {
    }
    orders.insert(order);
    disk.power_cut();
    ASSERT_EQ(sectors(contents(disk, "f")), "aaaaaaaabbbbbbbbcccccccc");
  }
  EXPECT_EQ(orders.size(), 6u);
}

TEST(SimDisk, DurableWritesInFlightAreTornBySectorAndNeverComplete) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SimDisk disk(seed);
    auto file = durable_file(disk, "f", std::string(kBlock, 'a'));
    const Aligned buffer(kBlock, 'b');
    bool ran = false;
    file->write_durable(ByteOffset(0), buffer.span(), [&](Status) { ran = true; });
    disk.power_cut();
    while (disk.wait() > 0) {
    }
    EXPECT_FALSE(ran);
    outcomes.insert(sectors(contents(disk, "f")));
  }
  EXPECT_TRUE(outcomes.contains("aaaaaaaa") && outcomes.contains("bbbbbbbb"));
  EXPECT_GT(outcomes.size(), 80u);
  EXPECT_TRUE(
      std::ranges::none_of(outcomes, [](const auto& o) { return o.find_first_not_of("ab") != o.npos; }));
}

TEST(SimDisk, AKilledProcessLosesNothingThatWasWritten) {
  SimDisk disk(1);
  auto file = open_file(disk, "f");
  auto lock = std::move(*disk.lock("lock"));
  ASSERT_TRUE(file->write_at(ByteOffset(0), bytes_of(std::string(kBlock, 'a'))));
  const Aligned buffer(kBlock, 'b');
  file->write_durable(ByteOffset(kBlock), buffer.span(), [](Status) { FAIL(); });
  disk.process_kill();
  EXPECT_EQ(file->size().error().code(), ErrorCode::kIo);
  EXPECT_EQ(sectors(contents(disk, "f")), "aaaaaaaabbbbbbbb");
  auto second = disk.lock("lock");
  ASSERT_TRUE(second);
  lock.reset();  // the dead process's: must not release the new holder's
  EXPECT_EQ(disk.lock("lock").error().code(), ErrorCode::kLocked);
}

TEST(SimDisk, HandlesOfBeforeAPowerCutAreDead) {
  SimDisk disk(1);
  auto file = durable_file(disk, "f", "x");
  auto lock = std::move(*disk.lock("lock"));
  disk.power_cut();
  std::byte byte[1];
  EXPECT_EQ(file->read_at(ByteOffset(0), byte).error().code(), ErrorCode::kIo);
  EXPECT_EQ(file->write_at(ByteOffset(0), byte).error().code(), ErrorCode::kIo);
  EXPECT_EQ(file->sync().error().code(), ErrorCode::kIo);
  EXPECT_TRUE(disk.lock("lock"));
}

TEST(SimDisk, EveryCallCanBeMadeToFail) {
  const auto work = [](SimDisk& disk) -> Status {
    BOP_TRY(disk.create_directories("d"));
    BOP_LET(lock, disk.lock("d/lock"));
    BOP_LET(file, disk.open("d/tmp", OpenMode::kCreate));
    BOP_TRY(file->prewrite(0, 2 * kBlock));
    BOP_TRY(file->write_at(ByteOffset(5), bytes_of("hello")));
    BOP_TRY(file->sync());
    Status written;
    const Aligned buffer(kBlock, 'x');
    file->write_durable(ByteOffset(0), buffer.span(), [&](Status status) { written = std::move(status); });
    disk.wait();
    BOP_TRY(written);
    BOP_TRY(disk.rename("d/tmp", "d/f"));
    BOP_TRY(disk.sync_directory("d"));
    BOP_TRY(disk.exists("d/f"));
    BOP_TRY(disk.list("d"));
    BOP_TRY(disk.free_bytes("d"));
    BOP_TRY(file->size());
    std::byte byte[1];
    BOP_TRY(file->read_at(ByteOffset(0), byte));
    BOP_TRY(file->truncate(kBlock));
    return disk.remove("d/f");
  };
  SimDisk counting(1);
  ASSERT_TRUE(work(counting));
  const std::uint64_t calls = counting.io_calls();
  EXPECT_EQ(calls, 16u);
  for (std::uint64_t k = 1; k <= calls; ++k) {
    SimDisk disk(k);
    disk.fail_call(k, SimFault::kIo);
    const Status status = work(disk);
    ASSERT_FALSE(status) << k;
    EXPECT_EQ(status.error().code(), ErrorCode::kIo) << k;
    EXPECT_EQ(disk.faults_struck(), 1u);
    EXPECT_EQ(disk.io_calls(), k);
    ASSERT_FALSE(disk.trace().empty());
    EXPECT_TRUE(disk.trace().back().ends_with("FAULT")) << disk.trace().back();
  }
  SimDisk sticky(1);
  sticky.fail_call(1, SimFault::kDiskFull, true);
  EXPECT_EQ(sticky.create_directories("d").error().code(), ErrorCode::kDiskFull);
  EXPECT_EQ(sticky.open("f", OpenMode::kCreate).error().code(), ErrorCode::kDiskFull);
  sticky.clear_faults();
  EXPECT_TRUE(work(sticky));
  EXPECT_EQ(sticky.faults_struck(), 2u);
}

TEST(SimDisk, AFailedWriteMayHaveHappenedInPart) {
  std::set<std::size_t> lengths;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SimDisk disk(seed);
    auto file = open_file(disk, "f");
    disk.fail_call(1, SimFault::kShort);
    const auto status = file->write_at(ByteOffset(0), bytes_of("0123456789"));
    EXPECT_EQ(status.error().code(), ErrorCode::kDiskFull);
    const std::string left = text_of(*file);
    EXPECT_EQ(left, std::string("0123456789").substr(0, left.size()));
    lengths.insert(left.size());
  }
  EXPECT_EQ(lengths.size(), 10u);  // any part, never all
}

TEST(SimDisk, AFailedDurableWriteIsToldAndLeavesAnything) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimDisk disk(seed);
    auto file = durable_file(disk, "f", std::string(kBlock, 'a'));
    const Aligned buffer(kBlock, 'b');
    disk.fail_call(1, SimFault::kIo);
    Status status;
    file->write_durable(ByteOffset(0), buffer.span(), [&](Status given) { status = std::move(given); });
    EXPECT_EQ(disk.wait(), 1u);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), ErrorCode::kIo);
    outcomes.insert(sectors(contents(disk, "f")));
  }
  EXPECT_TRUE(outcomes.contains("aaaaaaaa") && outcomes.contains("bbbbbbbb"));
  EXPECT_GT(outcomes.size(), 50u);
}

TEST(SimDisk, AFailedSyncLosesBytesThatALaterSyncDoesNotBringBack) {
  std::map<std::string, int> outcomes;
  int forgotten_in_memory = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimDisk disk(seed);
    auto file = durable_file(disk, "f", std::string(kSectorBytes, 'a'));
    ASSERT_TRUE(file->write_at(ByteOffset(0), bytes_of(std::string(kSectorBytes, 'b'))));
    disk.fail_call(1, SimFault::kFailedSync);
    ASSERT_EQ(file->sync().error().code(), ErrorCode::kIo);
    ASSERT_TRUE(file->sync());  // "succeeds", as Linux does
    if (sectors(text_of(*file)) == "a") ++forgotten_in_memory;
    disk.power_cut();
    ++outcomes[sectors(contents(disk, "f"))];
  }
  EXPECT_GT(outcomes["a"], 20);
  EXPECT_GT(outcomes["b"], 20);
  EXPECT_EQ(outcomes.size(), 2u);
  EXPECT_GT(forgotten_in_memory, 10);
  // Written again and synced, the page is whole.
  SimDisk disk(1);
  auto file = durable_file(disk, "f", std::string(kSectorBytes, 'a'));
  ASSERT_TRUE(file->write_at(ByteOffset(0), bytes_of(std::string(kSectorBytes, 'b'))));
  disk.fail_call(1, SimFault::kFailedSync);
  ASSERT_FALSE(file->sync());
  ASSERT_TRUE(file->write_at(ByteOffset(0), bytes_of(std::string(kSectorBytes, 'c'))));
  ASSERT_TRUE(file->sync());
  disk.power_cut();
  EXPECT_EQ(sectors(contents(disk, "f")), "c");
}

TEST(SimDisk, AFullDiskRefusesGrowthAndTakesOverwritesAndFreesOnRemoval) {
  SimDisk disk(1, {.capacity_bytes = 4 * kBlock});
  auto file = durable_file(disk, "f", std::string(3 * kBlock, 'a'));
  EXPECT_EQ(disk.free_bytes("f").value(), kBlock);
  EXPECT_EQ(file->prewrite(0, 5 * kBlock).error().code(), ErrorCode::kDiskFull);
  EXPECT_EQ(file->write_at(ByteOffset(4 * kBlock), bytes_of("x")).error().code(), ErrorCode::kDiskFull);
  EXPECT_EQ(file->truncate(5 * kBlock).error().code(), ErrorCode::kDiskFull);
  EXPECT_EQ(file->size().value(), 3 * kBlock);
  const Aligned buffer(kBlock, 'b');
  for (const std::size_t block : {2, 4}) {
    Status status;
    file->write_durable(ByteOffset(block * kBlock), buffer.span(),
                        [&](Status given) { status = std::move(given); });
    disk.wait();
    EXPECT_EQ(status.has_value(), block == 2);
    if (!status) {
      EXPECT_EQ(status.error().code(), ErrorCode::kDiskFull);
    }
  }
  ASSERT_TRUE(file->write_at(ByteOffset(3 * kBlock), bytes_of("fits")));
  EXPECT_EQ(disk.free_bytes("f").value(), 0u);
  EXPECT_EQ(disk.open("g", OpenMode::kCreate).error().code(), ErrorCode::kDiskFull);
  ASSERT_TRUE(disk.rename("f", "h"));
  ASSERT_TRUE(disk.rename("h", "f"));
  ASSERT_TRUE(disk.remove("f"));
  EXPECT_EQ(disk.free_bytes("f").value(), 0u);  // still open
  file.reset();
  ASSERT_TRUE(disk.sync_directory("."));
  EXPECT_EQ(disk.free_bytes("f").value(), 4 * kBlock);
  disk.set_capacity(0);
  EXPECT_TRUE(open_file(disk, "g")->truncate(1 << 30));
}

TEST(SimDisk, AStallDelaysCompletionsBySteps) {
  SimDisk disk(1, {.longest_delay = 1});
  auto file = open_file(disk, "f");
  const Aligned buffer(kBlock, 'b');
  bool ran = false;
  file->write_durable(ByteOffset(0), buffer.span(), [&](Status) { ran = true; });
  disk.stall(10);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(disk.poll(), 0u);
  EXPECT_EQ(disk.poll(), 1u);
  EXPECT_TRUE(ran);
}

TEST(SimDisk, AStalledCallTakesItsTimeAndSucceeds) {
  SimDisk disk(1);
  SimClock clock;
  disk.use_clock(&clock);
  auto file = durable_file(disk, "f", "-");
  const std::int64_t before = clock.steady_ns();
  disk.fail_call(2, SimFault::kStall);
  EXPECT_TRUE(file->write_at(ByteOffset(0), bytes_of("a")));
  EXPECT_EQ(clock.steady_ns(), before);
  EXPECT_TRUE(file->sync());
  EXPECT_EQ(clock.steady_ns() - before, std::chrono::nanoseconds(std::chrono::seconds(30)).count());
  EXPECT_EQ(disk.faults_struck(), 1u);
  disk.power_cut();
  EXPECT_EQ(contents(disk, "f"), "a") << "it was a good sync";
}

TEST(SimDisk, AStalledDurableWriteCompletesWhenTheTimeHasPassed) {
  SimDisk disk(1, {.longest_delay = 1});
  SimClock clock;
  disk.use_clock(&clock);
  auto file = open_file(disk, "f");
  const Aligned buffer(kBlock, 'b');
  int ran = 0;
  const auto done = [&](Status status) { ran += status ? 1 : 0; };
  disk.fail_call(1, SimFault::kStall);
  file->write_durable(ByteOffset(0), buffer.span(), done);
  file->write_durable(ByteOffset(kBlock), buffer.span(), done);
  EXPECT_EQ(disk.next_completion_ns(), 0) << "the other one does not wait for it";
  for (int i = 0; i < 10; ++i) disk.poll();
  EXPECT_EQ(ran, 1);
  clock.advance(std::chrono::seconds(29));
  EXPECT_EQ(disk.poll(), 0u);
  EXPECT_EQ(disk.in_flight(), 1u);
  EXPECT_EQ(disk.wait(), 1u) << "whoever waits for it sleeps so long";
  EXPECT_EQ(ran, 2);
}

TEST(SimDisk, RotFlipsOneBitAndABrokenSectorFailsUntilItIsWritten) {
  SimDisk disk(1);
  auto file = durable_file(disk, "f", std::string(2 * kSectorBytes, 'a'));
  EXPECT_TRUE(disk.flip_bit("f", 3, 1));
  EXPECT_FALSE(disk.flip_bit("f", 2 * kSectorBytes, 1));
  EXPECT_EQ(text_of(*file, 0, 5), "aaaca");
  disk.power_cut();
  file = open_file(disk, "f");
  EXPECT_EQ(text_of(*file, 0, 5), "aaaca");

  EXPECT_TRUE(disk.break_sector("f", kSectorBytes + 7));
  std::byte buffer[2];
  EXPECT_EQ(file->read_at(ByteOffset(kSectorBytes - 1), buffer).error().code(), ErrorCode::kIo);
  EXPECT_TRUE(file->read_at(ByteOffset(kSectorBytes - 2), buffer));
  ASSERT_TRUE(file->write_at(ByteOffset(kSectorBytes), bytes_of(std::string(kSectorBytes, 'b'))));
  EXPECT_TRUE(file->read_at(ByteOffset(kSectorBytes - 1), buffer));
}

TEST(SimDisk, AFileCanBeMadeBadByName) {
  SimDisk disk(1);
  auto bad = durable_file(disk, "bad", "x");
  auto good = durable_file(disk, "good", "x");
  disk.fail_path("./bad", SimFault::kIo);
  std::byte byte[1];
  EXPECT_FALSE(bad->read_at(ByteOffset(0), byte));
  EXPECT_TRUE(good->read_at(ByteOffset(0), byte));
}

TEST(SimDisk, TheSameSeedGivesTheSameDisk) {
  const auto run = [](std::uint64_t seed) {
    SimDisk disk(seed);
    std::string history;
    SimRandom random(seed + 1);
    const Aligned buffer(kBlock, 'd');
    for (int round = 0; round < 20; ++round) {
      const std::string path(1, static_cast<char>('a' + random.below(3)));
      auto file = open_file(disk, path);
      for (int i = 0; i < 5; ++i) {
        const std::string text(random.below(3000), static_cast<char>('a' + random.below(26)));
        EXPECT_TRUE(file->write_at(ByteOffset(random.below(9000)), bytes_of(text)));
        if (random.chance(1, 4)) {
          EXPECT_TRUE(file->sync());
        }
        if (random.chance(1, 8)) {
          EXPECT_TRUE(file->truncate(random.below(5000)));
        }
      }
      file->write_durable(ByteOffset(0), buffer.span(), [&](Status) { history += 'w'; });
      if (random.chance(1, 2)) disk.poll();
      if (random.chance(1, 2)) {
        EXPECT_TRUE(disk.sync_directory("."));
      }
      disk.power_cut();
      for (const char name : {'a', 'b', 'c'}) history += contents(disk, std::string(1, name));
    }
    return history;
  };
  std::set<std::string> all;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::string once = run(seed);
    ASSERT_EQ(run(seed), once) << "seed " << seed;
    all.insert(once);
  }
  EXPECT_EQ(all.size(), 20u);
}

// A model kept beside the disk: whatever the calls and cuts, a sector holds a value that was written to it
// since it was last durable, and what was synced and not written since is there.
TEST(SimDisk, RandomCallsAgainstAModelOfWhatMaySurvive) {
  constexpr std::size_t kSectors = 40;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SimDisk disk(seed);
    SimRandom random(seed ^ 0x5555);
    auto file = durable_file(disk, "f", std::string(kSectors * kSectorBytes, 'a'));
    std::vector<std::set<char>> allowed(kSectors, {'a'});
    std::string now(kSectors, 'a');
    for (int cut = 0; cut < 5; ++cut) {
      for (int i = 0; i < 10; ++i) {
        if (random.chance(1, 6)) {
          ASSERT_TRUE(file->sync());
          for (std::size_t s = 0; s < kSectors; ++s) allowed[s] = {now[s]};
          continue;
        }
        const std::size_t first = random.below(kSectors);
        const std::size_t count = 1 + random.below(kSectors - first);
        const char letter = static_cast<char>('a' + random.below(26));
        const std::string text(count * kSectorBytes, letter);
        ASSERT_TRUE(file->write_at(ByteOffset(first * kSectorBytes), bytes_of(text)));
        for (std::size_t s = first; s < first + count; ++s) {
          allowed[s].insert(letter);
          now[s] = letter;
        }
      }
      ASSERT_EQ(sectors(text_of(*file)), now);
      disk.power_cut();
      file = open_file(disk, "f");
      now = sectors(text_of(*file));
      for (std::size_t s = 0; s < kSectors; ++s) {
        ASSERT_TRUE(allowed[s].contains(now[s])) << "seed " << seed << " sector " << s << " has " << now[s];
        allowed[s] = {now[s]};
      }
    }
  }
}

TEST(SimDisk, ThousandsOfPowerCutsASecond) {
  SimDisk disk(1);
  const Aligned buffer(kBlock, 'd');
  constexpr int kCuts = 2000;
  const auto start = std::chrono::steady_clock::now();
  for (int cut = 0; cut < kCuts; ++cut) {
    for (const char* name : {"a", "b", "c"}) {
      auto file = open_file(disk, name);
      ASSERT_TRUE(file->prewrite(0, 64 * kBlock));
      ASSERT_TRUE(file->sync());
      ASSERT_TRUE(file->write_at(ByteOffset(100), buffer.span()));
      file->write_durable(ByteOffset(8 * kBlock), buffer.span(), [](Status) {});
    }
    ASSERT_TRUE(disk.sync_directory("."));
    disk.power_cut();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%.0f power cuts a second\n", kCuts / took.count());
  EXPECT_EQ(disk.power_cuts(), static_cast<std::uint64_t>(kCuts));
}

}  // namespace
}  // namespace bop
