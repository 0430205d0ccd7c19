// Names of a log's objects in a bucket.
//
//   <prefix>/<identity>/register
//   <prefix>/<identity>/segments/<number>-<epoch>-<base>-<last>-<content checksum>.zst
//   <prefix>/<identity>/keys/<key id>
//
// identity: 32 lower-case hexadecimal digits; every other part 16 of them. `prefix` may be empty (then its
// slash is missing, too). Numbers come first, so that a listing tells segments in order. A key names
// everything that tells two objects apart: what two writers make of one number differs in epoch, ids or
// checksum, so keys are immutable. base - 1 == last in a segment without entries.
//
// A name below segments/ that is not exactly of this form is somebody else's: it is left alone and reported.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "aof/segment_header.hpp"
#include "aof/tier/segment_facts.hpp"
#include "base/ids.hpp"

namespace bop::aof {

struct ObjectKey {
  std::uint64_t number = 0;
  Epoch epoch;
  Lsn base;
  Lsn last;
  std::uint64_t content_checksum = 0;
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
};

[[nodiscard]] ObjectKey key_of(const SegmentFacts& facts, Epoch epoch) noexcept;
// The same segment: everything but the epoch.
[[nodiscard]] bool names(const ObjectKey& key, const SegmentFacts& facts) noexcept;

// "<number>-<epoch>-<base>-<last>-<content checksum>.zst"
[[nodiscard]] std::string print_key(const ObjectKey& key);
[[nodiscard]] std::optional<ObjectKey> parse_key(std::string_view name) noexcept;

// Where the objects of one log are.
class BucketNames {
 public:
  // `prefix` without slashes at its ends.
  BucketNames(std::string_view prefix, const StreamIdentity& identity);
  [[nodiscard]] const std::string& register_name() const noexcept { return register_; }
  [[nodiscard]] const std::string& segments() const noexcept { return segments_; }  // ends with a slash
  [[nodiscard]] std::string segment(const ObjectKey& key) const { return segments_ + print_key(key); }
  // Of a whole name; nothing when it is not one of this log's segments.
  [[nodiscard]] std::optional<ObjectKey> parse(std::string_view name) const noexcept;
  [[nodiscard]] std::string key(std::uint64_t key_id) const;

 private:
  std::string base_;
  std::string register_;
  std::string segments_;
};

[[nodiscard]] std::string print_identity(const StreamIdentity& identity);

}  // namespace bop::aof
