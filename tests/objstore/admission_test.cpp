#include "objstore/admission.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "objstore/hedging.hpp"

namespace bop::objstore {
namespace {

constexpr auto kBack = Priority::kBackground;
constexpr auto kFore = Priority::kForeground;

struct Door {
  explicit Door(Admission::Limits limits) : admission(limits) {}
  bool enter(int who, std::uint64_t bytes, Priority priority) {
    bool accepted = false;
    const auto ticket = admission.enter({bytes, priority}, [this, who] { entered.push_back(who); }, accepted);
    tickets.push_back(ticket);
    return accepted;
  }
  Admission admission;
  std::vector<int> entered;
  std::vector<Admission::Ticket> tickets;
};

TEST(Admission, KeepsPlacesForTheForeground) {
  Door door({.most_requests = 4, .kept_for_foreground = 1, .most_bytes = 1000, .most_waiting = 10});
  for (int i = 1; i <= 4; ++i) EXPECT_TRUE(door.enter(i, 1, kBack));
  EXPECT_EQ(door.entered, (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(door.enter(5, 1, kFore));
  EXPECT_EQ(door.entered, (std::vector<int>{1, 2, 3, 5}));
  EXPECT_EQ(door.admission.in_flight(), 4U);
  EXPECT_EQ(door.admission.waiting(), 1U);
  door.admission.leave({1, kFore});
  EXPECT_EQ(door.entered.size(), 4U);  // the place is kept
  door.admission.leave({1, kBack});
  EXPECT_EQ(door.entered.back(), 4);
}

TEST(Admission, TheForegroundGoesFirstAndTheBackgroundIsNotForgotten) {
  Door door({.most_requests = 1, .kept_for_foreground = 0, .most_bytes = 1000, .most_waiting = 100});
  door.enter(0, 1, kFore);
  for (int i = 1; i <= 3; ++i) door.enter(100 + i, 1, kBack);
  for (int i = 1; i <= 20; ++i) door.enter(i, 1, kFore);
  for (int i = 0; i < 23; ++i) door.admission.leave({1, kFore});
  EXPECT_EQ(door.entered, (std::vector<int>{0,  1,  2,  3,  4,   5,  6,  7,  101, 8,  9,  10,
                                            11, 12, 13, 14, 102, 15, 16, 17, 18,  19, 20, 103}));
}

TEST(Admission, BoundsBytesAndLetsALargeOneInAlone) {
  Door door({.most_requests = 10, .kept_for_foreground = 0, .most_bytes = 100, .most_waiting = 100});
  door.enter(1, 60, kFore);
  door.enter(2, 50, kFore);
  door.enter(3, 10, kFore);  // would fit, and does not overtake
  EXPECT_EQ(door.entered, (std::vector<int>{1}));
  EXPECT_FALSE(door.admission.try_enter({1, kFore}));
  door.admission.leave({60, kFore});
  EXPECT_EQ(door.entered, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(door.admission.bytes_in_flight(), 60U);
  door.enter(4, 500, kFore);
  door.admission.leave({50, kFore});
  EXPECT_EQ(door.entered.size(), 3U);
  door.admission.leave({10, kFore});
  EXPECT_EQ(door.entered.back(), 4);
  EXPECT_FALSE(door.admission.try_enter({1, kFore}));
  door.admission.leave({500, kFore});
  EXPECT_TRUE(door.admission.try_enter({1, kFore}));
}

TEST(Admission, WhoWaitsIsBoundedAndMayLeave) {
  Door door({.most_requests = 1, .kept_for_foreground = 0, .most_bytes = 100, .most_waiting = 2});
  EXPECT_TRUE(door.enter(1, 1, kFore));
  EXPECT_TRUE(door.enter(2, 1, kFore));
  EXPECT_TRUE(door.enter(3, 1, kBack));
  EXPECT_FALSE(door.enter(4, 1, kFore));
  door.admission.forget(door.tickets[1]);
  EXPECT_EQ(door.admission.waiting(), 1U);
  door.admission.leave({1, kFore});
  EXPECT_EQ(door.entered, (std::vector<int>{1, 3}));
}

TEST(Hedging, WaitsForTheP95AndKeepsToItsShare) {
  Hedging hedging({.percent = 5, .least_delay = std::chrono::milliseconds(1)});
  EXPECT_FALSE(hedging.begin().has_value());  // nothing is known yet
  for (int i = 1; i <= 100; ++i) hedging.record(i * 1'000'000);
  const auto delay = hedging.begin();
  ASSERT_TRUE(delay.has_value());
  EXPECT_EQ(*delay, std::chrono::milliseconds(96));
  int taken = 0;
  for (int i = 0; i < 1000; ++i) {
    static_cast<void>(hedging.begin());
    taken += hedging.take() ? 1 : 0;
  }
  EXPECT_GE(taken, 49);
  EXPECT_LE(taken, 51);
  Hedging none({.percent = 0});
  for (int i = 0; i < 100; ++i) none.record(1);
  EXPECT_FALSE(none.begin().has_value());
}

}  // namespace
}  // namespace bop::objstore
