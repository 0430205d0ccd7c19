#include "objstore/get_operation.hpp"

#include <algorithm>

namespace bop::objstore {

GetOperation::GetOperation(std::string key, std::optional<Range> range, std::uint64_t most,
                           CallOptions options, Status good, Completion<Bytes> done)
    : Operation(OperationKind::kGet, std::move(key), options),
      range_(range),
      most_(most),
      allowed_(std::min(most, kMostHedgedBytes)),
      good_(std::move(good)),
      done_(std::move(done)) {}

void GetOperation::send() {
  make_request(false);
  if (claim_bytes() > kMostHedgedBytes) return;
  const auto delay = core_->hedging.begin();
  if (!delay || *delay >= attempt_timeout(claim_bytes())) return;
  set_timer(*delay, [this] {
    // Answered with a failure meanwhile, or asked for anew with room for a large object.
    if (attempts_open() != 1 || claim_bytes() > kMostHedgedBytes) return;
    // The share is only charged when there is room.
    if (!core_->admission.try_enter({claim_bytes(), options_of_rest().priority})) return;
    if (!core_->hedging.take()) {
      return core_->admission.leave({claim_bytes(), options_of_rest().priority});
    }
    metrics().objstore_hedges_total.add();
    make_request(true);
  });
}

void GetOperation::make_request(bool second) {
  request<Bytes>(
      claim_bytes(),
      [this](RawDone<Bytes> done) { return core_->raw->get(key(), range_, claim_bytes(), std::move(done)); },
      [this, second, begun_ns = now_ns()](RawResult<Bytes> answer) {
        answered(std::move(answer), second, begun_ns);
      });
}

void GetOperation::answered(RawResult<Bytes> answer, bool second, std::int64_t begun_ns) {
  if (!answer) {
    // The other request may still do better, unless this answer is the store's last word.
    if (rule_of(answer.error().kind).again && attempts_open() > 0) return;
    cancel_attempts();
    const RawFailure& failure = answer.error();
    if (failure.kind == RawKind::kTooLong && failure.bytes > allowed_ && failure.bytes <= most_) {
      allowed_ = failure.bytes;
      return enter();
    }
    return again(failure);
  }
  if (range_ && answer->size() > range_->bytes) answer->resize(range_->bytes);
  if (claim_bytes() <= kMostHedgedBytes) core_->hedging.record(now_ns() - begun_ns);
  if (second) metrics().objstore_hedges_won_total.add();
  metrics().objstore_received_bytes_total.add(answer->size());
  if (finish("ok")) done_(std::move(*answer));
}

}  // namespace bop::objstore
