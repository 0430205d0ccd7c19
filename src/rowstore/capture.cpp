#include "rowstore/capture.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "base/metrics.hpp"

namespace bop::rowstore {

using database::PageForm;
using database::RecordKind;

namespace {
// A part leaves room for the records' headers in the log's largest batch.
constexpr std::size_t kPartsPerBatch = 2;
// A transaction above it is large.
constexpr std::uint64_t kLargeBytes = std::uint64_t{1} << 20;
// Pages by which room for the main file is claimed ahead.
constexpr std::uint32_t kRoomStep = 256;

std::uint32_t big_endian(const std::byte* at) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = (value << 8) | static_cast<std::uint32_t>(at[i]);
  return value;
}
template <class T>
void put(Bytes& out, std::size_t at, T value) {
  std::memcpy(out.data() + at, &value, sizeof(T));
}
}  // namespace

Capture::Capture(database::CommitPort& port, PageFile& file, const WalMemory& wal, Limits limits,
                 Csn recovered, std::uint32_t pages)
    : port_(port),
      file_(file),
      wal_(wal),
      limits_(std::move(limits)),
      database_pages_(pages),
      tip_(recovered),
      tip_at_least_(recovered.value),
      published_(recovered),
      reset_(recovered),
      frame_buffer_(kFrameBytes),
      before_buffer_(kFrameBytes) {
  generations_.push_back({.base = recovered});
}

Capture::Capture(const Capture& other, PageFile& file, const WalMemory& wal, Csn to)
    : Capture(other.port_, file, wal, other.limits_, to, file.pages()) {
  std::lock_guard lock(other.mutex_);
  generations_.assign(1, other.generations_.back());
  auto& commits = generations_.back().commits;
  std::erase_if(commits, [&](const Commit& commit) { return commit.csn > to; });
  if (!commits.empty()) {
    committed_frames_ = commits.back().frame;
    database_pages_ = commits.back().pages;
  }
  transaction_ = other.transaction_;
  numbers_ = other.numbers_;
}

std::optional<std::uint32_t> Capture::frames_up_to(Csn to) const {
  std::lock_guard lock(mutex_);
  const Generation& generation = generations_.back();
  if (to < generation.base) return std::nullopt;
  const auto after = std::ranges::upper_bound(generation.commits, to, {}, &Commit::csn);
  return after == generation.commits.begin() ? 0 : std::prev(after)->frame;
}

void Capture::wal_header(std::span<const std::byte> header) {
  BOP_ASSERT(header.size() == kWalHeaderBytes);
  std::lock_guard lock(mutex_);
  Generation next{.number = generations_.back().number + 1, .base = tip_};
  std::memcpy(next.salt.data(), header.data() + 16, next.salt.size());
  generations_.push_back(std::move(next));
  if (generations_.size() > kGenerationsKept) generations_.pop_front();
  committed_frames_ = 0;
}

Status Capture::frame_begins(std::uint32_t frame) {
  const std::uint64_t bytes = (frame - std::min(frame, committed_frames())) * std::uint64_t{kFrameBytes};
  if (bytes > limits_.max_transaction_bytes) {
    return fail(ErrorCode::kTransactionTooLarge,
                "the transaction has changed more than max_transaction_bytes = {} bytes",
                limits_.max_transaction_bytes);
  }
  if (bytes > kLargeBytes && on_large_) std::exchange(on_large_, {})();
  return {};
}

Result<const std::byte*> Capture::page_before(const PageState& state, PageNo page,
                                              std::span<std::byte> buffer) {
  if (state.frame != 0 && state.generation == generations_.back().number) {
    BOP_LET(frame, wal_.frame(state.frame, buffer));
    return frame + kFrameHeaderBytes;
  }
  BOP_TRY(file_.read(page, buffer.first<kPageBytes>()));
  return static_cast<const std::byte*>(buffer.data());
}

