#include "database/writer_lane.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"

namespace bop::database {
namespace {

using namespace std::chrono_literals;

class Lane : public ::testing::Test {
 protected:
  struct Session {
    WriterLane::Entered entered;
    std::optional<Status> outcome;
    int evicted = 0;
  };
  std::shared_ptr<Session> enter(std::uint64_t id,
                                 std::optional<std::chrono::nanoseconds> timeout = std::nullopt) {
    auto session = std::make_shared<Session>();
    LaneRequest request{.session = id, .description = "alice, psql: UPDATE t", .timeout = timeout};
    request.evict = [session] { ++session->evicted; };
    session->entered =
        lane.enter(std::move(request), executor, [session](Status s) { session->outcome = std::move(s); });
    return session;
  }
  SimScheduler world{1};
  SimExecutor executor{world};
  WriterLane lane{world.clock(), 10s};
};

TEST_F(Lane, TheFirstIsGrantedInlineAndTheOthersInTheirOrder) {
  auto a = enter(1);
  auto b = enter(2);
  auto c = enter(3);
  EXPECT_TRUE(a->entered.granted);
  EXPECT_FALSE(b->entered.granted);
  lane.leave(a->entered.ticket);
  world.run_until_idle();
  ASSERT_TRUE(b->outcome && b->outcome->has_value());
  EXPECT_FALSE(c->outcome);
  // Nobody overtakes: a newcomer waits behind c although b leaves at the same moment.
  lane.leave(b->entered.ticket);
  auto d = enter(4);
  EXPECT_FALSE(d->entered.granted);
  world.run_until_idle();
  ASSERT_TRUE(c->outcome && c->outcome->has_value());
  lane.leave(c->entered.ticket);
  world.run_until_idle();
  ASSERT_TRUE(d->outcome && d->outcome->has_value());
  lane.leave(d->entered.ticket);
  EXPECT_FALSE(lane.held());
}

TEST_F(Lane, LockTimeoutNamesTheHolder) {
  auto a = enter(17);
  auto b = enter(2, 50ms);
  auto c = enter(3);
  world.run_for(49ms);
  EXPECT_FALSE(b->outcome);
  world.run_for(2ms);
  ASSERT_TRUE(b->outcome && !b->outcome->has_value());
  EXPECT_EQ(b->outcome->error().code(), ErrorCode::kLockNotAvailable);
  EXPECT_NE(b->outcome->error().fields().detail.find("session 17: alice, psql: UPDATE t"), std::string::npos);
  lane.leave(a->entered.ticket);
  world.run_until_idle();
  ASSERT_TRUE(c->outcome && c->outcome->has_value());
}

TEST_F(Lane, AGrantedWaiterDoesNotTimeOut) {
  auto a = enter(1);
  auto b = enter(2, 50ms);
  lane.leave(a->entered.ticket);
  world.run_for(1s);
  ASSERT_TRUE(b->outcome && b->outcome->has_value());
  EXPECT_TRUE(lane.held());
}

TEST_F(Lane, ACancelledWaiterGetsItsReasonAndAGrantedOneCannotBeCancelled) {
  auto a = enter(1);
  auto b = enter(2);
  EXPECT_TRUE(lane.cancel(b->entered.ticket, Error(ErrorCode::kCancelled, "as asked")));
  EXPECT_FALSE(lane.cancel(a->entered.ticket, Error(ErrorCode::kCancelled, "as asked")));
  world.run_until_idle();
  ASSERT_TRUE(b->outcome && !b->outcome->has_value());
  EXPECT_EQ(b->outcome->error().code(), ErrorCode::kCancelled);
  EXPECT_TRUE(lane.snapshot().waiters.empty());
}

TEST_F(Lane, AnIdleHolderIsEvictedOnlyWhileOthersWait) {
  auto a = enter(1);
  lane.set_idle(a->entered.ticket, true);
  world.run_for(60s);
  EXPECT_EQ(a->evicted, 0) << "nobody waits";
  auto b = enter(2);
  world.run_for(1s);
  EXPECT_EQ(a->evicted, 1) << "idle for longer than the limit, and now somebody waits";
  world.run_for(60s);
  EXPECT_EQ(a->evicted, 1) << "once";
  EXPECT_FALSE(b->outcome) << "the evicted one still has to leave";
  lane.leave(a->entered.ticket);
  world.run_until_idle();
  ASSERT_TRUE(b->outcome && b->outcome->has_value());
}

TEST_F(Lane, ABusyHolderIsNotEvictedAndIdlenessIsCountedAnew) {
  auto a = enter(1);
  auto b = enter(2);
  lane.set_idle(a->entered.ticket, true);
  world.run_for(9s);
  lane.set_idle(a->entered.ticket, false);
  world.run_for(30s);
  EXPECT_EQ(a->evicted, 0);
  lane.set_idle(a->entered.ticket, true);
  world.run_for(9s);
  EXPECT_EQ(a->evicted, 0);
  world.run_for(2s);
  EXPECT_EQ(a->evicted, 1);
}

TEST_F(Lane, TheSnapshotShowsHolderAndWaiters) {
  auto a = enter(5);
  auto b = enter(6);
  auto c = enter(7);
  const auto seen = lane.snapshot();
  ASSERT_TRUE(seen.holder);
  EXPECT_EQ(seen.holder->session, 5U);
  ASSERT_EQ(seen.waiters.size(), 2U);
  EXPECT_EQ(seen.waiters[0].session, 6U);
  EXPECT_EQ(seen.waiters[1].session, 7U);
}

TEST_F(Lane, TimersThatOutliveTheLaneDoNothing) {
  {
    WriterLane short_lived(world.clock(), 1s);
    static_cast<void>(short_lived.enter({.session = 1, .description = ""}, executor, [](Status) {}));
    static_cast<void>(short_lived.enter({.session = 2, .description = "", .timeout = 5ms}, executor,
                                        [](Status) { FAIL() << "the lane is gone"; }));
  }
  world.run_for(10s);
}

}  // namespace
}  // namespace bop::database
