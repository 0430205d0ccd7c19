// A put in one request, with the look that settles what became of it; private to RetryingStore.
//
//   sending --success--> done
//   sending --the condition failed, or the outcome is open--> looking      (only with a condition)
//   looking --our stamp--> done
//   looking --somebody else's--> kObjectExists, kPreconditionFailed
//   looking --nothing (if absent), the version that is to be replaced (if match)--> sending
//   either  --any other answer that passes--> the same again
#pragma once

#include "objstore/operation.hpp"

namespace bop::objstore {

class PutOperation final : public Operation {
 public:
  PutOperation(std::string key, Body body, PutCondition condition, CallOptions options, std::string stamp,
               Status good, Completion<ObjectMeta> done);

 private:
  Status check() const override { return good_; }
  std::uint64_t claim_bytes() const override { return looking_ ? 0 : body_.bytes.size(); }
  void send() override;
  void tell(Error error) override { done_(std::unexpected(std::move(error))); }
  void put_answered(RawResult<RawMeta> answer);
  void look_answered(RawResult<RawMeta> answer);
  void put_again(const RawFailure& why);
  [[nodiscard]] bool has_condition() const noexcept { return condition_.kind != PutCondition::Kind::kNone; }

  const Body body_;
  const PutCondition condition_;
  const std::string stamp_;
  const Status good_;
  Completion<ObjectMeta> done_;
  bool looking_ = false;
  RawFailure refusal_{RawKind::kTaken, {}, {}};  // what sent us looking
};

}  // namespace bop::objstore
