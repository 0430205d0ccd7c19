// Roles and databases: CREATE, ALTER and DROP ROLE (USER, GROUP), CREATE and DROP DATABASE. They change the
// system database, in a transaction of their own: not part of a transaction block.
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "base/log.hpp"
#include "session/pg_session.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

namespace {

std::string text_of(const pg::Node* node) {
  if (node == nullptr) return {};
  if (node->node_case == PG_QUERY__NODE__NODE_STRING) return std::string(pg::text(node->string->sval));
  if (node->node_case == PG_QUERY__NODE__NODE_A_CONST &&
      node->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL) {
    return std::string(pg::text(node->a_const->sval->sval));
  }
  return {};
}

Result<bool> flag_of(const PgQuery__DefElem& option) {
  const pg::Node* node = option.arg;
  if (node == nullptr) return true;
  if (node->node_case == PG_QUERY__NODE__NODE_BOOLEAN) return node->boolean->boolval != 0;
  if (node->node_case == PG_QUERY__NODE__NODE_INTEGER && (node->integer->ival | 1) == 1)
    return node->integer->ival != 0;
  if (node->node_case == PG_QUERY__NODE__NODE_STRING) {
    const std::string value = text_of(node);
    if (value == "true" || value == "on") return true;
    if (value == "false" || value == "off") return false;
  }
  return fail(ErrorCode::kSyntaxError, "{} requires a Boolean value", pg::text(option.defname));
}

Result<std::int64_t> connection_limit_of(const pg::Node* node) {
  const std::int64_t limit =
      node != nullptr && node->node_case == PG_QUERY__NODE__NODE_INTEGER ? node->integer->ival : 0;
  if (limit < -1) return fail(ErrorCode::kInvalidArgument, "invalid connection limit: {}", limit);
  return limit;
}

// Why the role cannot be dropped before the object.
template <class Object>
std::optional<std::string_view> dependence(const Object& object, Oid role) {
  if (object.owner == role) return "owner of";
  if (sql::mentions(object.acl, role)) return "privileges for";
  return std::nullopt;
}

Error empty_password() {
  return error(ErrorCode::kNotice, "empty string is not a valid password, clearing password");
}

Status refuse_unless(bool allowed, std::string_view what) {
  if (allowed) return {};
  return fail(ErrorCode::kInsufficientPrivilege, "permission denied to {}", what);
}

}  // namespace

// Lists of roles among the options of CREATE or ALTER ROLE.
struct RoleLists {
  std::span<pg::Node* const> in, members, admins;  // IN ROLE, ROLE, ADMIN
  bool empty_password = false;                     // nobody logs in by it
  std::set<std::string_view> said;                 // the options, in the statement's memory
};

// Reads the options of CREATE or ALTER ROLE into `role` and `lists`.
static Status apply_role_options(const pg::NodeList options, Role& role, RoleLists& lists,
                                 const CodecContext& codec,
                                 const std::function<Result<std::string>(std::string_view)>& make_verifier) {
  for (const pg::Node* node : options) {
    const PgQuery__DefElem& option = *node->def_elem;
    const std::string_view name = pg::text(option.defname);
    if (!lists.said.insert(name).second)
      return fail(ErrorCode::kSyntaxError, "conflicting or redundant options");
    if (name == "password") {
      role.verifiers.clear();
      if (option.arg == nullptr) continue;  // PASSWORD NULL
      const std::string password = text_of(option.arg);
      if (password.empty()) {
        lists.empty_password = true;
      } else if (password.starts_with("SCRAM-SHA-256$")) {
        role.verifiers.push_back({"SCRAM-SHA-256", password});
      } else {
        BOP_LET(verifier, make_verifier(password));
        role.verifiers.push_back({"SCRAM-SHA-256", std::move(verifier)});
      }
    } else if (name == "superuser") {
      BOP_LET(flag, flag_of(option));
      role.superuser = flag;
    } else if (name == "inherit") {
      BOP_LET(flag, flag_of(option));
      role.inherit = flag;
    } else if (name == "createrole") {
      BOP_LET(flag, flag_of(option));
      role.createrole = flag;
    } else if (name == "createdb") {
      BOP_LET(flag, flag_of(option));
      role.createdb = flag;
    } else if (name == "canlogin") {
      BOP_LET(flag, flag_of(option));
      role.login = flag;
    } else if (name == "connectionlimit") {
      BOP_LET(limit, connection_limit_of(option.arg));
      role.connection_limit = limit;
    } else if (name == "validUntil") {
      BOP_LET(value, parse_text(1184, -1, text_of(option.arg), codec));
      role.valid_until = value.integer();
    } else if (name == "addroleto") {
      lists.in = BOP_PG_LIST(option.arg->list, items);
    } else if (name == "rolemembers") {
      lists.members = BOP_PG_LIST(option.arg->list, items);
    } else if (name == "adminmembers") {
      lists.admins = BOP_PG_LIST(option.arg->list, items);
    } else {
      return fail(ErrorCode::kNotImplemented, "role option \"{}\" is not implemented", name);
    }
  }
  return {};
}

