// Removes the objects of a log that nobody needs: those that do not count (a replaced writer's, an attempt
// that a crash cut off), and those of deleted segments.
//
// Only the writer collects, and it reads the register anew first: one that was replaced meanwhile answers
// kFenced. It removes an object below segments/ if and only if
//   * its name is a segment's key, and
//   * its epoch is below the writer's own, and it does not count by the register that was just read; or its
//   number is
//     below that register's `low number`.
// Objects of the writer's own epoch that are not published yet stay (they are on their way), and so do those
// of a later epoch (that writer is the judge of them), and names that are no keys (reported). Should a
// successor take over while this one still removes, nothing goes wrong: what does not count by one version of
// the register, and is of an epoch before it, counts by none after it (bucket_register.hpp).
//
// A put that is still on its way somewhere may make an orphan after the collection; the next one removes it.
//
// Threads: one, the executor's. At most `max_running` removals at once; one page of names in memory. May be
// destroyed at any time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "aof/tier/register_writer.hpp"
#include "aof/tier/store_calls.hpp"

namespace bop::aof {

struct CollectionReport {
  std::uint64_t objects = 0;  // seen below segments/
  std::uint64_t counted = 0;  // of them
  std::uint64_t pending = 0;  // of this epoch or later, not counting yet
  std::uint64_t removed = 0;
  std::vector<std::string> strangers;  // names that are no keys, at most 100
};

class OrphanCollection {
 public:
  using Done = std::move_only_function<void(Result<CollectionReport>)>;

  OrphanCollection(objstore::ObjectStore& store, RegisterWriter& writer, BucketNames names,
                   Executor& executor, std::size_t max_running = 8,
                   objstore::CallOptions options = {.priority = objstore::Priority::kBackground});

  // kFenced; kObjectInUse while the register is being changed; errors of the store (what was removed stays
  // removed). One at a time.
  void run(Done done);
  [[nodiscard]] bool is_running() const noexcept { return static_cast<bool>(done_); }

 private:
  void list();
  void judge(const objstore::ListPage& page);
  void remove_some();
  void finish(Result<CollectionReport> result);

  objstore::ObjectStore& store_;
  RegisterWriter& writer_;
  BucketNames names_;
  std::size_t max_running_;
  objstore::CallOptions options_;
  Done done_;
  BucketRegister register_;
  CollectionReport report_;
  std::string after_;
  bool more_ = false;
  std::deque<std::string> doomed_;
  std::size_t removing_ = 0;
  std::optional<Error> failure_;
  StoreCalls calls_;
};

// The rule above.
enum class ObjectFate : std::uint8_t { kCounts, kPending, kOrphan };
[[nodiscard]] ObjectFate fate_of(const BucketRegister& reg, const ObjectKey& key) noexcept;

}  // namespace bop::aof
