// Advisory locks of a node's sessions: pg_advisory_lock and its like.
//
// A key belongs to a database and is a bigint or a pair of integers, two spaces of their own. A session may
// take a lock any number of times; each one is released once, or with the session, or, of a transaction, with
// that one or with the savepoint behind which it was taken.
//
//   held by              a request for shared      exclusive
//   nobody, itself only  taken                     taken
//   others, shared       taken, unless somebody    waits
//                        waits for exclusive
//   another, exclusive   waits                     waits
//
// Who waits does so in the order of arrival. A circle of waiting sessions is found by who closes it or, where
// the writer lane is part of it, looks again (`circle`).
//
// Thread-safe. Waiting is polling: `take` again with the ticket.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::session {

struct AdvisoryKey {
  Oid database = 0;
  bool pair = false;
  std::uint64_t key = 0;  // of a pair: the first integer in the upper half
  friend auto operator<=>(const AdvisoryKey&, const AdvisoryKey&) = default;
};

class AdvisoryLocks {
 public:
  using Owner = std::int32_t;  // process id of the session
  struct Request {
    Owner owner = 0;
    AdvisoryKey key;
    bool shared = false;
    bool transaction = false;  // else of the session
  };
  struct Row {
    AdvisoryKey key;
    Owner owner = 0;
    bool shared = false;
    bool granted = false;
  };

  // `most`: locks of all sessions together, and `most_waiting` sessions of a database.
  AdvisoryLocks(std::size_t most, std::size_t most_waiting) : most_(most), most_waiting_(most_waiting) {}

  // False: others have it or wait for it. kOutOfMemory (53200): all have taken `most` locks.
  [[nodiscard]] Result<bool> take(const Request& request);
  // A place in the line of those who wait, until leave. kTooManyConnections: there are too many.
  [[nodiscard]] Status enter(const Request& request);
  void leave(Owner owner);
  // One of the session's own; false: it does not have it.
  [[nodiscard]] bool release(const Request& request);
  void release_session(Owner owner);  // those that are not of its transaction
  // Of its transaction those behind the first `kept`, which `held` has told.
  void release_transaction(Owner owner, std::size_t kept = 0);
  [[nodiscard]] std::size_t held_by_transaction(Owner owner) const;
  void forget(Owner owner);  // it has ended

  // Whether `owner`, which waits, waits for itself in the end. `others`: for whom a session waits elsewhere;
  // 0 is nobody.
  [[nodiscard]] bool circle(Owner owner, const std::function<Owner(Owner)>& others) const;
  [[nodiscard]] std::vector<Row> rows() const;
  // Who waits, in the order of arrival, and who holds what it waits for; at most `most` of them, and of the
  // holders of one.
  struct Wait {
    AdvisoryKey key;
    Owner owner = 0;
    std::vector<Owner> holders;
  };
  [[nodiscard]] std::vector<Wait> waits(std::size_t most) const;
  [[nodiscard]] std::size_t count() const;

 private:
  struct Lock {
    std::map<Owner, std::size_t> exclusive, shared;  // how often
  };
  [[nodiscard]] bool conflicts(const Request& request) const;  // with others that hold it
  [[nodiscard]] bool is_behind(const Request& request) const;  // others that wait for it
  void drop(const Request& request);
  void take_one(const Request& request);

  const std::size_t most_;
  const std::size_t most_waiting_;
  mutable std::mutex mutex_;
  std::map<AdvisoryKey, Lock> locks_;
  std::map<Owner, std::vector<Request>> held_;  // in the order of taking
  std::size_t count_ = 0;
  std::list<Request> waiting_;  // in the order of arrival
};

}  // namespace bop::session