// What keeps a role from being dropped, a line each: the databases and the objects of this one, then how many
// there are in others.
std::vector<std::string> PgSession::owned_by(Oid role) const {
  std::map<Oid, std::string> here;
  std::vector<std::string> elsewhere;
  for (const auto& [name, entry] : node_.shared()->databases()) {
    if (const auto why = dependence(entry, role)) {
      here.emplace(entry.oid, fmt::format("{} database {}", *why, sql::quote_name(name)));
    }
    const auto database = node_.databases().find(entry.id);
    if (!database) continue;
    const Csn tip = static_cast<rowstore::RowStore&>(database->rows()).tip();
    const auto catalog = std::static_pointer_cast<const sql::Catalog>(database->attachment_at(tip));
    if (!catalog) continue;
    std::map<Oid, std::string> owned;
    const auto add = [&](std::string_view kind, const auto& object) {
      const auto why = dependence(object, role);
      if (!why) return;
      const bool visible = catalog->find(path_, {}, object.name).oid == object.oid;
      const sql::Schema* schema = catalog->schema(object.schema);
      owned.emplace(object.oid,
                    fmt::format("{} {} {}{}{}", *why, kind,
                                visible || schema == nullptr ? "" : sql::quote_name(schema->name),
                                visible || schema == nullptr ? "" : ".", sql::quote_name(object.name)));
    };
    for (const auto& [oid, schema] : catalog->schemas()) {
      if (const auto why = dependence(*schema, role)) {
        owned.emplace(oid, fmt::format("{} schema {}", *why, sql::quote_name(schema->name)));
      }
    }
    for (const auto& [oid, defaults] : catalog->default_acls()) {
      const bool owner = defaults->role == role;
      if (!owner && !sql::mentions(defaults->acl, role)) continue;
      const Role* of = node_.shared()->role(defaults->role);
      const sql::Schema* schema = catalog->schema(defaults->schema);
      const std::string_view objects = defaults->object == 'r'   ? "relations"
                                       : defaults->object == 'S' ? "sequences"
                                                                 : "schemas";
      owned.emplace(oid, fmt::format("{} default privileges on new {} belonging to role {}{}{}",
                                     owner ? "owner of" : "privileges for", objects,
                                     of == nullptr ? "?" : sql::quote_name(of->name),
                                     schema == nullptr ? "" : " in schema ",
                                     schema == nullptr ? "" : sql::quote_name(schema->name)));
    }
    for (const auto& [oid, relation] : catalog->relations()) {
      if (relation->is_virtual()) continue;
      const std::string_view kind = relation->kind == 'v' ? "view" : "table";
      add(kind, *relation);
      if (owned.contains(oid)) continue;
      std::string columns;
      for (const sql::Column& column : relation->columns) {
        if (!sql::mentions(column.acl, role)) continue;
        columns += fmt::format("{}privileges for column {} of {} {}", columns.empty() ? "" : "\n",
                               sql::quote_name(column.name), kind, sql::quote_name(relation->name));
      }
      if (!columns.empty()) owned.emplace(oid, std::move(columns));
    }
    for (const auto& [oid, sequence] : catalog->sequences()) add("sequence", *sequence);
    for (const auto& [oid, function] : catalog->functions()) {
      if (const auto why = dependence(*function, role))
        owned.emplace(oid, fmt::format("{} function {}", *why, sql::signature_text(*function)));
    }
    for (const auto& [oid, type] : catalog->types()) {
      if (type->owner != role) continue;
      const bool visible = catalog->find_type(path_, {}, type->name) == oid;
      const sql::Schema* schema = catalog->schema(type->schema);
      owned.emplace(oid, fmt::format("owner of type {}{}{}",
                                     visible || schema == nullptr ? "" : sql::quote_name(schema->name),
                                     visible || schema == nullptr ? "" : ".", sql::quote_name(type->name)));
    }
    if (entry.oid == entry_.oid) {
      here.merge(owned);
    } else if (!owned.empty()) {
      elsewhere.push_back(
          fmt::format("{} {} in database {}", owned.size(), owned.size() == 1 ? "object" : "objects", name));
    }
  }
  std::vector<std::string> lines;
  for (auto& [oid, line] : here) lines.push_back(std::move(line));
  lines.insert(lines.end(), elsewhere.begin(), elsewhere.end());
  return lines;
}

