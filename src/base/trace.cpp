#include "base/trace.hpp"

#include <algorithm>
#include <atomic>
#include <cctype>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/metrics.hpp"

namespace bop {
namespace {

std::atomic<std::int64_t> slow_ns{1'000'000'000};
std::atomic<std::uint64_t> next_id{1};
constexpr std::size_t kMostText = 1000;

Latency& histogram_of(Stage stage) noexcept {
  Metrics& all = metrics();
  Latency* const kByStage[kStages] = {&all.stage_wire_seconds,    &all.stage_parse_seconds,
                                      &all.stage_bind_seconds,    &all.stage_wait_seconds,
                                      &all.stage_execute_seconds, &all.stage_commit_seconds,
                                      &all.stage_durable_seconds, &all.stage_flush_seconds};
  return *kByStage[static_cast<std::size_t>(stage)];
}

double milliseconds(std::int64_t ns) { return static_cast<double>(ns / 1000) / 1000.0; }

std::string_view shortened(std::string_view text, std::size_t most_bytes) {
  if (text.size() <= most_bytes) return text;
  std::size_t size = most_bytes;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace

std::string_view name_of(Stage stage) noexcept {
  constexpr std::string_view kNames[kStages] = {"wire",    "parse",  "bind",    "wait",
                                                "execute", "commit", "durable", "flush"};
  return kNames[static_cast<std::size_t>(stage)];
}

void set_slow_statement_threshold(std::chrono::nanoseconds threshold) noexcept {
  slow_ns = threshold.count();
}

std::string_view shown_text(std::string_view text, std::size_t most_bytes) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  const bool is_secret = !std::ranges::search(text, std::string_view("password"), same).empty();
  return is_secret ? "(not shown: it names a password)" : shortened(text, most_bytes);
}

StatementTrace::StatementTrace(Clock& clock, Stage stage, std::int64_t start_ns) noexcept
    : clock_(&clock),
      id_(next_id.fetch_add(1, std::memory_order_relaxed)),
      start_ns_(start_ns != 0 ? start_ns : clock.steady_ns()),
      stage_start_ns_(start_ns_),
      stage_(stage) {}

void StatementTrace::close_stage(std::int64_t now_ns) noexcept {
  const auto stage = static_cast<std::size_t>(stage_);
  spent_ns_[stage] += now_ns - stage_start_ns_;
  entered_ = static_cast<std::uint8_t>(entered_ | (1U << stage));
  stage_start_ns_ = now_ns;
}

void StatementTrace::enter(Stage stage) noexcept {
  BOP_ASSERT(!finished_);
  close_stage(clock_->steady_ns());
  stage_ = stage;
}

std::int64_t StatementTrace::spent_ns(Stage stage) const noexcept {
  const bool runs = stage == stage_ && !finished_;
  return spent_ns_[static_cast<std::size_t>(stage)] + (runs ? clock_->steady_ns() - stage_start_ns_ : 0);
}

std::int64_t StatementTrace::total_ns() const noexcept {
  return (finished_ ? stage_start_ns_ : clock_->steady_ns()) - start_ns_;
}

void StatementTrace::finish(std::string_view text, const ErrorCode* code) noexcept {
  BOP_ASSERT(!finished_);
  close_stage(clock_->steady_ns());
  finished_ = true;
  const std::int64_t total = stage_start_ns_ - start_ns_;
  metrics().statements_total.add();
  if (code != nullptr) metrics().statement_errors_total.add();
  metrics().statement_seconds.record(total);
  for (std::size_t stage = 0; stage < kStages; ++stage) {
    if ((entered_ >> stage & 1U) != 0) histogram_of(static_cast<Stage>(stage)).record(spent_ns_[stage]);
  }
  if (committed_) {
    metrics().commit_seconds.record(spent_ns_[static_cast<std::size_t>(Stage::kCommit)] +
                                    spent_ns_[static_cast<std::size_t>(Stage::kDurable)]);
  }
  const std::int64_t threshold = slow_ns.load(std::memory_order_relaxed);
  if (threshold <= 0 || total < threshold) return;
  metrics().slow_statements_total.add();
  const auto spent = [&](Stage stage) { return milliseconds(spent_ns_[static_cast<std::size_t>(stage)]); };
  log(LogLevel::kWarning, "slow statement",
      {{"statement_id", id_},
       {"total_ms", milliseconds(total)},
       {"wire_ms", spent(Stage::kWire)},
       {"parse_ms", spent(Stage::kParse)},
       {"bind_ms", spent(Stage::kBind)},
       {"wait_ms", spent(Stage::kWait)},
       {"execute_ms", spent(Stage::kExecute)},
       {"commit_ms", spent(Stage::kCommit)},
       {"durable_ms", spent(Stage::kDurable)},
       {"flush_ms", spent(Stage::kFlush)},
       {"sqlstate", code == nullptr ? std::string_view("00000") : info(*code).sqlstate},
       {"statement", shortened(text, kMostText)}});
}

}  // namespace bop
