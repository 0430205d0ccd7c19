// How long an appended record may wait for its durable write when nobody waits for the record.
//
// The strategies are those of the specification (FlushStrategy). What they say is "at the latest": a record
// goes out earlier with any write that carries it along, because acknowledgement follows the order of the
// log, and at once when somebody wants it durable (CommitStream::want_durable). Whoever waits for each record
// of its own is kSync, and so is everything by default.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bop::aof {

enum class FlushStrategy : std::uint8_t {
  kSync,              // at once: its client waits for it
  kAsync,             // at once, although nobody waits
  kBatched,           // once so many records have gathered that nobody waits for
  kPeriodic,          // once it has waited so long
  kBatchedOrPeriodic  // whichever comes first
};

struct FlushPolicy {
  FlushStrategy strategy = FlushStrategy::kSync;
  std::uint32_t records = 0;              // of kBatched and kBatchedOrPeriodic, at least 1
  std::chrono::milliseconds interval{0};  // of kPeriodic and kBatchedOrPeriodic

  [[nodiscard]] constexpr bool waits_for_others() const noexcept {
    return strategy == FlushStrategy::kBatched || strategy == FlushStrategy::kBatchedOrPeriodic;
  }
  [[nodiscard]] constexpr bool waits_for_time() const noexcept {
    return strategy == FlushStrategy::kPeriodic || strategy == FlushStrategy::kBatchedOrPeriodic;
  }
};

// Why a durable write of the log was begun.
enum class FlushCause : std::uint8_t {
  kCommit,    // a kSync record: its client waits
  kAsync,     // a kAsync record
  kBatched,   // enough records had gathered
  kPeriodic,  // the oldest had waited long enough
  kWanted,    // somebody wants durable what nobody waited for: a reader, a checkpoint, a stop
  kFull,      // the write's buffer or the segment was full
  kMark       // no record: a segment's header, a watermark at rest, the mark of a stop
};
inline constexpr std::size_t kFlushCauses = 7;
inline constexpr std::array<std::string_view, kFlushCauses> kFlushCauseNames{
    "commit", "async", "batched", "periodic", "wanted", "full", "mark"};

}  // namespace bop::aof
