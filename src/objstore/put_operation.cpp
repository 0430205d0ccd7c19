#include "objstore/put_operation.hpp"

namespace bop::objstore {

PutOperation::PutOperation(std::string key, Body body, PutCondition condition, CallOptions options,
                           std::string stamp, Status good, Completion<ObjectMeta> done)
    : Operation(OperationKind::kPut, std::move(key), options),
      body_(std::move(body)),
      condition_(std::move(condition)),
      stamp_(std::move(stamp)),
      good_(std::move(good)),
      done_(std::move(done)) {}

void PutOperation::send() {
  if (looking_) {
    return request<RawMeta>(
        0, [this](RawDone<RawMeta> done) { return core_->raw->head(key(), std::move(done)); },
        [this](RawResult<RawMeta> answer) { look_answered(std::move(answer)); });
  }
  request<RawMeta>(
      body_.bytes.size(),
      [this](RawDone<RawMeta> done) {
        metrics().objstore_sent_bytes_total.add(body_.bytes.size());
        return core_->raw->put(key(), body_, condition_, stamp_, std::move(done));
      },
      [this](RawResult<RawMeta> answer) { put_answered(std::move(answer)); });
}

void PutOperation::put_answered(RawResult<RawMeta> answer) {
  if (answer) {
    if (finish("ok")) done_(std::move(answer->object));
    return;
  }
  const RawFailure& failure = answer.error();
  const bool failed_condition = failure.kind == RawKind::kTaken || failure.kind == RawKind::kNotMatched;
  if (!has_condition() || !core_->raw->traits().keeps_stamps ||
      (!failed_condition && !rule_of(failure.kind).unknown)) {
    return again(failure);
  }
  looking_ = true;
  refusal_ = failure;
  if (failed_condition) return enter();
  again(failure);
}

void PutOperation::look_answered(RawResult<RawMeta> answer) {
  const bool if_absent = condition_.kind == PutCondition::Kind::kIfAbsent;
  if (answer) {
    if (answer->stamp == stamp_) {
      metrics().objstore_settled_puts_total.add();
      if (finish("ok")) done_(std::move(answer->object));
      return;
    }
    if (if_absent) return fail_with(error_of({RawKind::kTaken, {}, {}}));
    if (answer->object.etag != condition_.etag) return fail_with(error_of({RawKind::kNotMatched, {}, {}}));
    return put_again(refusal_);
  }
  if (answer.error().kind != RawKind::kNotFound) return again(answer.error());
  if (if_absent) return put_again(refusal_);
  fail_with(error_of({RawKind::kNotMatched, "there is no such object any more", {}}));
}

// Nothing is in the way (any more). If it was a condition that had failed, after a pause: what the server
// sees and what it tells may differ for a while.
void PutOperation::put_again(const RawFailure& why) {
  looking_ = false;
  const bool failed_condition = why.kind == RawKind::kTaken || why.kind == RawKind::kNotMatched;
  if (failed_condition) return again({RawKind::kConflict, why.text, {}});
  enter();
}

}  // namespace bop::objstore
