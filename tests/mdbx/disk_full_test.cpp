#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "mdbx/environment.hpp"
#include "mdbx/environment_fixture.hpp"

namespace bop::mdbx {
namespace {

using namespace test;

constexpr int kNoSmallDisk = 77;

// In a process of its own, with a file system of 4 MB at `point`.
int fill(const Folder& folder) {
  const std::string point = folder.path() + "/mounted";
  std::filesystem::create_directory(point);
  // Without privilege, in a name space of one's own.
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return kNoSmallDisk;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return kNoSmallDisk;
  if (::mount("none", point.c_str(), "tmpfs", 0, "size=4m") != 0) return kNoSmallDisk;

  Options options = small(folder);
  options.directory = point + "/env";
  auto opened = Environment::open(options);
  if (!opened) return 2;
  auto environment = std::move(*opened);
  const auto table = environment->table("t");
  if (!table) return 3;
  const std::string value(20'000, 'v');
  std::uint64_t stored = 0;
  Status status;
  while ((status = put(*environment, *table, Key::of(stored), value))) ++stored;
  std::fprintf(stderr, "%llu values, then: %s\n", static_cast<unsigned long long>(stored),
               status.error().what().c_str());
  if (stored < 50 || status.error().code() != ErrorCode::kDiskFull) return 4;
  // Reads go on, everything before is there, and a second refusal is the same one.
  for (std::uint64_t i = 0; i < stored; ++i) {
    if (get(*environment, *table, Key::of(i)) != value) return 5;
  }
  status = put(*environment, *table, Key::of(stored), value);
  if (status || status.error().code() != ErrorCode::kDiskFull) return 6;

  // With no byte free it does not open, and says why.
  environment.reset();
  {
    std::ofstream rest(point + "/rest");
    const std::string block(4096, 'r');
    while (rest.write(block.data(), 4096).flush()) {
    }
  }
  opened = Environment::open(options);
  if (opened || opened.error().code() != ErrorCode::kDiskFull) return 7;

  // Writes resume by themselves where there is room again.
  std::filesystem::remove(point + "/rest");
  opened = Environment::open(options);
  if (!opened) return 8;
  environment = std::move(*opened);
  const auto again = environment->table("t");
  if (!again) return 9;
  for (std::uint64_t i = 0; i < stored; ++i) {
    if (get(*environment, *again, Key::of(i)) != value) return 10;
  }
  if (!environment->write([&](WriteTransaction& transaction) -> Status {
        for (std::uint64_t i = 0; i < stored / 2; ++i) BOP_TRY(transaction.erase(*again, Key::of(i)));
        return {};
      })) {
    return 11;
  }
  for (std::uint64_t i = 0; i < stored / 4; ++i) {
    status = put(*environment, *again, Key::of(i), "new");
    if (!status) return 12;
  }
  return get(*environment, *again, Key::of(std::uint64_t{0})) == "new" ? 0 : 13;
}

TEST(DiskFull, IsAnErrorThatPasses) {
  const Folder folder;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(fill(folder));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  if (WEXITSTATUS(status) == kNoSmallDisk) GTEST_SKIP() << "no file system can be mounted here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace bop::mdbx
