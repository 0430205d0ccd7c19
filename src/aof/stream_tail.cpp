#include "aof/stream_tail.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace bop::aof {

namespace {

// Copied at once, with the stream's lock held; more only for a record that is larger.
constexpr std::size_t kMostCopied = 32U << 10U;

// Bytes of the whole records at the start of `bytes`, about kMostCopied of them.
std::size_t whole_records(std::span<const std::byte> bytes) {
  if (bytes.size() <= kMostCopied) return bytes.size();
  std::size_t end = 0;
  while (end < bytes.size()) {
    const auto extent = static_cast<std::size_t>(extent_of(bytes.subspan(end), bytes.size() - end));
    BOP_ASSERT(extent != 0);
    if (end != 0 && end + extent > kMostCopied) break;
    end += extent;
  }
  return end;
}

}  // namespace

CommitStream::Core::Recent CommitStream::Core::copy_recent(Lsn wanted, bool up_to_durable, RecentPlace& place,
                                                           std::vector<std::byte>& out) {
  const std::uint64_t newest =
      up_to_durable ? durable_.load(std::memory_order_acquire) : appended_.load(std::memory_order_acquire);
  if (wanted.value > newest) return Recent::kNothing;
  std::scoped_lock lock(mutex_);
  const auto holds = [wanted](const std::shared_ptr<Write>& write) {
    return !write->barrier && write->before.index < wanted && write->last >= wanted;
  };
  Write* write = nullptr;
  if (!up_to_durable) {
    const auto found = std::find_if(queue_.rbegin(), queue_.rend(), holds);
    if (found != queue_.rend()) write = found->get();
  }
  if (write == nullptr) {
    const auto found = std::find_if(recent_.rbegin(), recent_.rend(), holds);
    if (found == recent_.rend()) return Recent::kGone;
    write = found->get();
  }
  const std::uint64_t end = write->offset + write->used;
  if (place.segment != write->segment || place.offset < write->offset || place.offset >= end) {
    place = {.segment = write->segment, .offset = write->offset, .before = write->before};
  }
  const std::size_t from = place.offset - write->offset;
  const std::span<const std::byte> all(write->buffer.data() + from, write->used - from);
  const auto copied = all.first(whole_records(all));
  out.assign(copied.begin(), copied.end());
  return Recent::kCopied;
}

// The record at `at_`, which is in memory.
Result<RecordView> TailReader::take() {
  const auto rest = std::span<const std::byte>(copied_).subspan(at_);
  RecordView view;
  const RecordState state = decode_record(rest, place_.segment->header.record_key() + place_.offset, view);
  if (state != RecordState::kValid || view.previous != place_.before) {
    return fail(ErrorCode::kCorrupt, "{}: the record at byte {} (after LSN {}) is damaged in memory",
                place_.segment->path, place_.offset, place_.before.index.value);
  }
  const auto extent = static_cast<std::size_t>(extent_of(rest, rest.size()));
  at_ += extent;
  place_.offset += extent;
  if (is_entry(view.kind)) place_.before = {view.lsn, view.term, view.checksum};
  return view;
}

Result<std::optional<RecordView>> TailReader::next() {
  if (failed_.has_value()) return std::unexpected(*failed_);
  const auto failing = [this](Error error) {
    failed_ = error;
    return std::unexpected(std::move(error));
  };
  for (;;) {
    std::optional<RecordView> view;
    bool is_decoded = false;
    if (at_ < copied_.size()) {
      auto taken = take();
      if (!taken.has_value()) return failing(std::move(taken).error());
      view = *taken;
    } else if (files_ != nullptr) {
      auto read = files_->next();
      if (!read.has_value()) return failing(std::move(read).error());
      if (!read->has_value()) {
        files_.reset();  // up to here everything is durable: what follows is, or will be, in memory
        continue;
      }
      view = **read;
      is_decoded = true;
    } else {
      copied_.clear();
      at_ = 0;
      switch (core_->copy_recent(wanted_, up_to_ == ReadUpTo::kDurable, place_, copied_)) {
        case CommitStream::Core::Recent::kCopied: continue;
        case CommitStream::Core::Recent::kNothing: return std::nullopt;
        case CommitStream::Core::Recent::kGone:
          files_ = std::make_unique<StreamReader>(core_, wanted_, std::nullopt);
          continue;
      }
    }
    if (!is_entry(view->kind) || view->lsn < wanted_) continue;
    wanted_ = view->lsn.next();
    if (database_.has_value() && view->database != *database_) continue;
    if (!is_decoded) {
      auto payload = decoder_.decode(*view);
      if (!payload.has_value()) return failing(std::move(payload).error());
      view->payload = *payload;
    }
    return view;
  }
}

}  // namespace bop::aof
