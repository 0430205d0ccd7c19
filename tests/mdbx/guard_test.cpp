#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/sim.hpp"
#include "mdbx/environment.hpp"
#include "mdbx/environment_fixture.hpp"
#include "mdbx/file_guard.hpp"

namespace bop::mdbx {
namespace {

using namespace test;

class Guarded : public testing::Test {
 protected:
  Guarded() { options_.guarded = true; }
  Result<std::unique_ptr<Environment>> open() { return Environment::open(options_); }
  std::string path(const char* name) const { return options_.directory + "/" + name; }

  // Opens it in another process, which writes one pair and dies.
  void live_and_die(std::uint64_t key) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto environment = open();
      if (!environment) ::_exit(1);
      const auto table = (*environment)->table("t");
      if (!table || !put(**environment, *table, Key::of(key), "value")) ::_exit(2);
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
  }

  Folder folder_;
  Options options_ = small(folder_);
};

TEST_F(Guarded, IsSealedWhenClosedAndOpensAgain) {
  for (int round = 0; round < 5; ++round) {
    auto environment = open();
    ASSERT_TRUE(ok(environment));
    EXPECT_FALSE(std::filesystem::exists(path(kSealFile)));
    const Table table = *(*environment)->table("t");
    ASSERT_TRUE(ok(put(**environment, table, Key::of(round), "value")));
    EXPECT_EQ((*environment)->read()->count(table).value(), static_cast<std::uint64_t>(round) + 1);
    environment->reset();
    EXPECT_TRUE(std::filesystem::exists(path(kSealFile)));
    EXPECT_FALSE(std::filesystem::exists(path(kLivesFile)));
  }
}

TEST_F(Guarded, WhatChangedAfterItWasClosedIsRefused) {
  {
    (void)*(*open())->table("t");
  }
  SimRandom random(5);
  for (const char* name : {kDataFile, kSealFile}) {
    const std::uint64_t size = std::filesystem::file_size(path(name));
    for (int i = 0; i < 50; ++i) {
      const auto at = static_cast<std::streamoff>(random.below(size));
      const auto bit = 1 << random.below(8);
      const auto flip = [&] {
        std::fstream file(path(name), std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(at);
        const int byte = file.get();
        file.seekp(at);
        file.put(static_cast<char>(byte ^ bit));
      };
      flip();
      const auto refused = open();
      ASSERT_FALSE(refused) << name << " " << at;
      EXPECT_EQ(refused.error().code(), ErrorCode::kCorrupt) << refused.error().what();
      flip();
    }
  }
  EXPECT_TRUE(ok(open()));
}

TEST_F(Guarded, WhatThreeProcessesDiedInIsRefusedAndWhatTwoDidIsNot) {
  live_and_die(1);
  live_and_die(2);
  {
    auto environment = open();
    ASSERT_TRUE(ok(environment));
    const Table table = *(*environment)->table("t");
    EXPECT_EQ(get(**environment, table, Key::of(std::uint64_t{1})), "value");
    EXPECT_EQ(get(**environment, table, Key::of(std::uint64_t{2})), "value");
  }
  for (std::uint64_t key = 3; key < 6; ++key) live_and_die(key);  // closed in order: the count begins anew
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kCorrupt) << refused.error().what();
  ASSERT_TRUE(ok(remove_environment(options_.directory)));
  EXPECT_TRUE(ok(open()));
}

TEST_F(Guarded, IsForOneProcess) {
  auto environment = open();
  ASSERT_TRUE(ok(environment));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto second = open();
    ::_exit(!second && second.error().code() == ErrorCode::kLocked ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace bop::mdbx
