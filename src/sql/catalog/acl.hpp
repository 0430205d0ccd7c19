// Rights on objects, as PostgreSQL's aclitem[] has them: who has what, given by whom, and may give it on.
//
// An object without a list (nullopt) has its kind's default: all for its owner, and for everybody CONNECT
// and TEMPORARY on databases, EXECUTE on functions. GRANT and REVOKE make the default a list of its own
// first. Rights come to a role by an item for it, for a role whose rights it inherits, or for PUBLIC (role
// 0). The right to give on (option) is the owner's always, with or without an item; superusers are asked for
// nothing.
//
// Stored form of an item, in the catalog and in bop_database: "<role>=<letters>/<grantor>", roles by OID,
// nothing for PUBLIC, a letter followed by '*' where it may be given on: "16390=ar*/10", "=r/10".
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::sql {

using Rights = std::uint16_t;  // a set

namespace right {
// In the order in which aclitemout prints them.
inline constexpr Rights kInsert = 1u << 0, kSelect = 1u << 1, kUpdate = 1u << 2, kDelete = 1u << 3,
                        kTruncate = 1u << 4, kReferences = 1u << 5, kTrigger = 1u << 6, kExecute = 1u << 7,
                        kUsage = 1u << 8, kCreate = 1u << 9, kTemporary = 1u << 10, kConnect = 1u << 11;
inline constexpr Rights kOfTable = kInsert | kSelect | kUpdate | kDelete | kTruncate | kReferences | kTrigger;
inline constexpr Rights kOfSequence = kUsage | kSelect | kUpdate;
inline constexpr Rights kOfSchema = kUsage | kCreate;
inline constexpr Rights kOfFunction = kExecute;
inline constexpr Rights kOfColumn = kInsert | kSelect | kUpdate | kReferences;
inline constexpr Rights kOfDatabase = kCreate | kTemporary | kConnect;
}  // namespace right

enum class AclKind : std::uint8_t { kTable, kSequence, kSchema, kDatabase, kFunction, kColumn };
[[nodiscard]] Rights all_rights(AclKind kind);

inline constexpr Oid kPublic = 0;  // everybody, as a grantee

struct AclItem {
  Oid grantee = kPublic;
  Oid grantor = 0;
  Rights rights = 0;
  Rights options = 0;  // which of them may be given on
  bool operator==(const AclItem&) const = default;
};
using Acl = std::vector<AclItem>;
using ObjectAcl = std::optional<Acl>;

[[nodiscard]] Acl default_acl(AclKind kind, Oid owner);

// A role as rights are asked of it. Immutable; made by the shared catalog, which knows who is a member of
// what.
struct Identity {
  Oid role = 10;
  bool superuser = true;
  std::vector<Oid> rights_of;  // sorted: itself, and the roles whose rights it inherits
  std::vector<Oid> member_of;  // sorted: itself, and the roles that it may become

  // The rights of `role` are its own. A superuser has everybody's.
  [[nodiscard]] bool has_rights_of(Oid other) const;
  [[nodiscard]] bool is_member_of(Oid other) const;
};
// Of any role; one that is not there (any more) has its own rights only.
using IdentityOf = std::function<Identity(Oid)>;

// Those of `wanted` that the role has.
[[nodiscard]] Rights held(const ObjectAcl& acl, AclKind kind, Oid owner, const Identity& who, Rights wanted);
// Those of `wanted` that the role may give to others.
[[nodiscard]] Rights held_options(const ObjectAcl& acl, Oid owner, const Identity& who, Rights wanted);

struct AclChange {
  bool grant = true;     // REVOKE otherwise
  bool option = false;   // WITH GRANT OPTION, GRANT OPTION FOR
  bool cascade = false;  // REVOKE ... CASCADE
  Rights rights = 0;
  std::vector<Oid> grantees;
  Oid grantor = 0;
  Oid owner = 0;  // of the object
};
// 0LP01: an option for PUBLIC, or given back to who gave it; 2BP01: others have it from a grantee, and no
// CASCADE.
[[nodiscard]] Result<Acl> change_acl(Acl acl, const AclChange& change, const IdentityOf& identity);
// After the object has another owner: what was the old one's is the new one's.
[[nodiscard]] Acl with_owner(const Acl& acl, Oid from, Oid to);
// Whether the role has or gave rights that keep it from being dropped.
[[nodiscard]] bool mentions(const ObjectAcl& acl, Oid role);

// "select" (as the grammar has it) of GRANT; 0 if there is no such right.
[[nodiscard]] Rights right_named(std::string_view word);
[[nodiscard]] std::string_view name_of_right(Rights one);

[[nodiscard]] std::string stored_item(const AclItem& item);
[[nodiscard]] std::optional<AclItem> item_from_stored(std::string_view text);
// PostgreSQL's text of an aclitem[]: {bop=arwdDxt/bop,=r/bop}.
[[nodiscard]] std::string acl_text(const Acl& acl, const std::function<std::string(Oid)>& role_name);

}  // namespace bop::sql
