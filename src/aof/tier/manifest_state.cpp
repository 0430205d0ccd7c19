#include "aof/tier/manifest_state.hpp"

#include <utility>

#include "base/assert.hpp"

namespace bop::aof {

namespace {

template <class... Args>
std::unexpected<Error> wrong(fmt::format_string<Args...> text, Args&&... args) {
  return fail(ErrorCode::kNotInPrerequisiteState, "manifest: {}",
              fmt::format(text, std::forward<Args>(args)...));
}

std::unexpected<Error> unknown(std::uint64_t number) {
  return wrong("segment {} is not among the sealed segments", number);
}

// The name of an object, whatever stands before the last slash.
std::optional<ObjectKey> key_in(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return parse_key(slash == std::string_view::npos ? name : name.substr(slash + 1));
}

// What decode_records() refuses must not be written.
Status check_length(std::string_view what, std::string_view text, std::size_t longest) {
  if (text.size() <= longest) return {};
  return wrong("{} of {} bytes is longer than {}", what, text.size(), longest);
}

Status check_key(const SegmentFacts& facts, std::string_view key, Epoch epoch) {
  BOP_TRY(check_length("an object's key", key, kLongestObjectKey));
  const auto parsed = key_in(key);
  if (parsed.has_value() && *parsed == key_of(facts, epoch)) return {};
  return wrong("the object '{}' is not segment {} in epoch {}", key, facts.id.number, epoch.value);
}

// Where else the segment is, when one tier gives it up.
Status check_drop(const SegmentState& segment, bool other) {
  if (other) return {};
  return wrong("segment {} has no other copy", segment.facts.id.number);
}

}  // namespace

const SegmentState* ManifestState::find(std::uint64_t number) const noexcept {
  const auto found = segments_.find(number);
  return found == segments_.end() ? nullptr : &found->second;
}

Status ManifestState::check(const ManifestRecord& record) const {
  if (const auto* r = std::get_if<FinalizedRecord>(&record)) {
    const SegmentFacts& facts = r->facts;
    if (!is_sound(facts)) return wrong("the facts of segment {} are not sound", facts.id.number);
    if (const SegmentState* known = find(facts.id.number); known != nullptr) {
      if (known->facts == facts) return {};
      return wrong("segment {} is known with other facts", facts.id.number);
    }
    if (facts.id.number < deleted_.low_number || facts.base < deleted_.low) {
      return wrong("segment {} is below {} and deleted", facts.id.number, deleted_.low_number);
    }
    if (segments_.empty()) return {};
    const SegmentFacts& newest = segments_.rbegin()->second.facts;
    if (facts.previous_number != newest.id.number || facts.previous != newest.last ||
        facts.timeline < newest.timeline) {
      return wrong("segment {} follows segment {} at LSN {}, and the newest one known is {} up to LSN {}",
                   facts.id.number, facts.previous_number, facts.previous.index.value, newest.id.number,
                   newest.last.index.value);
    }
    return {};
  }
  if (const auto* r = std::get_if<TierOneMadeRecord>(&record)) {
    const SegmentState* segment = find(r->number);
    if (segment == nullptr) return unknown(r->number);
    if (segment->tier_one.has_value() && *segment->tier_one != r->copy) {
      return wrong("segment {} has another compressed file", r->number);
    }
    return {};
  }
  if (const auto* r = std::get_if<TierOneDroppedRecord>(&record)) {
    const SegmentState* segment = find(r->number);
    if (segment == nullptr) return unknown(r->number);
    return check_drop(*segment, segment->tier_zero || segment->archived.has_value());
  }
  if (const auto* r = std::get_if<ArchiveBegunRecord>(&record)) {
    const SegmentState* segment = find(r->number);
    if (segment == nullptr) return unknown(r->number);
    if (segment->archived.has_value()) return wrong("segment {} is archived already", r->number);
    if (r->intent.epoch > epoch_.epoch) {
      return wrong("epoch {} of segment {} was never taken", r->intent.epoch.value, r->number);
    }
    return check_key(segment->facts, r->intent.key, r->intent.epoch);
  }
  if (const auto* r = std::get_if<ArchivedRecord>(&record)) {
    const SegmentState* segment = find(r->number);
    if (segment == nullptr) return unknown(r->number);
    if (segment->archived.has_value() && *segment->archived != r->copy) {
      return wrong("segment {} is archived as another object", r->number);
    }
    BOP_TRY(check_length("an object's etag", r->copy.etag, kLongestEtag));
    return check_key(segment->facts, r->copy.key, r->copy.epoch);
  }
  if (const auto* r = std::get_if<TierZeroDroppedRecord>(&record)) {
    const SegmentState* segment = find(r->number);
    if (segment == nullptr) return unknown(r->number);
    return check_drop(*segment, segment->tier_one.has_value() || segment->archived.has_value());
  }
  if (const auto* r = std::get_if<DeletedRecord>(&record)) {
    if (r->low_number < deleted_.low_number || r->low < deleted_.low) {
      return wrong("what is below segment {} (LSN {}) was deleted before", deleted_.low_number,
                   deleted_.low.value);
    }
    const auto first = segments_.lower_bound(r->low_number);
    if (first != segments_.end() && first->second.facts.base < r->low) {
      return wrong("segment {} begins at LSN {}, below {}", first->first, first->second.facts.base.value,
                   r->low.value);
    }
    if (first != segments_.begin() && std::prev(first)->second.facts.last.index >= r->low) {
      return wrong("segment {} ends at LSN {}, not below {}", std::prev(first)->first,
                   std::prev(first)->second.facts.last.index.value, r->low.value);
    }
    return {};
  }
  if (const auto* r = std::get_if<EpochTakenRecord>(&record)) {
    if (*r == epoch_) return {};
    if (r->epoch <= epoch_.epoch || r->start < epoch_.start) {
      return wrong("epoch {} from LSN {} does not follow epoch {} from LSN {}", r->epoch.value,
                   r->start.value, epoch_.epoch.value, epoch_.start.value);
    }
    return {};
  }
  if (const auto* r = std::get_if<KeyAddedRecord>(&record)) {
    BOP_TRY(check_length("a wrapped key", r->wrapped, kLongestWrappedKey));
    const auto known = keys_.find(r->key_id);
    if (known != keys_.end() && known->second != r->wrapped) {
      return wrong("key {:016x} is known with other bytes", r->key_id);
    }
    return {};
  }
  if (const auto* r = std::get_if<AgedRecord>(&record)) {
    if (r->now_us >= aged_.now_us) return {};
    return wrong("the retention time {} is before {}", r->now_us, aged_.now_us);
  }
  return wrong("{} stands in snapshots only", name_of(record));
}

void ManifestState::apply(const ManifestRecord& record) {
  const auto at = [&](std::uint64_t number) -> SegmentState& {
    const auto found = segments_.find(number);
    BOP_ASSERT(found != segments_.end());
    return found->second;
  };
  if (const auto* r = std::get_if<FinalizedRecord>(&record)) {
    segments_.try_emplace(r->facts.id.number, SegmentState{.facts = r->facts, .finalized_us = aged_.now_us});
  } else if (const auto* made = std::get_if<TierOneMadeRecord>(&record)) {
    at(made->number).tier_one = made->copy;
  } else if (const auto* dropped = std::get_if<TierOneDroppedRecord>(&record)) {
    at(dropped->number).tier_one.reset();
  } else if (const auto* begun = std::get_if<ArchiveBegunRecord>(&record)) {
    at(begun->number).begun = begun->intent;
  } else if (const auto* archived = std::get_if<ArchivedRecord>(&record)) {
    at(archived->number).archived = archived->copy;
    at(archived->number).begun.reset();
  } else if (const auto* zero = std::get_if<TierZeroDroppedRecord>(&record)) {
    at(zero->number).tier_zero = false;
  } else if (const auto* deleted = std::get_if<DeletedRecord>(&record)) {
    deleted_ = *deleted;
    segments_.erase(segments_.begin(), segments_.lower_bound(deleted->low_number));
  } else if (const auto* epoch = std::get_if<EpochTakenRecord>(&record)) {
    epoch_ = *epoch;
  } else if (const auto* key = std::get_if<KeyAddedRecord>(&record)) {
    keys_.emplace(key->key_id, key->wrapped);
  } else if (const auto* aged = std::get_if<AgedRecord>(&record)) {
    aged_ = *aged;
  } else {
    BOP_ASSERT(false);
  }
}

std::vector<ManifestRecord> ManifestState::records() const {
  std::vector<ManifestRecord> out;
  out.emplace_back(IdentityRecord{identity_});
  if (deleted_ != DeletedRecord{}) out.emplace_back(deleted_);
  if (epoch_ != EpochTakenRecord{}) out.emplace_back(epoch_);
  for (const auto& [id, wrapped] : keys_) out.emplace_back(KeyAddedRecord{id, wrapped});
  std::int64_t now_us = 0;
  for (const auto& [number, segment] : segments_) {
    if (segment.finalized_us != now_us) out.emplace_back(AgedRecord{now_us = segment.finalized_us});
    out.emplace_back(FinalizedRecord{segment.facts});
    if (segment.tier_one.has_value()) out.emplace_back(TierOneMadeRecord{number, *segment.tier_one});
    if (segment.begun.has_value()) out.emplace_back(ArchiveBegunRecord{number, *segment.begun});
    if (segment.archived.has_value()) out.emplace_back(ArchivedRecord{number, *segment.archived});
    if (!segment.tier_zero) out.emplace_back(TierZeroDroppedRecord{number});
  }
  if (aged_.now_us != now_us) out.emplace_back(aged_);
  return out;
}

Result<ManifestState> state_of(const std::vector<ManifestRecord>& records, std::string_view where) {
  if (records.empty() || !std::holds_alternative<IdentityRecord>(records.front())) {
    return fail(ErrorCode::kCorrupt, "{}: the snapshot does not begin with an identity", where);
  }
  ManifestState state(std::get<IdentityRecord>(records.front()).identity);
  for (std::size_t i = 1; i < records.size(); ++i) {
    if (auto fits = state.check(records[i]); !fits.has_value()) {
      return fail(ErrorCode::kCorrupt, "{}: record {} ({}) does not fit: {}", where, i, name_of(records[i]),
                  fits.error().what());
    }
    state.apply(records[i]);
  }
  return state;
}

}  // namespace bop::aof
