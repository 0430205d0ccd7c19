// The store that a URL names (store_url.hpp), with its threads.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/disk.hpp"
#include "objstore/object_store.hpp"
#include "objstore/retrying_store.hpp"

namespace bop::objstore {

struct ObjectStoreOptions {
  RetryOptions retry;
  // Of file://, and to read profiles; null: one of its own. Outlives the store.
  Disk* disk = nullptr;
  std::size_t directory_threads = 4;
  std::uint64_t part_bytes =
      16U << 20U;  // unconditional bodies above this go in parts; S3 takes 5 MiB or more
  // Above all other sources of credentials; both or none (S3).
  std::string access_key_id, secret_access_key;
};

// kConfigInvalid: the URL, its options or the credentials are wrong in themselves. No request is made.
// Credentials, the first that there are: those of the options, of the environment, of a profile (S3:
// AWS_PROFILE or "default"), of the machine (container, instance metadata; GCS: application default
// credentials; Azure: managed identity). The store's destructor takes up to a second, ends open calls with
// kCancelled and may not run inside a `done`.
[[nodiscard]] Result<std::unique_ptr<ObjectStore>> open_object_store(std::string_view url,
                                                                     ObjectStoreOptions options = {});

}  // namespace bop::objstore
