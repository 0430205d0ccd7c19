// The layer of retries over the simulated bucket: each fault by name, deadlines, hedges, bounds, the end.
#include <set>

#include "base/metrics.hpp"
#include "objstore/call_result.hpp"
#include "objstore/sim_object_store.hpp"

namespace bop::objstore {
namespace {

using Fault = SimObjectFault;

TEST(AnswerTable, HasOneRowForEachKindInOrder) {
  for (std::size_t i = 0; i < kRawKinds; ++i) {
    EXPECT_EQ(static_cast<std::size_t>(kAnswerTable[i].kind), i);
    EXPECT_FALSE(kAnswerTable[i].name.empty());
    // What is made again is told as unavailable, but for a checksum that never fits.
    if (kAnswerTable[i].again) {
      EXPECT_TRUE(kAnswerTable[i].code == ErrorCode::kObjectStoreUnavailable ||
                  kAnswerTable[i].kind == RawKind::kCorrupt);
    }
  }
  EXPECT_EQ(kAnswerTable.back().kind, RawKind::kCancelled);
}

// The first request of a call meets each fault: the answer is as if there had been none.
TEST(Retry, OneFaultIsNotSeen) {
  for (std::size_t fault = 1; fault + 1 < kSimObjectFaults; ++fault) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      SCOPED_TRACE(fmt::format("fault {}, seed {}", fault, seed));
      SimBucket bucket(seed);
      SimObjectStore store(bucket);
      Calls calls{store, {.deadline = std::chrono::minutes(5)}};
      const auto strike = [&] { bucket.fail_call(1, static_cast<Fault>(fault)); };
      strike();
      const auto made = calls.put("a", "1", if_absent());
      ASSERT_TRUE(made.has_value()) << made.error().what();
      EXPECT_EQ(bucket.stores_of("a"), 1U);
      strike();
      const auto replaced = calls.put("a", "2", if_match(calls.head("a")->etag));
      // (the fault struck the head)
      ASSERT_TRUE(replaced.has_value()) << replaced.error().what();
      strike();
      const auto third = calls.put("a", "3", if_match(replaced->etag));
      ASSERT_TRUE(third.has_value()) << third.error().what();
      EXPECT_EQ(bucket.stores_of("a"), 3U);
      strike();
      EXPECT_EQ(code_of(calls.put("a", "4", if_absent())), ErrorCode::kObjectExists);
      strike();
      EXPECT_EQ(code_of(calls.put("a", "4", if_match(replaced->etag))), ErrorCode::kPreconditionFailed);
      strike();
      EXPECT_EQ(calls.get("a").value(), "3");
      strike();
      EXPECT_EQ(calls.keys("").value(), std::vector<std::string>{"a"});
      strike();
      EXPECT_TRUE(calls.remove("a").has_value());
      EXPECT_EQ(code_of(calls.get("a")), ErrorCode::kObjectNotFound);
      EXPECT_EQ(bucket.stores_of("a"), 3U);
    }
  }
}

TEST(Retry, TheDeadlineHoldsAndTheLastAnswerIsNamed) {
  SimBucket bucket(1);
  SimObjectStore store(bucket);
  bucket.fail_call(1, Fault::kServerBefore, true);
  const std::int64_t begun = bucket.world().clock().steady_ns();
  Calls calls{store, {.deadline = std::chrono::seconds(20)}};
  const auto failed = calls.put("a", "x", if_absent());
  ASSERT_EQ(code_of(failed), ErrorCode::kObjectStoreUnavailable);
  EXPECT_NE(failed.error().what().find("500 InternalError"), std::string::npos) << failed.error().what();
  EXPECT_NE(failed.error().what().find("\"a\""), std::string::npos);
  EXPECT_NE(failed.error().what().find("sim://bucket"), std::string::npos);
  EXPECT_LE(bucket.world().clock().steady_ns() - begun, 20'000'000'000);
  EXPECT_GT(bucket.requests(), 4U);
  EXPECT_LT(bucket.requests(), 60U);
}

TEST(Retry, NoAnswerAtAllEndsWithTheDeadline) {
  SimBucket bucket(1);
  SimObjectStore store(bucket);
  bucket.fail_call(1, Fault::kLostBefore, true);
  Calls calls{store, {.deadline = std::chrono::seconds(25)}};
  const std::int64_t begun = bucket.world().clock().steady_ns();
  EXPECT_EQ(code_of(calls.get("a")), ErrorCode::kObjectStoreUnavailable);
  const std::int64_t took = bucket.world().clock().steady_ns() - begun;
  EXPECT_LE(took, 25'000'000'001);
  EXPECT_EQ(bucket.requests(), 3U);  // each is given 11 s
}

TEST(Retry, WhatIsDeniedIsNotMadeAgain) {
  SimBucket bucket(1);
  SimObjectStore store(bucket);
  bucket.fail_call(1, Fault::kDenied);
  Calls calls{store};
  EXPECT_EQ(code_of(calls.put("a", "x")), ErrorCode::kObjectStoreDenied);
  EXPECT_EQ(bucket.requests(), 1U);
}

// Pauses are drawn anew by the seed, and grow.
TEST(Retry, PausesAreJittered) {
  std::set<std::uint64_t> counts;
  std::set<std::int64_t> ends;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SimBucket bucket(seed, {.longest_trip = std::chrono::nanoseconds(0)});
    SimObjectStore store(bucket);
    bucket.fail_call(1, Fault::kSlowDown, true);
    Calls calls{store, {.deadline = std::chrono::minutes(1)}};
    EXPECT_FALSE(calls.head("a").has_value());
    counts.insert(bucket.requests());
    ends.insert(bucket.world().clock().steady_ns());
  }
  EXPECT_GT(ends.size(), 15U);
  EXPECT_LT(*counts.rbegin(), 90U);
}

TEST(Retry, BoundsWhatIsUnderWay) {
  SimBucket bucket(3, {.longest_trip = std::chrono::milliseconds(100)});
  RetryOptions options;
  options.admission = {
      .most_requests = 4, .kept_for_foreground = 1, .most_bytes = 1U << 20U, .most_waiting = 50};
  SimObjectStore store(bucket, options);
  std::vector<Answer<ObjectMeta>> answers(60);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    store.put(fmt::format("k{}", i), body_of("x"), {}, {.priority = Priority::kBackground},
              answers[i].completion());
  }
  std::int64_t most = 0;
  const std::int64_t before = metrics().objstore_in_flight.value();
  bucket.world().run_until([&] {
    most = std::max(most, metrics().objstore_in_flight.value() - before);
    return store.open_calls() == 0;
  });
  EXPECT_EQ(most, 3);
  std::size_t good = 0, refused = 0;
  for (const auto& answer : answers) {
    answer.value().has_value() ? ++good : ++refused;
    if (!answer.value()) {
      EXPECT_EQ(code_of(answer.value()), ErrorCode::kObjectStoreUnavailable);
    }
  }
  EXPECT_EQ(good, 53U);  // three under way, fifty that wait
  EXPECT_EQ(refused, 7U);
  EXPECT_EQ(metrics().objstore_waiting.value(), 0);
}

