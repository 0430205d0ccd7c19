// Versioned attachment of a database: immutable objects that belong to a state, for example the SQL catalog.
//
// The SQL layer publishes a new object for a commit from inside Connection's on_commit hook, that is after
// the commit has its Csn and before any reader can see it; `at(csn)` is the newest object published at or
// below csn. Readers pin their Csn, objects older than every pin are dropped; never the one that a rewind to
// what is committed would need. Threads: any.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "base/ids.hpp"
#include "database/output_gate.hpp"

namespace bop::database {

class Attachments {
 public:
  using Object = std::shared_ptr<const void>;

  explicit Attachments(const OutputGate& gate) : gate_(gate) {}

  void publish(Csn csn, Object object);
  // Null before the first publication.
  [[nodiscard]] Object at(Csn csn) const { return find(csn).object; }
  struct Found {
    Csn published;
    Object object;
  };
  [[nodiscard]] Found find(Csn csn) const;  // the same, and the commit that published it
  // A rewind: objects above `csn` belong to no history any more.
  void discard_after(Csn csn);

  // A reader at or above `csn` exists until unpin. Pin the newest published state *before* opening a
  // snapshot.
  void pin(Csn csn);
  void unpin(Csn csn);
  [[nodiscard]] std::size_t size() const;

 private:
  void drop_unreachable();
  const OutputGate& gate_;
  mutable std::mutex mutex_;
  std::map<Csn, Object> objects_;
  std::multiset<Csn> pins_;
  Csn visible_;  // newest state that a pin has named
};

}  // namespace bop::database
