// One call of a RetryingStore from its beginning to its one answer; private to it.
//
//   begin -> (wait for room -> request -> answer -> pause)* -> done
//
// Everything runs on the executor of the store, but for the constructor.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/metrics.hpp"
#include "objstore/mailbox.hpp"
#include "objstore/retrying_store.hpp"

namespace bop::objstore {

class Operation;

// What the operations of a store share.
class StoreCore : public std::enable_shared_from_this<StoreCore> {
 public:
  StoreCore(std::shared_ptr<RawStore> raw_store, Executor& its_executor, Clock& its_clock, Random& its_random,
            RetryOptions given);
  // Any thread; the operation begins on the executor.
  void submit(const std::shared_ptr<Operation>& operation);
  // On the executor: as submit, for the parts of an upload.
  void begin(const std::shared_ptr<Operation>& operation);
  void forget(const Operation& operation);
  void shut_down();
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : random.u64() % bound; }
  [[nodiscard]] std::string new_stamp();
  [[nodiscard]] std::size_t open_calls() const noexcept { return open_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t ended_calls() const noexcept { return ended_.load(std::memory_order_relaxed); }

  const std::shared_ptr<RawStore> raw;
  Executor& executor;
  Clock& clock;
  Random& random;
  const RetryOptions options;
  Admission admission;
  Hedging hedging;
  const std::shared_ptr<Mailbox> mailbox;

 private:
  std::mutex mutex_;
  std::unordered_set<std::shared_ptr<Operation>> operations_;  // by mutex_
  bool closed_ = false;                                        // by mutex_
  std::atomic<std::size_t> open_{0};
  std::atomic<std::uint64_t> ended_{0};
};

enum class OperationKind : std::uint8_t { kPut, kGet, kHead, kList, kRemove, kPart };

class Operation : public std::enable_shared_from_this<Operation> {
 public:
  Operation(OperationKind kind, std::string key, CallOptions options)
      : kind_(kind), key_(std::move(key)), options_(options) {}
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  void begin(StoreCore& core);
  void cancel();
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  // The executor is gone: answers at once.
  void abandon();

 protected:
  struct Attempt {
    Admission::Claim claim;
    RawCallPtr call;
    Executor::TimerId timeout = 0;
    std::int64_t begun_ns = 0;
    bool over = false;
  };

  // Are the arguments good? Asked once, at the beginning.
  [[nodiscard]] virtual Status check() const = 0;
  // Bytes that the next request holds in memory.
  [[nodiscard]] virtual std::uint64_t claim_bytes() const = 0;
  // All is well: asks for room for the first request.
  virtual void start() { enter(); }
  // There is room: makes the next request.
  virtual void send() = 0;
  // It is over, and will be answered now; not when the store ends.
  virtual void at_end() {}
  virtual void tell(Error error) = 0;

  // Waits for room, then send().
  void enter();
  // The request was answered so: makes it again after a pause, or fails.
  void again(const RawFailure& failure);
  void fail_with(Error error);
  [[nodiscard]] Error error_of(const RawFailure& failure) const;
  [[nodiscard]] Error unavailable() const;
  // Answers with success: the caller runs what it returns last of all; false if it was answered before.
  [[nodiscard]] bool finish(std::string_view outcome);
  [[nodiscard]] std::int64_t now_ns() const { return core_->clock.steady_ns(); }
  [[nodiscard]] CallOptions options_of_rest() const;
  [[nodiscard]] bool is_over() const noexcept { return over_; }
  void cancel_attempts();
  [[nodiscard]] std::size_t attempts_open() const noexcept { return attempts_.size(); }

  // Makes a request in the room that was given. `issue` gets the RawDone and returns the RawCall; `take` is
  // told the answer, or that there was none in time.
  template <class T, class Issue, class Take>
  void request(std::uint64_t bytes, Issue issue, Take take);
  [[nodiscard]] std::chrono::nanoseconds attempt_timeout(std::uint64_t bytes) const;
  void set_timer(std::chrono::nanoseconds delay, Task task);

  StoreCore* core_ = nullptr;

 private:
  void drop(const std::shared_ptr<Attempt>& attempt);

  const OperationKind kind_;
  const std::string key_;
  const CallOptions options_;
  std::int64_t begun_ns_ = 0, deadline_ns_ = 0;
  Executor::TimerId deadline_timer_ = 0, timer_ = 0;
  Admission::Ticket ticket_ = 0;
  unsigned tries_ = 0;
  bool over_ = false;
  std::string last_answer_;
  std::vector<std::shared_ptr<Attempt>> attempts_;
};

template <class T, class Issue, class Take>
void Operation::request(std::uint64_t bytes, Issue issue, Take take) {
  auto attempt = std::make_shared<Attempt>();
  attempt->claim = {bytes, options_.priority};
  attempt->begun_ns = now_ns();
  attempts_.push_back(attempt);
  metrics().objstore_requests_total.add();
  // Where an answer is never lost, a request that takes long is waited for: nobody could tell its outcome.
  const bool waits = !core_->raw->traits().keeps_stamps;
  attempt->timeout =
      waits ? 0
            : core_->executor.post_after(
                  attempt_timeout(bytes), [self = weak_from_this(), attempt, take]() mutable {
                    const auto operation = self.lock();
                    if (!operation || attempt->over) return;
                    attempt->over = true;
                    std::erase(operation->attempts_, attempt);
                    if (const RawCallPtr call = std::exchange(attempt->call, nullptr)) call->cancel();
                    take(RawResult<T>(std::unexpected(RawFailure{RawKind::kTimeout, "no answer in time"})));
                  });
  RawDone<T> done = [mailbox = core_->mailbox, core = core_->weak_from_this(), self = weak_from_this(),
                     attempt, take](RawResult<T> answer) mutable {
    mailbox->post([core = std::move(core), self = std::move(self), attempt = std::move(attempt),
                   take = std::move(take), answer = std::move(answer)]() mutable {
      const auto store = core.lock();
      if (!store) return;
      attempt->call = nullptr;
      const auto operation = self.lock();
      const bool counts = operation && !attempt->over;
      if (counts) operation->drop(attempt);
      store->admission.leave(attempt->claim);  // may begin other requests
      if (counts && !operation->over_) take(std::move(answer));
    });
  };
  attempt->call = issue(std::move(done));
}

// A call that is one request, made again until it is answered.
template <class T>
class SimpleOperation final : public Operation {
 public:
  using Issue = std::function<RawCallPtr(RawStore&, RawDone<T>)>;
  SimpleOperation(OperationKind kind, std::string key, CallOptions options, std::uint64_t bytes, Status good,
                  Issue issue, Completion<T> done)
      : Operation(kind, std::move(key), options),
        bytes_(bytes),
        good_(std::move(good)),
        issue_(std::move(issue)),
        done_(std::move(done)) {}

 private:
  Status check() const override { return good_; }
  std::uint64_t claim_bytes() const override { return bytes_; }
  void send() override {
    request<T>(
        bytes_, [this](RawDone<T> done) { return issue_(*core_->raw, std::move(done)); },
        [this](RawResult<T> answer) {
          if (!answer) return again(answer.error());
          if (finish("ok")) done_(Result<T>(std::move(*answer)));
        });
  }
  void tell(Error error) override { done_(std::unexpected(std::move(error))); }

  const std::uint64_t bytes_;
  const Status good_;
  Issue issue_;
  Completion<T> done_;
};

}  // namespace bop::objstore
