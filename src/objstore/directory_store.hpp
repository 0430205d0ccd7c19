// The RawStore of a local directory: its files are read and written by worker threads, one request each.
//
// Threads: RawStore's. The destructor may only run when the workers run nothing any more.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "objstore/directory_files.hpp"
#include "objstore/raw_store.hpp"

namespace bop::objstore {

class DirectoryStore final : public RawStore {
 public:
  // A request runs on one of the workers, which outlive this.
  DirectoryStore(std::unique_ptr<ObjectDirectory> files, std::vector<Executor*> workers);

  RawCallPtr put(const std::string& key, const Body& body, const PutCondition& condition,
                 const std::string& stamp, RawDone<RawMeta> done) override;
  RawCallPtr get(const std::string& key, const std::optional<Range>& range, std::uint64_t most,
                 RawDone<std::vector<std::byte>> done) override;
  RawCallPtr head(const std::string& key, RawDone<RawMeta> done) override;
  RawCallPtr list(const std::string& prefix, const std::string& start_after, RawDone<ListPage> done) override;
  RawCallPtr remove(const std::string& key, RawDone<std::monostate> done) override;
  const RawTraits& traits() const noexcept override { return traits_; }

 private:
  template <class T, class Work>
  RawCallPtr run(Work work, RawDone<T> done);

  const std::unique_ptr<ObjectDirectory> files_;
  struct Worker {
    Executor* executor;
    std::shared_ptr<std::atomic<std::size_t>> queued;
  };
  std::vector<Worker> workers_;
  RawTraits traits_;
};

}  // namespace bop::objstore
