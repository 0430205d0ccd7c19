#include "aof/tier/register_writer.hpp"

#include <utility>

#include <fmt/format.h>

#include "base/assert.hpp"

namespace bop::aof {

namespace {

// Changes made again because the register was another one than expected, and readings that met a change.
constexpr int kMostAttempts = 16;

objstore::Body body_of(std::vector<std::byte> bytes) {
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  return {std::span(*owner), owner};
}

}  // namespace

RegisterWriter::RegisterWriter(objstore::ObjectStore& store, Executor& executor, BucketNames names,
                               const StreamIdentity& identity, const WriterId& writer,
                               objstore::CallOptions options)
    : store_(store),
      names_(std::move(names)),
      identity_(identity),
      writer_(writer),
      options_(options),
      where_(fmt::format("{}, {}", store.name(), names_.register_name())),
      calls_(executor) {}

void RegisterWriter::begin(Change change, bool taking_over, Done done) {
  BOP_ASSERT(!is_busy());
  done_ = std::move(done);
  change_ = std::move(change);
  taking_over_ = taking_over;
  wanted_.reset();
  put_error_.reset();
  attempts_ = reads_ = 0;
  if (fenced_.has_value()) return finish(std::unexpected(*fenced_));
  if (!taking_over && !taken_) {
    return finish(fail(ErrorCode::kNotInPrerequisiteState, "{}: nobody here has taken over", where_));
  }
  if (taking_over || !change_) return read();
  attempt();
}

void RegisterWriter::take_over(LocalChain local, std::int64_t now_us, Done done) {
  begin(
      [this, local = std::move(local), now_us](const std::optional<BucketRegister>& seen) {
        return taken_over(seen, local, writer_, now_us, where_);
      },
      true, std::move(done));
}

void RegisterWriter::publish(std::vector<SegmentFacts> segments, std::int64_t now_us, Done done) {
  BOP_ASSERT(!segments.empty());
  begin(
      [segments = std::move(segments),
       now_us](const std::optional<BucketRegister>& seen) -> Result<BucketRegister> {
        // An earlier attempt, with fewer segments, whose answer was lost: its segments are there.
        auto rest = std::span(segments);
        while (!rest.empty() && rest.front().id.number <= seen->archived_number) rest = rest.subspan(1);
        if (rest.empty()) return *seen;
        return published(*seen, rest, now_us);
      },
      false, std::move(done));
}

void RegisterWriter::raise_low(std::uint64_t low_number, Lsn low, Done done) {
  begin(
      [low_number, low](const std::optional<BucketRegister>& seen) -> Result<BucketRegister> {
        BucketRegister after = raised(*seen, low_number, low);
        if (after.low_number == seen->low_number && after.low == seen->low) return *seen;
        return after;
      },
      false, std::move(done));
}

void RegisterWriter::refresh(Done done) { begin({}, false, std::move(done)); }

void RegisterWriter::finish(Status status) {
  // Never inside the call that asked.
  calls_.post(
      [done = std::exchange(done_, {}), status = std::move(status)]() mutable { done(std::move(status)); });
}

Status RegisterWriter::fence() {
  if (!fenced_.has_value()) {
    fenced_ = error(ErrorCode::kFenced, "{}: another writer has taken over, with epoch {}", where_,
                    current_.has_value() ? current_->epoch.value : 0);
  }
  return std::unexpected(*fenced_);
}

// Writes what the change makes of the register as it was seen last.
void RegisterWriter::attempt() {
  if (++attempts_ > kMostAttempts) {
    return finish(fail(ErrorCode::kObjectStoreUnavailable, "{}: it was changed by others {} times", where_,
                       kMostAttempts));
  }
  auto after = change_(current_);
  if (!after.has_value()) return finish(std::unexpected(std::move(after).error()));
  if (current_.has_value() && *after == *current_) return finish({});
  wanted_ = std::move(*after);
  put_error_.reset();
  reads_ = 0;
  ++puts_;
  const objstore::PutCondition condition =
      current_.has_value() ? objstore::PutCondition{objstore::PutCondition::Kind::kIfMatch, etag_}
                           : objstore::PutCondition{objstore::PutCondition::Kind::kIfAbsent, {}};
  static_cast<void>(store_.put(names_.register_name(), body_of(encode_register(*wanted_)), condition,
                               options_,
                               calls_.here<objstore::ObjectMeta>([this](Result<objstore::ObjectMeta> put) {
                                 if (!put.has_value()) {
                                   put_error_ = std::move(put).error();
                                   return read();
                                 }
                                 current_ = std::move(wanted_);
                                 etag_ = std::move(put->etag);
                                 taken_ = true;
                                 finish({});
                               })));
}

// An etag and the body that belongs to it: the same etag before and after.
void RegisterWriter::read() {
  if (++reads_ > kMostAttempts) {
    return finish(
        fail(ErrorCode::kObjectStoreUnavailable, "{}: it changes faster than it can be read", where_));
  }
  static_cast<void>(store_.head(names_.register_name(), options_,
                                calls_.here<objstore::ObjectMeta>([this](Result<objstore::ObjectMeta> head) {
                                  if (head.has_value()) return read_body(std::move(head->etag));
                                  if (head.error().code() == ErrorCode::kObjectNotFound) return note({}, {});
                                  finish(std::unexpected(std::move(head).error()));
                                })));
}

void RegisterWriter::read_body(std::string etag) {
  static_cast<void>(
      store_.get(names_.register_name(), std::nullopt, options_,
                 calls_.here<std::vector<std::byte>>(
                     [this, etag = std::move(etag)](Result<std::vector<std::byte>> body) mutable {
                       if (body.has_value()) return read_again(std::move(etag), std::move(*body));
                       finish(std::unexpected(std::move(body).error()));
                     })));
}

void RegisterWriter::read_again(std::string etag, std::vector<std::byte> body) {
  static_cast<void>(store_.head(
      names_.register_name(), options_,
      calls_.here<objstore::ObjectMeta>(
          [this, etag = std::move(etag), body = std::move(body)](Result<objstore::ObjectMeta> head) mutable {
            if (!head.has_value()) return finish(std::unexpected(std::move(head).error()));
            if (head->etag != etag) return read();
            auto seen = decode_register(body, identity_, where_);
            if (!seen.has_value()) return finish(std::unexpected(std::move(seen).error()));
            note(std::move(*seen), std::move(etag));
          })));
}

void RegisterWriter::note(std::optional<BucketRegister> seen, std::string etag) {
  current_ = std::move(seen);
  etag_ = std::move(etag);
  judge();
}

void RegisterWriter::judge() {
  const bool mine = current_.has_value() && current_->writer == writer_;
  if (taking_over_) {
    if (mine) {
      taken_ = true;
      return finish({});
    }
  } else if (!current_.has_value()) {
    return finish(std::unexpected(error(ErrorCode::kCorrupt, "{}: the register is gone", where_)
                                      .hint("Somebody has removed it; nothing is archived without it.")));
  } else if (!mine) {
    return finish(fence());
  }
  if (!change_) return finish({});
  if (wanted_.has_value() && current_ == wanted_) return finish({});
  // A put that could not be asked about is not made again at once: the store has tried for its whole
  // deadline.
  if (put_error_.has_value() && put_error_->code() != ErrorCode::kPreconditionFailed &&
      put_error_->code() != ErrorCode::kObjectExists) {
    return finish(std::unexpected(*std::exchange(put_error_, {})));
  }
  attempt();
}

}  // namespace bop::aof
