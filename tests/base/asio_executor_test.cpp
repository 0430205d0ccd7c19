#include "base/asio_executor.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <future>
#include <thread>

#include "base/disk_contract.hpp"
#include "base/metrics.hpp"
#include "base/turn.hpp"

namespace bop {
namespace {

using std::chrono::milliseconds;
constexpr auto kLong = std::chrono::seconds(30);

TEST(AsioExecutor, RunsTasksInOrderAndKnowsItsThread) {
  AsioExecutor executor;
  executor.start();
  EXPECT_FALSE(executor.is_current());
  std::vector<int> order;
  std::promise<void> done;
  for (int i = 0; i < 1000; ++i) executor.post([&, i] { order.push_back(i); });
  executor.post([&] {
    EXPECT_TRUE(executor.is_current());
    done.set_value();
  });
  ASSERT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
  executor.stop();
  ASSERT_EQ(order.size(), 1000u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST(AsioExecutor, TimersRunInTheirOrderAndCanBeCancelled) {
  AsioExecutor executor;
  std::vector<int> order;
  std::promise<void> done;
  executor.post_after(milliseconds(30), [&] {
    order.push_back(3);
    done.set_value();
  });
  executor.post_after(milliseconds(1), [&] { order.push_back(1); });
  const auto cancelled = executor.post_after(milliseconds(2), [&] { order.push_back(2); });
  EXPECT_TRUE(executor.cancel(cancelled));
  EXPECT_FALSE(executor.cancel(cancelled));
  executor.start();
  ASSERT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
  executor.stop();
  EXPECT_EQ(order, (std::vector<int>{1, 3}));
}

TEST(AsioExecutor, TheEndOfATurnComesOnceBehindWhatIsReady) {
  AsioExecutor executor;
  std::vector<int> order;
  std::promise<void> done;
  int key = 0;
  for (int i = 0; i < 5; ++i) {
    executor.post([&, i] {
      order.push_back(i);
      Turn::current()->at_end(&key, std::chrono::hours(1), [&] {
        EXPECT_TRUE(executor.is_current());
        order.push_back(100);
        executor.post([&] { done.set_value(); });
      });
    });
  }
  EXPECT_EQ(Turn::current(), nullptr);
  executor.start();
  ASSERT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
  executor.stop();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 100}));
}

TEST(AsioExecutor, TheEndOfATurnIsNotPutOffForEver) {
  AsioExecutor executor;
  std::promise<void> done;
  std::atomic<bool> ended{false};
  executor.start();
  std::function<void()> busy = [&] {  // there is always a handler that is ready
    if (ended) return done.set_value();
    executor.post(busy);
    executor.post([] {});
  };
  executor.post([&] {
    Turn::current()->at_end(&ended, milliseconds(2), [&] { ended = true; });
    busy();
  });
  ASSERT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
  executor.stop();
}

TEST(AsioExecutor, WhatAThreadThatHandsOffHasLeftForTheEndOfItsTurnRunsAllTheSame) {
  AsioExecutor executor;
  std::promise<void> ended, left;
  executor.post([&] {
    const std::thread::id own = std::this_thread::get_id();
    Turn::current()->at_end(&ended, std::chrono::hours(1), [&, own] {
      EXPECT_NE(std::this_thread::get_id(), own);
      ended.set_value();
    });
    EXPECT_TRUE(executor.hand_off());
    EXPECT_EQ(Turn::current(), nullptr);
    EXPECT_EQ(ended.get_future().wait_for(kLong), std::future_status::ready);
    left.set_value();
  });
  executor.start();
  ASSERT_EQ(left.get_future().wait_for(kLong), std::future_status::ready);
  executor.stop();
}

TEST(AsioExecutor, WithoutAThreadToHandOffToTheTurnEndsAtLeastWhereTheHandlerAsks) {
  AsioExecutor executor(AsioExecutor::Options{.most_threads = 1});
  std::promise<void> done;
  executor.post([&] {
    bool ended = false;
    Turn::current()->at_end(&ended, std::chrono::hours(1), [&] {
      EXPECT_FALSE(Turn::current()->begin_blocking()) << "the handler has more to do";
      ended = true;
    });
    EXPECT_FALSE(executor.hand_off());
    EXPECT_TRUE(ended);
    done.set_value();
  });
  executor.start();
  ASSERT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
  executor.stop();
}

TEST(AsioExecutor, WhoKeepsTheLoopForLongHasNoTurnUntilItReturns) {
  AsioExecutor executor(AsioExecutor::Options{.most_threads = 1});
  std::promise<void> done;
  executor.post([&] {
    EXPECT_NE(Turn::current(), nullptr);
    EXPECT_FALSE(executor.hand_off());
    EXPECT_EQ(Turn::current(), nullptr) << "what it asks for would wait for its end";
    EXPECT_FALSE(executor.hand_off());
  });
  executor.post([&] {
    EXPECT_NE(Turn::current(), nullptr);
    done.set_value();
  });
  executor.start();
  ASSERT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
  executor.stop();
}

// What others wait for is not delayed by the loop that polls the disk, be it by a handler that keeps it or by
// one that blocks.
void complete_beside(const char* kind, const std::string& path, bool blocks) {
  auto disk = open_system_disk(kind);
  if (!disk && disk.error().code() == ErrorCode::kNotImplemented) return;
  ASSERT_TRUE(disk) << disk.error().what();
  const std::unique_ptr<File> file = (*disk)->open(path, OpenMode::kOpenOrCreate).value();
  const Aligned bytes(kDiskBlockBytes, 'x');
  AsioExecutor executor(AsioExecutor::Options{.most_threads = 1});
  executor.attach(**disk);
  std::promise<void> kept, done;
  const auto stay = [&] {
    kept.set_value();
    EXPECT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
  };
  executor.post([&] {
    if (!blocks) {
      EXPECT_FALSE(executor.hand_off());
      return stay();
    }
    Turn::current()->at_end(&done, std::chrono::hours(1), [&] {
      Turn* const turn = Turn::current();
      EXPECT_TRUE(turn->begin_blocking());
      stay();
      turn->end_blocking();
      EXPECT_EQ(Turn::current(), turn) << "there was nobody to take the loop";
    });
  });
  executor.start();
  ASSERT_EQ(kept.get_future().wait_for(kLong), std::future_status::ready);
  for (int i = 0; i < 3; ++i) {
    std::promise<Status> written;
    file->write_durable(ByteOffset(0), bytes.span(),
                        [&](Status status) { written.set_value(std::move(status)); });
    auto outcome = written.get_future();
    ASSERT_EQ(outcome.wait_for(kLong), std::future_status::ready);
    EXPECT_TRUE(outcome.get());
  }
  done.set_value();
  executor.stop();
}

TEST(AsioExecutor, DurableWritesOfOthersCompleteWhileALoopStandsStill) {
  char folder[] = "/tmp/bop-kept-loop-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  for (const char* kind : {"pwritev", "io_uring"}) {
    for (const bool blocks : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", kind, blocks));
      complete_beside(kind, std::string(folder) + "/file", blocks);
    }
  }
  std::filesystem::remove_all(folder);
}

