#include "aof/tier/residency.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace bop::aof {

namespace {

class Planner {
 public:
  explicit Planner(const ResidencyInput& input) : in_(input), limits_(input.limits) {}

  std::vector<Move> plan() {
    measure();
    retain();
    empty_tier_zero();
    archive();
    empty_tier_one();
    return std::move(moves_);
  }

 private:
  [[nodiscard]] SegmentUse use_of(std::uint64_t number) const {
    const auto found = in_.uses.find(number);
    return found == in_.uses.end() ? SegmentUse{} : found->second;
  }
  // Somebody is inside who may stay.
  [[nodiscard]] bool is_held(std::uint64_t number) {
    const SegmentUse use = use_of(number);
    if (use.pins == 0) return false;
    if (in_.steady_ns - use.oldest_pin_ns < limits_.most_pin_ns) return true;
    const Move cut{MoveKind::kCutOff, number};
    if (std::find(moves_.begin(), moves_.end(), cut) == moves_.end()) moves_.push_back(cut);
    return true;  // until it is cut off
  }

  [[nodiscard]] bool is_good(const SegmentState& segment, Tier tier) const {
    return has_copy(segment, tier) && !in_.suspects.contains({segment.facts.id.number, tier});
  }

  void measure() {
    for (const auto& [number, segment] : in_.state.segments()) {
      image_bytes_ += segment.facts.image_bytes();
      if (segment.tier_zero) tier_zero_bytes_ += segment.facts.file_bytes;
      if (segment.tier_one.has_value()) tier_one_bytes_ += segment.tier_one->bytes;
      if (use_of(number).is_archiving) ++archiving_;
    }
  }

  void retain() {
    std::uint64_t left = image_bytes_;
    std::uint64_t newest = 0;
    for (const auto& [number, segment] : in_.state.segments()) {
      const SegmentFacts& facts = segment.facts;
      const bool is_old = limits_.keep_us != INT64_MAX && segment.finalized_us != 0 &&
                          segment.finalized_us < in_.retention_us - limits_.keep_us;
      const bool is_beyond = left > limits_.keep_bytes && left - facts.image_bytes() >= limits_.keep_bytes;
      if (!is_old && !is_beyond) break;
      if (facts.last.index >= in_.keep_from || use_of(number).is_archiving || is_held(number)) break;
      newest = number;
      left -= facts.image_bytes();
    }
    if (newest == 0) return;
    moves_.push_back({MoveKind::kDelete, newest});
    deleted_to_ = newest;
  }

  // The stream trims from its oldest segment on, so one that may not leave keeps those behind it.
  void empty_tier_zero() {
    std::uint64_t bytes = tier_zero_bytes_;
    std::uint64_t newest = 0;
    for (const auto& [number, segment] : in_.state.segments()) {
      if (!segment.tier_zero) continue;
      if (number <= deleted_to_) {
        bytes -= segment.facts.file_bytes;
        continue;
      }
      if (bytes <= limits_.tier_zero_bytes) break;
      leaving_.insert(number);
      const bool is_safe = is_good(segment, limits_.has_archive ? Tier::kTwo : Tier::kOne);
      if (!is_safe) {
        hurried_.insert(number);
        bytes -= segment.facts.file_bytes;  // those behind it have to hurry, too
        is_blocked_ = true;
        continue;
      }
      bytes -= segment.facts.file_bytes;
      if (is_held(number)) is_blocked_ = true;
      if (!is_blocked_) newest = number;
    }
    if (newest != 0) moves_.push_back({MoveKind::kDropTierZero, newest});
  }

  [[nodiscard]] bool hurries(std::uint64_t number) const { return hurried_.contains(number); }
  [[nodiscard]] bool is_due(std::uint64_t number) const { return due_.contains(number); }

  void archive() {
    std::uint64_t newer = in_.state.segments().size();
    for (const auto& [number, segment] : in_.state.segments()) {
      --newer;
      if (number <= deleted_to_ || segment.archived.has_value() || use_of(number).is_archiving) continue;
      if (!hurries(number) && !(limits_.has_archive && newer >= limits_.archive_after)) continue;
      due_.insert(number);
      if (!segment.tier_one.has_value()) {
        moves_.push_back({MoveKind::kMakeTierOne, number});
      } else if (limits_.has_archive && archiving_ < limits_.archives_at_once) {
        moves_.push_back({MoveKind::kArchive, number});
        ++archiving_;
      }
    }
  }

