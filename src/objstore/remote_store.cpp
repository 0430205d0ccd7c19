#include "objstore/remote_store.hpp"

#include <bop_object_store.h>

#include <atomic>
#include <mutex>
#include <utility>

#include "base/assert.hpp"
#include "objstore/object_key.hpp"

namespace bop::objstore {
namespace {

static_assert(static_cast<int>(CrateOutcome::kOk) == BOP_OK);
static_assert(static_cast<int>(CrateOutcome::kNotFound) == BOP_NOT_FOUND);
static_assert(static_cast<int>(CrateOutcome::kAlreadyExists) == BOP_ALREADY_EXISTS);
static_assert(static_cast<int>(CrateOutcome::kPrecondition) == BOP_PRECONDITION);
static_assert(static_cast<int>(CrateOutcome::kDenied) == BOP_DENIED);
static_assert(static_cast<int>(CrateOutcome::kOther) == BOP_OTHER);
static_assert(static_cast<int>(CrateOutcome::kAborted) == BOP_ABORTED);
static_assert(static_cast<int>(CrateOutcome::kNoRoom) == BOP_NO_ROOM);
static_assert(static_cast<int>(CrateOutcome::kCut) == BOP_CUT);
static_assert(static_cast<int>(CrateOutcome::kErrorBody) == BOP_ERROR_BODY);
static_assert(static_cast<int>(HttpError::kConnect) == BOP_HTTP_CONNECT);
static_assert(static_cast<int>(HttpError::kTimeout) == BOP_HTTP_TIMEOUT);
static_assert(static_cast<int>(HttpError::kBroken) == BOP_HTTP_BROKEN);
static_assert(static_cast<int>(Service::kS3) == BOP_S3 && static_cast<int>(Service::kGcs) == BOP_GCS &&
              static_cast<int>(Service::kAzure) == BOP_AZURE);
static_assert(static_cast<int>(PutCondition::Kind::kNone) == BOP_PUT_ALWAYS &&
              static_cast<int>(PutCondition::Kind::kIfAbsent) == BOP_PUT_IF_ABSENT &&
              static_cast<int>(PutCondition::Kind::kIfMatch) == BOP_PUT_IF_MATCH);

constexpr std::size_t kThreads = 2;

BopBytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
std::string_view text_of(BopBytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data), bytes.data == nullptr ? 0 : bytes.bytes};
}

// A body on loan to the crate until it gives it back.
BopBody lend(const Body& body) {
  auto* owner = new std::shared_ptr<const void>(body.owner);
  return {reinterpret_cast<const std::uint8_t*>(body.bytes.data()), body.bytes.size(), owner,
          [](void* lent) { delete static_cast<std::shared_ptr<const void>*>(lent); }};
}

class RemoteCall final : public RawCall {
 public:
  ~RemoteCall() override {
    if (request_ != nullptr) bop_request_free(request_);
  }
  // Once, by who made the request.
  void is(BopRequest* request) {
    const std::lock_guard guard(mutex_);
    if (request_ != nullptr) bop_request_free(request_);
    request_ = request;
    if (cancelled_) bop_request_abort(request_);
  }
  void cancel() noexcept override {
    const std::lock_guard guard(mutex_);
    cancelled_ = true;
    if (request_ != nullptr) bop_request_abort(request_);
  }

 private:
  std::mutex mutex_;
  BopRequest* request_ = nullptr;
  bool cancelled_ = false;
};

// What waits for an answer; the crate holds it as `context` and `answered` deletes it.
template <class T>
struct Waiting {
  Service service;
  ServiceCall call;
  PutCondition::Kind condition;
  RawDone<T> done;
  std::move_only_function<T(const BopAnswer&)> take;
  std::vector<std::byte> room;
  std::uint64_t most = 0;