Status Capture::append_part(std::uint32_t part, std::uint32_t pages) {
  put(record_, 0, transaction_);
  put(record_, 8, part);
  put(record_, 12, pages);
  BOP_LET(lsn, port_.append(RecordKind::kRowPart, record_, flush_));
  {
    std::lock_guard lock(mutex_);
    numbers_.record_bytes += record_.size();
  }
  return port_.must_wait() ? port_.wait_committed(lsn) : Status{};
}

// Whatever the log takes must fit into the main file later, else a full disk could never be left, not even by
// a restart. So the file's room is taken now, from others on the file system, too; where that cannot be done
// the free room is asked for. In steps, so that most commits do neither.
Status Capture::claim_room(std::uint32_t pages) {
  if (pages <= roomy_pages_.load(std::memory_order_relaxed)) return {};
  const auto growth = [&](std::uint32_t to) {
    const std::uint32_t now = file_.pages();
    return std::uint64_t{to - std::min(now, to)} * kPageBytes;
  };
  // First said, then asked: of two databases that ask at once at least one sees the other.
  for (const std::uint32_t to : {pages + kRoomStep, pages}) {
    const std::uint32_t before = roomy_pages_.exchange(to);
    const auto taken = file_.reserve(to);
    if (taken && *taken) return {};
    Status done = limits_.check_room(growth(to));
    if (done && !taken) done = std::unexpected(taken.error());
    if (done) return {};
    roomy_pages_.store(before);
    if (to == pages) return done;
  }
  return {};
}

Result<Csn> Capture::commit_frame(std::uint32_t frame, std::uint32_t database_pages) {
  std::lock_guard order(order_);
  BOP_ASSERT(frame > committed_frames_);
  const std::uint32_t before = roomy_pages_.load(std::memory_order_relaxed);
  if (limits_.check_room) {
    if (Status room = claim_room(database_pages); !room) {
      metrics().room_refused_total.add();
      return std::unexpected(std::move(room).error());
    }
  }
  auto csn = log_commit(frame, database_pages);
  const std::uint32_t after = csn ? database_pages + kRoomStep : before;
  if (roomy_pages_.load(std::memory_order_relaxed) > after) {
    roomy_pages_.store(after, std::memory_order_relaxed);
  }
  return csn;
}

Result<Csn> Capture::log_commit(std::uint32_t frame, std::uint32_t database_pages) {
  // The newest frame of every page of the transaction, by page.
  newest_.clear();
  for (std::uint32_t f = committed_frames_ + 1; f <= frame; ++f) {
    BOP_LET(bytes, wal_.frame(f, frame_buffer_));
    const std::uint32_t page = big_endian(bytes);
    if (page <= database_pages) newest_.emplace_back(page, f);
  }
  std::ranges::sort(newest_, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  });
  const auto [first, last] =
      std::ranges::unique(newest_, {}, &std::pair<std::uint32_t, std::uint32_t>::first);
  newest_.erase(first, last);

  ++transaction_;
  std::uint32_t parts = 0;
  std::uint32_t in_record = 0;
  std::vector<bool> full(newest_.size());
  std::uint64_t fulls = 0;
  record_.assign(database::kRowCommitHeaderBytes, std::byte{0});
  const std::size_t part_bytes =
      std::min<std::size_t>(database::kMaxPartBytes, port_.max_batch_bytes() / kPartsPerBatch);
  constexpr std::size_t kMostOfOnePage = database::kPageEntryHeaderBytes + kPageUsableBytes;
  for (std::size_t i = 0; i < newest_.size(); ++i) {
    if (record_.size() + kMostOfOnePage > part_bytes) {
      // A part's header is shorter: move it up to the pages.
      record_.erase(record_.begin(),
                    record_.begin() + (database::kRowCommitHeaderBytes - database::kRowPartHeaderBytes));
      BOP_TRY(append_part(parts++, in_record));
      record_.assign(database::kRowCommitHeaderBytes, std::byte{0});
      in_record = 0;
    }
    const PageNo page(newest_[i].first);
    BOP_LET(bytes, wal_.frame(newest_[i].second, frame_buffer_));
    const auto known = pages_.find(page.value);
    const std::byte* before = nullptr;
    Csn base;
    if (limits_.deltas && known != pages_.end() && known->second.base > reset_) {
      BOP_LET(previous, page_before(known->second, page, before_buffer_));
      before = previous;
      base = known->second.base;
    }
    const UsableSpan after(bytes + kFrameHeaderBytes, kPageUsableBytes);
    full[i] = append_page(record_, port_.database(), page, after, before, base) == PageForm::kFull;
    fulls += full[i] ? 1 : 0;
    ++in_record;
  }
  put(record_, 0, transaction_);
  put(record_, 8, parts);
  put(record_, 12, database_pages);
  put(record_, 16, in_record);
  std::lock_guard lock(mutex_);
  BOP_LET(csn, port_.append(RecordKind::kRowCommit, record_, flush_));

  // Decided. Nothing below may fail.
  Generation& generation = generations_.back();
  for (std::size_t i = 0; i < newest_.size(); ++i) {
    PageState& state = pages_[newest_[i].first];
    if (full[i]) state.base = csn;
    state.generation = generation.number;
    state.frame = newest_[i].second;
  }
  for (std::uint32_t gone = database_pages + 1; gone <= database_pages_; ++gone) pages_.erase(gone);
  database_pages_.store(database_pages, std::memory_order_relaxed);
  committed_frames_ = frame;
  tip_ = csn;
  tip_at_least_.store(csn.value, std::memory_order_release);
  decided_ = csn;
  generation.commits.push_back({frame, csn, database_pages});
  ++numbers_.commits;
  numbers_.full_pages += fulls;
  numbers_.delta_pages += newest_.size() - fulls;
  numbers_.record_bytes += record_.size();
  return csn;
}