  void empty_tier_one() {
    if (tier_one_bytes_ <= limits_.tier_one_bytes) return;
    std::vector<std::pair<std::int64_t, std::uint64_t>> leaving;  // last read, number
    std::uint64_t bytes = tier_one_bytes_;
    for (const auto& [number, segment] : in_.state.segments()) {
      if (!segment.tier_one.has_value()) continue;
      if (number <= deleted_to_) {
        bytes -= segment.tier_one->bytes;
        continue;
      }
      // One that is on its way to the archive, or to leave tier 0, would only be made again.
      const bool is_safe = is_good(segment, Tier::kTwo) ||
                           (is_good(segment, Tier::kZero) && !is_due(number) && !leaving_.contains(number));
      if (is_safe && !use_of(number).is_archiving) leaving.emplace_back(use_of(number).last_read_ns, number);
    }
    std::sort(leaving.begin(), leaving.end());
    for (const auto& [read, number] : leaving) {
      if (bytes <= limits_.tier_one_bytes) return;
      if (is_held(number)) continue;
      moves_.push_back({MoveKind::kDropTierOne, number});
      bytes -= in_.state.find(number)->tier_one->bytes;
    }
  }

  const ResidencyInput& in_;
  const TierLimits& limits_;
  std::uint64_t image_bytes_ = 0;
  std::uint64_t tier_zero_bytes_ = 0;
  std::uint64_t tier_one_bytes_ = 0;
  std::uint64_t archiving_ = 0;
  std::uint64_t deleted_to_ = 0;
  bool is_blocked_ = false;
  std::unordered_set<std::uint64_t> leaving_;  // beyond the limit of tier 0, whether or not they may go now
  std::unordered_set<std::uint64_t> hurried_;
  std::unordered_set<std::uint64_t> due_;  // for the archive, or for tier 1 on its way out of tier 0
  std::vector<Move> moves_;
};

}  // namespace

bool has_copy(const SegmentState& segment, Tier tier) noexcept {
  switch (tier) {
    case Tier::kZero: return segment.tier_zero;
    case Tier::kOne: return segment.tier_one.has_value();
    case Tier::kTwo: return segment.archived.has_value();
  }
  return false;
}

std::vector<Move> moves_of(const ResidencyInput& input) { return Planner(input).plan(); }

ArchiveQueue archive_queue(const ManifestState& state) {
  ArchiveQueue queue;
  for (const auto& [number, segment] : state.segments()) {
    if (segment.archived.has_value()) continue;
    ++queue.segments;
    queue.bytes += segment.facts.file_bytes;
  }
  return queue;
}

bool is_pressed(const ArchiveQueue& queue, const TierLimits& limits) noexcept {
  return limits.has_archive &&
         (queue.segments > limits.pressure_segments || queue.bytes > limits.pressure_bytes);
}

Residency residency_of(const ManifestState& state) {
  Residency residency;
  for (const auto& [number, segment] : state.segments()) {
    ++residency.segments;
    if (segment.tier_zero) {
      ++residency.tier_zero_segments;
      residency.tier_zero_bytes += segment.facts.file_bytes;
    }
    if (segment.tier_one.has_value()) {
      ++residency.tier_one_segments;
      residency.tier_one_bytes += segment.tier_one->bytes;
    }
    if (segment.archived.has_value()) {
      ++residency.tier_two_segments;
      residency.tier_two_bytes += segment.archived->bytes;
      if (!segment.tier_zero && !segment.tier_one.has_value()) ++residency.cold_segments;
    }
  }
  return residency;
}

std::string_view name_of(MoveKind kind) noexcept {
  switch (kind) {
    case MoveKind::kMakeTierOne: return "make tier 1";
    case MoveKind::kArchive: return "archive";
    case MoveKind::kDropTierZero: return "drop tier 0";
    case MoveKind::kDropTierOne: return "drop tier 1";
    case MoveKind::kDelete: return "delete";
    case MoveKind::kCutOff: return "cut off";
  }
  return "?";
}

}  // namespace bop::aof
