// An ObjectStore over a SimBucket: the real retries, deadlines, hedges and admission, in simulated time.
//
// poll() lets the world go on until a call of this store has ended. In a world that somebody else runs
// (SimScheduler::run_until) poll() is not needed.
#pragma once

#include <cstdint>
#include <memory>

#include "objstore/mailbox.hpp"
#include "objstore/retrying_store.hpp"
#include "objstore/sim_bucket.hpp"

namespace bop::objstore {

// One process's requests to the bucket; they run on the bucket's network, answers on the process's executor.
class SimRawStore final : public RawStore {
 public:
  SimRawStore(SimBucket& bucket, SimExecutor& process);
  ~SimRawStore() override;
  RawCallPtr put(const std::string& key, const Body& body, const PutCondition& condition,
                 const std::string& stamp, RawDone<RawMeta> done) override;
  RawCallPtr get(const std::string& key, const std::optional<Range>& range, std::uint64_t most,
                 RawDone<std::vector<std::byte>> done) override;
  RawCallPtr head(const std::string& key, RawDone<RawMeta> done) override;
  RawCallPtr list(const std::string& prefix, const std::string& start_after, RawDone<ListPage> done) override;
  RawCallPtr remove(const std::string& key, RawDone<std::monostate> done) override;
  RawCallPtr begin_parts(const std::string& key, const std::string& stamp,
                         RawDone<std::string> done) override;
  RawCallPtr put_part(const std::string& key, const std::string& upload, std::size_t number, const Body& part,
                      RawDone<PartTag> done) override;
  RawCallPtr complete_parts(const std::string& key, const std::string& upload,
                            const std::vector<PartTag>& parts, RawDone<RawMeta> done) override;
  RawCallPtr abort_parts(const std::string& key, const std::string& upload,
                         RawDone<std::monostate> done) override;
  const RawTraits& traits() const noexcept override { return traits_; }

 private:
  template <class T, class Effect>
  RawCallPtr travel(Effect effect, RawDone<T> done);

  SimBucket& bucket_;
  const std::shared_ptr<Mailbox> mailbox_;
  RawTraits traits_;
};

class SimObjectStore final : public ObjectStore {
 public:
  explicit SimObjectStore(SimBucket& bucket, RetryOptions options = {});
  ~SimObjectStore() override;

  CallPtr put(std::string key, Body body, PutCondition condition, CallOptions options,
              Completion<ObjectMeta> done) override {
    return store_->put(std::move(key), std::move(body), std::move(condition), options, std::move(done));
  }
  CallPtr get(std::string key, std::optional<Range> range, CallOptions options,
              Completion<std::vector<std::byte>> done) override {
    return store_->get(std::move(key), range, options, std::move(done));
  }
  CallPtr head(std::string key, CallOptions options, Completion<ObjectMeta> done) override {
    return store_->head(std::move(key), options, std::move(done));
  }
  CallPtr list(std::string prefix, std::string start_after, CallOptions options,
               Completion<ListPage> done) override {
    return store_->list(std::move(prefix), std::move(start_after), options, std::move(done));
  }
  CallPtr remove(std::string key, CallOptions options, Completion<std::monostate> done) override {
    return store_->remove(std::move(key), options, std::move(done));
  }
  bool verifies_puts() const noexcept override { return store_->verifies_puts(); }
  std::size_t poll() override;
  const std::string& name() const noexcept override { return store_->name(); }

  [[nodiscard]] std::size_t open_calls() const { return store_->open_calls(); }

 private:
  SimBucket& bucket_;
  SimExecutor process_;
  std::unique_ptr<RetryingStore> store_;
};

}  // namespace bop::objstore
