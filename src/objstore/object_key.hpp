// Which keys there are. The same for every store, so that what is kept in one can be kept in all:
//   * 1 to 900 bytes (S3 and Azure take 1,024; the prefix of the bucket's URL comes before them);
//   * segments between '/', none of them empty, each of at most 200 bytes;
//   * of A-Z a-z 0-9 - _ . = + , @ only: nothing that a URL, a shell or a file system sees otherwise;
//   * no segment begins with '.': such names belong to the store (locks, temporary files).
// In a local directory an object cannot stand where others have a folder ("a" beside "a/b").
#pragma once

#include <cstddef>
#include <string_view>

#include "base/error.hpp"

namespace bop::objstore {

inline constexpr std::size_t kMostKeyBytes = 900;
inline constexpr std::size_t kMostSegmentBytes = 200;
inline constexpr std::size_t kMostKeysInPage = 1000;

// kInvalidArgument, naming the key and what is wrong with it.
[[nodiscard]] Status check_key(std::string_view key);
// Any beginning of a key, or nothing.
[[nodiscard]] Status check_prefix(std::string_view prefix);

}  // namespace bop::objstore
