// Which function a statement names, and what may be done with it: ALTER, COMMENT, GRANT and DROP.
#include <algorithm>

#include "sql/binder.hpp"
#include "sql/ddl/ddl_run.hpp"

namespace bop::sql {

Result<std::shared_ptr<const Function>> DdlRun::find_function(const pg::Node* object,
                                                              PgQuery__ObjectType type,
                                                              bool missing_ok) const {
  const PgQuery__ObjectWithArgs& named = *object->object_with_args;
  const pg::NodeList names = BOP_PG_LIST(&named, objname);
  const std::string name(pg::last_name(names));
  const std::string schema(names.size() > 1 ? pg::string_of(names[names.size() - 2]) : std::string_view());
  const std::string_view word = type == PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE ? "procedure"
                                : type == PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE ? "routine"
                                                                                : "function";
  BOP_TRY(may_look_in(schema));
  if (!schema.empty() && now().schema(std::string_view(schema)) == nullptr) {
    if (missing_ok) {
      notice(error(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist, skipping", schema));
      return nullptr;
    }
    return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", schema);
  }
  const std::string shown = schema.empty() ? name : schema + "." + name;
  auto candidates = now().find_functions(context_.bind.search_path, schema, name);
  std::string types;
  std::string written;
  if (named.args_unspecified == 0) {
    std::vector<Oid> wanted;
    for (const pg::Node* argument : BOP_PG_LIST(&named, objargs)) {
      BOP_LET(resolved, resolve_type(argument, *statement_));
      wanted.push_back(resolved.type);
      types += (types.empty() ? "" : ", ") + format_type(resolved.type);
      written += (written.empty() ? "" : ",") + name_list(BOP_PG_LIST(argument->type_name, names));
    }
    std::erase_if(candidates, [&](const auto& f) { return f->input_types() != wanted; });
  } else if (candidates.size() > 1) {
    return std::unexpected(
        error(ErrorCode::kAmbiguousFunction, "{} name \"{}\" is not unique", word, shown)
            .hint(fmt::format("Specify the argument list to select the {} unambiguously.", word)));
  }
  if (candidates.empty()) {
    if (missing_ok) {
      notice(
          error(ErrorCode::kUndefinedFunction, "{} {}({}) does not exist, skipping", word, shown, written));
      return nullptr;
    }
    if (named.args_unspecified != 0) {
      return fail(ErrorCode::kUndefinedFunction, "could not find a {} named \"{}\"", word, shown);
    }
    return fail(ErrorCode::kUndefinedFunction, "{} {}({}) does not exist", word, shown, types);
  }
  const auto& found = candidates.front();
  const char wanted = type == PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE ? 'p'
                      : type == PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE ? found->kind
                                                                      : 'f';
  if (found->kind != wanted) {
    return fail(ErrorCode::kWrongObjectType, "{} is not a {}", signature_text(*found), word);
  }
  return found;
}

Status DdlRun::must_own_function(const Function& function) const {
  return must_own(function.owner, fmt::format("{} {}", routine_word(function.kind), function.name));
}

Status DdlRun::rename_function(const PgQuery__RenameStmt& rename) {
  BOP_LET(found, find_function(rename.object, rename.rename_type, false));
  BOP_TRY(must_own_function(*found));
  BOP_TRY(may_create_in(*now().schema(found->schema)));
  Function changed = *found;
  changed.name = std::string(pg::text(rename.newname));
  BOP_TRY(check_function_free(changed));
  edit_.put(std::move(changed));
  return {};
}

Status DdlRun::check_function_free(const Function& function) const {
  if (now().find_function(function.schema, function.name, function.input_types()) == nullptr) return {};
  return fail(ErrorCode::kDuplicateFunction, "function {} already exists in schema \"{}\"",
              signature_text(function), now().schema(function.schema)->name);
}

Status DdlRun::set_function_schema(const PgQuery__AlterObjectSchemaStmt& alter) {
  BOP_LET(found, find_function(alter.object, alter.object_type, alter.missing_ok != 0));
  if (found == nullptr) return {};
  BOP_TRY(must_own_function(*found));
  BOP_LET(schema, schema_for_creation(pg::text(alter.newschema)));
  if (schema->oid == found->schema) return {};
  Function changed = *found;
  changed.schema = schema->oid;
  BOP_TRY(check_function_free(changed));
  edit_.put(std::move(changed));
  return {};
}

Status DdlRun::set_function_owner(const PgQuery__AlterOwnerStmt& alter) {
  BOP_LET(found, find_function(alter.object, alter.object_type, false));
  BOP_TRY(must_own_function(*found));
  BOP_LET(owner, role_oid(*alter.newowner));
  if (found->owner != owner) BOP_TRY(may_give(owner, *alter.newowner, found->schema));
  Function changed = *found;
  if (changed.acl) changed.acl = with_owner(*changed.acl, changed.owner, owner);
  changed.owner = owner;
  edit_.put(std::move(changed));
  return {};
}

Status DdlRun::comment_on_function(const PgQuery__CommentStmt& comment) {
  BOP_LET(found, find_function(comment.object, comment.objtype, false));
  BOP_TRY(must_own_function(*found));
  Function changed = *found;
  changed.comment = std::string(pg::text(comment.comment));
  edit_.put(std::move(changed));
  return {};
}

Status DdlRun::alter_function(const PgQuery__AlterFunctionStmt& alter) {
  pg::Node object = PG_QUERY__NODE__INIT;
  object.node_case = PG_QUERY__NODE__NODE_OBJECT_WITH_ARGS;
  object.object_with_args = alter.func;
  BOP_LET(found, find_function(&object, alter.objtype, false));
  BOP_TRY(must_own_function(*found));
  Function changed = *found;
  BOP_TRY(read_options(BOP_PG_LIST(&alter, actions), changed, nullptr));
  if (changed.rows != found->rows && !changed.returns_set) {
    return fail(ErrorCode::kInvalidArgument, "ROWS is not applicable when function does not return a set");
  }
  edit_.put(std::move(changed));
  return {};
}

Status DdlRun::grant_on_function(const GrantRequest& request, Oid oid) {
  Function function = *now().function(oid);
  const auto warn = [this](const Error& what) {
    if (context_.notice) context_.notice(true, what);
  };
  BOP_LET(acl, granted(request,
                       {.kind = AclKind::kFunction,
                        .noun = routine_word(function.kind),
                        .name = function.name,
                        .owner = function.owner,
                        .acl = function.acl},
                       who(), context_.identity, warn));
  function.acl = std::move(acl);
  edit_.put(std::move(function));
  return {};
}

Status DdlRun::find_dropped_functions(const PgQuery__DropStmt& drop, Dropped& dropped, std::string& what) {
  std::size_t count = 0;
  for (const pg::Node* object : BOP_PG_LIST(&drop, objects)) {
    BOP_LET(found, find_function(object, drop.remove_type, drop.missing_ok != 0));
    if (found == nullptr) continue;
    const Schema* in = now().schema(found->schema);
    if (in == nullptr || !who().has_rights_of(in->owner)) BOP_TRY(must_own_function(*found));
    dropped.functions.insert(found->oid);
    what = description(found->oid);
    ++count;
  }
  if (count > 1) what = "desired object(s)";
  return {};
}

void DdlRun::collect_functions(Dropped& dropped, std::vector<std::string>& dependents,
                               std::vector<std::string>& taken) const {
  for (const auto& [oid, function] : now().functions()) {
    if (dropped.functions.contains(oid)) continue;
    Oid cause = dropped.schemas.contains(function->schema) ? function->schema : Oid{0};
    if (cause == 0) cause = dropped_type_of(dropped, function->result);
    for (const FunctionArgument& argument : function->arguments) {
      if (cause == 0) cause = dropped_type_of(dropped, argument.type);
      if (cause == 0 && argument.default_text) {
        for (const Oid called : named_functions(*argument.default_text)) {
          if (dropped.functions.contains(called)) cause = called;
        }
      }
    }
    for (const Oid read : function->reads) {
      if (cause == 0 && (dropped.relations.contains(read) || dropped.functions.contains(read) ||
                         dropped.sequences.contains(read))) {
        cause = read;
      }
    }
    if (cause == 0) continue;
    dropped.functions.insert(oid);
    dependents.push_back(fmt::format("{} depends on {}", description(oid), description(cause)));
    taken.push_back(description(oid));
  }
}

}  // namespace bop::sql
