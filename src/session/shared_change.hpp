// Steps of a statement that changes the shared catalog.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "session/shared_catalog.hpp"

namespace bop::session {

// For the client once the change is durable, in order; true: a warning.
using SharedNotices = std::vector<std::pair<bool, Error>>;
// In the write transaction of the system database. Holds on to no session.
using SharedStep = std::function<Status(sqlite3*, SharedNotices&)>;

struct MemberChange {
  Oid role = 0;
  std::vector<Oid> members;
  bool grant = true;
  bool admin = false;  // with the option; REVOKE: only the option
  Oid grantor = 0;
};
// GRANT and REVOKE of one role: 42501 if `who` may not, 0LP01 for circles.
[[nodiscard]] Status add_members(sqlite3* system, const SharedCatalog& shared, const sql::Identity& who,
                                 const MemberChange& change, SharedNotices& notices);

}  // namespace bop::session
