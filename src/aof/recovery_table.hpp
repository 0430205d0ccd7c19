// What to do where the unbroken sequence of records ends, held as data so that one test can prove that every
// case matches exactly one row.
//
// A case is made of three observations:
//   * what stands at the place where the next record would begin (RecordState; kValid goes on and has no
//   row);
//   * whether the next id is behind the durable watermark, the highest that any valid record of the segment
//   carries,
//     also a later one: then that record was acknowledged and must be there;
//   * what stands at later block boundaries, where writes begin: no valid record; one that names our last
//   entry as
//     its predecessor; or only others.
//
// What power cuts can leave behind. Writes in flight become durable in any order, so a lost or torn write
// (kZero, kDamaged) may have durable successors (kUnchained behind it): both were never acknowledged, as
// acknowledgement follows the contiguous prefix. A chained successor proves that only padding was hurt:
// nothing is missing. Every other combination is no work of a power cut.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "aof/record.hpp"
#include "aof/segment_header.hpp"

namespace bop::aof {

enum class Later : std::uint8_t { kNone, kChained, kUnchained };

enum class Verdict : std::uint8_t {
  kEnd,         // the log ends here
  kCutTorn,     // the log ends here; behind it lies a torn write that was never acknowledged
  kCutHole,     // the log ends here; behind it lie whole records that were never acknowledged
  kSkip,        // only padding is damaged: go on at the record that chains
  kCorrupt,     // acknowledged records are damaged or gone: refuse, name the place
  kUnreadable,  // the disk does not give the bytes: refuse, they may come back
  kRefuse,      // written by a newer BOP: refuse
};

struct RecoveryRule {
  RecordState state;
  bool behind_watermark;
  Later later;
  Verdict verdict;
};

inline constexpr std::array<RecoveryRule, 30> kRecovery{{
    {RecordState::kZero, false, Later::kNone, Verdict::kEnd},
    {RecordState::kZero, false, Later::kChained, Verdict::kSkip},
    {RecordState::kZero, false, Later::kUnchained,
     Verdict::kCutHole},  // an earlier write lost, a later one durable
    {RecordState::kZero, true, Later::kNone, Verdict::kCorrupt},
    {RecordState::kZero, true, Later::kChained, Verdict::kSkip},
    {RecordState::kZero, true, Later::kUnchained, Verdict::kCorrupt},

    {RecordState::kDamaged, false, Later::kNone, Verdict::kCutTorn},
    {RecordState::kDamaged, false, Later::kChained, Verdict::kSkip},
    {RecordState::kDamaged, false, Later::kUnchained, Verdict::kCutHole},
    {RecordState::kDamaged, true, Later::kNone, Verdict::kCorrupt},
    {RecordState::kDamaged, true, Later::kChained, Verdict::kSkip},
    {RecordState::kDamaged, true, Later::kUnchained, Verdict::kCorrupt},

    // The checksum is bound to stream, segment and place: a valid record that does not follow was written by
    // nobody's rules.
    {RecordState::kUnchained, false, Later::kNone, Verdict::kCorrupt},
    {RecordState::kUnchained, false, Later::kChained, Verdict::kCorrupt},
    {RecordState::kUnchained, false, Later::kUnchained, Verdict::kCorrupt},
    {RecordState::kUnchained, true, Later::kNone, Verdict::kCorrupt},
    {RecordState::kUnchained, true, Later::kChained, Verdict::kCorrupt},
    {RecordState::kUnchained, true, Later::kUnchained, Verdict::kCorrupt},

    // An unreadable sector is never the end of the log: what it held cannot be known.
    {RecordState::kUnreadable, false, Later::kNone, Verdict::kUnreadable},
    {RecordState::kUnreadable, false, Later::kChained, Verdict::kSkip},
    {RecordState::kUnreadable, false, Later::kUnchained, Verdict::kUnreadable},
    {RecordState::kUnreadable, true, Later::kNone, Verdict::kUnreadable},
    {RecordState::kUnreadable, true, Later::kChained, Verdict::kSkip},
    {RecordState::kUnreadable, true, Later::kUnchained, Verdict::kUnreadable},

    {RecordState::kTooNew, false, Later::kNone, Verdict::kRefuse},
    {RecordState::kTooNew, false, Later::kChained, Verdict::kRefuse},
    {RecordState::kTooNew, false, Later::kUnchained, Verdict::kRefuse},
    {RecordState::kTooNew, true, Later::kNone, Verdict::kRefuse},
    {RecordState::kTooNew, true, Later::kChained, Verdict::kRefuse},
    {RecordState::kTooNew, true, Later::kUnchained, Verdict::kRefuse},
}};

[[nodiscard]] constexpr Verdict verdict_of(RecordState state, bool behind_watermark, Later later) noexcept {
  for (const auto& rule : kRecovery) {
    if (rule.state == state && rule.behind_watermark == behind_watermark && rule.later == later)
      return rule.verdict;
  }
  return Verdict::kCorrupt;
}

[[nodiscard]] constexpr std::string_view name_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::kEnd: return "end";
    case Verdict::kCutTorn: return "torn tail";
    case Verdict::kCutHole: return "hole";
    case Verdict::kSkip: return "damaged padding";
    case Verdict::kCorrupt: return "corrupt";
    case Verdict::kUnreadable: return "unreadable";
    case Verdict::kRefuse: return "newer format";
  }
  return "?";
}

// What the header block of the newest file and the bytes behind it mean (segment_header.hpp, "Order of
// events"). A file that is not the newest must have a valid header.
enum class FileVerdict : std::uint8_t { kUse, kUnused, kCorrupt, kRefuse };
struct FileRule {
  HeaderState header;
  bool zeros_behind;
  FileVerdict verdict;
};
inline constexpr std::array<FileRule, 8> kNewestFile{{
    {HeaderState::kValid, true, FileVerdict::kUse},
    {HeaderState::kValid, false, FileVerdict::kUse},
    {HeaderState::kZero, true, FileVerdict::kUnused},  // prepared and never used
    {HeaderState::kZero, false,
     FileVerdict::kCorrupt},  // records without a header: the header was durable before
    {HeaderState::kDamaged, true, FileVerdict::kUnused},  // the write of the header was torn
    {HeaderState::kDamaged, false, FileVerdict::kCorrupt},
    {HeaderState::kTooNew, true, FileVerdict::kRefuse},
    {HeaderState::kTooNew, false, FileVerdict::kRefuse},
}};
[[nodiscard]] constexpr FileVerdict verdict_of(HeaderState header, bool zeros_behind) noexcept {
  for (const auto& rule : kNewestFile) {
    if (rule.header == header && rule.zeros_behind == zeros_behind) return rule.verdict;
  }
  return FileVerdict::kCorrupt;
}

}  // namespace bop::aof
