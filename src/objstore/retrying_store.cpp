#include "objstore/retrying_store.hpp"

#include <utility>

#include "objstore/get_operation.hpp"
#include "objstore/object_key.hpp"
#include "objstore/operation.hpp"
#include "objstore/parts_operation.hpp"
#include "objstore/put_operation.hpp"

namespace bop::objstore {
namespace {

class StoreCall final : public Call {
 public:
  StoreCall(std::shared_ptr<Mailbox> mailbox, std::weak_ptr<Operation> operation)
      : mailbox_(std::move(mailbox)), operation_(std::move(operation)) {}
  void cancel() noexcept override {
    mailbox_->post([operation = operation_] {
      if (const auto alive = operation.lock()) alive->cancel();
    });
  }

 private:
  const std::shared_ptr<Mailbox> mailbox_;
  const std::weak_ptr<Operation> operation_;
};

Status check_deadline(const CallOptions& options) {
  if (options.deadline.count() > 0) return {};
  return fail(ErrorCode::kInvalidArgument, "the deadline of a call is {} ms: it must be above 0",
              options.deadline.count());
}

Status check_call(std::string_view key, const CallOptions& options) {
  BOP_TRY(check_deadline(options));
  return check_key(key);
}

}  // namespace

RetryingStore::RetryingStore(std::shared_ptr<RawStore> raw, Executor& executor, Clock& clock, Random& random,
                             RetryOptions options)
    : core_(std::make_shared<StoreCore>(std::move(raw), executor, clock, random, options)) {}

RetryingStore::~RetryingStore() { core_->shut_down(); }

CallPtr RetryingStore::put(std::string key, Body body, PutCondition condition, CallOptions options,
                           Completion<ObjectMeta> done) {
  Status good = check_call(key, options);
  if (good && condition.kind == PutCondition::Kind::kIfMatch && condition.etag.empty()) {
    good = fail(ErrorCode::kInvalidArgument, "a put of \"{}\" if it matches names no version", key);
  }
  const std::uint64_t part_bytes = core_->raw->traits().part_bytes;
  if (part_bytes > 0 && body.bytes.size() > part_bytes && condition.kind == PutCondition::Kind::kNone) {
    auto in_parts = std::make_shared<PartsOperation>(std::move(key), std::move(body), options,
                                                     core_->new_stamp(), std::move(good), std::move(done));
    core_->submit(in_parts);
    return std::make_shared<StoreCall>(core_->mailbox, in_parts);
  }
  auto operation =
      std::make_shared<PutOperation>(std::move(key), std::move(body), std::move(condition), options,
                                     core_->new_stamp(), std::move(good), std::move(done));
  core_->submit(operation);
  return std::make_shared<StoreCall>(core_->mailbox, operation);
}

CallPtr RetryingStore::get(std::string key, std::optional<Range> range, CallOptions options,
                           Completion<std::vector<std::byte>> done) {
  Status good = check_call(key, options);
  const std::uint64_t most = core_->options.max_get_bytes;
  if (good && range && (range->bytes == 0 || range->bytes > most)) {
    good = fail(ErrorCode::kInvalidArgument, "cannot read {} bytes of \"{}\": it may be 1 to {}",
                range->bytes, key, most);
  }
  if (good && range && range->offset > UINT64_MAX - range->bytes) {
    good = fail(ErrorCode::kInvalidArgument, "cannot read \"{}\" from byte {}: no object is that long", key,
                range->offset);
  }
  auto operation =
      std::make_shared<GetOperation>(std::move(key), range, most, options, std::move(good), std::move(done));
  core_->submit(operation);
  return std::make_shared<StoreCall>(core_->mailbox, operation);
}

CallPtr RetryingStore::head(std::string key, CallOptions options, Completion<ObjectMeta> done) {
  Status good = check_call(key, options);
  auto operation = std::make_shared<SimpleOperation<RawMeta>>(
      OperationKind::kHead, key, options, 0, std::move(good),
      [key](RawStore& raw, RawDone<RawMeta> answered) { return raw.head(key, std::move(answered)); },
      [done = std::move(done)](Result<RawMeta> found) mutable {
        if (!found) return done(std::unexpected(std::move(found).error()));
        done(std::move(found->object));
      });
  core_->submit(operation);
  return std::make_shared<StoreCall>(core_->mailbox, operation);
}

CallPtr RetryingStore::list(std::string prefix, std::string start_after, CallOptions options,
                            Completion<ListPage> done) {
  Status good = check_deadline(options);
  if (good) good = check_prefix(prefix);
  if (good) good = check_prefix(start_after);
  auto operation = std::make_shared<SimpleOperation<ListPage>>(
      OperationKind::kList, prefix, options, 0, std::move(good),
      [prefix, start_after](RawStore& raw, RawDone<ListPage> answered) {
        return raw.list(prefix, start_after, std::move(answered));
      },
      std::move(done));
  core_->submit(operation);
  return std::make_shared<StoreCall>(core_->mailbox, operation);
}

CallPtr RetryingStore::remove(std::string key, CallOptions options, Completion<std::monostate> done) {
  Status good = check_call(key, options);
  auto operation = std::make_shared<SimpleOperation<std::monostate>>(
      OperationKind::kRemove, key, options, 0, std::move(good),
      [key](RawStore& raw, RawDone<std::monostate> answered) { return raw.remove(key, std::move(answered)); },
      std::move(done));
  core_->submit(operation);
  return std::make_shared<StoreCall>(core_->mailbox, operation);
}

bool RetryingStore::verifies_puts() const noexcept { return core_->raw->traits().verifies_puts; }
const std::string& RetryingStore::name() const noexcept { return core_->raw->traits().name; }
std::size_t RetryingStore::open_calls() const { return core_->open_calls(); }
std::uint64_t RetryingStore::ended_calls() const { return core_->ended_calls(); }

}  // namespace bop::objstore
