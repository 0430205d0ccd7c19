// Reads and replaces the register of a log: taking over, publishing, giving up what is old.
//
// Every change is a put under the condition that the register is still the version that was read. When a put
// does not answer success, the register is read again and judged:
//   * it carries this writer's id and what was to be written: it succeeded, the answer was lost;
//   * it carries this writer's id and something else: an earlier put of this writer arrived late; the change
//   is made
//     again on top of it;
//   * another writer's id: while taking over, the change is made on top of that; afterwards this writer is
//   fenced, for
//     good: every call answers kFenced.
// So the outcome of a change is known, or the error says that the bucket could not be asked (then the change
// may still happen: it is one that this writer wanted, and the next change finds it).
//
// Threads: one, the executor's; `done` runs there, never inside the call. One change at a time (asserted).
// May be destroyed at any time; what is under way then may happen.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "aof/tier/bucket_register.hpp"
#include "aof/tier/object_key.hpp"
#include "aof/tier/store_calls.hpp"
#include "objstore/object_store.hpp"

namespace bop::aof {

class RegisterWriter {
 public:
  using Done = std::move_only_function<void(Status)>;

  // `store` and `executor` outlive it.
  RegisterWriter(objstore::ObjectStore& store, Executor& executor, BucketNames names,
                 const StreamIdentity& identity, const WriterId& writer, objstore::CallOptions options = {});

  // Becomes the writer. `local` is looked at during the call and again whenever the register turns out to
  // have changed, so it must stay valid until `done`.
  void take_over(LocalChain local, std::int64_t now_us, Done done);
  // These segments, whose objects are there and verified, count from now on.
  void publish(std::vector<SegmentFacts> segments, std::int64_t now_us, Done done);
  void raise_low(std::uint64_t low_number, Lsn low, Done done);
  // Reads it again: kFenced when somebody else has taken over.
  void refresh(Done done);

  // Precondition: taken over.
  [[nodiscard]] const BucketRegister& current() const noexcept { return *current_; }
  [[nodiscard]] bool is_writer() const noexcept { return taken_ && !fenced_.has_value(); }
  [[nodiscard]] const std::optional<Error>& fenced() const noexcept { return fenced_; }
  [[nodiscard]] bool is_busy() const noexcept { return static_cast<bool>(done_); }
  [[nodiscard]] std::uint64_t puts() const noexcept { return puts_; }

 private:
  using Change = std::function<Result<BucketRegister>(const std::optional<BucketRegister>&)>;

  void begin(Change change, bool taking_over, Done done);
  void attempt();
  void read();
  void read_body(std::string etag);
  void read_again(std::string etag, std::vector<std::byte> body);
  void note(std::optional<BucketRegister> seen, std::string etag);
  void judge();
  void finish(Status status);
  [[nodiscard]] Status fence();

  objstore::ObjectStore& store_;
  BucketNames names_;
  StreamIdentity identity_;
  WriterId writer_;
  objstore::CallOptions options_;
  std::string where_;

  std::optional<BucketRegister> current_;  // as it was seen last; nothing: there is none
  std::string etag_;
  bool taken_ = false;
  std::optional<Error> fenced_;

  Change change_;
  Done done_;
  bool taking_over_ = false;
  std::optional<BucketRegister> wanted_;  // what the put under way writes
  std::optional<Error> put_error_;
  int attempts_ = 0;
  int reads_ = 0;
  std::uint64_t puts_ = 0;
  StoreCalls calls_;
};

}  // namespace bop::aof
