// The sealed segments of a log as readers see them: which there are, where each one is, and who is inside.
//
// The mover (SegmentStore) publishes what the manifest says; readers pin a segment, which keeps every copy of
// it in its place until they let go, or are cut off for staying too long. A copy leaves in two steps: it is
// withdrawn, which fails while somebody is inside, so nobody finds it any more; then its bytes are removed.
//
// Threads: every call from any thread; none waits for anything.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "aof/tier/manifest_state.hpp"
#include "aof/tier/residency.hpp"
#include "base/time.hpp"

namespace bop::aof {

// A reader's presence in a segment. Ends when it is destroyed.
class SegmentPin {
 public:
  SegmentPin(const SegmentPin&) = delete;
  SegmentPin& operator=(const SegmentPin&) = delete;
  ~SegmentPin();

  // As it was when it was pinned; where a copy was then, it is until the pin ends or is cut off.
  [[nodiscard]] const SegmentState& segment() const noexcept { return segment_; }
  // kNotInPrerequisiteState once the reader stayed longer than it may while others wanted the segment gone.
  [[nodiscard]] Status check() const;

 private:
  friend class SegmentShelf;
  struct Shared;
  SegmentPin(std::shared_ptr<Shared> shared, SegmentState segment)
      : shared_(std::move(shared)), segment_(std::move(segment)) {}

  std::shared_ptr<Shared> shared_;
  const SegmentState segment_;
  std::atomic<bool> is_cut_off_{false};
};

class SegmentShelf {
 public:
  explicit SegmentShelf(Clock& clock);

  // ---- readers
  // The segment that holds the entry, or the first one behind it; nullptr when all are below it. Below low():
  // nullptr too.
  [[nodiscard]] std::unique_ptr<SegmentPin> pin(Lsn entry);
  // The next one behind it; nullptr when it is the newest, or is gone.
  [[nodiscard]] std::unique_ptr<SegmentPin> pin_after(std::uint64_t number);
  // Oldest entry that is kept.
  [[nodiscard]] Lsn low() const;
  // Behind the newest entry of the newest sealed segment; low() when there is none.
  [[nodiscard]] Lsn end() const;
  // First entry of the first segment whose newest record is not older; end() when all are.
  [[nodiscard]] Lsn first_at(std::int64_t timestamp_us) const;
  [[nodiscard]] std::vector<SegmentState> segments() const;

  // ---- the mover
  // Takes over what the manifest says: all of it, at the start, or of one segment.
  void publish(const ManifestState& state);
  void publish(const SegmentState& segment);
  // Undoes the withdrawal of segments whose deletion failed: they and low() are as the manifest says again.
  void restore(const ManifestState& state);
  // False while somebody is inside (for all segments up to `number` with kDelete, for it alone with the
  // others).
  [[nodiscard]] bool withdraw(MoveKind kind, std::uint64_t number);
  // Ends the pins of a segment.
  void cut_off(std::uint64_t number);
  // For plans.
  [[nodiscard]] std::unordered_map<std::uint64_t, SegmentUse> uses() const;

 private:
  std::shared_ptr<SegmentPin::Shared> shared_;
};

struct SegmentPin::Shared {
  explicit Shared(Clock& time) : clock(time) {}
  struct Entry {
    SegmentState segment;
    std::vector<SegmentPin*> pins;
    std::vector<std::int64_t> pinned_ns;  // of each
    std::int64_t last_read_ns = 0;
  };
  Clock& clock;
  mutable std::mutex mutex;
  std::map<std::uint64_t, Entry> entries;          // by number
  std::map<std::uint64_t, std::uint64_t> by_last;  // newest id -> number, of segments with entries
  Lsn low{1};

  [[nodiscard]] std::unique_ptr<SegmentPin> pin(const std::shared_ptr<Shared>& self, Entry& entry);
};

}  // namespace bop::aof
