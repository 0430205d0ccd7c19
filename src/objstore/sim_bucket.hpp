// A bucket in memory whose requests are lost, late, refused, doubled and cut by a seed.
//
//   SimBucket bucket(seed);                    a world of its own; or SimBucket bucket(world, seed)
//   SimObjectStore one(bucket), other(bucket); two processes
//   bucket.fail_call(3, SimObjectFault::kLostAfter);
//   one.put(...); while (!answered && one.poll() > 0) {}
//
// A request reaches the bucket some time after it was made, takes effect there at once and whole, and is
// answered some time later: all times are drawn by the seed, so requests of one process overtake each other.
// What is under way when a process ends (its store is destroyed) still arrives, or not, by the seed. So it is
// with cancelled requests.
//
// One thread owns a bucket and its stores.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/sim.hpp"
#include "objstore/raw_store.hpp"

namespace bop::objstore {

enum class SimObjectFault : std::uint8_t {
  kNone,
  kLostBefore,    // never arrives; no answer
  kLostAfter,     // takes effect; no answer
  kLate,          // takes effect after SimBucketOptions::late, when nobody waits any more; no answer
  kServerBefore,  // 500, no effect
  kServerAfter,   // 500, and it took effect
  kErrorBody,     // 200 with an error in the body: took effect or not, by the seed
  kSlowDown,      // 503, no effect
  kConflict,      // 409, no effect
  kRepeated,      // something on the way repeats the request: the answer is that of the second one (412)
  kCut,           // a read: some bytes of it only; others: the answer is cut, after the effect
  kSlow,          // all is well, but the answer takes SimBucketOptions::slow
  kDenied,        // 403, no effect
};
inline constexpr std::size_t kSimObjectFaults = 13;

struct SimBucketOptions {
  std::chrono::nanoseconds longest_trip = std::chrono::milliseconds(10);  // each way
  std::chrono::nanoseconds slow = std::chrono::seconds(2);
  std::chrono::nanoseconds late = std::chrono::seconds(60);  // at most
  unsigned faults_per_1000 = 0;  // of the requests, a fault drawn from all but kNone and kDenied
  std::size_t page = 1000;
  bool verifies_puts = true;
  std::uint64_t part_bytes = 0;  // 0: no uploads in parts
};

class SimBucket {
 public:
  explicit SimBucket(std::uint64_t seed, SimBucketOptions options = {});
  SimBucket(SimScheduler& world, std::uint64_t seed, SimBucketOptions options = {});
  ~SimBucket();
  SimBucket(const SimBucket&) = delete;
  SimBucket& operator=(const SimBucket&) = delete;

  // Requests are counted from 1, of all kinds and processes. The k-th from now (1 = the next) fails so;
  // `sticky`: all from there, until clear_faults.
  void fail_call(std::uint64_t k, SimObjectFault fault, bool sticky = false);
  void set_fault_rate(unsigned per_1000) { options_.faults_per_1000 = per_1000; }
  void clear_faults();
  [[nodiscard]] std::uint64_t requests() const noexcept { return requests_; }
  [[nodiscard]] std::uint64_t faults_struck() const noexcept { return struck_; }

  // What is there now, seen past all faults; for tests and for what a test does to a bucket by hand.
  [[nodiscard]] std::vector<std::string> keys() const;
  [[nodiscard]] std::optional<std::vector<std::byte>> contents(const std::string& key) const;
  void place(const std::string& key, std::vector<std::byte> bytes);
  void erase(const std::string& key);
  // Rot: false if the object is not that long.
  bool flip_bit(const std::string& key, std::uint64_t offset, unsigned bit);
  // How often an object was stored or replaced, by any request.
  [[nodiscard]] std::uint64_t stores_of(const std::string& key) const;
  [[nodiscard]] std::size_t open_uploads() const noexcept { return uploads_.size(); }
  [[nodiscard]] std::uint64_t bytes_stored() const;

  [[nodiscard]] SimScheduler& world() noexcept { return *world_; }

 private:
  friend class SimRawStore;
  using Bytes = std::vector<std::byte>;
  struct Object {
    Bytes bytes;
    std::string etag, stamp;
  };
  struct Upload {
    std::string key;
    std::string stamp;
    std::map<std::size_t, Bytes> parts;
  };
  struct Plan {
    std::uint64_t at;
    SimObjectFault fault;
    bool sticky;
  };
  [[nodiscard]] SimObjectFault draw_fault();
  [[nodiscard]] std::chrono::nanoseconds trip();
  RawMeta store(const std::string& key, Bytes bytes, std::string stamp);
  [[nodiscard]] RawResult<RawMeta> put(const std::string& key, const Body& body,
                                       const PutCondition& condition, const std::string& stamp);
  [[nodiscard]] RawResult<Bytes> get(const std::string& key, const std::optional<Range>& range,
                                     std::uint64_t most) const;
  [[nodiscard]] RawResult<RawMeta> head(const std::string& key) const;
  [[nodiscard]] RawResult<ListPage> list(const std::string& prefix, const std::string& start_after) const;

  std::unique_ptr<SimScheduler> own_world_;
  SimScheduler* const world_;
  SimRandom random_;
  SimBucketOptions options_;
  SimExecutor network_;  // carries what is under way; outlives the processes
  std::map<std::string, Object> objects_;
  std::map<std::string, std::uint64_t> stores_;
  std::map<std::string, Upload> uploads_;
  std::vector<Plan> plans_;
  std::uint64_t requests_ = 0, struck_ = 0, versions_ = 0;
};

}  // namespace bop::objstore
