// The RawStore of a service (S3, GCS, Azure), over the C ABI of the crate object_store (rust/).
//
// The crate signs, connects, speaks each service's dialect and reads its credentials; its own retries are
// off, so that one call here is one request. Requests run on two threads of the crate's.
//
// Threads: RawStore's; answers come on the crate's threads.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "objstore/raw_store.hpp"
#include "objstore/service_answer.hpp"

struct BopStore;

namespace bop::objstore {

struct RemoteConfig {
  Service service = Service::kS3;
  std::string name;    // as it is shown
  std::string prefix;  // of all keys, or empty
  // Of the crate's own configuration ("aws_bucket", "allow_http", ...); above what the environment says.
  std::vector<std::pair<std::string, std::string>> options;
  bool verifies_puts = false;
  std::uint64_t part_bytes = 16U << 20U;
};

class RemoteStore final : public RawStore {
 public:
  // kConfigInvalid, with the crate's words. Makes no request.
  [[nodiscard]] static Result<std::shared_ptr<RemoteStore>> open(const RemoteConfig& config);
  // Ends what is under way.
  ~RemoteStore() override;

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
  struct Handle;  // of the crate's store; shared with pages of lists that follow one another
  RemoteStore(std::shared_ptr<Handle> handle, const RemoteConfig& config);
  [[nodiscard]] std::string full(const std::string& key) const;

  const std::shared_ptr<Handle> handle_;
  const Service service_;
  const std::string prefix_;  // with its slash
  RawTraits traits_;

  friend struct ListWalk;
};

}  // namespace bop::objstore
