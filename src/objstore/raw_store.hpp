// One request and its one answer: what a backend is below retries, deadlines, hedges and admission, which are
// the same code (retrying_store.hpp) over the simulated bucket, the local directory and the real services.
//
// An answer is what was asked for or a RawFailure, whose kind is all that the layer above decides by
// (answer_table below); its text is for people only.
//
// Stamps: a put carries a random text of its call, the same in each of its requests. A store that keeps
// stamps stores it beside the object and tells it with head(); so a call whose answer was lost, or whose
// condition failed because a request of its own had come through before, can tell its object from that of
// somebody else.
//
// Threads: calls from the thread of the layer above, one at a time. `done` runs exactly once, on any thread,
// never inside the call, also after cancel(); it does not block. Bodies are kept alive by the request.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "objstore/object_store.hpp"

namespace bop::objstore {

enum class RawKind : std::uint8_t {
  kNotFound,    // 404
  kTaken,       // put if absent: there is an object (412, 304; 409 of GCS and Azure)
  kNotMatched,  // put if match: it is another one, or none (412)
  kConflict,    // 409: another conditional request is being decided
  kSlowDown,    // 503 SlowDown, 429
  kServer,      // any other 5xx, 408, 200 with an error in its body, a connection that broke
  kTimeout,     // no answer
  kCut,         // fewer bytes came than were promised
  kCorrupt,     // the checksum that was sent along did not match the bytes that arrived
  kDenied,      // 401, 403
  kTooLong,     // a read of more bytes than were allowed; RawFailure::bytes says how many there are
  kRefused,     // any other 4xx: the request will never be good (range, size, a bucket that does not exist)
  kDiskFull,    // local directory
  kBroken,      // local directory: the disk failed where a second attempt proves nothing
  kCancelled,
};
inline constexpr std::size_t kRawKinds = 15;

struct RawFailure {
  RawKind kind;
  std::string text;
  std::chrono::milliseconds retry_after{0};  // as the server asks
  std::uint64_t bytes = 0;                   // of the object, with kTooLong
};
template <class T>
using RawResult = std::expected<T, RawFailure>;
template <class T>
using RawDone = std::move_only_function<void(RawResult<T>)>;

// What follows from an answer. `unknown`: a put or remove may have happened all the same.
struct AnswerRule {
  RawKind kind;
  std::string_view name;
  bool again;  // the same request may be made again
  bool unknown;
  ErrorCode code;  // what the caller is told when it is not made again
};
inline constexpr std::array<AnswerRule, kRawKinds> kAnswerTable{{
    {RawKind::kNotFound, "not found", false, false, ErrorCode::kObjectNotFound},
    {RawKind::kTaken, "the key is taken", false, false, ErrorCode::kObjectExists},
    {RawKind::kNotMatched, "it is another version", false, false, ErrorCode::kPreconditionFailed},
    {RawKind::kConflict, "conflict", true, true, ErrorCode::kObjectStoreUnavailable},
    {RawKind::kSlowDown, "slow down", true, true, ErrorCode::kObjectStoreUnavailable},
    {RawKind::kServer, "server error", true, true, ErrorCode::kObjectStoreUnavailable},
    {RawKind::kTimeout, "no answer", true, true, ErrorCode::kObjectStoreUnavailable},
    {RawKind::kCut, "answer cut off", true, true, ErrorCode::kObjectStoreUnavailable},
    {RawKind::kCorrupt, "checksum mismatch", true, false, ErrorCode::kCorrupt},
    {RawKind::kDenied, "denied", false, false, ErrorCode::kObjectStoreDenied},
    {RawKind::kTooLong, "too long", false, false, ErrorCode::kInvalidArgument},
    {RawKind::kRefused, "refused", false, false, ErrorCode::kInvalidArgument},
    {RawKind::kDiskFull, "disk full", false, false, ErrorCode::kDiskFull},
    {RawKind::kBroken, "disk failed", false, true, ErrorCode::kObjectStoreUnavailable},
    {RawKind::kCancelled, "cancelled", false, true, ErrorCode::kCancelled},
}};
[[nodiscard]] constexpr const AnswerRule& rule_of(RawKind kind) noexcept {
  return kAnswerTable[static_cast<std::size_t>(kind)];
}

struct RawMeta {
  ObjectMeta object;
  std::string stamp;  // of the put that made it; empty where it is not known
};

class RawCall {
 public:
  virtual ~RawCall() = default;
  // `done` follows soon, with kCancelled or with what came. The request may still take effect.
  virtual void cancel() noexcept = 0;
};
using RawCallPtr = std::shared_ptr<RawCall>;

struct RawTraits {
  std::string name;            // of the store, without credentials
  bool keeps_stamps = true;    // false: no answer is ever lost or late, so none are needed
  bool verifies_puts = false;  // the server compares a checksum of the body before it stores it
  // Unconditional bodies above this are sent in parts of this size; 0: there are none.
  std::uint64_t part_bytes = 0;
};

// A part that was stored; as the store wants it back when the parts are put together.
using PartTag = std::string;

class RawStore {
 public:
  virtual ~RawStore() = default;
  virtual RawCallPtr put(const std::string& key, const Body& body, const PutCondition& condition,
                         const std::string& stamp, RawDone<RawMeta> done) = 0;
  // At most `most` bytes: kTooLong when the object (or range) is longer. A range that begins behind the
  // object's end is kRefused.
  virtual RawCallPtr get(const std::string& key, const std::optional<Range>& range, std::uint64_t most,
                         RawDone<std::vector<std::byte>> done) = 0;
  virtual RawCallPtr head(const std::string& key, RawDone<RawMeta> done) = 0;
  virtual RawCallPtr list(const std::string& prefix, const std::string& start_after,
                          RawDone<ListPage> done) = 0;
  virtual RawCallPtr remove(const std::string& key, RawDone<std::monostate> done) = 0;

  // Several parts, for stores with part_bytes: begin tells an upload, whose parts are numbered from 0 and
  // become an object when all are completed. An upload that is neither completed nor aborted costs room in
  // the bucket until a rule of the bucket's removes it.
  virtual RawCallPtr begin_parts(const std::string& key, const std::string& stamp, RawDone<std::string> done);
  virtual RawCallPtr put_part(const std::string& key, const std::string& upload, std::size_t number,
                              const Body& part, RawDone<PartTag> done);
  virtual RawCallPtr complete_parts(const std::string& key, const std::string& upload,
                                    const std::vector<PartTag>& parts, RawDone<RawMeta> done);
  virtual RawCallPtr abort_parts(const std::string& key, const std::string& upload,
                                 RawDone<std::monostate> done);

  [[nodiscard]] virtual const RawTraits& traits() const noexcept = 0;
};

}  // namespace bop::objstore
