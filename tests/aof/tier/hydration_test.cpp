// The queue that brings pieces of archived segments: against a store that answers when it is told to.
#include "aof/tier/hydration.hpp"

#include <deque>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/sim.hpp"

namespace bop::aof {
namespace {

using objstore::CallOptions;
using objstore::CallPtr;
using objstore::Completion;
using objstore::ObjectMeta;
using objstore::Priority;
using objstore::Range;

// Keeps each get until the test answers it.
class HeldStore final : public objstore::ObjectStore {
 public:
  struct Held final : objstore::Call {
    std::string key;
    Range range;
    Priority priority{};
    Completion<std::vector<std::byte>> done;
    bool cancelled = false;
    void cancel() noexcept override { cancelled = true; }
  };
  CallPtr put(std::string, objstore::Body, objstore::PutCondition, CallOptions,
              Completion<ObjectMeta>) override {
    return nullptr;
  }
  CallPtr get(std::string key, std::optional<Range> range, CallOptions options,
              Completion<std::vector<std::byte>> done) override {
    auto held = std::make_shared<Held>();
    held->key = std::move(key);
    held->range = range.value();
    held->priority = options.priority;
    held->done = std::move(done);
    calls.push_back(held);
    return held;
  }
  CallPtr head(std::string, CallOptions, Completion<ObjectMeta>) override { return nullptr; }
  CallPtr list(std::string, std::string, CallOptions, Completion<objstore::ListPage>) override {
    return nullptr;
  }
  CallPtr remove(std::string, CallOptions, Completion<std::monostate>) override { return nullptr; }
  const std::string& name() const noexcept override { return name_; }

  // Answers the oldest call with `bytes` bytes, or as many as were asked for.
  std::string answer(std::optional<std::size_t> bytes = {}) {
    const auto held = calls.front();
    calls.pop_front();
    held->done(std::vector<std::byte>(bytes.value_or(held->range.bytes)));
    return held->key;
  }
  void refuse(Error error) {
    const auto held = calls.front();
    calls.pop_front();
    held->done(std::unexpected(std::move(error)));
  }

  std::deque<std::shared_ptr<Held>> calls;

 private:
  std::string name_ = "held://";
};

struct HydrationTest : testing::Test {
  Hydration& queue(Hydration::Options options) {
    made = std::make_unique<Hydration>(
        store, clock, options, [this](const auto& key, Range, const auto&) { arrived.push_back(key); });
    return *made;
  }
  Result<Hydration::Ticket> ask(const std::string& key, Priority priority = Priority::kForeground,
                                Range range = {0, 1000}) {
    return made->fetch(key, range, priority, [this, key](Result<PieceBytes> piece) {
      told[key].push_back(piece.has_value() ? std::to_string((*piece)->size())
                                            : std::string(info(piece.error().code()).name));
    });
  }
  void want(const std::string& key, Priority priority = Priority::kForeground) {
    auto ticket = ask(key, priority);
    ASSERT_TRUE(ticket.has_value());
    tickets.push_back(*std::move(ticket));
  }

