#include "aof/tier/remote_image.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/assert.hpp"

namespace bop::aof {

struct RemoteImage::Arrival {
  // Shared with the completion, which may come after everybody has gone.
  struct Box {
    std::mutex mutex;
    std::condition_variable arrived;
    std::optional<Result<PieceBytes>> piece;
  };
  std::shared_ptr<Box> box = std::make_shared<Box>();
  Hydration::Ticket ticket;

  // The piece if it has come, and has not failed.
  [[nodiscard]] PieceBytes taken() const {
    const std::lock_guard guard(box->mutex);
    return box->piece.has_value() && box->piece->has_value() ? **box->piece : PieceBytes{};
  }
  // Hydration has a deadline for every request, so this ends.
  [[nodiscard]] Result<PieceBytes> wait(objstore::ObjectStore& store) const {
    for (;;) {
      {
        const std::lock_guard guard(box->mutex);
        if (box->piece.has_value()) return *box->piece;
      }
      // The simulated store answers from here; the others have threads.
      if (store.poll() != 0) continue;
      std::unique_lock guard(box->mutex);
      box->arrived.wait(guard, [this] { return box->piece.has_value(); });
    }
  }
};

RemoteImage::RemoteImage(HydrationPath path, ArchivedObject object, std::size_t most_ahead)
    : path_(path), object_(std::move(object)), most_ahead_(most_ahead) {}
RemoteImage::~RemoteImage() = default;

Result<std::unique_ptr<RemoteImage>> RemoteImage::open(HydrationPath path, ArchivedObject object,
                                                       std::size_t most_ahead) {
  std::unique_ptr<RemoteImage> image(new RemoteImage(path, std::move(object), most_ahead));
  const auto open_tables = [raw = image.get(), &path] {
    return SeekableReader::open(
        [raw](std::uint64_t offset, std::span<std::byte> out) { return raw->fill(offset, out); },
        raw->object_.bytes, path.store.name() + "/" + raw->object_.key);
  };
  auto reader = open_tables();
  if (!reader.has_value() && reader.error().code() == ErrorCode::kCorrupt) {
    image->is_second_try_ = true;
    reader = open_tables();
    image->is_second_try_ = false;
  }
  if (!reader.has_value()) return std::unexpected(std::move(reader).error());
  image->reader_.emplace(*std::move(reader));
  BOP_TRY(image->make_groups());
  return image;
}

Status RemoteImage::make_groups() {
  for (const SeekableFrame& frame : reader_->tables().frames) {
    if (frame.bytes > kMaxPieceBytes) {
      return fail(ErrorCode::kProgramLimitExceeded,
                  "{}/{}: has a frame of {} bytes at byte {}; at most {} can be read as one piece",
                  path_.store.name(), object_.key, frame.bytes, frame.offset, kMaxPieceBytes);
    }
    if (groups_.empty() || groups_.back().bytes + frame.bytes > kMaxPieceBytes) {
      groups_.push_back({.offset = frame.offset, .bytes = 0});
    }
    groups_.back().bytes += frame.bytes;
  }
  return {};
}

Status RemoteImage::read(std::uint64_t at, std::span<std::byte> out) {
  Status done = reader_->read(at, out);
  if (done.has_value() || done.error().code() != ErrorCode::kCorrupt) return done;
  last_piece_.reset();
  ahead_.clear();
  is_second_try_ = true;
  done = reader_->read(at, out);
  is_second_try_ = false;
  return done;
}

// What the reader of the seekable form asks for: its tables while it is opened, then runs of frames.
Status RemoteImage::fill(std::uint64_t offset, std::span<std::byte> out) {
  if (groups_.empty()) {
    while (!out.empty()) {
      const std::size_t size = std::min<std::size_t>(out.size(), kMaxPieceBytes);
      BOP_LET(bytes, obtain({.offset = offset, .bytes = size}));
      std::memcpy(out.data(), bytes->data(), size);
      out = out.subspan(size);
      offset += size;
    }
    return {};
  }
  while (!out.empty()) {
    const auto behind =
        std::upper_bound(groups_.begin(), groups_.end(), offset,
                         [](std::uint64_t at, const auto& group) { return at < group.offset; });
    BOP_ASSERT(behind != groups_.begin());
    const auto group = static_cast<std::size_t>(behind - groups_.begin()) - 1;
    const std::uint64_t within = offset - groups_[group].offset;
    BOP_ASSERT(within < groups_[group].bytes);
    BOP_LET(bytes, piece(group));
    const std::size_t here = std::min<std::size_t>(out.size(), bytes->size() - within);
    std::memcpy(out.data(), bytes->data() + within, here);
    out = out.subspan(here);
    offset += here;
  }
  return {};
}

// A piece that is ahead and on its way is joined by asking for it, which also lets it go before others.
Result<PieceBytes> RemoteImage::piece(std::size_t group) {
  if (last_group_ == group && last_piece_) return last_piece_;
  if (is_second_try_) {
    last_group_ = group;
    BOP_LET(again, obtain(groups_[group]));
    return last_piece_ = again;
  }
  const bool goes_on = last_group_.has_value() && group == *last_group_ + 1;
  window_ = goes_on ? std::min(std::max<std::size_t>(window_ * 2, 1), most_ahead_) : 0;
  last_group_ = group;
  last_piece_.reset();
  std::shared_ptr<Arrival> coming;
  if (const auto found = ahead_.find(group); found != ahead_.end()) {
    coming = std::move(found->second);
    ahead_.erase(found);
  }
  if (!goes_on) ahead_.clear();  // the reader is elsewhere
  if (coming) last_piece_ = coming->taken();
  if (last_piece_) {
    look_ahead(group);
    return last_piece_;
  }
  if (path_.cache != nullptr) last_piece_ = path_.cache->get(id_of(groups_[group]));
  if (last_piece_) {
    look_ahead(group);
    return last_piece_;
  }
  // Asked for before what is ahead.
  BOP_LET(arrival, ask(groups_[group], objstore::Priority::kForeground));
  look_ahead(group);
  BOP_LET(bytes, arrival->wait(path_.store));
  return last_piece_ = bytes;
}

void RemoteImage::look_ahead(std::size_t group) {
  // What the cache has is read from there when it is its turn.
  for (std::size_t next = group + 1; next <= group + window_ && next < groups_.size(); ++next) {
    if (ahead_.contains(next) || (path_.cache != nullptr && path_.cache->has(id_of(groups_[next])))) continue;
    auto asked = ask(groups_[next], objstore::Priority::kBackground);
    if (!asked.has_value()) return;  // too many wait: who reads ahead stands back
    ahead_.emplace(next, *std::move(asked));
  }
}

PieceId RemoteImage::id_of(objstore::Range range) const {
  return {object_.segment_number, object_.segment_seed, static_cast<std::uint32_t>(range.offset),
          static_cast<std::uint32_t>(range.bytes)};
}

Result<PieceBytes> RemoteImage::obtain(objstore::Range range) {
  if (path_.cache != nullptr && is_second_try_) path_.cache->forget(id_of(range));
  if (path_.cache != nullptr && !is_second_try_) {
    if (PieceBytes kept = path_.cache->get(id_of(range))) return kept;
  }
  BOP_LET(arrival, ask(range, objstore::Priority::kForeground));
  return arrival->wait(path_.store);
}

Result<std::shared_ptr<RemoteImage::Arrival>> RemoteImage::ask(objstore::Range range,
                                                               objstore::Priority priority) {
  auto arrival = std::make_shared<Arrival>();
  BOP_LET(ticket, path_.hydration.fetch(object_.key, range, priority, [box = arrival->box](auto piece) {
    {
      const std::lock_guard guard(box->mutex);
      box->piece = std::move(piece);
    }
    box->arrived.notify_all();
  }));
  arrival->ticket = std::move(ticket);
  return arrival;
}

}  // namespace bop::aof
