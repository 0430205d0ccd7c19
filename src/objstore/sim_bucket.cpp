#include "objstore/sim_bucket.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace bop::objstore {

SimBucket::SimBucket(std::uint64_t seed, SimBucketOptions options)
    : own_world_(std::make_unique<SimScheduler>(seed)),
      world_(own_world_.get()),
      random_(seed ^ 0x0b7ec7ULL),
      options_(options),
      network_(*world_) {}

SimBucket::SimBucket(SimScheduler& world, std::uint64_t seed, SimBucketOptions options)
    : world_(&world), random_(seed ^ 0x0b7ec7ULL), options_(options), network_(world) {}

SimBucket::~SimBucket() = default;

void SimBucket::fail_call(std::uint64_t k, SimObjectFault fault, bool sticky) {
  plans_.push_back({requests_ + k, fault, sticky});
}

void SimBucket::clear_faults() {
  plans_.clear();
  options_.faults_per_1000 = 0;
}

SimObjectFault SimBucket::draw_fault() {
  ++requests_;
  for (auto plan = plans_.begin(); plan != plans_.end(); ++plan) {
    if (requests_ < plan->at) continue;
    const SimObjectFault fault = plan->fault;
    if (!plan->sticky) plans_.erase(plan);
    ++struck_;
    return fault;
  }
  if (options_.faults_per_1000 == 0 || random_.below(1000) >= options_.faults_per_1000) {
    return SimObjectFault::kNone;
  }
  ++struck_;
  return static_cast<SimObjectFault>(1 + random_.below(kSimObjectFaults - 2));  // without kDenied
}

std::chrono::nanoseconds SimBucket::trip() {
  const auto most = static_cast<std::uint64_t>(options_.longest_trip.count());
  return std::chrono::nanoseconds(static_cast<std::int64_t>(random_.below(most + 1)));
}

std::vector<std::string> SimBucket::keys() const {
  std::vector<std::string> out;
  for (const auto& [key, object] : objects_) out.push_back(key);
  return out;
}

std::optional<std::vector<std::byte>> SimBucket::contents(const std::string& key) const {
  const auto found = objects_.find(key);
  if (found == objects_.end()) return std::nullopt;
  return found->second.bytes;
}

void SimBucket::place(const std::string& key, std::vector<std::byte> bytes) {
  store(key, std::move(bytes), {});
}

void SimBucket::erase(const std::string& key) { objects_.erase(key); }

bool SimBucket::flip_bit(const std::string& key, std::uint64_t offset, unsigned bit) {
  const auto found = objects_.find(key);
  if (found == objects_.end() || offset >= found->second.bytes.size()) return false;
  found->second.bytes[offset] ^= static_cast<std::byte>(1U << (bit % 8));
  return true;
}

std::uint64_t SimBucket::stores_of(const std::string& key) const {
  const auto found = stores_.find(key);
  return found == stores_.end() ? 0 : found->second;
}

std::uint64_t SimBucket::bytes_stored() const {
  std::uint64_t sum = 0;
  for (const auto& [key, object] : objects_) sum += object.bytes.size();
  return sum;
}

RawMeta SimBucket::store(const std::string& key, Bytes bytes, std::string stamp) {
  Object& object = objects_[key];
  object = {std::move(bytes), fmt::format("v{}", ++versions_), std::move(stamp)};
  ++stores_[key];
  return {{key, object.bytes.size(), object.etag}, object.stamp};
}

RawResult<RawMeta> SimBucket::put(const std::string& key, const Body& body, const PutCondition& condition,
                                  const std::string& stamp) {
  const auto found = objects_.find(key);
  if (condition.kind == PutCondition::Kind::kIfAbsent && found != objects_.end()) {
    return std::unexpected(RawFailure{RawKind::kTaken, "412 Precondition Failed", {}});
  }
  if (condition.kind == PutCondition::Kind::kIfMatch &&
      (found == objects_.end() || found->second.etag != condition.etag)) {
    return std::unexpected(RawFailure{RawKind::kNotMatched, "412 Precondition Failed", {}});
  }
  return store(key, Bytes(body.bytes.begin(), body.bytes.end()), stamp);
}

RawResult<SimBucket::Bytes> SimBucket::get(const std::string& key, const std::optional<Range>& range,
                                           std::uint64_t most) const {
  const auto found = objects_.find(key);
  if (found == objects_.end()) return std::unexpected(RawFailure{RawKind::kNotFound, {}, {}});
  const Bytes& bytes = found->second.bytes;
  std::uint64_t from = 0, to = bytes.size();
  if (range) {
    if (range->offset >= bytes.size()) {
      return std::unexpected(RawFailure{RawKind::kRefused, "416 Range Not Satisfiable", {}});
    }
    from = range->offset;
    to = std::min<std::uint64_t>(bytes.size(), from + range->bytes);
  }
  if (to - from > most) {
    return std::unexpected(
        RawFailure{RawKind::kTooLong,
                   fmt::format("the object has {} bytes, at most {} are read", bytes.size(), most),
                   {},
                   bytes.size()});
  }
  return Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(from),
               bytes.begin() + static_cast<std::ptrdiff_t>(to));
}

RawResult<RawMeta> SimBucket::head(const std::string& key) const {
  const auto found = objects_.find(key);
  if (found == objects_.end()) return std::unexpected(RawFailure{RawKind::kNotFound, {}, {}});
  return RawMeta{{key, found->second.bytes.size(), found->second.etag}, found->second.stamp};
}

RawResult<ListPage> SimBucket::list(const std::string& prefix, const std::string& start_after) const {
  ListPage page;
  auto next = objects_.lower_bound(prefix);
  if (!start_after.empty() && start_after >= prefix) next = objects_.upper_bound(start_after);
  for (; next != objects_.end() && next->first.starts_with(prefix); ++next) {
    if (page.objects.size() == options_.page) {
      page.more = true;
      break;
    }
    page.objects.push_back({next->first, next->second.bytes.size(), next->second.etag});
  }
  return page;
}

}  // namespace bop::objstore