  HeldStore store;
  SimClock clock;
  std::vector<std::string> arrived;
  std::map<std::string, std::vector<std::string>> told;
  std::unique_ptr<Hydration> made;
  std::vector<Hydration::Ticket> tickets;
};

TEST_F(HydrationTest, ManyAskersOfOnePieceMakeOneRequestAndTheCacheHearsFirst) {
  queue({});
  for (int i = 0; i < 100; ++i) want("a");
  ASSERT_EQ(store.calls.size(), 1U);
  store.answer();
  EXPECT_EQ(told["a"], std::vector<std::string>(100, "1000"));
  EXPECT_EQ(arrived, std::vector<std::string>{"a"});
  // Another range of the same object is another piece, and the same one later is asked for again.
  ASSERT_TRUE(ask("a", Priority::kForeground, {1000, 1000}).has_value());
  want("a");
  EXPECT_EQ(store.calls.size(), 2U);
}

TEST_F(HydrationTest, RequestsAndTheirBytesAreBoundedAndTheRestWaits) {
  queue({.max_in_flight = 3, .max_bytes = 2500, .max_waiting = 2});
  for (const char* key : {"a", "b", "c", "d"}) want(key);
  EXPECT_EQ(made->in_flight(), 2U);  // a third one would pass max_bytes
  EXPECT_EQ(made->depth(), 2U);
  const auto refused = ask("e");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kInsufficientResources);
  EXPECT_TRUE(ask("d").has_value());  // joins
  while (!store.calls.empty()) store.answer();
  EXPECT_EQ(arrived, (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_FALSE(told.contains("e"));
  EXPECT_EQ(made->depth() + made->in_flight(), 0U);
}

TEST_F(HydrationTest, APieceAboveTheLimitOfBytesStillGoes) {
  queue({.max_bytes = 10});
  want("a");
  EXPECT_EQ(store.calls.size(), 1U);
}

TEST_F(HydrationTest, WhoWaitsGoesFirstAndReadingAheadIsNotStarved) {
  queue({.max_in_flight = 1});
  want("first");
  for (int i = 0; i < 6; ++i) {
    want("ahead" + std::to_string(i), Priority::kBackground);
    want("wanted" + std::to_string(i));
  }
  std::vector<std::string> order;
  while (!store.calls.empty()) order.push_back(store.answer());
  EXPECT_EQ(order, (std::vector<std::string>{"first", "wanted0", "wanted1", "ahead0", "wanted2", "wanted3",
                                             "wanted4", "ahead1", "wanted5", "ahead2", "ahead3", "ahead4",
                                             "ahead5"}));
}

TEST_F(HydrationTest, AReaderThatNeedsWhatIsReadAheadPromotesIt) {
  queue({.max_in_flight = 1});
  want("first");
  want("ahead0", Priority::kBackground);
  want("ahead1", Priority::kBackground);
  want("wanted");
  want("ahead1");
  std::vector<std::string> order;
  while (!store.calls.empty()) order.push_back(store.answer());
  EXPECT_EQ(order, (std::vector<std::string>{"first", "wanted", "ahead1", "ahead0"}));
  EXPECT_EQ(told["ahead1"].size(), 2U);
}

TEST_F(HydrationTest, WhatNobodyWantsAnyMoreIsNotAskedForButWhatIsOnItsWayArrives) {
  queue({.max_in_flight = 1});
  want("a");
  want("b");
  want("b");
  want("c");
  tickets[0].drop();  // on its way
  tickets[1].drop();  // one of two
  tickets[3].drop();  // waits
  EXPECT_EQ(made->depth(), 1U);
  while (!store.calls.empty()) store.answer();
  EXPECT_EQ(arrived, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(told.contains("a"));
  EXPECT_EQ(told["b"].size(), 1U);
  EXPECT_FALSE(told.contains("c"));
  for (int i = 0; i < 10'000; ++i) {  // nothing piles up
    want("a");
    want("x");
    tickets.clear();
  }
  EXPECT_EQ(made->depth(), 0U);
}

TEST_F(HydrationTest, ErrorsAndShortAnswersReachEveryAskerAndAreNotKept) {
  queue({});
  want("a");
  want("a");
  want("b");
  store.refuse(error(ErrorCode::kObjectStoreUnavailable, "no answer"));
  store.answer(999);
  EXPECT_EQ(told["a"], (std::vector<std::string>{"ObjectStoreUnavailable", "ObjectStoreUnavailable"}));
  EXPECT_EQ(told["b"], std::vector<std::string>{"Corrupt"});
  EXPECT_TRUE(arrived.empty());
  want("a");
  EXPECT_EQ(store.calls.size(), 1U);  // asked for again, not remembered as failed
}

TEST_F(HydrationTest, StoppingCancelsAndTellsEverybodyAtOnce) {
  queue({.max_in_flight = 1});
  want("a");
  want("b");
  made->stop();
  EXPECT_EQ(told["a"], std::vector<std::string>{"AdminShutdown"});
  EXPECT_EQ(told["b"], std::vector<std::string>{"AdminShutdown"});
  EXPECT_TRUE(store.calls.front()->cancelled);
  const auto late = ask("c");
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code(), ErrorCode::kAdminShutdown);
  made.reset();
  store.answer();  // a request that ends after its queue is gone
  tickets.clear();
  EXPECT_TRUE(arrived.empty());
}

TEST_F(HydrationTest, AWholeSegmentIsNoPiece) {
  queue({});
  for (const Range range : {Range{0, 0}, Range{0, kMaxPieceBytes + 1}}) {
    const auto refused = ask("a", Priority::kForeground, range);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(store.calls.empty());
}

}  // namespace
}  // namespace bop::aof
