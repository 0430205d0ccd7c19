#include "executor/column_cache.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace bop::executor {

namespace {
// What an entry costs besides its values: nodes of the list and the maps, pointers.
constexpr std::uint64_t kEntryBytes = 160;
}  // namespace

bool ColumnCache::is_same(const Lot& lot, const LotState& state) {
  return std::ranges::equal(lot.leaves, state.leaves) && std::ranges::equal(lot.versions, state.versions);
}

std::uint64_t ColumnCache::hash_of(const LotState& state) {
  std::uint64_t hash = state.leaves.size();
  const auto mix = [&](std::uint64_t value) {
    hash = (hash ^ value) * 0xff51afd7ed558ccdU;
    hash ^= hash >> 32U;
  };
  for (const PageNo page : state.leaves) mix(page.value);
  for (const std::uint64_t version : state.versions) mix(version);
  return hash;
}

void ColumnCache::see(const Key& key, Seen seen) {
  // Lots of more than 16 GiB of tables: to begin anew costs one more reading.
  if (seen_.size() >= kMostSeen && !seen_.contains(key)) seen_.clear();
  seen_[key] = seen;
}

ColumnCache::Found ColumnCache::find(const LotState& state, std::span<const Column> wanted) {
  BOP_ASSERT(!state.leaves.empty() && state.leaves.size() == state.versions.size());
  Found out;
  out.columns.resize(wanted.size());
  if (limit_ == 0) return out;
  const Key key{state.file, state.leaves.front()};
  const Clock::time_point now = now_();
  const std::lock_guard lock(mutex_);
  const auto lot = lots_.find(key);
  const bool is_kept = lot != lots_.end() && is_same(lot->second, state);
  if (is_kept) {
    std::size_t found = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      for (const Entries::iterator entry : lot->second.columns) {
        if (entry->column != wanted[i]) continue;
        entry->used = now;
        entries_.splice(entries_.begin(), entries_, entry);
        out.columns[i] = entry->values;
        ++found;
        break;
      }
    }
    out.complete = found == wanted.size();
  }
  ++(out.complete ? numbers_.hits : numbers_.misses);
  if (out.complete) return out;
  const bool has_room =
      numbers_.bytes + largest_ <= limit_ || (!entries_.empty() && now - entries_.back().used >= kLeastAge);
  if (is_kept) {
    out.is_worth_keeping = has_room;
    return out;
  }
  const Seen seen{.state = hash_of(state)};
  if (const auto before = seen_.find(key); before != seen_.end() && before->second.state == seen.state) {
    out.is_worth_keeping = has_room && !before->second.is_refused;
  } else {
    see(key, seen);
  }
  return out;
}

void ColumnCache::refuse(const LotState& state) {
  const std::lock_guard lock(mutex_);
  see({state.file, state.leaves.front()}, {.state = hash_of(state), .is_refused = true});
}

void ColumnCache::drop(Lot& lot, Entries::iterator entry) {
  numbers_.bytes -= entry->bytes;
  std::erase(lot.columns, entry);
  entries_.erase(entry);
}

bool ColumnCache::make_room(std::uint64_t bytes) {
  while (numbers_.bytes + bytes > limit_) {
    if (entries_.empty() || now_() - entries_.back().used < kLeastAge) return false;
    const auto last = std::prev(entries_.end());
    const auto lot = lots_.find(last->lot);
    drop(lot->second, last);
    if (lot->second.columns.empty()) lots_.erase(lot);
  }
  return true;
}

void ColumnCache::keep(const LotState& state, std::span<const Column> columns,
                       std::span<const EncodedColumnPtr> values) {
  BOP_ASSERT(columns.size() == values.size());
  const Key key{state.file, state.leaves.front()};
  const std::uint64_t lot_bytes = state.leaves.size() * (sizeof(PageNo) + sizeof(std::uint64_t));
  const Clock::time_point now = now_();
  const std::lock_guard lock(mutex_);
  if (const auto before = lots_.find(key); before != lots_.end() && !is_same(before->second, state)) {
    while (!before->second.columns.empty()) drop(before->second, before->second.columns.back());
    lots_.erase(before);
  }
  seen_.erase(key);
  std::uint64_t all = lot_bytes;
  for (const EncodedColumnPtr& column : values) all += column->bytes() + kEntryBytes;
  largest_ = std::max(largest_, all);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto kept = lots_.find(key);
    // (Another scan may have done the same meanwhile.)
    if (kept != lots_.end() && std::ranges::any_of(kept->second.columns, [&](Entries::iterator entry) {
          return entry->column == columns[i];
        }))
      continue;
    const std::uint64_t bytes = values[i]->bytes() + kEntryBytes + (kept == lots_.end() ? lot_bytes : 0);
    if (!make_room(bytes)) continue;
    // (What made room may have been the rest of this lot.)
    Lot& lot = lots_[key];
    if (lot.leaves.empty()) {
      lot.leaves.assign(state.leaves.begin(), state.leaves.end());
      lot.versions.assign(state.versions.begin(), state.versions.end());
    }
    entries_.push_front({key, columns[i], values[i], bytes, now});
    lot.columns.push_back(entries_.begin());
    numbers_.bytes += bytes;
  }
  if (!lots_.contains(key)) see(key, {.state = hash_of(state)});
}

bool ColumnCache::clear() {
  Entries entries;  // destroyed without the mutex
  const std::lock_guard lock(mutex_);
  entries.swap(entries_);
  lots_.clear();
  numbers_.bytes = 0;
  return !entries.empty();
}

ColumnCache::Numbers ColumnCache::numbers() const {
  const std::lock_guard lock(mutex_);
  return numbers_;
}

}  // namespace bop::executor
