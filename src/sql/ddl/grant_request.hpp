// GRANT and REVOKE on one object, of whatever kind: what the statement asks for, and the list that it makes.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "sql/catalog/acl.hpp"
#include "sql/tree.hpp"

namespace bop::sql {

struct GrantRequest {
  bool grant = true;
  bool option = false;
  bool cascade = false;
  bool all = false;  // ALL PRIVILEGES: what the object's kind has
  Rights rights = 0;
  std::vector<Oid> grantees;
  // On columns of a table, in addition.
  struct OnColumns {
    Rights rights = 0;
    std::vector<std::string> names;
  };
  std::vector<OnColumns> columns;
};

// A role as the statement names it. 42704 if it is not there.
using RoleOf = std::function<Result<Oid>(const PgQuery__RoleSpec&)>;

// 0A000 for GRANTED BY somebody else.
[[nodiscard]] Status check_grantor(const PgQuery__RoleSpec* grantor, Oid user, const RoleOf& role);
// `allowed`: what may be named, of `noun` ("relation"). 0LP01 for other rights.
[[nodiscard]] Result<GrantRequest> read_grant(const PgQuery__GrantStmt& grant, Rights allowed,
                                              std::string_view noun, const RoleOf& role);

struct GrantTarget {
  AclKind kind = AclKind::kTable;
  std::string_view noun;  // "table"
  std::string_view name;
  Oid owner = 0;
  const ObjectAcl& acl;
  bool as_owner = false;              // the user acts as the owner whoever that is
  const ObjectAcl* around = nullptr;  // of a column: the table's, whose options count as well
  std::string shown = {};             // of a column: "a" of relation "t"
};
// The object's new list. 42501 if the user has no right at all on it; a right that the user may not give on
// is left out, with a warning.
[[nodiscard]] Result<Acl> granted(const GrantRequest& request, const GrantTarget& target, const Identity& who,
                                  const IdentityOf& identity, const std::function<void(const Error&)>& warn);

}  // namespace bop::sql