Status PgSession::start_shared_change(Run& run) {
  if (run.drop_until_ns != 0) BOP_TRY(check_interrupt());
  const sql::ParsedStatement& statement = *run.statement;
  const pg::Node& node = *statement.node;
  if (node.node_case == PG_QUERY__NODE__NODE_CREATEDB_STMT ||
      node.node_case == PG_QUERY__NODE__NODE_DROPDB_STMT) {
    BOP_TRY(refuse_in_block(statement.command));
  }
  if (in_block_ || transaction_.active()) {
    return fail(ErrorCode::kNotImplemented, "{} inside a transaction block is not implemented",
                statement.command);
  }
  const auto shared = node_.shared();
  const Role* self = shared->role(who_->role);
  const bool may_roles = self != nullptr && (self->superuser || self->createrole);
  const bool may_databases = self != nullptr && (self->superuser || self->createdb);
  constexpr auto kSessionUser = PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_SESSION_USER;
  Node::SharedChange shared_change;
  const auto take_step = [&](SharedStep step) {
    run.shared_notices = std::make_shared<SharedNotices>();
    shared_change.change = [step = std::move(step), notices = run.shared_notices](sqlite3* system) {
      return step(system, *notices);
    };
  };
  std::function<Status(sqlite3*)>& change = shared_change.change;

  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_CREATE_ROLE_STMT: {
      const PgQuery__CreateRoleStmt& create = *node.create_role_stmt;
      BOP_TRY(refuse_unless(may_roles, "create role"));
      Role role{.name = std::string(pg::text(create.role)), .valid_until = std::nullopt, .verifiers = {}};
      if (role.name.starts_with("pg_")) {
        return std::unexpected(error(ErrorCode::kReservedName, "role name \"{}\" is reserved", role.name)
                                   .detail("Role names starting with \"pg_\" are reserved."));
      }
      if (shared->role(role.name) != nullptr) {
        return fail(ErrorCode::kDuplicateObject, "role \"{}\" already exists", role.name);
      }
      role.login = create.stmt_type == PG_QUERY__ROLE_STMT_TYPE__ROLESTMT_USER;
      RoleLists lists;
      BOP_TRY(apply_role_options(BOP_PG_LIST(&create, options), role, lists, functions_.codec,
                                 node_.options().make_verifier));
      if (lists.empty_password) notice(Severity::kNotice, empty_password());
      if (role.superuser) BOP_TRY(refuse_unless(self->superuser, "create superusers"));
      BOP_LET(groups, role_oids(lists.in));
      BOP_LET(members, role_oids(lists.members));
      BOP_LET(admins, role_oids(lists.admins));
      take_step([role, groups, members, admins, user = who_->role](sqlite3* system,
                                                                   SharedNotices& notices) -> Status {
        BOP_LET(oid, SharedCatalog::insert_role(system, role));
        const auto add = [&](Oid to, const std::vector<Oid>& who, bool admin) -> Status {
          if (who.empty()) return {};
          BOP_LET(now, SharedCatalog::load(system));
          return add_members(system, *now, now->identity(user),
                             {.role = to, .members = who, .admin = admin, .grantor = user}, notices);
        };
        for (const Oid group : groups) BOP_TRY(add(group, {oid}, false));
        BOP_TRY(add(oid, admins, true));
        return add(oid, members, false);
      });
      break;
    }
    case PG_QUERY__NODE__NODE_ALTER_ROLE_STMT: {
      const PgQuery__AlterRoleStmt& alter = *node.alter_role_stmt;
      const bool me = alter.role->roletype == PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_USER ||
                      alter.role->roletype == PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_ROLE ||
                      alter.role->roletype == PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_SESSION_USER;
      const std::string name = !me ? std::string(pg::text(alter.role->rolename))
                               : alter.role->roletype == kSessionUser ? session_user_
                                                                      : user_name_;
      const Role* known = shared->role(name);
      if (known == nullptr) return fail(ErrorCode::kUndefinedObject, "role \"{}\" does not exist", name);
      const bool only_password = std::ranges::all_of(
          BOP_PG_LIST(&alter, options),
          [](const pg::Node* option) { return pg::text(option->def_elem->defname) == "password"; });
      BOP_TRY(refuse_unless(may_roles || (known->oid == who_->role && only_password), "alter role"));
      if (known->superuser) BOP_TRY(refuse_unless(self->superuser, "alter superusers"));
      Role role = *known;
      RoleLists lists;
      BOP_TRY(apply_role_options(BOP_PG_LIST(&alter, options), role, lists, functions_.codec,
                                 node_.options().make_verifier));
      if (lists.empty_password) notice(Severity::kNotice, empty_password());
      if (role.superuser) BOP_TRY(refuse_unless(self->superuser, "alter superusers"));
      if (!lists.members.empty()) {  // ALTER GROUP
        BOP_LET(members, role_oids(lists.members));
        const MemberChange asked{
            .role = role.oid, .members = members, .grant = alter.action > 0, .grantor = who_->role};
        take_step([asked](sqlite3* system, SharedNotices& notices) -> Status {
          BOP_LET(now, SharedCatalog::load(system));
          return add_members(system, *now, now->identity(asked.grantor), asked, notices);
        });
        break;
      }
      // Onto the row as it is when the change is made: another one may have come between.
      const std::set<std::string> said(lists.said.begin(), lists.said.end());
      change = [role, said, user = who_->role](sqlite3* system) -> Status {
        BOP_LET(now, SharedCatalog::load(system));
        const Role* current = now->role(role.oid);
        const Role* by = now->role(user);
        if (current == nullptr)
          return fail(ErrorCode::kUndefinedObject, "role \"{}\" does not exist", role.name);
        Role next = *current;
        if (said.contains("password")) next.verifiers = role.verifiers;
        if (said.contains("superuser")) next.superuser = role.superuser;
        if (said.contains("inherit")) next.inherit = role.inherit;
        if (said.contains("createrole")) next.createrole = role.createrole;
        if (said.contains("createdb")) next.createdb = role.createdb;
        if (said.contains("canlogin")) next.login = role.login;
        if (said.contains("connectionlimit")) next.connection_limit = role.connection_limit;
        if (said.contains("validUntil")) next.valid_until = role.valid_until;
        if (current->superuser || next.superuser)
          BOP_TRY(refuse_unless(by != nullptr && by->superuser, "alter superusers"));
        return SharedCatalog::update_role(system, next);
      };
      break;
    }
    case PG_QUERY__NODE__NODE_GRANT_STMT: {
      BOP_LET(step, grant_on_databases(*node.grant_stmt));
      take_step(std::move(step));
      break;
    }
    case PG_QUERY__NODE__NODE_GRANT_ROLE_STMT: {
      BOP_LET(step, grant_roles(*node.grant_role_stmt));
      take_step(std::move(step));
      break;
    }
    case PG_QUERY__NODE__NODE_ALTER_ROLE_SET_STMT:
    case PG_QUERY__NODE__NODE_ALTER_DATABASE_SET_STMT: {
      BOP_LET(step, change_settings(node));
      change = std::move(step);
      break;
    }
    case PG_QUERY__NODE__NODE_DROP_ROLE_STMT: {
      const PgQuery__DropRoleStmt& drop = *node.drop_role_stmt;
      BOP_TRY(refuse_unless(may_roles, "drop role"));
      std::vector<Oid> doomed;
      for (const pg::Node* item : BOP_PG_LIST(&drop, roles)) {
        if (item->role_spec->roletype != PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CSTRING) {
          return fail(ErrorCode::kInvalidArgument, "cannot use special role specifier in DROP ROLE");
        }
        const std::string name(pg::text(item->role_spec->rolename));
        const Role* known = shared->role(name);
        if (known == nullptr || std::ranges::find(doomed, known->oid) != doomed.end()) {
          if (drop.missing_ok == 0)
            return fail(ErrorCode::kUndefinedObject, "role \"{}\" does not exist", name);
          notice(Severity::kNotice,
                 error(ErrorCode::kUndefinedObject, "role \"{}\" does not exist, skipping", name));
          continue;
        }
        if (known->oid == who_->role) return fail(ErrorCode::kObjectInUse, "current user cannot be dropped");
        if (name == session_user_) return fail(ErrorCode::kObjectInUse, "session user cannot be dropped");
        if (known->oid == kBootstrapRole) {
          return fail(ErrorCode::kDependentObjectsStillExist,
                      "cannot drop role {} because it is required by the database system", name);
        }
        const std::vector<std::string> owned = owned_by(known->oid);
        if (!owned.empty()) {
          return std::unexpected(error(ErrorCode::kDependentObjectsStillExist,
                                       "role \"{}\" cannot be dropped because some objects depend on it",
                                       name)
                                     .detail(fmt::format("{}", fmt::join(owned, "\n"))));
        }
        doomed.push_back(known->oid);
      }
      change = [doomed](sqlite3* system) -> Status {
        for (const Oid oid : doomed) BOP_TRY(SharedCatalog::delete_role(system, oid));
        return {};
      };
      break;
    }
    case PG_QUERY__NODE__NODE_CREATEDB_STMT: {
      const PgQuery__CreatedbStmt& create = *node.createdb_stmt;
      BOP_TRY(refuse_unless(may_databases, "create database"));
      DatabaseEntry entry{
          .oid = 0, .id = {}, .name = std::string(pg::text(create.dbname)), .owner = who_->role};
      if (shared->database(entry.name) != nullptr) {
        return fail(ErrorCode::kDuplicateDatabase, "database \"{}\" already exists", entry.name);
      }
      std::set<std::string_view> said;
      for (const pg::Node* item : BOP_PG_LIST(&create, options)) {
        const PgQuery__DefElem& option = *item->def_elem;
        const std::string_view name = pg::text(option.defname);
        if (!said.insert(name).second)
          return fail(ErrorCode::kSyntaxError, "conflicting or redundant options");
        const std::string value = text_of(option.arg);
        if (name == "owner") {
          const Role* owner = shared->role(value);
          if (owner == nullptr) return fail(ErrorCode::kUndefinedObject, "role \"{}\" does not exist", value);
          if (!who_->is_member_of(owner->oid)) {
            return fail(ErrorCode::kInsufficientPrivilege, "must be member of role \"{}\"", value);
          }
          entry.owner = owner->oid;
        } else if (name == "connection_limit") {
          BOP_LET(limit, connection_limit_of(option.arg));
          entry.connection_limit = limit;
        } else if (name == "allow_connections") {
          BOP_LET(flag, flag_of(option));
          entry.allow_connections = flag;
        } else if (name == "encoding") {
          if (value != "UTF8" && value != "utf8" && value != "UTF-8" && value != "utf-8" &&
              option.arg != nullptr) {
            return fail(ErrorCode::kNotImplemented, "encoding \"{}\" is not implemented; only UTF8 is",
                        value);
          }
        } else if (name == "template") {
          if (value != "template0" && value != "template1" && option.arg != nullptr) {
            return fail(ErrorCode::kNotImplemented, "CREATE DATABASE from template \"{}\" is not implemented",
                        value);
          }
        } else if (name == "locale" || name == "lc_collate" || name == "lc_ctype") {
          if (value != "C" && value != "POSIX" && option.arg != nullptr) {
            return fail(ErrorCode::kNotImplemented, "{} \"{}\" is not implemented; only C is", name, value);
          }
        } else {
          return fail(ErrorCode::kNotImplemented, "database option \"{}\" is not implemented", name);
        }
      }
      auto prepared = std::make_shared<std::shared_ptr<database::Database>>();
      change = [entry, prepared, &node = node_](sqlite3* system) -> Status {
        BOP_LET(made, SharedCatalog::insert_database(system, entry));
        BOP_LET(database, node.databases().prepare_database(made.id, made.name));
        node.limit_idle_writers(*database);
        database->publish_attachment(static_cast<rowstore::RowStore&>(database->rows()).tip(),
                                     std::make_shared<const sql::Catalog>(sql::builtin_relations()));
        *prepared = std::move(database);
        return {};
      };
      shared_change.committed = [prepared, &node = node_] { node.databases().list(*prepared); };
      shared_change.undone = [prepared, &node = node_] {
        if (*prepared) node.databases().discard(*prepared);
      };
      break;
    }
    case PG_QUERY__NODE__NODE_DROPDB_STMT: {
      const PgQuery__DropdbStmt& drop = *node.dropdb_stmt;
      const std::string name(pg::text(drop.dbname));
      const DatabaseEntry* known = shared->database(name);
      if (known == nullptr) {
        if (drop.missing_ok == 0)
          return fail(ErrorCode::kUndefinedDatabase, "database \"{}\" does not exist", name);
        notice(Severity::kNotice,
               error(ErrorCode::kUndefinedDatabase, "database \"{}\" does not exist, skipping", name));
        run.shared_result = Status{};
        return {};
      }
      BOP_TRY(refuse_unless(self != nullptr && who_->has_rights_of(known->owner), "drop database"));
      if (name == entry_.name)
        return fail(ErrorCode::kObjectInUse, "cannot drop the currently open database");
      if (BOP_PG_LIST(&drop, options).size() > 0) {
        return fail(ErrorCode::kNotImplemented, "DROP DATABASE ... WITH (FORCE) is not implemented");
      }
      if (Status begun = node_.begin_drop(*known); !begun) {
        if (begun.error().code() == ErrorCode::kObjectInUse && wait_for_users(run)) return {};
        return begun;
      }
      change = [oid = known->oid](sqlite3* system) { return SharedCatalog::delete_database(system, oid); };
      shared_change.committed = [id = known->id, &node = node_] {
        if (Status gone = node.databases().drop_database(id); !gone) {
          log_error("files of a dropped database are left until the next start", gone.error());
        }
        node.end_drop(id);
      };
      shared_change.undone = [id = known->id, &node = node_] { node.end_drop(id); };
      break;
    }
    default: return fail(ErrorCode::kNotImplemented, "{} is not implemented", statement.command);
  }

  run.stage = Run::Stage::kWaitShared;
  run.shared_alive = std::make_shared<bool>(true);
  // The run may die before the answer: the session (alive_) and the run (its own token) both say so.
  std::weak_ptr<bool> run_alive = run.shared_alive;
  node_.change_shared(executor_, std::move(shared_change),
                      [this, &run, alive = alive_, run_alive](Status status) {
                        if (!*alive || run_alive.expired()) return;
                        run.shared_result = std::move(status);
                        if (sink_ != nullptr) sink_->wake();
                      });
  return {};
}

// Clients that have just closed their connection may still be listed. True: the session is woken to look
// again.
bool PgSession::wait_for_users(Run& run) {
  constexpr std::int64_t kMostNs = 5'000'000'000;  // as PostgreSQL
  constexpr std::chrono::milliseconds kLook{50};
  const std::int64_t now = node_.options().clock->steady_ns();
  if (run.drop_until_ns == 0) run.drop_until_ns = now + kMostNs;
  if (now >= run.drop_until_ns) return false;
  (void)executor_.post_after(kLook, [this, alive = alive_] {
    if (*alive && sink_ != nullptr) sink_->wake();
  });
  return true;
}

}  // namespace bop::session
