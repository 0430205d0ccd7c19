#include "sql/ddl/grant_request.hpp"

#include <algorithm>
#include <bit>

#include "sql/catalog/catalog.hpp"

namespace bop::sql {

namespace {

// Who gives: the owner if the user has his rights, else the role of the user's that may give the most.
struct Grantor {
  Oid role = 0;
  Rights may = 0;
};

Grantor best_grantor(const GrantTarget& target, const Identity& who, Rights wanted) {
  if (target.as_owner || who.superuser || who.role == target.owner) {
    return {.role = target.owner, .may = wanted};
  }
  const auto direct = [&](Oid role) {
    if (role == target.owner) {
      return wanted;
    }
    Rights may = 0;
    for (const ObjectAcl* acl : {&target.acl, target.around}) {
      for (const AclItem& item : acl != nullptr && *acl ? **acl : Acl()) {
        may |= item.grantee == role ? item.options & wanted : 0;
      }
    }
    return may;
  };
  std::vector<Oid> roles{who.role};
  roles.insert(roles.end(), who.rights_of.begin(), who.rights_of.end());
  Grantor best{.role = who.role, .may = 0};
  for (const Oid role : roles) {
    const Rights may = direct(role);
    if (std::popcount(may) > std::popcount(best.may)) {
      best = {.role = role, .may = may};
    }
  }
  return best;
}

}  // namespace

Status check_grantor(const PgQuery__RoleSpec* grantor, Oid user, const RoleOf& role) {
  if (grantor == nullptr) {
    return {};
  }
  BOP_LET(oid, role(*grantor));
  if (oid != user) {
    return fail(ErrorCode::kNotImplemented, "grantor must be current user");
  }
  return {};
}

Result<GrantRequest> read_grant(const PgQuery__GrantStmt& grant, Rights allowed, std::string_view noun,
                                const RoleOf& role) {
  GrantRequest request{.grant = grant.is_grant != 0,
                       .option = grant.grant_option != 0,
                       .cascade = grant.behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE,
                       .all = grant.n_privileges == 0,
                       .grantees = {}};
  for (const pg::Node* node : BOP_PG_LIST(&grant, grantees)) {
    if (node->role_spec->roletype == PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_PUBLIC) {
      request.grantees.push_back(kPublic);
      continue;
    }
    BOP_LET(oid, role(*node->role_spec));
    request.grantees.push_back(oid);
  }
  for (const pg::Node* node : BOP_PG_LIST(&grant, privileges)) {
    const PgQuery__AccessPriv& privilege = *node->access_priv;
    const std::string_view word = pg::text(privilege.priv_name);
    if (privilege.n_cols > 0) {
      if (noun != "relation") {
        return fail(ErrorCode::kInvalidGrantOperation, "column privileges are only valid for relations");
      }
      GrantRequest::OnColumns on{.rights = word.empty() ? right::kOfColumn : right_named(word), .names = {}};
      if (on.rights == 0) {
        return fail(ErrorCode::kSyntaxError, "unrecognized privilege type \"{}\"", word);
      }
      if ((on.rights & ~right::kOfColumn) != 0) {
        return fail(ErrorCode::kInvalidGrantOperation, "invalid privilege type {} for column",
                    name_of_right(on.rights));
      }
      for (const pg::Node* column : BOP_PG_LIST(&privilege, cols))
        on.names.emplace_back(pg::string_of(column));
      request.columns.push_back(std::move(on));
      continue;
    }
    if (word == "rule") {
      continue;  // a word of the past
    }
    const Rights one = right_named(word);
    if (one == 0 && word != "set" && word != "alter system") {
      return fail(ErrorCode::kSyntaxError, "unrecognized privilege type \"{}\"", word);
    }
    if ((one & allowed) == 0) {
      return fail(ErrorCode::kInvalidGrantOperation, "invalid privilege type {} for {}",
                  one != 0        ? name_of_right(one)
                  : word == "set" ? "SET"
                                  : "ALTER SYSTEM",
                  noun);
    }
    request.rights |= one;
  }
  return request;
}

Result<Acl> granted(const GrantRequest& request, const GrantTarget& target, const Identity& who,
                    const IdentityOf& identity, const std::function<void(const Error&)>& warn) {
  const Rights whole = all_rights(target.kind);
  const Rights wanted = request.all ? whole : request.rights;
  const Grantor grantor = best_grantor(target, who, wanted);
  const bool around =
      target.around != nullptr && (held(*target.around, AclKind::kTable, target.owner, who, whole) != 0 ||
                                   held_options(*target.around, target.owner, who, whole) != 0);
  if (grantor.may == 0 && !around && held(target.acl, target.kind, target.owner, who, whole) == 0 &&
      held_options(target.acl, target.owner, who, whole) == 0) {
    return std::unexpected(
        permission_denied(target.noun, target.shown.empty() ? target.name : std::string_view(target.shown)));
  }
  const Rights given = wanted & grantor.may;
  if (given == 0 || (!request.all && given != wanted)) {
    const std::string_view verb = request.grant ? "were granted" : "could be revoked";
    warn(error(request.grant ? ErrorCode::kPrivilegeNotGranted : ErrorCode::kPrivilegeNotRevoked,
               "{} privileges {} for {}", given == 0 ? "no" : "not all", verb,
               target.shown.empty() ? fmt::format("\"{}\"", target.name) : "column " + target.shown));
  }
  return change_acl(target.acl ? *target.acl : default_acl(target.kind, target.owner),
                    {.grant = request.grant,
                     .option = request.option,
                     .cascade = request.cascade,
                     .rights = given,
                     .grantees = request.grantees,
                     .grantor = grantor.role,
                     .owner = target.owner},
                    identity);
}

}  // namespace bop::sql