TEST(Retry, ASlowReadGetsASecondRequest) {
  SimBucket bucket(4);
  SimObjectStore store(bucket);
  Calls calls{store};
  bucket.place("a", std::vector<std::byte>(100));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(calls.get("a").has_value());
  const std::uint64_t hedges = metrics().objstore_hedges_total.value();
  const std::uint64_t won = metrics().objstore_hedges_won_total.value();
  bucket.fail_call(1, Fault::kSlow);
  const std::int64_t begun = bucket.world().clock().steady_ns();
  ASSERT_TRUE(calls.get("a").has_value());
  EXPECT_LT(bucket.world().clock().steady_ns() - begun, 100'000'000);  // the slow answer takes 2 s
  EXPECT_EQ(metrics().objstore_hedges_total.value(), hedges + 1);
  EXPECT_EQ(metrics().objstore_hedges_won_total.value(), won + 1);
  // A store that is slow for everybody is not asked twice for long.
  bucket.fail_call(1, Fault::kSlow, true);
  const std::uint64_t requests = bucket.requests();
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(calls.get("a").has_value());
  EXPECT_LE(bucket.requests() - requests, 200 + 8 + 10 + 1);
}

TEST(Retry, ACancelledCallIsAnsweredOnceAndSoon) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SimBucket bucket(seed);
    SimObjectStore store(bucket);
    Answer<ObjectMeta> answer;
    const CallPtr call = store.put("a", body_of("x"), if_absent(), {}, answer.completion());
    bucket.world().run_for(std::chrono::milliseconds(static_cast<std::int64_t>(seed % 12)));
    const bool was_told = answer.is_told();
    call->cancel();
    bucket.world().run_for(std::chrono::milliseconds(1));
    ASSERT_TRUE(answer.is_told());
    if (!was_told) {
      EXPECT_EQ(code_of(answer.value()), ErrorCode::kCancelled);
    }
    call->cancel();
    bucket.world().run_until_idle();
  }
}

TEST(Retry, AStoreThatEndsAnswersWhatIsOpen) {
  SimBucket bucket(1);
  Answer<ObjectMeta> put, begun;
  Answer<std::vector<std::byte>> get;
  CallPtr call;
  {
    SimObjectStore store(bucket);
    store.put("a", body_of("x"), if_absent(), {}, put.completion());
    call = store.get("a", std::nullopt, {}, get.completion());
    bucket.world().run_for(std::chrono::microseconds(1));
    store.head("a", {}, begun.completion());
  }
  EXPECT_EQ(code_of(put.value()), ErrorCode::kCancelled);
  EXPECT_EQ(code_of(get.value()), ErrorCode::kCancelled);
  EXPECT_EQ(code_of(begun.value()), ErrorCode::kCancelled);
  call->cancel();
  bucket.world().run_until_idle();
  EXPECT_EQ(metrics().objstore_in_flight.value(), 0);
}

TEST(Retry, TooLargeAnAnswerIsRefused) {
  SimBucket bucket(1);
  RetryOptions options;
  options.max_get_bytes = 1000;
  SimObjectStore store(bucket, options);
  bucket.place("a", std::vector<std::byte>(1001));
  Calls calls{store};
  EXPECT_EQ(code_of(calls.get("a")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(calls.get("a", Range{0, 1001})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(calls.get("a", Range{1, 1000})->size(), 1000U);
}

}  // namespace
}  // namespace bop::objstore
