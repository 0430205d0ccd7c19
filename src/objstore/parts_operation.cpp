#include "objstore/parts_operation.hpp"

#include <algorithm>

namespace bop::objstore {

PartsOperation::PartsOperation(std::string key, Body body, CallOptions options, std::string stamp,
                               Status good, Completion<ObjectMeta> done)
    : Operation(OperationKind::kPut, std::move(key), options),
      body_(std::move(body)),
      stamp_(std::move(stamp)),
      good_(std::move(good)),
      done_(std::move(done)) {}

template <class T, class Issue, class Then>
void PartsOperation::step(std::uint64_t bytes, Issue issue, Then then) {
  auto operation = std::make_shared<SimpleOperation<T>>(
      OperationKind::kPart, key(), options_of_rest(), bytes, Status(), std::move(issue),
      [self = weak_from_this(), this, then = std::move(then)](Result<T> answer) mutable {
        const auto alive = self.lock();
        if (!alive || is_over()) return;
        then(std::move(answer));
      });
  std::erase_if(steps_, [](const auto& old) { return old.expired(); });
  steps_.push_back(operation);
  core_->begin(operation);
}

void PartsOperation::begin_upload() {
  has_upload_ = false;
  next_ = sending_ = sent_ = 0;
  const std::uint64_t part = core_->raw->traits().part_bytes;
  tags_.assign((body_.bytes.size() + part - 1) / part, {});
  step<std::string>(
      0,
      [key = key(), stamp = stamp_](RawStore& raw, RawDone<std::string> done) {
        return raw.begin_parts(key, stamp, std::move(done));
      },
      [this](Result<std::string> upload) {
        if (!upload) return fail_with(std::move(upload).error());
        upload_ = std::move(*upload);
        has_upload_ = true;
        send_parts();
      });
}

Body PartsOperation::part_of(std::size_t number) const {
  const std::size_t part = core_->raw->traits().part_bytes;
  const std::size_t from = number * part;
  return {body_.bytes.subspan(from, std::min(part, body_.bytes.size() - from)), body_.owner};
}

void PartsOperation::send_parts() {
  while (!is_over() && next_ < tags_.size() && sending_ < core_->options.parts_in_flight) {
    ++sending_;
    send_part(next_++);
  }
}

void PartsOperation::send_part(std::size_t number) {
  Body body = part_of(number);
  const std::size_t bytes = body.bytes.size();
  step<PartTag>(
      bytes,
      [key = key(), upload = upload_, number, body = std::move(body)](RawStore& raw, RawDone<PartTag> done) {
        metrics().objstore_sent_bytes_total.add(body.bytes.size());
        return raw.put_part(key, upload, number, body, std::move(done));
      },
      [this, number](Result<PartTag> tag) {
        if (!tag) return fail_with(std::move(tag).error());
        tags_[number] = std::move(*tag);
        --sending_;
        if (++sent_ == tags_.size()) return complete();
        send_parts();
      });
}

void PartsOperation::complete() {
  step<RawMeta>(
      0,
      [key = key(), upload = upload_, tags = tags_](RawStore& raw, RawDone<RawMeta> done) {
        return raw.complete_parts(key, upload, tags, std::move(done));
      },
      [this](Result<RawMeta> made) {
        if (!made) {
          // Completed by a request whose answer was lost; or it was dropped by somebody else.
          if (made.error().code() == ErrorCode::kObjectNotFound) return begin_upload();
          return fail_with(std::move(made).error());
        }
        has_upload_ = false;
        made->object.bytes = body_.bytes.size();
        if (finish("ok")) done_(std::move(made->object));
      });
}

void PartsOperation::at_end() {
  for (const auto& weak : std::exchange(steps_, {})) {
    if (const auto open = weak.lock()) open->cancel();
  }
  if (!std::exchange(has_upload_, false)) return;
  core_->begin(std::make_shared<SimpleOperation<std::monostate>>(
      OperationKind::kPart, key(),
      CallOptions{.deadline = std::chrono::seconds(10), .priority = Priority::kBackground}, 0, Status(),
      [key = key(), upload = upload_](RawStore& raw, RawDone<std::monostate> done) {
        return raw.abort_parts(key, upload, std::move(done));
      },
      [](Result<std::monostate>) {}));
}

}  // namespace bop::objstore
