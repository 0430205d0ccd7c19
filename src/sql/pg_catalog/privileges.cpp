#include "sql/pg_catalog/privileges.hpp"

#include <algorithm>
#include <array>

#include "sql/pg_catalog/relation_table.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

using RoleRow = ClusterView::RoleRow;
using Words = std::span<const std::string_view>;

constexpr std::array<std::string_view, 8> kTableWords{"SELECT",   "INSERT",     "UPDATE",  "DELETE",
                                                      "TRUNCATE", "REFERENCES", "TRIGGER", "RULE"};
constexpr std::array<std::string_view, 4> kColumnWords{"SELECT", "INSERT", "UPDATE", "REFERENCES"};
constexpr std::array<std::string_view, 3> kSequenceWords{"USAGE", "SELECT", "UPDATE"};
constexpr std::array<std::string_view, 2> kSchemaWords{"CREATE", "USAGE"};
constexpr std::array<std::string_view, 4> kDatabaseWords{"CREATE", "TEMPORARY", "TEMP", "CONNECT"};
constexpr std::array<std::string_view, 1> kFunctionWords{"EXECUTE"};
constexpr std::array<std::string_view, 1> kTypeWords{"USAGE"};
constexpr std::array<std::string_view, 2> kRoleWords{"USAGE", "MEMBER"};

constexpr std::array<std::string_view, 6> kSystemColumns{"tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"};

struct Privilege {
  std::string_view word;     // one of the kind's
  bool with_option = false;  // WITH GRANT OPTION, of roles also WITH ADMIN OPTION
};

std::string_view trim(std::string_view s) {
  const std::size_t begin = s.find_first_not_of(" \t\n\r\f\v");
  return begin == std::string_view::npos ? std::string_view()
                                         : s.substr(begin, s.find_last_not_of(" \t\n\r\f\v") - begin + 1);
}

// "select, insert with grant option"; any of them is enough for a yes.
Result<std::vector<Privilege>> parse_privileges(std::string_view list, Words known, bool of_role) {
  std::vector<Privilege> out;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view given = trim(list.substr(begin, end - begin));
    std::string upper(given);
    std::ranges::transform(upper, upper.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 32 : c; });
    std::string_view word = upper;
    bool with_option = false;
    for (const std::string_view option : {" WITH GRANT OPTION", " WITH ADMIN OPTION"}) {
      if (word.ends_with(option) && (of_role || option == " WITH GRANT OPTION")) {
        word.remove_suffix(option.size());
        with_option = true;
      }
    }
    const auto found = std::ranges::find(known, word);
    if (found == known.end()) {
      return fail(ErrorCode::kInvalidArgument, "unrecognized privilege type: \"{}\"", given);
    }
    out.push_back({.word = *found, .with_option = with_option});
    begin = end + 1;
  }
  return out;
}

class Roles {
 public:
  explicit Roles(const CatalogSession& session) : cluster_(session.cluster) {
    if (cluster_ != nullptr) {
      rows_ = cluster_->roles();
    }
  }

  // By name or OID; 0 is everybody ("public"), where that is allowed.
  [[nodiscard]] Result<Oid> find(const Value& role, bool or_public) const {
    if (role.kind == Value::Kind::kInt) {
      return static_cast<Oid>(role.integer);
    }
    if (or_public && role.bytes == "public") {
      return kPublic;
    }
    const auto found = std::ranges::find(rows_, role.bytes, &RoleRow::name);
    if (found == rows_.end()) {
      return fail(ErrorCode::kUndefinedObject, "role \"{}\" does not exist", role.bytes);
    }
    return found->oid;
  }
  [[nodiscard]] Identity identity(Oid role) const {
    if (role == kPublic) {
      return {.role = kPublic, .superuser = false, .rights_of = {}, .member_of = {}};
    }
    return cluster_ == nullptr ? Identity{.role = role, .rights_of = {}, .member_of = {}}
                               : cluster_->identity(role);
  }
  // Whether the role may give `of` to others.
  [[nodiscard]] bool admin(const Identity& who, Oid of) const {
    if (who.superuser || cluster_ == nullptr) {
      return true;
    }
    return std::ranges::any_of(cluster_->members(), [&](const ClusterView::MemberRow& one) {
      return one.role == of && one.admin && who.is_member_of(one.member);
    });
  }

 private:
  const ClusterView* cluster_;
  std::vector<RoleRow> rows_;
};

struct Object {
  std::string name;
  Oid owner = 0;
  char kind = 0;
  ObjectAcl acl = std::nullopt;
  std::shared_ptr<const Relation> relation = nullptr;
};