  static void answered(void* context, const BopAnswer* answer) {
    const std::unique_ptr<Waiting> self(static_cast<Waiting*>(context));
    if (answer->outcome == BOP_OK) return self->done(self->take(*answer));
    self->done(std::unexpected(failure_of(self->service, self->call, self->condition,
                                          {.outcome = static_cast<CrateOutcome>(answer->outcome),
                                           .status = answer->status,
                                           .http_error = static_cast<HttpError>(answer->http_error),
                                           .retry_after_s = answer->retry_after_s,
                                           .bytes = answer->object.bytes,
                                           .text = text_of(answer->text)})));
  }
  static std::uint8_t* make_room(void* context, std::uint64_t bytes) {
    auto* self = static_cast<Waiting*>(context);
    if (bytes > self->most) return nullptr;
    self->room.resize(bytes == 0 ? 1 : bytes);  // no bytes have a place, too
    return reinterpret_cast<std::uint8_t*>(self->room.data());
  }
};

template <class T, class Take>
Waiting<T>* waiting(Service service, ServiceCall call, RawDone<T> done, Take take,
                    PutCondition::Kind condition = PutCondition::Kind::kNone) {
  return new Waiting<T>{service, call, condition, std::move(done), std::move(take), {}, 0};
}

// GCS compares by generation, the others by etag.
std::string etag_of(Service service, const BopObject& object) {
  return std::string(text_of(service == Service::kGcs ? object.version : object.etag));
}

RawMeta meta_of(Service service, const std::string& key, const BopAnswer& answer) {
  return {{key, answer.object.bytes, etag_of(service, answer.object)}, std::string(text_of(answer.stamp))};
}

// Of services that answer 404 to the removal of nothing.
RawDone<std::monostate> success_if_missing(RawDone<std::monostate> done) {
  return [done = std::move(done)](RawResult<std::monostate> answer) mutable {
    if (!answer && answer.error().kind == RawKind::kNotFound) answer = std::monostate{};
    done(std::move(answer));
  };
}

}  // namespace

struct RemoteStore::Handle {
  explicit Handle(BopStore* opened) : store(opened) {}
  // Requests of a page that follows another are made on a thread of the crate's, which must not close it.
  void close() {
    BopStore* open = nullptr;
    {
      const std::lock_guard guard(mutex);
      open = std::exchange(store, nullptr);
    }
    if (open != nullptr) bop_store_close(open);
  }
  std::mutex mutex;
  BopStore* store;  // null: closed
};

Result<std::shared_ptr<RemoteStore>> RemoteStore::open(const RemoteConfig& config) {
  std::vector<BopPair> pairs;
  for (const auto& [key, value] : config.options) pairs.push_back({bytes_of(key), bytes_of(value)});
  std::string problem;
  BopStore* opened = bop_store_open(
      static_cast<std::int32_t>(config.service), pairs.data(), pairs.size(), kThreads, &problem,
      [](void* context, BopBytes text) { *static_cast<std::string*>(context) = one_line(text_of(text)); });
  if (opened == nullptr) {
    return fail(ErrorCode::kConfigInvalid, "cannot use the object store {}: {}", config.name, problem);
  }
  return std::shared_ptr<RemoteStore>(new RemoteStore(std::make_shared<Handle>(opened), config));
}

RemoteStore::RemoteStore(std::shared_ptr<Handle> handle, const RemoteConfig& config)
    : handle_(std::move(handle)),
      service_(config.service),
      prefix_(config.prefix.empty() ? "" : config.prefix + "/") {
  traits_.name = config.name;
  traits_.verifies_puts = config.verifies_puts;
  traits_.part_bytes = config.part_bytes;
}

RemoteStore::~RemoteStore() { handle_->close(); }

std::string RemoteStore::full(const std::string& key) const { return prefix_ + key; }

