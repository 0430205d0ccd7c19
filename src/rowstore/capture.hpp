// Turns SQLite transactions into records of the log (rules 1, 2, 5 and 10), and WAL positions into Csns (rule
// 3).
//
// SQLite writes each frame's header and page separately. When the page of a frame is written whose header
// says "commit" (database size not 0), every page of the transaction is final, and nothing is published yet:
// the wal-index does not know the frames. `commit_frame` then reads the transaction's frames back from the
// WAL, which are exactly those after the last commit's: a page written twice counts with its newest frame,
// pages rewritten in place are simply found in place, and frames of a rolled-back transaction were
// overwritten by position. If it fails nothing was decided: SQLite rolls back.
//
// A page is logged as a delta from its content at the last commit when its full image was logged after the
// newest marker and the page did not leave the database since; otherwise in full.
//
// Parts of a big transaction wait for the log to take those before them, so that its memory stays bounded.
//
// Threads: everything from any thread. `order_` is held for the whole of a commit or marker, so that no
// marker comes between the parts of a transaction; `mutex_`, taken after it, for moments only: readers never
// wait.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include <bop/flush.hpp>
#include "base/error.hpp"
#include "base/ids.hpp"
#include "database/commit_port.hpp"
#include "rowstore/page_delta.hpp"
#include "rowstore/page_file.hpp"
#include "rowstore/wal_memory.hpp"

namespace bop::rowstore {

class Capture {
 public:
  struct Limits {
    std::uint64_t max_transaction_bytes;
    bool deltas;
    // Fails with kDiskFull when the main file could not grow by so many bytes; asked where the file system
    // lets nobody take room before it is written to. Empty: it always can.
    std::function<Status(std::uint64_t growth_bytes)> check_room;
  };
  using Salt = std::array<std::byte, 8>;

  Capture(database::CommitPort& port, PageFile& file, const WalMemory& wal, Limits limits, Csn recovered,
          std::uint32_t pages);
  // What `other` was at `to`, a commit of its newest generation of frames or the state before the first. Logs
  // full images from there on.
  Capture(const Capture& other, PageFile& file, const WalMemory& wal, Csn to);
  // Frames of the newest generation that belong to commits up to `to`; nothing if `to` is older than it.
  [[nodiscard]] std::optional<std::uint32_t> frames_up_to(Csn to) const;

  // From the WAL file. A new header begins a new generation of frames.
  void wal_header(std::span<const std::byte> header);
  // Before a frame is written. kTransactionTooLarge.
  [[nodiscard]] Status frame_begins(std::uint32_t frame);
  // Called once when the transaction has so many frames that logging it takes long; before them, or in
  // COMMIT.
  void on_large(std::function<void()> large) { on_large_ = std::move(large); }
  // How long the records of the writer's transaction may wait for their durable writes; not at all unless
  // said.
  void set_flush(const aof::FlushPolicy& flush) { flush_ = flush; }
  // The page of commit frame `frame` is in the WAL.
  [[nodiscard]] Result<Csn> commit_frame(std::uint32_t frame, std::uint32_t database_pages);

  // The writer begins a transaction / what commit_frame decided for it since.
  void begin_transaction();
  [[nodiscard]] std::optional<Csn> decided() const;
  // SQLite has published everything up to here.
  void published(Csn csn);
  [[nodiscard]] Csn published() const;

  // A marker and the commit before it, with that commit's place.
  struct Marker {
    Lsn lsn;
    Csn last_commit;
    std::uint64_t generation;
    std::uint32_t frame;  // 0: all of it is in the main file
    std::uint32_t pages;
  };
  // On a full disk the last commit takes the marker's place.
  [[nodiscard]] Result<Marker> append_marker();
  [[nodiscard]] std::uint64_t generation() const;

  // The Csn of a snapshot by the salt and last frame in its wal-index header. Nothing if it is too old to
  // tell.
  [[nodiscard]] std::optional<Csn> csn_of(const Salt& salt, std::uint32_t last_frame) const;

  [[nodiscard]] Csn tip() const;
  // The same, perhaps without a commit that is being decided. Takes no lock.
  [[nodiscard]] Csn tip_at_least() const noexcept {
    return Csn(tip_at_least_.load(std::memory_order_acquire));
  }
  [[nodiscard]] std::uint32_t committed_frames() const;
  // Of the newest commit. Takes no lock.
  [[nodiscard]] std::uint32_t database_pages() const noexcept {
    return database_pages_.load(std::memory_order_relaxed);
  }
  // What the main file will have when it has taken in the newest commit and the one that is being decided;
  // room for them was found. Takes no lock.
  [[nodiscard]] std::uint32_t promised_pages() const noexcept {
    return std::max(database_pages(), roomy_pages_.load(std::memory_order_relaxed));
  }

  struct Numbers {
    std::uint64_t commits = 0, full_pages = 0, delta_pages = 0, record_bytes = 0, database_pages = 0;
  };
  [[nodiscard]] Numbers numbers() const;

 private:
  struct PageState {
    Csn base;                      // of its last full image; void at or below reset_
    std::uint64_t generation = 0;  // of `frame`
    std::uint32_t frame = 0;       // its newest committed frame
  };
  struct Commit {
    std::uint32_t frame;
    Csn csn;
    std::uint32_t pages;
  };
  struct Generation {
    std::uint64_t number = 0;
    Salt salt{};
    Csn base;  // everything up to here is in the main file
    std::vector<Commit> commits;
  };
  static constexpr std::size_t kGenerationsKept = 3;

  [[nodiscard]] Result<const std::byte*> page_before(const PageState& state, PageNo page,
                                                     std::span<std::byte> buffer);
  [[nodiscard]] Status claim_room(std::uint32_t pages);
  [[nodiscard]] Result<Csn> log_commit(std::uint32_t frame, std::uint32_t database_pages);
  [[nodiscard]] Status append_part(std::uint32_t part, std::uint32_t pages);

  database::CommitPort& port_;
  PageFile& file_;
  const WalMemory& wal_;
  const Limits limits_;

  std::function<void()> on_large_;  // the writer's
  aof::FlushPolicy flush_;          // the writer's

  std::mutex order_;
  std::atomic<std::uint32_t> roomy_pages_{0};  // so large the main file can become; written under order_
  mutable std::mutex mutex_;  // all below; read without it by the holder of order_ that is also the writer
  std::deque<Generation> generations_;  // oldest first, never empty
  std::unordered_map<std::uint32_t, PageState> pages_;
  std::uint32_t committed_frames_ = 0;
  std::atomic<std::uint32_t> database_pages_;  // also read without a lock
  Csn tip_;
  std::atomic<std::uint64_t> tip_at_least_;
  Csn published_;
  Lsn reset_;  // the newest marker, or what was recovered
  std::uint64_t transaction_ = 0;
  std::optional<Csn> decided_;
  Numbers numbers_;

  // Reused by commit_frame.
  Bytes record_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> newest_;  // page, frame
  std::vector<std::byte> frame_buffer_, before_buffer_;
};

}  // namespace bop::rowstore
