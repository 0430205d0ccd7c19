// The ObjectStore over a RawStore: deadlines, retries, answers that were lost, second requests of slow reads,
// and how much may be under way. docs/objstore.md has the rules for users; here is why they are right.
//
//   * A request is made again when its answer is one that passes (kAnswerTable), after a pause drawn from
//     [0, most), where `most` doubles with each attempt ("full jitter"), starts fourfold after SlowDown, and
//     is at least what the server asks for. What would begin behind the deadline is not begun.
//   * A request has a time of its own (attempt_timeout, more for large bodies), so that a connection that
//     died costs a part of the deadline and not all of it.
//   * A put with a condition carries a stamp. After an answer that leaves the outcome open, and after a
//   failed
//     condition, the store looks who made the object that is there: our stamp means success, whatever was
//     answered. Only if the object there is not in the way is the put made again, with the same stamp. So a
//     request that comes through late, or one that a proxy repeats, never makes success look like failure or
//     the other way round. Two requests of one put can not both count: the condition of one fails.
//   * All state lives on one executor; a raw answer is posted there first.
//
// Threads: ObjectStore's. The destructor ends all calls with kCancelled, also those that are made because of
// that; it runs when the executor runs nothing any more (or on its thread), and never from inside a `done`.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "objstore/admission.hpp"
#include "objstore/hedging.hpp"
#include "objstore/object_store.hpp"
#include "objstore/raw_store.hpp"

namespace bop::objstore {

struct RetryOptions {
  Admission::Limits admission;
  Hedging::Options hedging;
  std::chrono::milliseconds first_backoff{50};
  std::chrono::milliseconds longest_backoff{5'000};
  std::chrono::milliseconds attempt_timeout{10'000};
  std::uint64_t slowest_bytes_per_second = 1U << 20U;  // a request may take this much longer by its bytes
  std::uint64_t max_get_bytes = 128U << 20U;           // of one answer
  std::size_t parts_in_flight = 4;                     // of one upload
};

class StoreCore;

class RetryingStore final : public ObjectStore {
 public:
  RetryingStore(std::shared_ptr<RawStore> raw, Executor& executor, Clock& clock, Random& random,
                RetryOptions options = {});
  ~RetryingStore() override;
  RetryingStore(const RetryingStore&) = delete;
  RetryingStore& operator=(const RetryingStore&) = delete;

  CallPtr put(std::string key, Body body, PutCondition condition, CallOptions options,
              Completion<ObjectMeta> done) override;
  CallPtr get(std::string key, std::optional<Range> range, CallOptions options,
              Completion<std::vector<std::byte>> done) override;
  CallPtr head(std::string key, CallOptions options, Completion<ObjectMeta> done) override;
  CallPtr list(std::string prefix, std::string start_after, CallOptions options,
               Completion<ListPage> done) override;
  CallPtr remove(std::string key, CallOptions options, Completion<std::monostate> done) override;
  bool verifies_puts() const noexcept override;
  const std::string& name() const noexcept override;

  // Calls that have not ended, and those that have since the start.
  [[nodiscard]] std::size_t open_calls() const;
  [[nodiscard]] std::uint64_t ended_calls() const;

 private:
  std::shared_ptr<StoreCore> core_;
};

}  // namespace bop::objstore
