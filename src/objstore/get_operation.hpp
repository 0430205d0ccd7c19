// A read, whole or of a range, with a second request when the first one is late; private to RetryingStore.
#pragma once

#include "objstore/operation.hpp"

namespace bop::objstore {

// Larger reads are not hedged, and their times say nothing about small ones.
inline constexpr std::uint64_t kMostHedgedBytes = 1U << 20U;

class GetOperation final : public Operation {
 public:
  using Bytes = std::vector<std::byte>;
  // `most`: of the answer; of a read without a range it is not known before how long it will be.
  GetOperation(std::string key, std::optional<Range> range, std::uint64_t most, CallOptions options,
               Status good, Completion<Bytes> done);

 private:
  Status check() const override { return good_; }
  std::uint64_t claim_bytes() const override { return range_ ? range_->bytes : allowed_; }
  void send() override;
  void tell(Error error) override { done_(std::unexpected(std::move(error))); }
  void make_request(bool second);
  void answered(RawResult<Bytes> answer, bool second, std::int64_t begun_ns);

  const std::optional<Range> range_;
  const std::uint64_t most_;
  // How long a whole object is, is told by the refusal of one that is longer than this: then it is asked for
  // again with room for all of it, so that small objects need not wait for room for the largest.
  std::uint64_t allowed_;
  const Status good_;
  Completion<Bytes> done_;
};

}  // namespace bop::objstore
