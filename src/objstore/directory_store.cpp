#include "objstore/directory_store.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace bop::objstore {
namespace {

// What has begun runs to its end: a disk has no way to be interrupted.
class DirectoryCall final : public RawCall {
 public:
  void cancel() noexcept override { cancelled_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool is_cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_{false};
};

}  // namespace

DirectoryStore::DirectoryStore(std::unique_ptr<ObjectDirectory> files, std::vector<Executor*> workers)
    : files_(std::move(files)) {
  BOP_ASSERT(!workers.empty());
  for (Executor* executor : workers) {
    workers_.push_back({executor, std::make_shared<std::atomic<std::size_t>>(0)});
  }
  traits_.name = "file://" + files_->root();
  traits_.keeps_stamps = false;
}

template <class T, class Work>
RawCallPtr DirectoryStore::run(Work work, RawDone<T> done) {
  auto call = std::make_shared<DirectoryCall>();
  const auto idlest =
      std::ranges::min_element(workers_, {}, [](const Worker& worker) { return worker.queued->load(); });
  idlest->queued->fetch_add(1);
  idlest->executor->post(
      [call, work = std::move(work), done = std::move(done), queued = idlest->queued]() mutable {
        RawResult<T> result = std::unexpected(RawFailure{RawKind::kCancelled, {}, {}});
        if (!call->is_cancelled()) result = work();
        queued->fetch_sub(1);
        done(std::move(result));
      });
  return call;
}

RawCallPtr DirectoryStore::put(const std::string& key, const Body& body, const PutCondition& condition,
                               const std::string&, RawDone<RawMeta> done) {
  return run<RawMeta>([this, key, body, condition] { return files_->put(key, body.bytes, condition); },
                      std::move(done));
}

RawCallPtr DirectoryStore::get(const std::string& key, const std::optional<Range>& range, std::uint64_t most,
                               RawDone<std::vector<std::byte>> done) {
  return run<std::vector<std::byte>>([this, key, range, most] { return files_->get(key, range, most); },
                                     std::move(done));
}

RawCallPtr DirectoryStore::head(const std::string& key, RawDone<RawMeta> done) {
  return run<RawMeta>([this, key] { return files_->head(key); }, std::move(done));
}

RawCallPtr DirectoryStore::list(const std::string& prefix, const std::string& start_after,
                                RawDone<ListPage> done) {
  return run<ListPage>([this, prefix, start_after] { return files_->list(prefix, start_after); },
                       std::move(done));
}

RawCallPtr DirectoryStore::remove(const std::string& key, RawDone<std::monostate> done) {
  return run<std::monostate>([this, key] { return files_->remove(key); }, std::move(done));
}

}  // namespace bop::objstore
