// The decision tables of recovery: every case matches exactly one row, and the rows obey the promises.
#include "aof/recovery_table.hpp"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>

namespace bop::aof::test {
namespace {

constexpr std::array kStops{RecordState::kZero, RecordState::kDamaged, RecordState::kUnchained,
                            RecordState::kUnreadable, RecordState::kTooNew};
constexpr std::array kLaters{Later::kNone, Later::kChained, Later::kUnchained};
constexpr std::array kHeaders{HeaderState::kValid, HeaderState::kZero, HeaderState::kDamaged,
                              HeaderState::kTooNew};

bool cuts(Verdict verdict) {
  return verdict == Verdict::kEnd || verdict == Verdict::kCutTorn || verdict == Verdict::kCutHole;
}

TEST(RecoveryTable, EveryCaseMatchesExactlyOneRow) {
  std::size_t cases = 0;
  for (const RecordState state : kStops) {
    for (const bool behind : {false, true}) {
      for (const Later later : kLaters) {
        ++cases;
        EXPECT_EQ(std::ranges::count_if(kRecovery,
                                        [&](const RecoveryRule& rule) {
                                          return rule.state == state && rule.behind_watermark == behind &&
                                                 rule.later == later;
                                        }),
                  1);
      }
    }
  }
  EXPECT_EQ(cases, kRecovery.size());
}

TEST(RecoveryTable, NothingAcknowledgedIsEverCut) {
  for (const RecoveryRule& rule : kRecovery) {
    if (rule.behind_watermark) {
      EXPECT_FALSE(cuts(rule.verdict));
    }
  }
}

TEST(RecoveryTable, AnUnreadableSectorIsNeverTheEnd) {
  for (const RecoveryRule& rule : kRecovery) {
    if (rule.state == RecordState::kUnreadable) {
      EXPECT_FALSE(cuts(rule.verdict));
    }
  }
}

TEST(RecoveryTable, NewerFormatsAreRefusedWhateverFollows) {
  for (const RecoveryRule& rule : kRecovery) {
    EXPECT_EQ(rule.state == RecordState::kTooNew, rule.verdict == Verdict::kRefuse);
  }
}

TEST(RecoveryTable, OnlyAProofThatNothingIsMissingSkips) {
  for (const RecoveryRule& rule : kRecovery) {
    if (rule.verdict == Verdict::kSkip) {
      EXPECT_EQ(rule.later, Later::kChained);
    }
  }
}

TEST(RecoveryTable, WhatAPowerCutLeavesIsAlwaysOpened) {
  // Lost (zeros) or torn, with or without later writes that were durable before it; never acknowledged.
  for (const RecordState state : {RecordState::kZero, RecordState::kDamaged}) {
    for (const Later later : {Later::kNone, Later::kUnchained}) {
      EXPECT_TRUE(cuts(verdict_of(state, false, later)));
    }
  }
}

TEST(NewestFileTable, EveryCaseMatchesExactlyOneRow) {
  for (const HeaderState header : kHeaders) {
    for (const bool zeros : {false, true}) {
      EXPECT_EQ(std::ranges::count_if(kNewestFile,
                                      [&](const FileRule& rule) {
                                        return rule.header == header && rule.zeros_behind == zeros;
                                      }),
                1);
    }
  }
  EXPECT_EQ(kNewestFile.size(), kHeaders.size() * 2);
}

TEST(NewestFileTable, AFileWithRecordsIsNeverCalledUnused) {
  for (const FileRule& rule : kNewestFile) {
    if (!rule.zeros_behind) {
      EXPECT_NE(rule.verdict, FileVerdict::kUnused);
    }
  }
}

}  // namespace
}  // namespace bop::aof::test
