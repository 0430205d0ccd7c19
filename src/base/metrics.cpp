#include "base/metrics.hpp"

#include <fmt/format.h>

#include <list>
#include <mutex>
#include <string_view>

#include "base/time.hpp"

namespace bop {
namespace {

// Bounds of the exposed buckets: 1.024 us, doubling, up to 17 s. They are edges of the finer buckets.
constexpr unsigned kFirstPower = 10;
constexpr unsigned kLastPower = 34;

std::string braces(std::string_view labels) { return labels.empty() ? "" : fmt::format("{{{}}}", labels); }

void expose(std::string& out, const Counter& counter, std::string_view name, std::string_view labels) {
  fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, braces(labels), counter.value());
}
void expose(std::string& out, const Gauge& gauge, std::string_view name, std::string_view labels) {
  fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, braces(labels), gauge.value());
}
void expose(std::string& out, const Latency& latency, std::string_view name, std::string_view labels) {
  const std::string_view comma = labels.empty() ? "" : ",";
  std::uint64_t last = 0;
  for (unsigned power = kFirstPower; power <= kLastPower; ++power) {
    const std::uint64_t bound = std::uint64_t{1} << power;
    // Another thread may record meanwhile; the counts must not fall.
    last = std::max(last, latency.count_below(Latency::bucket_of(bound)));
    fmt::format_to(std::back_inserter(out), "{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels, comma,
                   static_cast<double>(bound) / 1e9, last);
  }
  last = std::max(last, latency.count());
  fmt::format_to(std::back_inserter(out), "{}_bucket{{{}{}le=\"+Inf\"}} {}\n", name, labels, comma, last);
  fmt::format_to(std::back_inserter(out), "{}_sum{} {}\n", name, braces(labels),
                 static_cast<double>(latency.sum_ns()) / 1e9);
  fmt::format_to(std::back_inserter(out), "{}_count{} {}\n", name, braces(labels), last);
}

constexpr std::string_view type_of(const Counter&) { return "counter"; }
constexpr std::string_view type_of(const Gauge&) { return "gauge"; }
constexpr std::string_view type_of(const Latency&) { return "histogram"; }

}  // namespace

std::uint64_t Latency::count_below(std::size_t bucket) const noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bucket; ++i) sum += buckets_[i].load(std::memory_order_relaxed);
  return sum;
}

Latency::Counts Latency::counts() const noexcept {
  Counts out;
  for (std::size_t i = 0; i < kBuckets; ++i) out.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
  out.sum_ns = sum_ns();
  return out;
}

std::uint64_t Latency::quantile_ns(double quantile) const noexcept { return counts().quantile_ns(quantile); }

std::uint64_t Latency::Counts::count() const noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : buckets) sum += count;
  return sum;
}

std::uint64_t Latency::Counts::quantile_ns(double quantile) const noexcept {
  const std::uint64_t all = count();
  if (all == 0) return 0;
  const auto wanted = static_cast<std::uint64_t>(static_cast<double>(all) * quantile);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets[i];
    if (seen > wanted || seen >= all) return end_of(i);
  }
  return end_of(kBuckets - 1);
}

Latency::Counts Latency::Counts::since(const Counts& earlier) const noexcept {
  Counts out;
  for (std::size_t i = 0; i < kBuckets; ++i) out.buckets[i] = buckets[i] - earlier.buckets[i];
  out.sum_ns = sum_ns - earlier.sum_ns;
  return out;
}

struct Metrics::Collectors {
  std::mutex mutex;
  std::list<std::function<void()>> all;
};

Metrics::Metrics() : collectors_(std::make_shared<Collectors>()) {
  start_time_seconds.set(system_clock().wall_us() / 1'000'000);
}
Metrics::~Metrics() = default;

std::shared_ptr<void> Metrics::add_collector(std::function<void()> collect) {
  const std::lock_guard guard(collectors_->mutex);
  const auto place = collectors_->all.insert(collectors_->all.end(), std::move(collect));
  return {nullptr, [collectors = collectors_, place](void*) {
            const std::lock_guard inner(collectors->mutex);
            collectors->all.erase(place);
          }};
}

std::string Metrics::exposition() {
  {
    const std::lock_guard guard(collectors_->mutex);
    for (const auto& collect : collectors_->all) collect();
  }
  std::string out;
  std::string_view last;
#define BOP_METRIC(member, type, name, labels, help)                                          \
  if (last != name) {                                                                         \
    fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, \
                   type_of(member));                                                          \
    last = name;                                                                              \
  }                                                                                           \
  expose(out, member, name, labels);
#include "base/metrics.def"
#undef BOP_METRIC
  return out;
}

Metrics& metrics() noexcept {
  static auto* const kMetrics = new Metrics;  // never destroyed: counted until the very end
  return *kMetrics;
}

}  // namespace bop
