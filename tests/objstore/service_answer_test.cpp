// What answers of services mean, row by row, and that any answer has a meaning.
#include "objstore/service_answer.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"

namespace bop::objstore {
namespace {

using Kind = PutCondition::Kind;

struct Row {
  const char* about;
  Service service;
  ServiceCall call;
  Kind condition;
  CrateOutcome outcome;
  std::uint16_t status;
  HttpError http_error;
  const char* text;
  RawKind meaning;
};

constexpr Service kS3 = Service::kS3;
constexpr auto kOther = CrateOutcome::kOther;
constexpr auto kNoError = HttpError::kNone;

const Row kRows[] = {
    {"S3: put if absent, taken", kS3, ServiceCall::kPut, Kind::kIfAbsent, CrateOutcome::kAlreadyExists, 412,
     kNoError, "PreconditionFailed", RawKind::kTaken},
    {"R2: 304", kS3, ServiceCall::kPut, Kind::kIfAbsent, CrateOutcome::kAlreadyExists, 304, kNoError, "",
     RawKind::kTaken},
    {"S3: put if match, another", kS3, ServiceCall::kPut, Kind::kIfMatch, CrateOutcome::kPrecondition, 412,
     kNoError, "PreconditionFailed", RawKind::kNotMatched},
    {"S3: put if match, gone", kS3, ServiceCall::kPut, Kind::kIfMatch, CrateOutcome::kPrecondition, 404,
     kNoError, "NoSuchKey", RawKind::kNotMatched},
    {"S3: two at one time", kS3, ServiceCall::kPut, Kind::kIfAbsent, CrateOutcome::kAlreadyExists, 409,
     kNoError, "<Code>ConditionalRequestConflict</Code>", RawKind::kConflict},
    {"S3: two at one time, if match", kS3, ServiceCall::kPut, Kind::kIfMatch, CrateOutcome::kAlreadyExists,
     409, kNoError, "<Code>ConditionalRequestConflict</Code>", RawKind::kConflict},
    {"Azure: put if absent, taken", Service::kAzure, ServiceCall::kPut, Kind::kIfAbsent,
     CrateOutcome::kAlreadyExists, 409, kNoError, "BlobAlreadyExists", RawKind::kTaken},
    {"GCS: put if match, another", Service::kGcs, ServiceCall::kPut, Kind::kIfMatch,
     CrateOutcome::kPrecondition, 412, kNoError, "", RawKind::kNotMatched},
    {"a 412 that nobody asked for", kS3, ServiceCall::kPut, Kind::kNone, CrateOutcome::kPrecondition, 412,
     kNoError, "", RawKind::kRefused},
    {"get of nothing", kS3, ServiceCall::kGet, Kind::kNone, CrateOutcome::kNotFound, 404, kNoError,
     "NoSuchKey", RawKind::kNotFound},
    {"head of nothing", kS3, ServiceCall::kHead, Kind::kNone, CrateOutcome::kNotFound, 404, kNoError, "",
     RawKind::kNotFound},
    {"credentials not found", kS3, ServiceCall::kGet, Kind::kNone, kOther, 404, kNoError,
     "Error in instance metadata", RawKind::kRefused},
    {"no such bucket", kS3, ServiceCall::kPut, Kind::kNone, CrateOutcome::kNotFound, 404, kNoError,
     "NoSuchBucket", RawKind::kRefused},
    {"list, no such bucket", kS3, ServiceCall::kList, Kind::kNone, CrateOutcome::kNotFound, 404, kNoError,
     "NoSuchBucket", RawKind::kRefused},
    {"no such upload", kS3, ServiceCall::kComplete, Kind::kNone, CrateOutcome::kNotFound, 404, kNoError,
     "NoSuchUpload", RawKind::kNotFound},
    {"denied", kS3, ServiceCall::kGet, Kind::kNone, CrateOutcome::kDenied, 403, kNoError, "AccessDenied",
     RawKind::kDenied},
    {"unknown", kS3, ServiceCall::kGet, Kind::kNone, CrateOutcome::kDenied, 401, kNoError, "",
     RawKind::kDenied},
    {"expired", kS3, ServiceCall::kGet, Kind::kNone, kOther, 400, kNoError, "<Code>ExpiredToken</Code>",
     RawKind::kDenied},
    {"slow down", kS3, ServiceCall::kPut, Kind::kNone, kOther, 503, kNoError, "", RawKind::kSlowDown},
    {"too many requests", Service::kGcs, ServiceCall::kPut, Kind::kNone, kOther, 429, kNoError, "",
     RawKind::kSlowDown},
    {"slow down in a 200", kS3, ServiceCall::kComplete, Kind::kNone, kOther, 200, kNoError,
     "<Code>SlowDown</Code>", RawKind::kSlowDown},
    {"an error in a 200", kS3, ServiceCall::kComplete, Kind::kNone, kOther, 200, kNoError,
     "<Code>InternalError</Code>", RawKind::kServer},
    {"a list that cannot be read", kS3, ServiceCall::kList, Kind::kNone, kOther, 200, kNoError, "invalid XML",
     RawKind::kServer},
    {"a body that broke off", kS3, ServiceCall::kGet, Kind::kNone, kOther, 200, kNoError,
     "error decoding response body", RawKind::kCut},
    {"a short body", kS3, ServiceCall::kGet, Kind::kNone, CrateOutcome::kCut, 206, kNoError, "",
     RawKind::kCut},
    {"an error where a list was asked for", kS3, ServiceCall::kList, Kind::kNone, CrateOutcome::kErrorBody,
     200, kNoError, "<Error><Code>Unheard</Code></Error>", RawKind::kServer},
    {"500", kS3, ServiceCall::kPut, Kind::kIfAbsent, kOther, 500, kNoError, "", RawKind::kServer},
    {"502", kS3, ServiceCall::kGet, Kind::kNone, kOther, 502, kNoError, "", RawKind::kServer},
    {"504", kS3, ServiceCall::kGet, Kind::kNone, kOther, 504, kNoError, "", RawKind::kServer},
    {"408", kS3, ServiceCall::kPut, Kind::kNone, kOther, 408, kNoError, "", RawKind::kServer},
    {"S3's own time-out", kS3, ServiceCall::kPut, Kind::kNone, kOther, 400, kNoError,
     "<Code>RequestTimeout</Code>", RawKind::kServer},
    {"bad digest", kS3, ServiceCall::kPut, Kind::kIfAbsent, kOther, 400, kNoError, "<Code>BadDigest</Code>",
     RawKind::kCorrupt},
    {"not implemented", kS3, ServiceCall::kPut, Kind::kIfAbsent, kOther, 501, kNoError, "",
     RawKind::kRefused},
    {"the wrong region", kS3, ServiceCall::kGet, Kind::kNone, kOther, 301, kNoError, "", RawKind::kRefused},
    {"a range behind the end", kS3, ServiceCall::kGet, Kind::kNone, kOther, 416, kNoError, "",
     RawKind::kRefused},
    {"any other 4xx", kS3, ServiceCall::kPut, Kind::kNone, kOther, 400, kNoError, "", RawKind::kRefused},
    {"nobody listens", kS3, ServiceCall::kPut, Kind::kNone, kOther, 0, HttpError::kConnect, "",
     RawKind::kServer},
    {"no answer", kS3, ServiceCall::kPut, Kind::kNone, kOther, 0, HttpError::kTimeout, "", RawKind::kTimeout},
    {"the connection broke", kS3, ServiceCall::kPut, Kind::kIfAbsent, kOther, 0, HttpError::kBroken, "",
     RawKind::kServer},
    {"the crate panicked", kS3, ServiceCall::kPut, Kind::kNone, CrateOutcome::kAborted, 0, kNoError, "",
     RawKind::kServer},
    {"too long", kS3, ServiceCall::kGet, Kind::kNone, CrateOutcome::kNoRoom, 200, kNoError, "",
     RawKind::kTooLong},
    {"the crate objects", kS3, ServiceCall::kPut, Kind::kIfAbsent, kOther, 0, kNoError,
     "Operation not yet implemented.", RawKind::kRefused},
};

TEST(ServiceAnswer, MeansWhatItsRowSays) {
  for (const Row& row : kRows) {
    const RawFailure failure = failure_of(
        row.service, row.call, row.condition,
        {.outcome = row.outcome, .status = row.status, .http_error = row.http_error, .text = row.text});
    EXPECT_EQ(rule_of(failure.kind).name, rule_of(row.meaning).name) << row.about;
  }
}

// A condition can only fail where there is one, what leaves the outcome of a conditional put open is said to,
// and texts are one printable line.
TEST(ServiceAnswer, AnyAnswerHasAMeaning) {
  SimRandom random(11);
  const std::string words[] = {"SlowDown", "BadDigest",     "<Code>", "\n\n",
                               "\x01\xff", "InternalError", "a",      "ExpiredToken"};
  for (int round = 0; round < 200'000; ++round) {
    std::string text;
    for (std::uint64_t n = random.below(6); n > 0; --n) text += words[random.below(8)];
    if (random.chance(1, 100)) text += std::string(5000, 'x');
    ServiceAnswer answer;
    answer.outcome = static_cast<CrateOutcome>(1 + random.below(9));
    answer.status = static_cast<std::uint16_t>(random.chance(1, 4) ? 0 : 100 + random.below(500));
    answer.http_error = static_cast<HttpError>(random.below(4));
    answer.retry_after_s = static_cast<std::uint32_t>(random.next());
    answer.text = text;
    const auto call = static_cast<ServiceCall>(random.below(9));
    const auto condition = static_cast<Kind>(call == ServiceCall::kPut ? random.below(3) : 0);
    const RawFailure failure = failure_of(static_cast<Service>(random.below(3)), call, condition, answer);
    ASSERT_NE(failure.kind, RawKind::kCancelled);
    ASSERT_LE(failure.retry_after, std::chrono::minutes(1));
    if (failure.kind == RawKind::kTaken) {
      ASSERT_EQ(condition, Kind::kIfAbsent);
    }
    if (failure.kind == RawKind::kNotMatched) {
      ASSERT_EQ(condition, Kind::kIfMatch);
    }
    if (answer.status >= 500 && answer.status != 501 && answer.status != 505 && answer.outcome == kOther &&
        text.empty()) {
      ASSERT_TRUE(rule_of(failure.kind).unknown);
    }
    ASSERT_LE(failure.text.size(), 340U);
    for (const char c : failure.text) ASSERT_TRUE(c >= 0x20 && c < 0x7f);
  }
}

}  // namespace
}  // namespace bop::objstore
