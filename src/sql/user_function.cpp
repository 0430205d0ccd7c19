#include "sql/user_function.hpp"

#include <set>

#include "sql/tree.hpp"

namespace bop::sql {

namespace {

bool is_or_has(const ProtobufCMessage* message, const std::function<bool(const ProtobufCMessage*)>& what) {
  if (what(message)) return true;
  bool found = false;
  pg::for_each_child(message,
                     [&](const ProtobufCMessage* child) { found = found || is_or_has(child, what); });
  return found;
}

bool is_change(const ProtobufCMessage* message) {
  const ProtobufCMessageDescriptor* kind = message->descriptor;
  return kind == &pg_query__insert_stmt__descriptor || kind == &pg_query__update_stmt__descriptor ||
         kind == &pg_query__delete_stmt__descriptor || kind == &pg_query__merge_stmt__descriptor ||
         kind == &pg_query__locking_clause__descriptor || kind == &pg_query__into_clause__descriptor;
}

bool may_write(const Function& function, const Catalog& catalog, std::set<Oid>& seen) {
  if (function.volatility != 'v' || !seen.insert(function.oid).second) return false;
  if (function.language != "sql") return true;
  const auto statements = parse(function.body);
  if (!statements) return false;
  const auto calls_what_may = [&](const ProtobufCMessage* message) {
    if (message->descriptor != &pg_query__func_call__descriptor) return false;
    const auto& call = *reinterpret_cast<const PgQuery__FuncCall*>(message);
    const std::string_view name = pg::last_name(BOP_PG_LIST(&call, funcname));
    if (name == "nextval" || name == "setval") return true;
    for (const auto& [oid, other] : catalog.functions()) {
      const bool called = other->name == name || name == "#" + std::to_string(oid);
      if (called && may_write(*other, catalog, seen)) return true;
    }
    return false;
  };
  for (const ParsedStatementPtr& statement : *statements) {
    if (changes_anything(*statement) || is_or_has(&statement->node->base, calls_what_may)) return true;
  }
  return false;
}

}  // namespace

bool may_write(const Function& function, const Catalog& catalog) {
  std::set<Oid> seen;
  return may_write(function, catalog, seen);
}

bool changes_anything(const ParsedStatement& statement) {
  return statement.node->node_case != PG_QUERY__NODE__NODE_SELECT_STMT ||
         is_or_has(&statement.node->base, is_change);
}

}  // namespace bop::sql
