// A manifest on a simulated disk, with a source of records that fit.
#pragma once

#include <optional>

#include "aof/tier/made_segments.hpp"
#include "aof/tier/manifest.hpp"
#include "aof/tier/object_key.hpp"

namespace bop::aof::test {

inline constexpr const char* kManifestDirectory = "/log";

class ManifestWorld {
 public:
  explicit ManifestWorld(std::uint64_t seed)
      : disk(seed, {.longest_delay = 1, .trace_length = 0}), dice_(seed), maker_(seed) {
    expected_ = ManifestState(maker_.identity);
    EXPECT_TRUE(ok(disk.create_directories(kManifestDirectory)));
  }

  // Small files, so that rotations are frequent.
  Result<std::unique_ptr<Manifest>> create() {
    return Manifest::create(disk, kManifestDirectory, ManifestState(maker_.identity), {.least_bytes = 65536});
  }
  Result<std::unique_ptr<Manifest>> open() {
    return Manifest::open(disk, kManifestDirectory, maker_.identity, {.least_bytes = 65536});
  }

  // One to three records that fit the state so far; the same again until note() takes them.
  const std::vector<ManifestRecord>& peek_records(bool deletions = true) {
    if (!peeked_.empty()) return peeked_;
    ManifestState state = expected_;
    for (std::uint64_t i = 0, n = 1 + dice_.below(3); i < n; ++i) {
      peeked_.push_back(one(state, deletions));
      state.apply(peeked_.back());
    }
    return peeked_;
  }
  void note(const std::vector<ManifestRecord>& records) {
    for (const ManifestRecord& record : std::vector(records)) expected_.apply(record);
    peeked_.clear();
  }
  std::vector<ManifestRecord> next_records() {
    const std::vector<ManifestRecord> records = peek_records();
    note(records);
    return records;
  }

  [[nodiscard]] const ManifestState& expected() const { return expected_; }
  [[nodiscard]] const StreamIdentity& identity() const { return maker_.identity; }

  SimDisk disk;

 private:
  ManifestRecord one(const ManifestState& state, bool deletions) {
    for (;;) {
      ManifestRecord record = candidate(state, deletions);
      if (state.check(record).has_value()) return record;
    }
  }
  ManifestRecord candidate(const ManifestState& state, bool deletions) {
    const auto& segments = state.segments();
    if (segments.empty() || dice_.chance(1, 4)) {
      if (!next_.has_value() || state.find(next_->id.number) != nullptr ||
          next_->id.number < state.low_number()) {
        next_ = maker_.make(dice_.below(5)).facts;
      }
      return FinalizedRecord{*next_};
    }
    auto it = segments.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(dice_.below(segments.size())));
    const SegmentFacts& facts = it->second.facts;
    const std::uint64_t number = it->first;
    switch (dice_.below(9)) {
      case 0: return TierOneMadeRecord{number, {dice_.below(1000), dice_.next(), 1}};
      case 1: return TierOneDroppedRecord{number};
      case 2:
        return ArchiveBegunRecord{number,
                                  {state.epoch().epoch, print_key(key_of(facts, state.epoch().epoch))}};
      case 3:
        return ArchivedRecord{
            number, {state.epoch().epoch, 7, 8, print_key(key_of(facts, state.epoch().epoch)), "e"}};
      case 4: return TierZeroDroppedRecord{number};
      case 5: return EpochTakenRecord{state.epoch().epoch.next(), facts.base};
      case 6: return KeyAddedRecord{dice_.below(20), std::string(40, 'k')};
      default:
        if (!deletions || segments.size() < 6) return TierZeroDroppedRecord{number};
        return DeletedRecord{number, facts.base};
    }
  }

  SimRandom dice_;
  SegmentMaker maker_;
  std::optional<SegmentFacts> next_;
  ManifestState expected_;
  std::vector<ManifestRecord> peeked_;
};

}  // namespace bop::aof::test
