// Where a crash can leave the moves of sealed segments, held as data so that one test can prove that every
// crash leaves exactly one of these states, and that a start makes of it what its row says.
//
// A move leaves traces, each durable before the next:
//   begun      something that binds nobody: half a file under a temporary name, an intention in the manifest, a file
//              of the manifest that is not valid yet
//   effect     what the move is for: the copy is whole under its name, the object is in the bucket, the bytes are gone,
//              the manifest's new file is valid
//   published  the register of the bucket says so
//   recorded   the manifest says so (of a rotation: the older file is marked superseded)
// What is not in the table is no work of a crash: copies that are gone though the manifest names them as the
// only one (refused by name), and records without their effect.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace bop::aof {

enum class TierMove : std::uint8_t {
  kFinalize,
  kMakeTierOne,
  kArchive,
  kDropTierZero,
  kDropTierOne,
  kGiveUp,  // the archive's low, then the manifest's
  kDelete,  // of local files
  kTakeEpoch,
  kRotate,
};
inline constexpr std::size_t kTierMoves = 9;

struct CrashTraces {
  bool begun = false;
  bool effect = false;
  bool published = false;
  bool recorded = false;
  friend constexpr bool operator==(const CrashTraces&, const CrashTraces&) = default;
};

enum class AfterCrash : std::uint8_t {
  kNothing,         // the move was made, or its half does not count
  kAgain,           // made from its beginning, when its time comes
  kRemoveAndAgain,  // what was left is removed, then the same
  kAgainAnew,  // made from its beginning under another name; what was left does not count and is collected
  kRecord,     // what is done is recorded; nothing is done again
  kFinish,     // what was decided is carried out
};

struct CrashState {
  TierMove move;
  CrashTraces traces;
  AfterCrash after;
  std::string_view name;
};

inline constexpr std::array<CrashState, 29> kCrashStates{{
    {TierMove::kFinalize, {0, 0, 0, 0}, AfterCrash::kAgain, "sealed, not known"},
    {TierMove::kFinalize, {0, 0, 0, 1}, AfterCrash::kNothing, "finalized"},

    {TierMove::kMakeTierOne, {0, 0, 0, 0}, AfterCrash::kAgain, "not compressed"},
    {TierMove::kMakeTierOne, {1, 0, 0, 0}, AfterCrash::kRemoveAndAgain, "half a compressed file"},
    {TierMove::kMakeTierOne, {0, 1, 0, 0}, AfterCrash::kRemoveAndAgain, "a compressed file nobody knows"},
    {TierMove::kMakeTierOne, {0, 1, 0, 1}, AfterCrash::kNothing, "compressed"},

    {TierMove::kArchive, {0, 0, 0, 0}, AfterCrash::kAgain, "not archived"},
    {TierMove::kArchive, {1, 0, 0, 0}, AfterCrash::kAgain, "archiving intended"},
    {TierMove::kArchive, {1, 1, 0, 0}, AfterCrash::kAgainAnew, "put, not published"},
    {TierMove::kArchive, {1, 1, 1, 0}, AfterCrash::kRecord, "published, not recorded"},
    {TierMove::kArchive, {0, 1, 1, 1}, AfterCrash::kNothing, "archived"},

    {TierMove::kDropTierZero, {0, 0, 0, 0}, AfterCrash::kAgain, "raw file there"},
    {TierMove::kDropTierZero, {0, 1, 0, 0}, AfterCrash::kRecord, "raw file gone, not recorded"},
    {TierMove::kDropTierZero, {0, 1, 0, 1}, AfterCrash::kNothing, "raw file dropped"},

    {TierMove::kDropTierOne, {0, 0, 0, 0}, AfterCrash::kAgain, "compressed file there"},
    {TierMove::kDropTierOne, {0, 1, 0, 0}, AfterCrash::kRecord, "compressed file gone, not recorded"},
    {TierMove::kDropTierOne, {0, 1, 0, 1}, AfterCrash::kNothing, "compressed file dropped"},

    {TierMove::kGiveUp, {0, 0, 0, 0}, AfterCrash::kAgain, "kept"},
    {TierMove::kGiveUp, {0, 0, 1, 0}, AfterCrash::kRecord, "given up in the archive, not recorded"},
    {TierMove::kGiveUp, {0, 0, 1, 1}, AfterCrash::kNothing, "given up"},

    {TierMove::kDelete, {0, 0, 0, 0}, AfterCrash::kAgain, "not deleted"},
    {TierMove::kDelete, {0, 0, 0, 1}, AfterCrash::kFinish, "deletion decided, files there"},
    {TierMove::kDelete, {0, 1, 0, 1}, AfterCrash::kNothing, "deleted"},

    // Every start takes the next epoch, whatever became of the one before.
    {TierMove::kTakeEpoch, {0, 0, 0, 0}, AfterCrash::kAgainAnew, "epoch not taken"},
    {TierMove::kTakeEpoch, {0, 0, 1, 0}, AfterCrash::kAgainAnew, "epoch taken, not recorded"},
    {TierMove::kTakeEpoch, {0, 0, 1, 1}, AfterCrash::kAgainAnew, "epoch taken"},

    {TierMove::kRotate, {0, 0, 0, 0}, AfterCrash::kAgain, "the older manifest file counts"},
    {TierMove::kRotate, {0, 1, 0, 0}, AfterCrash::kRecord, "new manifest file valid, older one not marked"},
    {TierMove::kRotate, {0, 1, 0, 1}, AfterCrash::kNothing, "manifest rotated"},
}};

// Nothing for traces that no crash leaves.
[[nodiscard]] constexpr const CrashState* crash_state_of(TierMove move, const CrashTraces& traces) noexcept {
  for (const CrashState& state : kCrashStates) {
    if (state.move == move && state.traces == traces) return &state;
  }
  return nullptr;
}

}  // namespace bop::aof
