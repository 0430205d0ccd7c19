// Brings pieces of archived segments from the object store to those who read them.
//
// A piece is one range of one object. Who asks for a piece that is on its way already joins it: there is one
// request for it, however many wait (single flight). Pieces that somebody waits for go before those that are
// read ahead; so that reading ahead is not starved for ever, every fourth start is one of those while both
// wait. An asker that loses interest drops its ticket: a piece that has not been asked of the store yet is
// forgotten, one that is on its way arrives all the same and goes to the cache: nothing that is nearly there
// is thrown away, and whoever comes back for it finds it.
//
// Limits: `max_in_flight` requests and `max_bytes` of pieces on their way at once, `max_waiting` pieces asked
// for; beyond that (half of it for who reads ahead) fetch() answers kInsufficientResources.
// A piece has at most kMaxPieceBytes: never a whole segment.
//
// Threads: every call from any thread. `done` runs exactly once unless its ticket is dropped before, without
// a lock, where the object store completes, in stop(), and must not block; never inside fetch().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "aof/tier/piece.hpp"
#include "base/error.hpp"
#include "base/time.hpp"
#include "objstore/object_store.hpp"

namespace bop::aof {

class Hydration {
 public:
  struct Options {
    std::size_t max_in_flight = 16;
    std::uint64_t max_bytes = 8U << 20U;
    std::size_t max_waiting = 4096;
    std::chrono::milliseconds deadline{30'000};  // of one request, its retries included
  };
  // Told every piece that arrives, before its askers: the cache. Runs where they do, must
  // not block (what writes a file posts that elsewhere), and owns what it uses: one that stop() finds running
  // ends afterwards.
  using Arrived = std::function<void(const std::string& key, objstore::Range range, const PieceBytes& bytes)>;

  // `store` and `clock` outlive this.
  Hydration(objstore::ObjectStore& store, Clock& clock, Options options, Arrived arrived);
  ~Hydration();  // stop()
  Hydration(const Hydration&) = delete;
  Hydration& operator=(const Hydration&) = delete;

  // An asker's interest; dropping it ends the interest, and `done` is not called after that (it may be
  // running on another thread while the ticket is dropped there). Outlives the queue without harm.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&&) noexcept = default;
    Ticket& operator=(Ticket&& other) noexcept;
    ~Ticket() { drop(); }
    void drop() noexcept;

   private:
    friend class Hydration;
    std::function<void()> drop_;
  };

  // Errors at once: kInsufficientResources (max_waiting pieces wait), kAdminShutdown (stopped),
  // kInvalidArgument (an empty range or one above kMaxPieceBytes). Errors to `done`: the object store's, and
  // kCorrupt when the object ends before the range does.
  [[nodiscard]] Result<Ticket> fetch(std::string key, objstore::Range range, objstore::Priority priority,
                                     objstore::Completion<PieceBytes> done);

  // Cancels every request; askers get kAdminShutdown. Does not wait for the store.
  void stop();

  [[nodiscard]] std::size_t depth() const;      // pieces asked for that have not been asked of the store
  [[nodiscard]] std::size_t in_flight() const;  // requests under way

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the requests under way and the tickets
};

}  // namespace bop::aof