std::optional<Object> relation_object(const Catalog& catalog, Oid oid) {
  if (const auto relation = catalog.relation(oid)) {
    return Object{relation->name, relation->owner, relation->kind, relation->acl, relation};
  }
  if (const auto index = catalog.index(oid)) {
    return Object{.name = index->name, .owner = index->owner, .kind = 'i'};
  }
  if (const auto sequence = catalog.sequence(oid)) {
    return Object{.name = sequence->name, .owner = sequence->owner, .kind = 'S', .acl = sequence->acl};
  }
  return std::nullopt;
}

struct Question {
  const CatalogSession& session;
  const ObjectNames& names;
  const Roles& roles;
  Oid role = 0;

  // Any of the privileges is enough.
  [[nodiscard]] OwnedValue answer(const ObjectAcl& acl, AclKind kind, Oid owner,
                                  const std::vector<Privilege>& wanted) const {
    const Identity who = roles.identity(role);
    return OwnedValue::of_bool(std::ranges::any_of(wanted, [&](const Privilege& p) {
      const Rights one = right_named(p.word);  // none for RULE, a word of the past
      if (one == 0) {
        return false;
      }
      return (p.with_option ? held_options(acl, owner, who, one) : held(acl, kind, owner, who, one)) != 0;
    }));
  }

  [[nodiscard]] Result<OwnedValue> relation(std::string_view kind, std::span<const Value> args) const {
    const bool of_column = kind == "column";
    const bool of_sequence = kind == "sequence";
    const bool by_name = args[0].kind == Value::Kind::kText;
    Oid oid = by_name ? 0 : static_cast<Oid>(args[0].integer);
    if (by_name) {
      BOP_LET(found, names.resolve(types::kRegclass, args[0].bytes));
      oid = found;
    }
    const auto object = relation_object(*session.catalog, oid);
    if (of_sequence && object && object->kind != 'S') {
      return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a sequence", object->name);
    }
    bool column_known = true;
    if (of_column && object) {
      const Value& column = args[1];
      const Relation* table = object->relation.get();
      if (column.kind == Value::Kind::kInt) {
        const Column* found =
            table == nullptr ? nullptr : table->find_column(static_cast<std::int16_t>(column.integer));
        const bool of_system =
            column.integer < 0 && column.integer >= -static_cast<std::int64_t>(kSystemColumns.size());
        column_known = of_system || (found != nullptr && !found->dropped);
      } else if ((table == nullptr || table->find_column(column.bytes) == nullptr) &&
                 std::ranges::find(kSystemColumns, column.bytes) == kSystemColumns.end()) {
        return fail(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist",
                    column.bytes, object->name);
      }
    }
    const bool column_words = of_column || kind == "any_column";
    BOP_LET(wanted, parse_privileges(args.back().bytes,
                                     of_sequence    ? Words(kSequenceWords)
                                     : column_words ? Words(kColumnWords)
                                                    : Words(kTableWords),
                                     false));
    if (!object || !column_known) {
      return OwnedValue::null();
    }
    ObjectAcl acl = object->acl;
    if (object->relation != nullptr && object->relation->is_virtual()) {
      acl = default_acl(AclKind::kTable, object->owner);
      acl->push_back({.grantee = kPublic, .grantor = object->owner, .rights = right::kSelect});
    }
    const AclKind acl_kind = object->kind == 'S' ? AclKind::kSequence : AclKind::kTable;
    OwnedValue whole = answer(acl, acl_kind, object->owner, wanted);
    if (!column_words || object->relation == nullptr || whole.integer() != 0) {
      return whole;
    }
    for (const Column& column : object->relation->columns) {
      const bool meant = !of_column || (args[1].kind == Value::Kind::kInt ? column.number == args[1].integer
                                                                          : column.name == args[1].bytes);
      if (!meant || column.dropped || !column.acl) {
        continue;
      }
      if (OwnedValue own = answer(column.acl, AclKind::kColumn, object->owner, wanted); own.integer() != 0) {
        return own;
      }
    }
    return whole;
  }

  [[nodiscard]] Result<OwnedValue> schema(std::span<const Value> args) const {
    const bool by_name = args[0].kind == Value::Kind::kText;
    const Schema* schema = by_name ? session.catalog->schema(args[0].bytes)
                                   : session.catalog->schema(static_cast<Oid>(args[0].integer));
    if (schema == nullptr && by_name) {
      return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", args[0].bytes);
    }
    BOP_LET(wanted, parse_privileges(args.back().bytes, kSchemaWords, false));
    if (schema == nullptr) {
      return OwnedValue::null();
    }
    ObjectAcl acl = schema->acl;
    if (schema->oid == kPublicSchema && role != kPublic &&
        roles.identity(role).has_rights_of(database_owner(session.database_oid))) {
      acl->push_back({.grantee = role,
                      .grantor = schema->owner,
                      .rights = right::kOfSchema,
                      .options = right::kOfSchema});
    }
    return answer(acl, AclKind::kSchema, schema->owner, wanted);
  }

