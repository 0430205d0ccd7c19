#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sim.hpp"
#include "mdbx/environment.hpp"
#include "mdbx/environment_fixture.hpp"

namespace bop::mdbx {
namespace {

using namespace test;

// Writes number after number, each into both tables in one write, and tells each one once its write returned.
[[noreturn]] void write_until_killed(const Options& options, int told) {
  auto environment = Environment::open(options);
  if (!environment) ::_exit(1);
  const auto a = (*environment)->table("a");
  const auto b = (*environment)->table("b");
  if (!a || !b) ::_exit(2);
  const auto count = (*environment)->read()->count(*a);
  if (!count) ::_exit(3);
  for (std::uint64_t i = *count;; ++i) {
    const Status status = (*environment)->write([&](WriteTransaction& transaction) -> Status {
      BOP_TRY(transaction.put(*a, Key::of(i), as_bytes(std::string(i % 3000, 'a'))));
      return transaction.put(*b, Key::of(~i), as_bytes(std::to_string(i)));
    });
    if (!status) ::_exit(4);
    if (::write(told, &i, sizeof(i)) != sizeof(i)) ::_exit(5);
  }
}

class Killed : public testing::TestWithParam<Durability> {};
INSTANTIATE_TEST_SUITE_P(Modes, Killed, testing::Values(Durability::kEveryCommit, Durability::kLastSync));

// kill -9 at any moment: what had been told is there, each write whole, and the lock of the dead is not in
// the way.
TEST_P(Killed, LosesNothingThatWasToldAndTearsNothing) {
  const Folder folder;
  Options options = small(folder);
  options.max_bytes = std::uint64_t{64} << 20U;
  options.durability = GetParam();
  SimRandom random(17);
  std::uint64_t told = 0;
  for (int round = 0; round < 12; ++round) {
    int pipe[2] = {};
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) write_until_killed(options, pipe[1]);
    ::close(pipe[1]);
    std::uint64_t number = 0;
    for (auto left = 1 + random.below(60); left > 0; --left) {
      ASSERT_EQ(::read(pipe[0], &number, sizeof(number)), static_cast<::ssize_t>(sizeof(number)));
    }
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    while (::read(pipe[0], &number, sizeof(number)) == static_cast<::ssize_t>(sizeof(number))) told = number;
    told = std::max(told, number);
    ::close(pipe[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << status;

    auto environment = Environment::open(options);
    ASSERT_TRUE(ok(environment));
    const auto a = (*environment)->table("a");
    const auto b = (*environment)->table("b");
    ASSERT_TRUE(ok(a));
    ASSERT_TRUE(ok(b));
    auto read = (*environment)->read();
    ASSERT_TRUE(ok(read));
    const std::uint64_t count = read->count(*a).value();
    ASSERT_GE(count, told + 1);
    ASSERT_EQ(read->count(*b).value(), count);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto first = read->get(*a, Key::of(i)).value();
      const auto second = read->get(*b, Key::of(~i)).value();
      ASSERT_TRUE(first.has_value() && second.has_value()) << i;
      ASSERT_EQ(first->size(), i % 3000);
      ASSERT_EQ(text_of(*second), std::to_string(i));
    }
  }
}

// A process that dies inside a write does not keep others from writing.
TEST(KilledInsideAWrite, LeavesNoLock) {
  const Folder folder;
  const Options options = small(folder);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto environment = Environment::open(options);
    if (!environment) ::_exit(1);
    const auto table = (*environment)->table("a");
    (void)(*environment)->write([&](WriteTransaction& transaction) -> Status {
      (void)transaction.put(*table, Key::of(1), as_bytes("half"));
      ::kill(::getpid(), SIGKILL);
      return {};
    });
    ::_exit(2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  auto environment = Environment::open(options);
  ASSERT_TRUE(ok(environment));
  const auto table = (*environment)->table("a");
  ASSERT_TRUE(ok(table));
  EXPECT_EQ(get(**environment, *table, Key::of(1)), "nothing");
  EXPECT_TRUE(ok(put(**environment, *table, Key::of(1), "whole")));
}

}  // namespace
}  // namespace bop::mdbx
