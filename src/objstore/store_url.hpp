// Where a store is: a URL, and what stands behind its '?'.
//
//   file:///dir                                     absolute; taken as it is, without %-escapes
//   s3://bucket/prefix?endpoint=http://host:port&region=eu-1&path_style=true&allow_http=true&profile=p&checksum=none
//   gs://bucket/prefix
//   az://container/prefix?account=name
//
// A prefix is a key (object_key.hpp). Credentials in a URL are refused: URLs are shown and logged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace bop::objstore {

inline constexpr std::size_t kMostUrlBytes = 2048;

enum class StoreKind : std::uint8_t { kDirectory, kS3, kGcs, kAzure };

struct StoreUrl {
  StoreKind kind = StoreKind::kDirectory;
  std::string place;   // folder, bucket or container
  std::string prefix;  // of all keys; without a slash at its end
  std::string endpoint, region, profile, account;
  bool path_style = false;
  bool allow_http = false;
  bool checksum = true;  // S3: send one along, which the server verifies

  // As it is shown: scheme, place and prefix.
  [[nodiscard]] std::string name() const;
};

// kConfigInvalid, naming what is wrong and what may stand there.
[[nodiscard]] Result<StoreUrl> parse_store_url(std::string_view url);

}  // namespace bop::objstore
