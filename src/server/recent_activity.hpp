// What a node did of late, so that its page shows more than the moment at which somebody opens it: counters
// once a second for five minutes, histograms every ten seconds for one.
//
// That is all that the page costs while nobody looks: a dozen loads a second and the 1,300 of two histograms
// every ten, 90 KB. One thread at a time: that of the executor it was started on.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "base/metrics.hpp"
#include "base/time.hpp"

namespace bop::server {

class RecentActivity {
 public:
  static constexpr std::size_t kSamples = 300;
  static constexpr std::chrono::seconds kInterval{1};
  static constexpr int kLooksPerSnapshot = 10;
  static constexpr std::size_t kSnapshots = 7;  // so that the oldest is a minute old, or a little more

  // Counters, all growing.
  struct Counts {
    std::uint64_t statements = 0, commits = 0, errors = 0;
    std::uint64_t disk_full = 0, room_refused = 0, checkpoint_failures = 0;
  };
  // Of one interval.
  struct Sample {
    std::uint64_t number = 0;                        // 1, 2, 3...
    std::int64_t wall_ms = 0;                        // its end
    double statements = 0, commits = 0, errors = 0;  // a second
  };
  struct Latencies {
    Latency::Counts statements, commits;
  };

  RecentActivity(Clock& clock, std::function<Counts()> counts, std::function<Latencies()> latencies);

  // Looks now and every second from now on, until the executor stops.
  void start(Executor& executor);
  void look();

  [[nodiscard]] std::vector<Sample> samples_after(std::uint64_t number) const;
  [[nodiscard]] std::uint64_t newest() const noexcept { return newest_; }
  // What the counters grew by in the time of the samples.
  [[nodiscard]] Counts grown() const;
  // What the histograms got in the last minute, and how long that was.
  struct Minute {
    Latencies latencies;
    double seconds = 0;
  };
  [[nodiscard]] Minute minute() const;

 private:
  struct Kept {
    Sample sample;
    Counts counts;
    std::int64_t steady_ns = 0;
  };
  struct Snapshot {
    Latencies latencies;
    std::int64_t steady_ns = 0;
  };

  Clock& clock_;
  std::function<Counts()> counts_;
  std::function<Latencies()> latencies_;
  std::deque<Kept> kept_;  // the first one is only where the second began
  std::deque<Snapshot> snapshots_;
  std::uint64_t newest_ = 0;
  int looks_ = 0;
};

}  // namespace bop::server
