// What an answer of a service means: from the crate's view of it and the HTTP status to a RawKind.
//
// Pure, so that a test can ask for every answer there is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "objstore/raw_store.hpp"

namespace bop::objstore {

enum class Service : std::uint8_t { kS3, kGcs, kAzure };
enum class ServiceCall : std::uint8_t {
  kPut,
  kGet,
  kHead,
  kList,
  kRemove,
  kBeginParts,
  kPart,
  kComplete,
  kDropParts
};

// The crate's outcomes and connection errors, as rust/bop_object_store.h numbers them (asserted there).
enum class CrateOutcome : std::uint8_t {
  kOk,
  kNotFound,
  kAlreadyExists,
  kPrecondition,
  kDenied,
  kOther,
  kAborted,
  kNoRoom,
  kCut,
  kErrorBody
};
enum class HttpError : std::uint8_t { kNone, kConnect, kTimeout, kBroken };

struct ServiceAnswer {
  CrateOutcome outcome = CrateOutcome::kOther;  // not kOk
  std::uint16_t status = 0;                     // of the last HTTP answer, which may be one about credentials
  HttpError http_error = HttpError::kNone;
  std::uint32_t retry_after_s = 0;
  std::uint64_t bytes = 0;  // kNoRoom: of the object
  std::string_view text;    // the crate's words and, of most 4xx, the body of the answer
};

[[nodiscard]] RawFailure failure_of(Service service, ServiceCall call, PutCondition::Kind condition,
                                    const ServiceAnswer& answer);

// One line, printable, at most `most` bytes: what the body of an answer looks like in a message.
[[nodiscard]] std::string one_line(std::string_view text, std::size_t most = 300);

}  // namespace bop::objstore
