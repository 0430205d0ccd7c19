#include "aof/tier/segment_shelf.hpp"

#include <algorithm>
#include <utility>

namespace bop::aof {

SegmentPin::~SegmentPin() {
  const std::lock_guard guard(shared_->mutex);
  const auto found = shared_->entries.find(segment_.facts.id.number);
  if (found == shared_->entries.end()) return;
  auto& pins = found->second.pins;
  const auto own = std::find(pins.begin(), pins.end(), this);
  if (own == pins.end()) return;  // cut off
  found->second.pinned_ns.erase(found->second.pinned_ns.begin() + (own - pins.begin()));
  pins.erase(own);
}

Status SegmentPin::check() const {
  if (!is_cut_off_.load(std::memory_order_acquire)) return {};
  return fail(ErrorCode::kNotInPrerequisiteState,
              "the reader stayed in segment {} (LSN {} to {}) for too long and was cut off",
              segment_.facts.id.number, segment_.facts.base.value, segment_.facts.last.index.value);
}

std::unique_ptr<SegmentPin> SegmentPin::Shared::pin(const std::shared_ptr<Shared>& self, Entry& entry) {
  std::unique_ptr<SegmentPin> pin(new SegmentPin(self, entry.segment));
  entry.last_read_ns = clock.steady_ns();
  entry.pins.push_back(pin.get());
  entry.pinned_ns.push_back(entry.last_read_ns);
  return pin;
}

SegmentShelf::SegmentShelf(Clock& clock) : shared_(std::make_shared<SegmentPin::Shared>(clock)) {}

std::unique_ptr<SegmentPin> SegmentShelf::pin(Lsn entry) {
  const std::lock_guard guard(shared_->mutex);
  if (entry < shared_->low) return nullptr;
  const auto last = shared_->by_last.lower_bound(entry.value);
  if (last == shared_->by_last.end()) return nullptr;
  return shared_->pin(shared_, shared_->entries.at(last->second));
}

std::unique_ptr<SegmentPin> SegmentShelf::pin_after(std::uint64_t number) {
  const std::lock_guard guard(shared_->mutex);
  auto found = shared_->entries.find(number);
  if (found == shared_->entries.end() || ++found == shared_->entries.end()) return nullptr;
  return shared_->pin(shared_, found->second);
}

Lsn SegmentShelf::low() const {
  const std::lock_guard guard(shared_->mutex);
  return shared_->low;
}

Lsn SegmentShelf::end() const {
  const std::lock_guard guard(shared_->mutex);
  return shared_->entries.empty() ? shared_->low
                                  : shared_->entries.rbegin()->second.segment.facts.last.index.next();
}

Lsn SegmentShelf::first_at(std::int64_t timestamp_us) const {
  const std::lock_guard guard(shared_->mutex);
  // Timestamps never decrease along the log.
  for (const auto& [last, number] : shared_->by_last) {
    const SegmentFacts& facts = shared_->entries.at(number).segment.facts;
    if (facts.last_us >= timestamp_us) return facts.base;
  }
  return shared_->entries.empty() ? shared_->low
                                  : shared_->entries.rbegin()->second.segment.facts.last.index.next();
}

std::vector<SegmentState> SegmentShelf::segments() const {
  const std::lock_guard guard(shared_->mutex);
  std::vector<SegmentState> all;
  all.reserve(shared_->entries.size());
  for (const auto& [number, entry] : shared_->entries) all.push_back(entry.segment);
  return all;
}

void SegmentShelf::publish(const ManifestState& state) {
  for (const auto& [number, segment] : state.segments()) publish(segment);
  restore(state);
}

void SegmentShelf::restore(const ManifestState& state) {
  const std::lock_guard guard(shared_->mutex);
  for (const auto& [number, segment] : state.segments()) {
    const auto [entry, is_new] = shared_->entries.try_emplace(number);
    if (!is_new) continue;
    entry->second.segment = segment;
    if (segment.facts.entries() > 0) shared_->by_last[segment.facts.last.index.value] = number;
  }
  shared_->low = std::max(Lsn(1), state.low());
  // What stands before the first segment that is known was trimmed before there was a manifest.
  if (!shared_->entries.empty()) {
    shared_->low = std::max(shared_->low, shared_->entries.begin()->second.segment.facts.base);
  }
}

void SegmentShelf::publish(const SegmentState& segment) {
  const std::lock_guard guard(shared_->mutex);
  auto& entries = shared_->entries;
  const SegmentFacts& facts = segment.facts;
  entries[facts.id.number].segment = segment;
  if (facts.entries() > 0) shared_->by_last[facts.last.index.value] = facts.id.number;
  if (entries.size() == 1) shared_->low = std::max(shared_->low, facts.base);
}

bool SegmentShelf::withdraw(MoveKind kind, std::uint64_t number) {
  const std::lock_guard guard(shared_->mutex);
  auto& entries = shared_->entries;
  if (kind == MoveKind::kDelete) {
    const auto behind = entries.upper_bound(number);
    for (auto entry = entries.begin(); entry != behind; ++entry) {
      if (!entry->second.pins.empty()) return false;
    }
    while (entries.begin() != behind) {
      const SegmentFacts& facts = entries.begin()->second.segment.facts;
      shared_->low = std::max(shared_->low, facts.last.index.next());
      if (facts.entries() > 0) shared_->by_last.erase(facts.last.index.value);
      entries.erase(entries.begin());
    }
    return true;
  }
  const auto found = entries.find(number);
  if (found == entries.end() || !found->second.pins.empty()) return false;
  if (kind == MoveKind::kDropTierZero) found->second.segment.tier_zero = false;
  if (kind == MoveKind::kDropTierOne) found->second.segment.tier_one.reset();
  return true;
}

void SegmentShelf::cut_off(std::uint64_t number) {
  const std::lock_guard guard(shared_->mutex);
  const auto found = shared_->entries.find(number);
  if (found == shared_->entries.end()) return;
  for (SegmentPin* pin : found->second.pins) pin->is_cut_off_.store(true, std::memory_order_release);
  found->second.pins.clear();
  found->second.pinned_ns.clear();
}

std::unordered_map<std::uint64_t, SegmentUse> SegmentShelf::uses() const {
  const std::lock_guard guard(shared_->mutex);
  std::unordered_map<std::uint64_t, SegmentUse> uses;
  for (const auto& [number, entry] : shared_->entries) {
    if (entry.pins.empty() && entry.last_read_ns == 0) continue;
    SegmentUse& use = uses[number];
    use.pins = entry.pins.size();
    use.last_read_ns = entry.last_read_ns;
    if (use.pins > 0) use.oldest_pin_ns = *std::min_element(entry.pinned_ns.begin(), entry.pinned_ns.end());
  }
  return uses;
}

}  // namespace bop::aof
