// Where a statement's time goes, from the first byte of its message to the flush of its answer.
//
// A StatementTrace belongs to one statement and is used by one thread at a time. `enter` ends the stage that
// runs and starts another; a stage may be entered several times. When it ends, each stage that was entered
// and the whole go into the histograms of metrics.def, and a statement slower than the threshold is logged
// with the time of every stage. A trace that is destroyed without `finish` counts nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/time.hpp"

namespace bop {

// wire: its bytes arrive, or wait behind an earlier statement. wait: for the writer lane or a reader.
// durable: its answer is held back until the log has what it was computed from.
enum class Stage : std::uint8_t { kWire, kParse, kBind, kWait, kExecute, kCommit, kDurable, kFlush };
inline constexpr std::size_t kStages = 8;
[[nodiscard]] std::string_view name_of(Stage stage) noexcept;

// Threshold of the slow-statement log; 0 turns it off. Any thread, at any time.
void set_slow_statement_threshold(std::chrono::nanoseconds threshold) noexcept;

class StatementTrace {
 public:
  // Starts in `stage`; at `start_ns` of the clock if it is not 0.
  explicit StatementTrace(Clock& clock = system_clock(), Stage stage = Stage::kWire,
                          std::int64_t start_ns = 0) noexcept;

  // Unique in the process; what logs and errors name.
  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  void enter(Stage stage) noexcept;
  // Time in `stage` so far.
  [[nodiscard]] std::int64_t spent_ns(Stage stage) const noexcept;
  [[nodiscard]] std::int64_t total_ns() const noexcept;

  // The statement has committed a change: what it spends in the stages commit and durable is a commit's time.
  void note_commit() noexcept { committed_ = true; }

  // Ends the trace; may be called once. `text` is what the slow-statement log shows, shortened to 1000 bytes:
  // the caller leaves out what is secret. `code` is null for a statement that went well.
  void finish(std::string_view text, const ErrorCode* code = nullptr) noexcept;

 private:
  void close_stage(std::int64_t now_ns) noexcept;

  Clock* clock_;
  std::uint64_t id_;
  std::int64_t start_ns_, stage_start_ns_;
  std::array<std::int64_t, kStages> spent_ns_{};
  std::uint8_t entered_ = 0;  // a bit for each stage
  Stage stage_;
  bool finished_ = false;
  bool committed_ = false;
};

// What may be shown of a statement's text outside of its session: nothing if it names a password, otherwise
// its first `most_bytes`, cut between characters.
[[nodiscard]] std::string_view shown_text(std::string_view text, std::size_t most_bytes);

}  // namespace bop
