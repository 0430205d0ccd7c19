#include "server/recent_activity.hpp"

#include <utility>

namespace bop::server {

RecentActivity::RecentActivity(Clock& clock, std::function<Counts()> counts,
                               std::function<Latencies()> latencies)
    : clock_(clock), counts_(std::move(counts)), latencies_(std::move(latencies)) {}

void RecentActivity::start(Executor& executor) {
  look();
  executor.post_after(kInterval, [this, &executor] { start(executor); });
}

void RecentActivity::look() {
  Kept now;
  now.steady_ns = clock_.steady_ns();
  now.counts = counts_();
  now.sample.wall_ms = clock_.wall_us() / 1000;
  if (!kept_.empty()) {
    const Kept& before = kept_.back();
    const double seconds = static_cast<double>(now.steady_ns - before.steady_ns) * 1e-9;
    const auto rate = [seconds](std::uint64_t to, std::uint64_t from) {
      return seconds > 0 ? static_cast<double>(to - from) / seconds : 0;
    };
    now.sample.number = ++newest_;
    now.sample.statements = rate(now.counts.statements, before.counts.statements);
    now.sample.commits = rate(now.counts.commits, before.counts.commits);
    now.sample.errors = rate(now.counts.errors, before.counts.errors);
  }
  kept_.push_back(now);
  if (kept_.size() > kSamples + 1) kept_.pop_front();

  if (looks_++ % kLooksPerSnapshot != 0) return;
  snapshots_.push_back({latencies_(), now.steady_ns});
  if (snapshots_.size() > kSnapshots) snapshots_.pop_front();
}

std::vector<RecentActivity::Sample> RecentActivity::samples_after(std::uint64_t number) const {
  std::vector<Sample> out;
  for (std::size_t i = 1; i < kept_.size(); ++i) {
    if (kept_[i].sample.number > number) out.push_back(kept_[i].sample);
  }
  return out;
}

RecentActivity::Counts RecentActivity::grown() const {
  Counts out;
  if (kept_.empty()) return out;
  const Counts& from = kept_.front().counts;
  const Counts to = counts_();
  out.statements = to.statements - from.statements;
  out.commits = to.commits - from.commits;
  out.errors = to.errors - from.errors;
  out.disk_full = to.disk_full - from.disk_full;
  out.room_refused = to.room_refused - from.room_refused;
  out.checkpoint_failures = to.checkpoint_failures - from.checkpoint_failures;
  return out;
}

RecentActivity::Minute RecentActivity::minute() const {
  Minute out;
  if (snapshots_.empty()) return out;
  const Snapshot& from = snapshots_.front();
  const Latencies now = latencies_();
  out.latencies.statements = now.statements.since(from.latencies.statements);
  out.latencies.commits = now.commits.since(from.latencies.commits);
  out.seconds = static_cast<double>(clock_.steady_ns() - from.steady_ns) * 1e-9;
  return out;
}

}  // namespace bop::server
