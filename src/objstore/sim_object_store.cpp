#include "objstore/sim_object_store.hpp"

#include <type_traits>
#include <utility>

#include <fmt/format.h>

namespace bop::objstore {
namespace {

template <class T>
class SimRequest final : public RawCall, public std::enable_shared_from_this<SimRequest<T>> {
 public:
  SimRequest(SimRandom& random, Executor& network, std::shared_ptr<Mailbox> process, RawDone<T> done)
      : random_(random), network_(network), process_(std::move(process)), done_(std::move(done)) {}

  void cancel() noexcept override {
    if (random_.chance(1, 2)) called_off_ = true;
    answer(std::unexpected(RawFailure{RawKind::kCancelled, {}, {}}), std::chrono::nanoseconds(1));
  }
  // False if it was called off on its way.
  [[nodiscard]] bool arrives() const noexcept { return !called_off_; }
  void answer(RawResult<T> result, std::chrono::nanoseconds after) {
    network_.post_after(after, [self = this->shared_from_this(), result = std::move(result)]() mutable {
      if (!self->done_) return;
      // A process that has ended hears nothing.
      self->process_->post([done = std::exchange(self->done_, nullptr),
                            result = std::move(result)]() mutable { done(std::move(result)); });
    });
  }

 private:
  SimRandom& random_;
  Executor& network_;
  const std::shared_ptr<Mailbox> process_;
  RawDone<T> done_;
  bool called_off_ = false;
};

RawFailure answer_of(SimObjectFault fault) {
  switch (fault) {
    case SimObjectFault::kSlowDown: return {RawKind::kSlowDown, "503 SlowDown", {}};
    case SimObjectFault::kConflict: return {RawKind::kConflict, "409 ConditionalRequestConflict", {}};
    case SimObjectFault::kErrorBody: return {RawKind::kServer, "200 with an error: InternalError", {}};
    case SimObjectFault::kDenied: return {RawKind::kDenied, "403 AccessDenied", {}};
    case SimObjectFault::kCut: return {RawKind::kCut, "the answer was cut off", {}};
    default: return {RawKind::kServer, "500 InternalError", {}};
  }
}

}  // namespace

// `effect` is run in the bucket, 0 to 2 times, at the times that the fault allows.
template <class T, class Effect>
RawCallPtr SimRawStore::travel(Effect effect, RawDone<T> done) {
  using Fault = SimObjectFault;
  const Fault fault = bucket_.draw_fault();
  auto request =
      std::make_shared<SimRequest<T>>(bucket_.random_, bucket_.network_, mailbox_, std::move(done));
  const auto trip = bucket_.trip();
  const auto back = bucket_.trip();
  const auto at_bucket = [this, &trip](std::chrono::nanoseconds later, Task task) {
    bucket_.network_.post_after(trip + later, std::move(task));
  };
  switch (fault) {
    case Fault::kLostBefore: break;
    case Fault::kLate: {
      const auto late = std::chrono::nanoseconds(static_cast<std::int64_t>(
          bucket_.random_.below(static_cast<std::uint64_t>(bucket_.options_.late.count()) + 1)));
      at_bucket(late, [effect]() mutable { static_cast<void>(effect()); });
      break;
    }
    case Fault::kServerBefore:
    case Fault::kSlowDown:
    case Fault::kConflict:
    case Fault::kDenied: request->answer(std::unexpected(answer_of(fault)), trip + back); break;
    default: {
      const bool happens = fault != Fault::kErrorBody || bucket_.random_.chance(1, 2);
      const auto slow = fault == Fault::kSlow ? bucket_.options_.slow : std::chrono::nanoseconds(0);
      at_bucket(slow, [request, effect, fault, back, happens]() mutable {
        if (!happens) return request->answer(std::unexpected(answer_of(fault)), back);
        if (!request->arrives()) return;
        RawResult<T> result = effect();
        if (fault == Fault::kRepeated) result = effect();
        const bool failed =
            fault == Fault::kServerAfter || fault == Fault::kErrorBody || fault == Fault::kCut;
        if (fault == Fault::kLostAfter) return;
        if (failed && result) result = std::unexpected(answer_of(fault));
        request->answer(std::move(result), back);
      });
    }
  }
  return request;
}

SimRawStore::SimRawStore(SimBucket& bucket, SimExecutor& process)
    : bucket_(bucket), mailbox_(std::make_shared<Mailbox>(process)) {
  traits_.name = "sim://bucket";
  traits_.verifies_puts = bucket.options_.verifies_puts;
  traits_.part_bytes = bucket.options_.part_bytes;
}

SimRawStore::~SimRawStore() { mailbox_->close(); }

RawCallPtr SimRawStore::put(const std::string& key, const Body& body, const PutCondition& condition,
                            const std::string& stamp, RawDone<RawMeta> done) {
  return travel<RawMeta>(
      [&bucket = bucket_, key, body, condition, stamp] { return bucket.put(key, body, condition, stamp); },
      std::move(done));
}

RawCallPtr SimRawStore::get(const std::string& key, const std::optional<Range>& range, std::uint64_t most,
                            RawDone<std::vector<std::byte>> done) {
  return travel<std::vector<std::byte>>(
      [&bucket = bucket_, key, range, most] { return bucket.get(key, range, most); }, std::move(done));
}

RawCallPtr SimRawStore::head(const std::string& key, RawDone<RawMeta> done) {
  return travel<RawMeta>([&bucket = bucket_, key] { return bucket.head(key); }, std::move(done));
}

RawCallPtr SimRawStore::list(const std::string& prefix, const std::string& start_after,
                             RawDone<ListPage> done) {
  return travel<ListPage>(
      [&bucket = bucket_, prefix, start_after] { return bucket.list(prefix, start_after); }, std::move(done));
}

RawCallPtr SimRawStore::remove(const std::string& key, RawDone<std::monostate> done) {
  return travel<std::monostate>(
      [&bucket = bucket_, key]() -> RawResult<std::monostate> {
        bucket.erase(key);
        return std::monostate{};
      },
      std::move(done));
}

RawCallPtr SimRawStore::begin_parts(const std::string& key, const std::string& stamp,
                                    RawDone<std::string> done) {
  return travel<std::string>(
      [&bucket = bucket_, key, stamp]() -> RawResult<std::string> {
        const std::string upload = fmt::format("u{}", ++bucket.versions_);
        bucket.uploads_[upload] = {key, stamp, {}};
        return upload;
      },
      std::move(done));
}

RawCallPtr SimRawStore::put_part(const std::string&, const std::string& upload, std::size_t number,
                                 const Body& part, RawDone<PartTag> done) {
  return travel<PartTag>(
      [&bucket = bucket_, upload, number, part]() -> RawResult<PartTag> {
        const auto found = bucket.uploads_.find(upload);
        if (found == bucket.uploads_.end())
          return std::unexpected(RawFailure{RawKind::kNotFound, "NoSuchUpload", {}});
        found->second.parts[number] = {part.bytes.begin(), part.bytes.end()};
        return fmt::format("p{}", number);
      },
      std::move(done));
}

RawCallPtr SimRawStore::complete_parts(const std::string& key, const std::string& upload,
                                       const std::vector<PartTag>& parts, RawDone<RawMeta> done) {
  return travel<RawMeta>(
      [&bucket = bucket_, key, upload, parts]() -> RawResult<RawMeta> {
        const auto found = bucket.uploads_.find(upload);
        if (found == bucket.uploads_.end())
          return std::unexpected(RawFailure{RawKind::kNotFound, "NoSuchUpload", {}});
        std::vector<std::byte> whole;
        for (std::size_t i = 0; i < parts.size(); ++i) {
          const auto part = found->second.parts.find(i);
          if (part == found->second.parts.end() || parts[i] != fmt::format("p{}", i)) {
            return std::unexpected(RawFailure{RawKind::kRefused, "InvalidPart", {}});
          }
          whole.insert(whole.end(), part->second.begin(), part->second.end());
        }
        RawMeta meta = bucket.store(key, std::move(whole), found->second.stamp);
        bucket.uploads_.erase(found);
        return meta;
      },
      std::move(done));
}

RawCallPtr SimRawStore::abort_parts(const std::string&, const std::string& upload,
                                    RawDone<std::monostate> done) {
  return travel<std::monostate>(
      [&bucket = bucket_, upload]() -> RawResult<std::monostate> {
        bucket.uploads_.erase(upload);
        return std::monostate{};
      },
      std::move(done));
}

SimObjectStore::SimObjectStore(SimBucket& bucket, RetryOptions options)
    : bucket_(bucket),
      process_(bucket.world()),
      store_(std::make_unique<RetryingStore>(std::make_shared<SimRawStore>(bucket, process_), process_,
                                             bucket.world().clock(), bucket.world().random(), options)) {}

SimObjectStore::~SimObjectStore() = default;

std::size_t SimObjectStore::poll() {
  const std::uint64_t before = store_->ended_calls();
  while (store_->open_calls() > 0) {
    if (!bucket_.world().run_one()) break;
    if (store_->ended_calls() != before) break;
  }
  return store_->ended_calls() - before;
}

}  // namespace bop::objstore