RawCallPtr RemoteStore::put(const std::string& key, const Body& body, const PutCondition& condition,
                            const std::string& stamp, RawDone<RawMeta> done) {
  auto call = std::make_shared<RemoteCall>();
  auto* context = waiting<RawMeta>(
      service_, ServiceCall::kPut, std::move(done),
      [service = service_, key](const BopAnswer& answer) { return meta_of(service, key, answer); },
      condition.kind);
  call->is(bop_store_put(handle_->store, bytes_of(full(key)), lend(body),
                         static_cast<std::int32_t>(condition.kind), bytes_of(condition.etag), bytes_of(stamp),
                         &Waiting<RawMeta>::answered, context));
  return call;
}

RawCallPtr RemoteStore::get(const std::string& key, const std::optional<Range>& range, std::uint64_t most,
                            RawDone<std::vector<std::byte>> done) {
  using Bytes = std::vector<std::byte>;
  auto call = std::make_shared<RemoteCall>();
  auto* context = waiting<Bytes>(service_, ServiceCall::kGet, std::move(done), nullptr);
  context->most = most;
  context->take = [context, range](const BopAnswer& answer) {
    Bytes out = std::move(context->room);
    const std::uint64_t whole = answer.object.bytes;
    // What was announced has come (else the crate's side said so); a single byte was made for none.
    if (whole == 0) out.clear();
    return out;
  };
  call->is(bop_store_get(handle_->store, bytes_of(full(key)), range ? 1 : 0, range ? range->offset : 0,
                         range ? range->bytes : 0, &Waiting<Bytes>::make_room, &Waiting<Bytes>::answered,
                         context));
  return call;
}

RawCallPtr RemoteStore::head(const std::string& key, RawDone<RawMeta> done) {
  auto call = std::make_shared<RemoteCall>();
  auto* context = waiting<RawMeta>(
      service_, ServiceCall::kHead, std::move(done),
      [service = service_, key](const BopAnswer& answer) { return meta_of(service, key, answer); });
  call->is(bop_store_head(handle_->store, bytes_of(full(key)), &Waiting<RawMeta>::answered, context));
  return call;
}

// Pages of the service until one has a wanted key: Azure cannot begin behind a key, so all pages before it
// are passed over; the others may send empty pages.
struct ListWalk : std::enable_shared_from_this<ListWalk> {
  std::shared_ptr<RemoteStore::Handle> handle;
  std::shared_ptr<RemoteCall> call;
  Service service = Service::kS3;
  std::string own_prefix, prefix, start_after;
  RawDone<ListPage> done;

  struct Page {
    ListPage keys;
    std::string token;
    bool in_order = true;
  };

  Page take(const BopAnswer& answer) const {
    Page page;
    page.token = text_of(answer.tag);
    std::string last;
    for (std::size_t i = 0; i < answer.object_count; ++i) {
      const BopObject& object = answer.objects[i];
      const std::string_view key = text_of(object.key);
      page.in_order = page.in_order && key > last;
      last = key;
      if (!key.starts_with(own_prefix)) continue;
      const std::string_view ours = key.substr(own_prefix.size());
      if (!check_key(ours) || !ours.starts_with(prefix) || ours <= start_after) continue;
      // A generation, by which GCS compares, is not told in lists.
      page.keys.objects.push_back({std::string(ours), object.bytes, etag_of(service, object)});
    }
    return page;
  }

  void ask(const std::string& token) {
    auto* context = waiting<Page>(
        service, ServiceCall::kList,
        [self = shared_from_this()](RawResult<Page> page) { self->answered(std::move(page)); },
        [self = shared_from_this()](const BopAnswer& answer) { return self->take(answer); });
    const std::string after =
        service == Service::kAzure || start_after.empty() ? "" : own_prefix + start_after;
    const std::lock_guard guard(handle->mutex);
    if (handle->store == nullptr) {
      delete context;
      return done(std::unexpected(RawFailure{RawKind::kCancelled, {}}));
    }
    call->is(bop_store_list(handle->store, bytes_of(own_prefix + prefix), bytes_of(after), bytes_of(token),
                            kMostKeysInPage, &Waiting<Page>::answered, context));
  }

