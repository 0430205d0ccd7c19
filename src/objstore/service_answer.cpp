#include "objstore/service_answer.hpp"

#include <algorithm>
#include <array>

namespace bop::objstore {
namespace {

// What a word in the answer means, whatever its status is: S3 answers some of these with 400 or inside a 200.
struct Word {
  std::string_view text;
  RawKind kind;
};
constexpr std::array<Word, 10> kWords{{
    {"SlowDown", RawKind::kSlowDown},
    {"ServerBusy", RawKind::kSlowDown},  // Azure
    {"RequestLimitExceeded", RawKind::kSlowDown},
    {"BadDigest", RawKind::kCorrupt},
    {"XAmzContentSHA256Mismatch", RawKind::kCorrupt},
    {"Md5Mismatch", RawKind::kCorrupt},
    {"<Code>RequestTimeout</Code>", RawKind::kServer},
    {"<Code>InternalError</Code>", RawKind::kServer},
    {"ExpiredToken", RawKind::kDenied},
    {"InvalidAccessKeyId", RawKind::kDenied},
}};

RawKind failed_condition(PutCondition::Kind condition) {
  switch (condition) {
    case PutCondition::Kind::kIfAbsent: return RawKind::kTaken;
    case PutCondition::Kind::kIfMatch: return RawKind::kNotMatched;
    case PutCondition::Kind::kNone: break;
  }
  return RawKind::kRefused;
}

RawKind kind_of_status(Service service, ServiceCall call, PutCondition::Kind condition,
                       const ServiceAnswer& answer) {
  const std::uint16_t status = answer.status;
  // An answer about credentials (instance metadata) may be the last one: what it misses is not the object.
  const bool about_object =
      answer.outcome == CrateOutcome::kNotFound || answer.outcome == CrateOutcome::kPrecondition;
  switch (status) {
    case 304:
    case 412: return failed_condition(condition);
    case 401:
    case 403: return RawKind::kDenied;
    case 404:
      if (call == ServiceCall::kPut && condition == PutCondition::Kind::kIfMatch) return RawKind::kNotMatched;
      // Of the others that write, and of lists, it is the bucket that is missing.
      if (call == ServiceCall::kPut || call == ServiceCall::kBeginParts || call == ServiceCall::kList) {
        return RawKind::kRefused;
      }
      return about_object ? RawKind::kNotFound : RawKind::kRefused;
    case 408: return RawKind::kServer;
    case 409:
      // Azure says so of a blob that is there; S3 of two conditional requests at one time.
      if (service == Service::kAzure && condition == PutCondition::Kind::kIfAbsent) return RawKind::kTaken;
      return RawKind::kConflict;
    case 429:
    case 503: return RawKind::kSlowDown;
    default: break;
  }
  if (status >= 500) return status == 501 || status == 505 ? RawKind::kRefused : RawKind::kServer;
  if (status >= 300) return RawKind::kRefused;
  // 2xx, and yet a failure: an error in the body, or a body that broke off.
  return call == ServiceCall::kGet ? RawKind::kCut : RawKind::kServer;
}

RawKind kind_of(Service service, ServiceCall call, PutCondition::Kind condition,
                const ServiceAnswer& answer) {
  switch (answer.outcome) {
    case CrateOutcome::kNoRoom: return RawKind::kTooLong;
    case CrateOutcome::kCut: return RawKind::kCut;
    // Who cancels does not listen any more: this one was broken off by something else.
    case CrateOutcome::kAborted: return RawKind::kServer;
    default: break;
  }
  const auto word = std::ranges::find_if(
      kWords, [&](const Word& known) { return answer.text.find(known.text) != std::string_view::npos; });
  if (word != kWords.end() && answer.status != 404 && answer.status != 412) return word->kind;
  if (answer.outcome == CrateOutcome::kErrorBody) return RawKind::kServer;
  if (answer.status != 0) return kind_of_status(service, call, condition, answer);
  switch (answer.http_error) {
    case HttpError::kTimeout: return RawKind::kTimeout;
    case HttpError::kConnect:
    case HttpError::kBroken: return RawKind::kServer;
    case HttpError::kNone: break;
  }
  switch (answer.outcome) {  // without an answer: the crate's own objection
    case CrateOutcome::kDenied: return RawKind::kDenied;
    case CrateOutcome::kNotFound: return RawKind::kNotFound;
    default: return RawKind::kRefused;
  }
}

}  // namespace

std::string one_line(std::string_view text, std::size_t most) {
  std::string out;
  for (const char c : text) {
    if (out.size() >= most) {
      out += "...";
      break;
    }
    const bool is_space = c == ' ' || c == '\n' || c == '\r' || c == '\t';
    if (is_space && (out.empty() || out.back() == ' ')) continue;
    out += is_space ? ' ' : c > 0x20 && c < 0x7f ? c : '?';
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

RawFailure failure_of(Service service, ServiceCall call, PutCondition::Kind condition,
                      const ServiceAnswer& answer) {
  RawFailure failure{kind_of(service, call, condition, answer), {}};
  // A server that asks for more than a minute is asked again within the deadline anyway.
  failure.retry_after = std::chrono::seconds(std::min<std::uint32_t>(answer.retry_after_s, 60));
  failure.bytes = answer.bytes;
  switch (failure.kind) {
    case RawKind::kNotFound:
    case RawKind::kTaken:
    case RawKind::kNotMatched: return failure;  // their names say all
    case RawKind::kTooLong:
      failure.text = fmt::format("the object has {} bytes, more than are read at once", answer.bytes);
      return failure;
    default: break;
  }
  if (answer.outcome == CrateOutcome::kAborted) {
    failure.text = "the request was broken off";
  } else if (answer.outcome == CrateOutcome::kCut) {
    failure.text = "fewer bytes came than were promised";
  } else {
    failure.text = answer.status == 0 ? one_line(answer.text)
                                      : fmt::format("HTTP {}: {}", answer.status, one_line(answer.text));
  }
  return failure;
}

}  // namespace bop::objstore
