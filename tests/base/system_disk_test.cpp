#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "base/disk.hpp"
#include "base/disk_contract.hpp"
#include "base/sim.hpp"
#include "base/turn.hpp"

namespace bop {
namespace {

// A folder of its own, removed at the end. `where` is a folder of the file system to test.
class Folder {
 public:
  explicit Folder(const std::string& where = std::filesystem::temp_directory_path()) {
    path_ = where + "/bop-base-XXXXXX";
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class SystemDiskOf : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto disk = open_system_disk(GetParam());
    if (!disk && disk.error().code() == ErrorCode::kNotImplemented) GTEST_SKIP() << disk.error().what();
    ASSERT_TRUE(disk) << disk.error().what();
    disk_ = std::move(*disk);
    EXPECT_EQ(disk_->kind(), GetParam());
  }
  std::unique_ptr<Disk> disk_;
  Folder folder_;
};
INSTANTIATE_TEST_SUITE_P(Kinds, SystemDiskOf, testing::Values("io_uring", "pwritev"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(SystemDiskOf, KeepsTheContract) { check_disk_contract(*disk_, folder_.path()); }

TEST_P(SystemDiskOf, KeepsTheContractWithoutDirectWrites) {
  if (!std::filesystem::is_directory("/dev/shm")) GTEST_SKIP() << "no tmpfs";
  const Folder shared_memory("/dev/shm");
  check_disk_contract(*disk_, shared_memory.path());
}

TEST_P(SystemDiskOf, ManyWritesInFlightFromManyThreads) {
  auto file = std::move(*disk_->open(folder_.path() + "/f", OpenMode::kCreate));
  constexpr std::size_t kThreads = 4, kEach = 100;
  ASSERT_TRUE(file->prewrite(0, kThreads * kEach * kDiskBlockBytes));
  ASSERT_TRUE(file->sync());
  std::atomic<std::size_t> ran{0};
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<Aligned>> buffers;
  for (std::size_t t = 0; t < kThreads; ++t) {
    buffers.push_back(std::make_unique<Aligned>(kDiskBlockBytes, static_cast<unsigned char>('A' + t)));
  }
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < kEach; ++i) {
        file->write_durable(ByteOffset((i * kThreads + t) * kDiskBlockBytes), buffers[t]->span(),
                            [&](Status status) {
                              EXPECT_TRUE(status) << status.error().what();
                              ++ran;
                            });
        disk_->poll();
      }
      while (disk_->wait() > 0) {
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  while (disk_->wait() > 0) {
  }
  EXPECT_EQ(ran, kThreads * kEach);
  for (std::size_t i = 0; i < kThreads * kEach; ++i) {
    ASSERT_EQ(text_of(*file, i * kDiskBlockBytes, 1)[0], static_cast<char>('A' + i % kThreads)) << i;
  }
}

// Large ranges are written past the page cache, in whole blocks; what is left over is not forgotten.
TEST_P(SystemDiskOf, ZerosReplaceWhatWasThereAndNothingBesideIt) {
  constexpr std::uint64_t kLarge = 9U << 20U;
  constexpr std::uint64_t kAround = 8192;
  for (const std::uint64_t from : {kAround, kAround - 100}) {
    auto file = disk_->open(folder_.path() + "/zeros", OpenMode::kOpenOrCreate).value();
    std::vector<std::byte> bytes(kLarge + 2 * kAround, std::byte{7});
    ASSERT_TRUE(file->write_at(ByteOffset(0), bytes));
    const std::uint64_t to = kAround + kLarge + 77;
    ASSERT_TRUE(file->prewrite(from, to));
    ASSERT_TRUE(file->sync());
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(from),
              bytes.begin() + static_cast<std::ptrdiff_t>(to), std::byte{0});
    std::vector<std::byte> read(bytes.size() + 1);
    ASSERT_EQ(file->read_at(ByteOffset(0), read).value(), bytes.size());
    read.pop_back();
    EXPECT_TRUE(read == bytes) << from;
  }
}

TEST_P(SystemDiskOf, TheEventDescriptorTellsOfCompletions) {
  auto file = std::move(*disk_->open(folder_.path() + "/f", OpenMode::kCreate));
  ASSERT_GE(disk_->event_fd(), 0);
  pollfd waits{disk_->event_fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&waits, 1, 0), 0);
  const Aligned buffer(kDiskBlockBytes, 'x');
  bool ran = false;
  file->write_durable(ByteOffset(0), buffer.span(), [&](Status) { ran = true; });
  EXPECT_EQ(::poll(&waits, 1, 20'000), 1);
  EXPECT_FALSE(ran);
  EXPECT_EQ(disk_->poll(), 1u);
  EXPECT_TRUE(ran);
}

// Where the caller has nothing else to do it makes the write itself, and hears of it when its turn goes on.
TEST(SystemDisk, ACallerThatWaitsMakesItsOwnWrite) {
  const Folder folder;
  auto disk = std::move(*open_system_disk("pwritev"));
  auto file = std::move(*disk->open(folder.path() + "/f", OpenMode::kCreate));
  const Aligned buffer(kDiskBlockBytes, 'x');
  std::thread::id by;
  {
    CallerTurn turn;
    file->write_durable(ByteOffset(0), buffer.span(), [&](Status status) {
      EXPECT_TRUE(status) << status.error().what();
      by = std::this_thread::get_id();
    });
    EXPECT_EQ(by, std::thread::id()) << "a completion came from inside the call";
    turn.end();
    EXPECT_EQ(by, std::this_thread::get_id());
  }
  EXPECT_EQ(Turn::current(), nullptr);
  EXPECT_EQ(disk->wait(), 0U);
  EXPECT_EQ(text_of(*file, 0, 1), "x");
}

// No test that kills processes can tell a durable write from one that only reached the page cache: so the
// descriptors are asked.
TEST_P(SystemDiskOf, DurableWritesGoThroughADescriptorThatSyncsEachOfThem) {
  const std::string path = folder_.path() + "/f";
  auto file = std::move(*disk_->open(path, OpenMode::kCreate));
  const auto synchronous = [&] {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code failure;
      if (std::filesystem::read_symlink(entry.path(), failure) != path) continue;
      const int flags = ::fcntl(std::stoi(entry.path().filename()), F_GETFL);
      if ((flags & O_DSYNC) != 0 && (flags & O_ACCMODE) == O_WRONLY) ++count;
    }
    return count;
  };
  EXPECT_EQ(synchronous(), 0U);
  const Aligned buffer(kDiskBlockBytes, 'x');
  bool ran = false;
  file->write_durable(ByteOffset(0), buffer.span(), [&](Status status) { ran = status.has_value(); });
  disk_->wait();
  EXPECT_TRUE(ran);
  EXPECT_EQ(synchronous(), 1U);
}

TEST_P(SystemDiskOf, AWriteInFlightOutlivesItsFileAndAFailureIsTold) {
  const Aligned buffer(kDiskBlockBytes, 'x');
  bool ran = false;
  auto file = std::move(*disk_->open(folder_.path() + "/f", OpenMode::kCreate));
  file->write_durable(ByteOffset(0), buffer.span(), [&](Status status) { ran = status.has_value(); });
  file.reset();
  disk_->wait();
  EXPECT_TRUE(ran);

  // A file opened for reading cannot be written: the completion says so and names it.
  file = std::move(*disk_->open("/proc/self/stat", OpenMode::kRead));
  Status status;
  file->write_durable(ByteOffset(0), buffer.span(), [&](Status given) { status = std::move(given); });
  EXPECT_EQ(disk_->wait(), 1u);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::kIo);
  EXPECT_NE(status.error().what().find("/proc/self/stat"), std::string::npos);
}

TEST(SystemDisk, ALockOfAnotherProcessIsRefusedAndNamesIt) {
  const Folder folder;
  auto disk = std::move(*open_system_disk("pwritev"));
  int ready[2], finish[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(finish), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 'n';
    auto lock = disk->lock(folder.path() + "/lock");
    if (lock) byte = 'y';
    if (::write(ready[1], &byte, 1) != 1 || ::read(finish[0], &byte, 1) < 0) ::_exit(1);
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  const auto refused = disk->lock(folder.path() + "/lock");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kLocked);
  EXPECT_NE(refused.error().what().find(std::to_string(child)), std::string::npos) << refused.error().what();
  ASSERT_EQ(::write(finish[1], "x", 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(disk->lock(folder.path() + "/lock"));
  for (const int fd : {ready[0], ready[1], finish[0], finish[1]}) ::close(fd);
}

TEST(SystemDisk, AFullDeviceIsDiskFull) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  auto disk = std::move(*open_system_disk("pwritev"));
  auto file = std::move(*disk->open("/dev/full", OpenMode::kReadWrite));
  EXPECT_EQ(file->write_at(ByteOffset(0), bytes_of("x")).error().code(), ErrorCode::kDiskFull);
  EXPECT_EQ(file->prewrite(0, 4096).error().code(), ErrorCode::kDiskFull);
}

TEST(SystemDisk, ReservedRoomIsTakenAndGivenBackByATruncation) {
  const Folder folder;
  auto disk = std::move(*open_system_disk("pwritev"));
  auto file = std::move(*disk->open(folder.path() + "/reserved", OpenMode::kCreate));
  ASSERT_TRUE(file->write_at(ByteOffset(0), bytes_of("head")));
  const auto taken = file->reserve(0, std::uint64_t{4} << 20);
  ASSERT_TRUE(taken) << taken.error().what();
  if (!*taken) GTEST_SKIP() << "the file system of " << folder.path() << " reserves no room";
  const auto blocks = [&] {
    struct stat about{};
    EXPECT_EQ(::stat(file->path().c_str(), &about), 0);
    return static_cast<std::uint64_t>(about.st_blocks) * 512;
  };
  EXPECT_GE(blocks(), std::uint64_t{4} << 20);
  EXPECT_EQ(file->size().value(), 4U);
  ASSERT_TRUE(file->truncate(2));
  EXPECT_LT(blocks(), std::uint64_t{1} << 20);
}

TEST(SystemDisk, RefusesAnUnknownKind) {
  EXPECT_EQ(open_system_disk("floppy").error().code(), ErrorCode::kConfigInvalid);
}

TEST(SystemTime, ClocksAdvanceAndRandomnessDiffers) {
  const std::int64_t first = system_clock().steady_ns();
  EXPECT_GE(system_clock().steady_ns(), first);
  EXPECT_GT(system_clock().wall_us(), 1'700'000'000'000'000);
  EXPECT_NE(system_random().u64(), system_random().u64());
}

}  // namespace
}  // namespace bop