  void answered(RawResult<Page> page) {
    if (!page) return done(std::unexpected(std::move(page).error()));
    if (!page->in_order) {
      return done(std::unexpected(RawFailure{
          RawKind::kRefused, "the service lists keys out of order, as directory buckets of S3 do", {}}));
    }
    page->keys.more = !page->token.empty();
    if (page->keys.more && page->keys.objects.empty()) return ask(page->token);
    done(std::move(page->keys));
  }
};

RawCallPtr RemoteStore::list(const std::string& prefix, const std::string& start_after,
                             RawDone<ListPage> done) {
  auto walk = std::make_shared<ListWalk>();
  walk->handle = handle_;
  walk->call = std::make_shared<RemoteCall>();
  walk->service = service_;
  walk->own_prefix = prefix_;
  walk->prefix = prefix;
  walk->start_after = start_after;
  walk->done = std::move(done);
  walk->ask("");
  return walk->call;
}

RawCallPtr RemoteStore::remove(const std::string& key, RawDone<std::monostate> done) {
  auto call = std::make_shared<RemoteCall>();
  auto* context = waiting<std::monostate>(service_, ServiceCall::kRemove, success_if_missing(std::move(done)),
                                          [](const BopAnswer&) { return std::monostate{}; });
  call->is(
      bop_store_remove(handle_->store, bytes_of(full(key)), &Waiting<std::monostate>::answered, context));
  return call;
}

// The crate's uploads in parts take no metadata, and an unconditional put needs no stamp.
RawCallPtr RemoteStore::begin_parts(const std::string& key, const std::string&, RawDone<std::string> done) {
  auto call = std::make_shared<RemoteCall>();
  auto* context =
      waiting<std::string>(service_, ServiceCall::kBeginParts, std::move(done),
                           [](const BopAnswer& answer) { return std::string(text_of(answer.tag)); });
  call->is(bop_store_begin(handle_->store, bytes_of(full(key)), &Waiting<std::string>::answered, context));
  return call;
}

RawCallPtr RemoteStore::put_part(const std::string& key, const std::string& upload, std::size_t number,
                                 const Body& part, RawDone<PartTag> done) {
  auto call = std::make_shared<RemoteCall>();
  auto* context = waiting<PartTag>(service_, ServiceCall::kPart, std::move(done),
                                   [](const BopAnswer& answer) { return PartTag(text_of(answer.tag)); });
  call->is(bop_store_part(handle_->store, bytes_of(full(key)), bytes_of(upload), number, lend(part),
                          &Waiting<PartTag>::answered, context));
  return call;
}

RawCallPtr RemoteStore::complete_parts(const std::string& key, const std::string& upload,
                                       const std::vector<PartTag>& parts, RawDone<RawMeta> done) {
  auto call = std::make_shared<RemoteCall>();
  std::vector<BopBytes> tags;
  for (const PartTag& tag : parts) tags.push_back(bytes_of(tag));
  auto* context = waiting<RawMeta>(
      service_, ServiceCall::kComplete, std::move(done),
      [service = service_, key](const BopAnswer& answer) { return meta_of(service, key, answer); });
  call->is(bop_store_complete(handle_->store, bytes_of(full(key)), bytes_of(upload), tags.data(), tags.size(),
                              &Waiting<RawMeta>::answered, context));
  return call;
}

RawCallPtr RemoteStore::abort_parts(const std::string& key, const std::string& upload,
                                    RawDone<std::monostate> done) {
  auto call = std::make_shared<RemoteCall>();
  auto* context =
      waiting<std::monostate>(service_, ServiceCall::kDropParts, success_if_missing(std::move(done)),
                              [](const BopAnswer&) { return std::monostate{}; });
  call->is(bop_store_drop(handle_->store, bytes_of(full(key)), bytes_of(upload),
                          &Waiting<std::monostate>::answered, context));
  return call;
}

}  // namespace bop::objstore