void Capture::begin_transaction() {
  std::lock_guard lock(mutex_);
  decided_.reset();
  on_large_ = {};
  flush_ = {};
}

std::optional<Csn> Capture::decided() const {
  std::lock_guard lock(mutex_);
  return decided_;
}

void Capture::published(Csn csn) {
  std::lock_guard lock(mutex_);
  published_ = std::max(published_, csn);
}

Csn Capture::published() const {
  std::lock_guard lock(mutex_);
  return published_;
}

Result<Capture::Marker> Capture::append_marker() {
  std::scoped_lock lock(order_, mutex_);
  const std::uint64_t last = tip_.value;
  auto lsn = port_.append(RecordKind::kBaseMarker, std::as_bytes(std::span(&last, 1)));
  if (!lsn && lsn.error().code() == ErrorCode::kDiskFull) {
    // What frees the disk may not need it: the last commit is as good a place, nothing of it is below a delta
    // yet.
    lsn = tip_;
  }
  if (!lsn) return std::unexpected(std::move(lsn).error());
  reset_ = *lsn;
  return Marker{*lsn, tip_, generations_.back().number, committed_frames_, database_pages_};
}

std::uint64_t Capture::generation() const {
  std::lock_guard lock(mutex_);
  return generations_.back().number;
}

std::optional<Csn> Capture::csn_of(const Salt& salt, std::uint32_t last_frame) const {
  std::lock_guard lock(mutex_);
  for (auto g = generations_.rbegin(); g != generations_.rend(); ++g) {
    if (g->number == 0 || g->salt != salt) continue;
    if (last_frame == 0) return g->base;
    const auto after = std::ranges::upper_bound(g->commits, last_frame, {}, &Commit::frame);
    if (after == g->commits.begin()) return std::nullopt;
    return std::prev(after)->csn;
  }
  // A WAL that was restarted and has no header yet: nothing was committed since.
  if (last_frame == 0) return tip_;
  return std::nullopt;
}

Csn Capture::tip() const {
  std::lock_guard lock(mutex_);
  return tip_;
}

std::uint32_t Capture::committed_frames() const {
  std::lock_guard lock(mutex_);
  return committed_frames_;
}

Capture::Numbers Capture::numbers() const {
  std::lock_guard lock(mutex_);
  Numbers out = numbers_;
  out.database_pages = database_pages_;
  return out;
}

}  // namespace bop::rowstore
