// Objects in a bucket: a local directory, S3, GCS, Azure, or the simulated one, behind one interface.
//
// What a caller may rely on, and nothing more:
//   * A put that answered success is durable and seen by every later get, head and list (S3, GCS and Azure
//     promise this since 2020; the local directory syncs file and folder).
//   * A put is whole or absent: nobody reads half an object.
//   * A put whose answer was lost may have happened. With a condition the store looks again (head) until its
//     deadline whose object is there, so that the answer is success, kObjectExists, kPreconditionFailed or
//     kObjectStoreUnavailable; after the last one the object may be there or come yet, and putting the same
//     bytes again is harmless. kPreconditionFailed may mean that the put happened and was replaced since.
//   * An unconditional put or a remove whose answer was lost is made again. A lost request may take effect
//   late,
//     after the call has ended: keys that are written more than once are written with conditions.
//   * list() tells keys in ascending byte order; `prefix` is a prefix of bytes, no folder.
//   * Keys are those of object_key.hpp, in every store.
// Errors: kObjectNotFound, kObjectExists (put if absent: the key is taken), kPreconditionFailed (put if
// match: the object is another one by now, or gone), kObjectStoreUnavailable (deadline passed, retries used
// up; names the last answer), kObjectStoreDenied (credentials, rights), kCancelled, kCorrupt (bytes do not
// match the checksum that was told), kDiskFull (local directory), kInvalidArgument (key or range).
// Retries, jitter, deadlines, hedging of reads and the bound of what is in flight are this layer's; a
// caller never retries by itself for these reasons.
// Threads: every call from any thread; `done` runs exactly once, on a thread of the store's or from poll()
// (simulated), never inside the call, and must not block.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/error.hpp"

namespace bop::objstore {

struct ObjectMeta {
  std::string key;
  std::uint64_t bytes = 0;
  std::string etag;  // of this version, as the store names it; never parsed; may be empty in list()
};

// The bytes are kept alive by the pointer until `done` ran.
struct Body {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};

struct PutCondition {
  enum class Kind : std::uint8_t { kNone, kIfAbsent, kIfMatch };
  Kind kind = Kind::kNone;
  std::string etag;  // of kIfMatch
};

struct Range {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  // at least 1; an answer is shorter only where the object ends
};

enum class Priority : std::uint8_t { kForeground, kBackground };  // who waits; the first ones go first

struct CallOptions {
  std::chrono::milliseconds deadline{30'000};  // from the call, all retries included
  Priority priority = Priority::kForeground;
};

// Cancels when told to; forgetting it does not cancel. A cancelled put may have happened.
class Call {
 public:
  virtual ~Call() = default;
  virtual void cancel() noexcept = 0;
};
using CallPtr = std::shared_ptr<Call>;

template <class T>
using Completion = std::move_only_function<void(Result<T>)>;

struct ListPage {
  std::vector<ObjectMeta> objects;  // at most 1,000
  bool more = false;                // ask again with start_after = the last key
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  // Large bodies travel in several parts, unless there is a condition that the store keeps only for single
  // puts.
  virtual CallPtr put(std::string key, Body body, PutCondition condition, CallOptions options,
                      Completion<ObjectMeta> done) = 0;
  // Without a range the whole object, at most max_get_bytes (a setting; kInvalidArgument above it).
  virtual CallPtr get(std::string key, std::optional<Range> range, CallOptions options,
                      Completion<std::vector<std::byte>> done) = 0;
  virtual CallPtr head(std::string key, CallOptions options, Completion<ObjectMeta> done) = 0;
  virtual CallPtr list(std::string prefix, std::string start_after, CallOptions options,
                       Completion<ListPage> done) = 0;
  // Success also when there was none.
  virtual CallPtr remove(std::string key, CallOptions options, Completion<std::monostate> done) = 0;

  // The server compares a checksum of the body with what arrived before it stores it. Where it does not, who
  // has to be sure reads the object back.
  [[nodiscard]] virtual bool verifies_puts() const noexcept { return false; }
  // The simulated store runs its completions here, moving its time on as far as it must: 0 only when nothing
  // is under way. The others have threads and do nothing.
  virtual std::size_t poll() { return 0; }
  // "file:///data/archive", "s3://bucket/prefix", ... without credentials; for messages.
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
};

}  // namespace bop::objstore