  [[nodiscard]] Oid database_owner(Oid database) const {
    if (session.cluster != nullptr) {
      for (const auto& row : session.cluster->databases()) {
        if (row.oid == database) {
          return row.owner;
        }
      }
    }
    return kBootstrapRole;
  }

  [[nodiscard]] Result<OwnedValue> database(std::span<const Value> args) const {
    const bool by_name = args[0].kind == Value::Kind::kText;
    std::optional<Oid> owner;
    ObjectAcl acl;
    if (session.cluster != nullptr) {
      for (const auto& row : session.cluster->databases()) {
        if (by_name ? row.name == args[0].bytes : row.oid == static_cast<Oid>(args[0].integer)) {
          owner = row.owner;
          acl = row.acl;
        }
      }
    }
    if (!owner && by_name) {
      return fail(ErrorCode::kUndefinedDatabase, "database \"{}\" does not exist", args[0].bytes);
    }
    BOP_LET(wanted, parse_privileges(args.back().bytes, kDatabaseWords, false));
    if (!owner) {
      return OwnedValue::null();
    }
    return answer(acl, AclKind::kDatabase, *owner, wanted);
  }

  // Functions and types: built in, everybody's to use.
  [[nodiscard]] Result<OwnedValue> built_in(Oid kind, Words words, std::span<const Value> args) const {
    const bool by_name = args[0].kind == Value::Kind::kText;
    Oid oid = by_name ? Oid{0} : static_cast<Oid>(args[0].integer);
    if (by_name) {
      BOP_LET(found, names.resolve(kind, args[0].bytes));
      oid = found;
    }
    if (const auto function = kind == types::kRegprocedure ? session.catalog->function(oid) : nullptr) {
      BOP_LET(wanted, parse_privileges(args.back().bytes, words, false));
      return answer(function->acl, AclKind::kFunction, function->owner, wanted);
    }
    BOP_LET(wanted, parse_privileges(args.back().bytes, words, false));
    const bool known =
        by_name || (kind == types::kRegtype ? find_type(static_cast<Oid>(args[0].integer)) != nullptr
                                            : find_kernel(static_cast<Oid>(args[0].integer)) != nullptr);
    if (!known) {
      return OwnedValue::null();
    }
    const bool owned = role != kPublic && roles.identity(role).has_rights_of(kBootstrapRole);
    return OwnedValue::of_bool(
        std::ranges::any_of(wanted, [&](const Privilege& p) { return owned || !p.with_option; }));
  }

  [[nodiscard]] Result<OwnedValue> membership(std::span<const Value> args) const {
    BOP_LET(of, roles.find(args[0], false));
    BOP_LET(wanted, parse_privileges(args.back().bytes, kRoleWords, true));
    const Identity who = roles.identity(role);
    return OwnedValue::of_bool(std::ranges::any_of(wanted, [&](const Privilege& p) {
      return p.with_option       ? roles.admin(who, of)
             : p.word == "USAGE" ? who.has_rights_of(of)
                                 : who.is_member_of(of);
    }));
  }
};

}  // namespace

void set_acl(const CatalogSession& session, RowSet& rows, std::string_view column, const ObjectAcl& acl) {
  if (!acl) {
    return;
  }
  rows.set(column, acl_text(*acl, [&](Oid role) {
             const auto name = session.cluster == nullptr ? std::nullopt : session.cluster->role_name(role);
             return name ? *name : std::to_string(role);
           }));
}

Result<OwnedValue> has_privilege(const CatalogSession& session, const ObjectNames& names,
                                 std::string_view name, std::span<const Value> args) {
  const bool of_role = name == "pg_has_role";
  std::string_view kind = name;
  if (!of_role) {
    kind.remove_prefix(std::string_view("has_").size());
    kind.remove_suffix(std::string_view("_privilege").size());
  }
  const std::size_t without_role = kind == "column" ? 3 : 2;
  const Roles roles(session);
  Question question{.session = session, .names = names, .roles = roles, .role = session.user_oid};
  if (args.size() > without_role) {
    BOP_LET(given, roles.find(args[0], !of_role));
    question.role = given;
    args = args.subspan(1);
  }
  if (of_role) {
    return question.membership(args);
  }
  if (kind == "schema") {
    return question.schema(args);
  }
  if (kind == "database") {
    return question.database(args);
  }
  if (kind == "function") {
    return question.built_in(types::kRegprocedure, kFunctionWords, args);
  }
  if (kind == "type") {
    return question.built_in(types::kRegtype, kTypeWords, args);
  }
  if (kind == "table" || kind == "column" || kind == "any_column" || kind == "sequence") {
    return question.relation(kind, args);
  }
  return fail(ErrorCode::kNotImplemented, "function {} is not implemented", name);
}

}  // namespace bop::sql
