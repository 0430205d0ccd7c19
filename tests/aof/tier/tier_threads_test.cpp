// What promises "any thread" in aof/tier, used by several at once; the thread sanitizer looks on.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "aof/tier/hydration.hpp"
#include "aof/tier/made_segments.hpp"
#include "aof/tier/piece_cache.hpp"
#include "aof/tier/segment_shelf.hpp"
#include "base/sim.hpp"
#include "base/sim_disk.hpp"

namespace bop::aof::test {
namespace {

using objstore::CallOptions;
using objstore::CallPtr;
using objstore::Completion;

constexpr int kThreads = 4;
constexpr std::uint64_t kSteps = 400;

// Answers gets on two threads of its own, in no order; what is cancelled, as such.
class ThreadedStore final : public objstore::ObjectStore {
 public:
  struct Asked final : objstore::Call {
    objstore::Range range;
    Completion<std::vector<std::byte>> done;
    std::atomic<bool> is_cancelled{false};
    void cancel() noexcept override { is_cancelled = true; }
  };
  ThreadedStore() {
    for (std::thread& thread : threads_) thread = std::thread([this] { answer(); });
  }
  ~ThreadedStore() override {
    {
      const std::lock_guard guard(mutex_);
      is_ending_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  CallPtr get(std::string, std::optional<objstore::Range> range, CallOptions,
              Completion<std::vector<std::byte>> done) override {
    auto asked = std::make_shared<Asked>();
    asked->range = range.value();
    asked->done = std::move(done);
    {
      const std::lock_guard guard(mutex_);
      asked_.push_back(asked);
    }
    changed_.notify_one();
    return asked;
  }
  CallPtr put(std::string, objstore::Body, objstore::PutCondition, CallOptions,
              Completion<objstore::ObjectMeta>) override {
    return nullptr;
  }
  CallPtr head(std::string, CallOptions, Completion<objstore::ObjectMeta>) override { return nullptr; }
  CallPtr list(std::string, std::string, CallOptions, Completion<objstore::ListPage>) override {
    return nullptr;
  }
  CallPtr remove(std::string, CallOptions, Completion<std::monostate>) override { return nullptr; }
  const std::string& name() const noexcept override { return name_; }

 private:
  void answer() {
    for (;;) {
      std::shared_ptr<Asked> asked;
      {
        std::unique_lock guard(mutex_);
        changed_.wait(guard, [this] { return is_ending_ || !asked_.empty(); });
        if (asked_.empty()) return;
        asked = asked_.front();
        asked_.pop_front();
      }
      auto done = std::move(asked->done);
      if (asked->is_cancelled) {
        done(fail(ErrorCode::kCancelled, "cancelled"));
      } else {
        done(std::vector<std::byte>(asked->range.bytes));
      }
    }
  }

  std::string name_ = "threads://";
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Asked>> asked_;
  bool is_ending_ = false;
  std::thread threads_[2];
};

template <class Work>
void on_threads(Work work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([i, work] { work(static_cast<std::uint64_t>(i)); });
  for (std::thread& thread : threads) thread.join();
}

TEST(TierThreads, EveryAskerHearsOnceUnlessItLetGoAlsoWhenTheQueueStops) {
  SimClock clock;
  auto store = std::make_unique<ThreadedStore>();
  Hydration queue(*store, clock, {.max_in_flight = 3, .max_waiting = 64},
                  [](const auto&, auto, const auto&) {});
  std::atomic<std::uint64_t> asked{0}, heard{0};
  std::atomic<bool> has_stopped{false};
  on_threads([&](std::uint64_t seed) {
    SimRandom dice(seed);
    std::vector<Hydration::Ticket> held;
    for (std::uint64_t step = 0; step < kSteps; ++step) {
      const bool lets_go = dice.chance(1, 4);
      auto ticket =
          queue.fetch("key" + std::to_string(dice.below(8)), {dice.below(2) * 100, 100},
                      dice.chance(1, 2) ? objstore::Priority::kForeground : objstore::Priority::kBackground,
                      [&heard, lets_go](auto) {
                        if (!lets_go) ++heard;
                      });
      if (ticket.has_value() && !lets_go) {
        ++asked;
        held.push_back(*std::move(ticket));
      }
      if (seed == 0 && step == kSteps * 3 / 4) {
        queue.stop();
        has_stopped = true;
      }
    }
    // Tickets are kept until everybody who is owed an answer has it.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!has_stopped || queue.in_flight() > 0) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::yield();
    }
  });
  EXPECT_EQ(queue.depth(), 0U);
  EXPECT_GT(asked.load(), 0U);
  store.reset();  // what it was about to answer it has
  EXPECT_EQ(heard.load(), asked.load());
}

TEST(TierThreads, ThePieceCacheKeepsItsBoundAndServesNoWrongPiece) {
  SimDisk disk(1, {.trace_length = 0});
  constexpr std::uint64_t kMost = 20'000;
  const auto cache = PieceCache::open(disk, "/cache", kMost).value();
  on_threads([&](std::uint64_t seed) {
    SimRandom dice(seed);
    for (std::uint64_t step = 0; step < kSteps; ++step) {
      const PieceId piece{dice.below(4), 7, static_cast<std::uint32_t>(dice.below(8)), 1000};
      const auto value = static_cast<std::byte>(piece.segment_number * 16 + piece.offset);
      switch (dice.below(8)) {
        case 0: cache->forget(piece.segment_number, 7); break;
        case 1: cache->forget(piece); break;
        case 2:
        case 3:
        case 4: cache->put(piece, std::make_shared<const std::vector<std::byte>>(1000, value)); break;
        default:
          if (const PieceBytes found = cache->get(piece)) {
            ASSERT_EQ(*found, std::vector<std::byte>(1000, value));
          }
      }
      ASSERT_LE(cache->bytes(), kMost);
    }
  });
}

TEST(TierThreads, NothingIsWithdrawnWhileSomebodyIsInside) {
  SimClock clock;
  SegmentMaker maker(3);
  ManifestState state(maker.identity);
  for (int i = 0; i < 6; ++i) state.apply(FinalizedRecord{maker.make().facts});
  for (std::uint64_t number = 1; number <= 6; ++number) state.apply(TierOneMadeRecord{number, {1, 1, 1}});
  SegmentShelf shelf(clock);
  shelf.publish(state);
  std::atomic<std::uint64_t> withdrawals{0};
  const Lsn end = shelf.end();
  on_threads([&](std::uint64_t seed) {
    SimRandom dice(seed);
    for (std::uint64_t step = 0; step < kSteps; ++step) {
      if (seed != 0) {
        const auto pin = shelf.pin(Lsn(1 + dice.below(end.value)));
        if (!pin) continue;
        ASSERT_TRUE(pin->check().has_value());
        static_cast<void>(shelf.pin_after(pin->segment().facts.id.number));
        // What was there when it came in stays there.
        if (!pin->segment().tier_one.has_value()) continue;
        for (int look = 0; look < 20; ++look) {
          for (const SegmentState& now : shelf.segments()) {
            if (now.facts.id == pin->segment().facts.id) {
              ASSERT_TRUE(now.tier_one.has_value());
            }
          }
          std::this_thread::yield();
        }
        continue;
      }
      // The mover.
      const std::uint64_t number = 1 + dice.below(6);
      if (shelf.withdraw(MoveKind::kDropTierOne, number)) {
        ++withdrawals;
        for (int i = 0; i < 20; ++i) std::this_thread::yield();
        shelf.publish(*state.find(number));
      }
      static_cast<void>(shelf.uses());
      static_cast<void>(shelf.segments());
    }
  });
  EXPECT_GT(withdrawals.load(), 0U);
  for (const SegmentState& segment : shelf.segments()) EXPECT_TRUE(segment.tier_one.has_value());
}

}  // namespace
}  // namespace bop::aof::test