TEST(AsioExecutor, ThreadsThatManyLongHandlersNeededEndWhenTheyAreDone) {
  constexpr std::size_t kMany = 60;
  AsioExecutor executor(AsioExecutor::Options{.most_threads = kMany + 1});
  for (int round = 0; round < 2; ++round) {
    std::promise<void> go;
    const std::shared_future<void> gone = go.get_future().share();
    std::atomic<std::size_t> running{0};
    std::promise<void> all;
    for (std::size_t i = 0; i < kMany; ++i) {
      executor.post([&] {
        EXPECT_TRUE(executor.hand_off());
        if (running.fetch_add(1) + 1 == kMany) all.set_value();
        EXPECT_EQ(gone.wait_for(kLong), std::future_status::ready);
        --running;
      });
    }
    if (round == 0) executor.start();
    ASSERT_EQ(all.get_future().wait_for(kLong), std::future_status::ready);
    EXPECT_EQ(executor.threads(), kMany + 1);
    go.set_value();
    const auto deadline = std::chrono::steady_clock::now() + kLong;
    while (executor.threads() > kMany / 2 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_LE(executor.threads(), kMany / 2);
    while (running > 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  }
  executor.stop();
}

TEST(AsioExecutor, AThreadMayBlockOnlyWhereNobodyIsKnownToWait) {
  AsioExecutor executor;
  std::promise<void> done;
  executor.post([&] {
    EXPECT_FALSE(Turn::current()->begin_blocking()) << "others may be ready";
    Turn::current()->at_end(&done, std::chrono::hours(1), [&] {
      EXPECT_TRUE(Turn::current()->begin_blocking());
      Turn::current()->end_blocking();
      EXPECT_FALSE(Turn::current()->begin_blocking()) << "somebody may have become ready meanwhile";
      done.set_value();
    });
  });
  executor.start();
  ASSERT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
  executor.stop();
}

TEST(AsioExecutor, AThreadThatBlocksForLongLosesTheLoop) {
  AsioExecutor executor;
  std::promise<void> others, done;
  const std::uint64_t stalls = metrics().reactor_stalls_total.value();
  executor.post([&] {
    Turn::current()->at_end(&done, std::chrono::hours(1), [&] {
      Turn* const turn = Turn::current();
      ASSERT_TRUE(turn->begin_blocking());
      executor.post([&] { others.set_value(); });
      EXPECT_EQ(others.get_future().wait_for(kLong), std::future_status::ready);
      turn->end_blocking();
      EXPECT_EQ(Turn::current(), nullptr);
      EXPECT_EQ(metrics().reactor_stalls_total.value(), stalls + 1);
      executor.post([&] {
        // Not again at once.
        Turn::current()->at_end(&done, std::chrono::hours(1), [&] {
          EXPECT_FALSE(Turn::current()->begin_blocking());
          done.set_value();
        });
      });
    });
  });
  executor.start();
  ASSERT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
  executor.stop();
}

TEST(AsioExecutor, WhileWorkIsExpectedTasksTimersHandOffsAndStopWorkAsEver) {
  AsioExecutor executor;
  executor.start();
  executor.expect(std::chrono::hours(1));
  std::promise<void> timer, task, after_hand_off;
  executor.post_after(milliseconds(5), [&] { timer.set_value(); });
  executor.post([&] {
    executor.hand_off();
    executor.post([&] { after_hand_off.set_value(); });
    EXPECT_EQ(after_hand_off.get_future().wait_for(kLong), std::future_status::ready);
    task.set_value();
  });
  EXPECT_EQ(timer.get_future().wait_for(kLong), std::future_status::ready);
  EXPECT_EQ(task.get_future().wait_for(kLong), std::future_status::ready);
  executor.stop();
}

TEST(AsioExecutor, RunUsesTheCallersThreadUntilStopSoon) {
  AsioExecutor executor;
  std::thread::id ran_in;
  executor.post([&] {
    ran_in = std::this_thread::get_id();
    executor.stop_soon();
  });
  executor.run();
  EXPECT_EQ(ran_in, std::this_thread::get_id());
}

TEST(AsioExecutor, AfterHandOffOthersRunWhileTheTaskGoesOn) {
  AsioExecutor executor;
  executor.start();
  std::promise<void> other_ran, done;
  auto other = other_ran.get_future();
  executor.post([&] {
    executor.hand_off();
    executor.hand_off();  // no effect the second time
    executor.post([&] { other_ran.set_value(); });
    EXPECT_EQ(other.wait_for(kLong), std::future_status::ready);  // would hang without the hand-off
    EXPECT_TRUE(executor.is_current());
    done.set_value();
  });
  ASSERT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
  EXPECT_EQ(executor.threads(), 2u);
  executor.stop();
}

TEST(AsioExecutor, TasksThatDoNotHandOffNeverOverlap) {
  AsioExecutor executor({.name = "test", .most_threads = 6});
  executor.start();
  std::atomic<int> inside{0}, left{3000}, handed{0};
  std::promise<void> done;
  for (int i = 0; i < 3000; ++i) {
    executor.post([&, i] {
      EXPECT_EQ(inside.fetch_add(1), 0);
      if (i % 7 == 0) {
        inside.fetch_sub(1);
        executor.hand_off();
        ++handed;
        for (int spin = 0; spin < 1000; ++spin) (void)executor.is_current();
      } else {
        inside.fetch_sub(1);
      }
      if (left.fetch_sub(1) == 1) done.set_value();
    });
  }
  ASSERT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
  EXPECT_LE(executor.threads(), 6u);
  EXPECT_GT(handed, 400);
  executor.stop();
}

TEST(AsioExecutor, WithAllThreadsInUseTheTaskKeepsTheLoop) {
  AsioExecutor executor({.name = "test", .most_threads = 1});
  executor.start();
  std::atomic<bool> other{false};
  std::promise<bool> done;
  executor.post([&] {
    executor.post([&] { other = true; });
    executor.hand_off();
    done.set_value(other);
  });
  auto result = done.get_future();
  ASSERT_EQ(result.wait_for(kLong), std::future_status::ready);
  EXPECT_FALSE(result.get());
  executor.stop();
}

TEST(AsioExecutor, DroppedTasksMayCancelTimersAndTimersDieWithIt) {
  auto executor = std::make_unique<AsioExecutor>();
  struct Canceller {
    AsioExecutor* executor;
    Executor::TimerId id;
    ~Canceller() { executor->cancel(id); }
  };
  const auto id = executor->post_after(std::chrono::hours(1), [] {});
  executor->post([owned = std::make_unique<Canceller>(executor.get(), id)] {});
  executor->post_after(std::chrono::hours(1), [owned = std::make_unique<Canceller>(executor.get(), id)] {});
  executor.reset();
}

TEST(AsioExecutor, DiskCompletionsRunInTheLoop) {
  std::string folder = std::filesystem::temp_directory_path() / "bop-asio-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  for (const char* kind : {"auto", "pwritev"}) {
    auto disk = std::move(*open_system_disk(kind));
    auto file = std::move(*disk->open(folder + "/f", OpenMode::kOpenOrCreate));
    const Aligned buffer(kDiskBlockBytes, 'x');
    AsioExecutor executor;
    executor.attach(*disk);
    executor.start();
    std::promise<void> done;
    int left = 50;
    std::move_only_function<void()> next = [&] {
      file->write_durable(ByteOffset(0), buffer.span(), [&](Status status) {
        EXPECT_TRUE(status) << status.error().what();
        EXPECT_TRUE(executor.is_current());
        --left > 0 ? next() : done.set_value();
      });
    };
    executor.post([&] { next(); });
    ASSERT_EQ(done.get_future().wait_for(kLong), std::future_status::ready) << kind;
    executor.stop();
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace bop
