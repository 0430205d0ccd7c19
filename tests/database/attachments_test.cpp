#include "database/attachments.hpp"

#include <gtest/gtest.h>

namespace bop::database {
namespace {

Attachments::Object object(int value) { return std::make_shared<int>(value); }
int value_of(const Attachments::Object& o) { return o ? *static_cast<const int*>(o.get()) : 0; }

TEST(Attachments, TheNewestAtOrBelowTheCsn) {
  OutputGate gate;
  gate.release(Csn(1'000));
  Attachments all(gate);
  EXPECT_FALSE(all.at(Csn(9)));
  all.publish(Csn(5), object(5));
  all.publish(Csn(8), object(8));
  EXPECT_EQ(value_of(all.at(Csn(4))), 0);
  EXPECT_EQ(value_of(all.at(Csn(5))), 5);
  EXPECT_EQ(value_of(all.at(Csn(7))), 5);
  EXPECT_EQ(value_of(all.at(Csn(100))), 8);
}

TEST(Attachments, WhatAPinnedReaderMayAskForStays) {
  OutputGate gate;
  gate.release(Csn(1'000));
  Attachments all(gate);
  all.publish(Csn(1), object(1));
  all.pin(Csn(3));
  all.publish(Csn(5), object(5));
  all.pin(Csn(6));
  all.publish(Csn(7), object(7));
  EXPECT_EQ(value_of(all.at(Csn(3))), 1);
  all.unpin(Csn(3));
  EXPECT_EQ(all.size(), 2U) << "1 is out of reach, 5 is not";
  EXPECT_EQ(value_of(all.at(Csn(6))), 5);
  all.unpin(Csn(6));
  all.pin(Csn(7));
  all.unpin(Csn(7));
  EXPECT_EQ(all.size(), 1U);
}

TEST(Attachments, APublicationThatIsNotVisibleYetDoesNotPushOutTheOneThatIs) {
  OutputGate gate;
  gate.release(Csn(1'000));
  Attachments all(gate);
  all.publish(Csn(1), object(1));
  all.pin(Csn(1));
  all.unpin(Csn(1));
  all.publish(Csn(2), object(2));
  all.publish(Csn(3), object(3));
  EXPECT_EQ(value_of(all.at(Csn(1))), 1);
}

TEST(Attachments, WhatIsCommittedStaysUntilItsSuccessorIsToo) {
  OutputGate gate;
  gate.release(Csn(2));
  Attachments all(gate);
  all.publish(Csn(1), object(1));
  all.publish(Csn(5), object(5));
  all.pin(Csn(5));
  all.unpin(Csn(5));
  all.discard_after(gate.released());
  EXPECT_EQ(value_of(all.at(Csn(9))), 1);
}

TEST(Attachments, ARewindTakesBackWhatNeverHappened) {
  OutputGate gate;
  gate.release(Csn(1'000));
  Attachments all(gate);
  all.publish(Csn(1), object(1));
  all.publish(Csn(9), object(9));
  all.discard_after(Csn(4));
  EXPECT_EQ(value_of(all.at(Csn(9))), 1);
}

}  // namespace
}  // namespace bop::database
