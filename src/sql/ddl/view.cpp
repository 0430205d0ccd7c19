// CREATE VIEW and CREATE SCHEMA.
#include <algorithm>

#include "sql/catalog/temporary.hpp"
#include "sql/ddl/ddl_run.hpp"
#include "sql/statement_kind.hpp"
#include "sql/types/types.hpp"
#include "sql/view_target.hpp"

namespace bop::sql {

// WITH [LOCAL | CASCADED] CHECK OPTION is an option like those of WITH (...).
Result<std::vector<std::string>> DdlRun::view_options(const PgQuery__ViewStmt& create) const {
  std::vector<std::string> options;
  for (const pg::Node* node : BOP_PG_LIST(&create, options)) {
    const PgQuery__DefElem& option = *node->def_elem;
    const std::string_view name = pg::text(option.defname);
    const std::string value = option.arg == nullptr ? "true"
                              : option.arg->node_case == PG_QUERY__NODE__NODE_TYPE_NAME
                                  ? std::string(pg::last_name(BOP_PG_LIST(option.arg->type_name, names)))
                                  : std::string(pg::string_of(option.arg));
    if (name == "security_barrier" || name == "security_invoker") {
      if (value == "false" || value == "off") continue;
      return fail(ErrorCode::kNotImplemented, "view option \"{}\" is not implemented", name);
    }
    if (name != "check_option")
      return fail(ErrorCode::kInvalidArgument, "unrecognized parameter \"{}\"", name);
    if (value != "local" && value != "cascaded") {
      return std::unexpected(
          error(ErrorCode::kInvalidArgument, "invalid value for enum option \"check_option\": {}", value)
              .detail("Valid values are \"local\" and \"cascaded\"."));
    }
    options.push_back("check_option=" + value);
  }
  if (create.with_check_option == PG_QUERY__VIEW_CHECK_OPTION__LOCAL_CHECK_OPTION) {
    options.emplace_back(kCheckLocal);
  } else if (create.with_check_option == PG_QUERY__VIEW_CHECK_OPTION__CASCADED_CHECK_OPTION) {
    options.emplace_back(kCheckCascaded);
  }
  if (options.size() > 1) {
    return fail(ErrorCode::kInvalidArgument, "parameter \"check_option\" specified more than once");
  }
  return options;
}

Status DdlRun::create_view(const PgQuery__ViewStmt& create) {
  if (pg::text(create.view->relpersistence) == "u") {
    return fail(ErrorCode::kSyntaxError, "views cannot be unlogged because they do not have storage");
  }
  BOP_LET(options, view_options(create));
  if (create.query->node_case == PG_QUERY__NODE__NODE_SELECT_STMT &&
      sql::select_into(*create.query->select_stmt) != nullptr) {
    return fail(ErrorCode::kNotImplemented, "views must not contain SELECT INTO");
  }
  BOP_LET(schema, schema_for_creation(*create.view));
  // The statement's own text first, for the positions of errors.
  BOP_LET(plan, sql::bind(inner_statement(statement_, create.query), bind_now()));
  if (!plan->parameters.empty()) {
    return fail(ErrorCode::kUndefinedParameter, "there is no parameter $1");
  }
  if (plan->kind == PlanKind::kChangingSelect) {
    return fail(ErrorCode::kNotImplemented, "views must not contain data-modifying statements in WITH");
  }
  BOP_LET(stored, store_query(create.query, bind_now()));
  const bool reads_temporary = std::ranges::any_of(stored.reads, [&](const ViewRead& read) {
    const auto relation = now().relation(read.relation);
    return relation && relation->persistence == 't';
  });
  if (reads_temporary && !is_temporary_schema(schema->name)) {
    notice(error(ErrorCode::kNotice, "view \"{}\" will be a temporary view", pg::text(create.view->relname)));
    if (!pg::text(create.view->schemaname).empty()) {
      return fail(ErrorCode::kInvalidTableDefinition,
                  "cannot create temporary relation in non-temporary schema");
    }
    BOP_LET(temporary, temporary_schema());
    schema = temporary;
  }
  Relation view;
  view.kind = 'v';
  if (is_temporary_schema(schema->name)) view.persistence = 't';
  view.schema = schema->oid;
  view.name = std::string(pg::text(create.view->relname));
  view.owner = context_.user;
  view.acl = initial_acl(view.owner, view.schema, 'r');
  view.view_text = std::move(stored.text);
  view.reads = std::move(stored.reads);
  if (create.n_aliases > plan->columns.size()) {
    return fail(ErrorCode::kSyntaxError, "CREATE VIEW specifies more column names than columns");
  }
  for (std::size_t i = 0; i < plan->columns.size(); ++i) {
    const bool named = i < create.n_aliases;
    BOP_TRY(add_column_of(view, named ? std::string(pg::string_of(create.aliases[i])) : plan->columns[i].name,
                          plan->columns[i]));
  }
  if (const auto existing = now().find(view.schema, view.name)) {
    const auto old = now().relation(existing.oid);
    if (create.replace == 0)
      return fail(ErrorCode::kDuplicateTable, "relation \"{}\" already exists", view.name);
    BOP_TRY(must_own(existing));
    if (!old || old->kind != 'v') return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a view", view.name);
    if (view.columns.size() < old->columns.size()) {
      return fail(ErrorCode::kInvalidTableDefinition, "cannot drop columns from view");
    }
    for (std::size_t i = 0; i < old->columns.size(); ++i) {
      if (old->columns[i].name != view.columns[i].name) {
        return std::unexpected(
            error(ErrorCode::kInvalidTableDefinition, "cannot change name of view column \"{}\" to \"{}\"",
                  old->columns[i].name, view.columns[i].name)
                .hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead."));
      }
      if (old->columns[i].type != view.columns[i].type || old->columns[i].typmod != view.columns[i].typmod) {
        return fail(ErrorCode::kInvalidTableDefinition,
                    "cannot change data type of view column \"{}\" from {} to {}", old->columns[i].name,
                    format_type(old->columns[i].type, old->columns[i].typmod),
                    format_type(view.columns[i].type, view.columns[i].typmod));
      }
    }
    if (uses(view, old->oid)) {
      return fail(ErrorCode::kInvalidObjectDefinition,
                  "infinite recursion detected in rules for relation \"{}\"", view.name);
    }
    view.oid = old->oid;
    view.owner = old->owner;
    view.acl = old->acl;
    view.comment = old->comment;
  } else {
    view.oid = edit_.allocate_oid();
  }
  view.options = std::move(options);
  const auto made = std::make_shared<const Relation>(view);
  edit_.put(std::move(view));
  if (!made->options.empty()) {
    const std::string_view why = why_not_updatable(std::make_shared<const Catalog>(now()), made);
    if (!why.empty()) {
      return std::unexpected(error(ErrorCode::kNotImplemented,
                                   "WITH CHECK OPTION is supported only on automatically updatable views")
                                 .hint(std::string(why)));
    }
  }
  return {};
}

Status DdlRun::create_schema(const PgQuery__CreateSchemaStmt& create) {
  Schema schema;
  schema.owner = context_.user;
  schema.name = std::string(pg::text(create.schemaname));
  if (create.authrole != nullptr) {
    BOP_LET(owner, role_oid(*create.authrole));
    schema.owner = owner;
    if (schema.name.empty()) {
      const bool named = create.authrole->roletype == PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CSTRING;
      schema.name = named ? std::string(pg::text(create.authrole->rolename)) : context_.user_name;
    }
  }
  BOP_TRY(may_create_schemas());
  if (create.authrole != nullptr) BOP_TRY(may_give(schema.owner, *create.authrole, 0));
  if (schema.name.starts_with("pg_")) {
    return std::unexpected(error(ErrorCode::kReservedName, "unacceptable schema name \"{}\"", schema.name)
                               .detail("The prefix \"pg_\" is reserved for system schemas."));
  }
  if (now().schema(std::string_view(schema.name)) != nullptr) {
    if (create.if_not_exists != 0) {
      notice(error(ErrorCode::kDuplicateSchema, "schema \"{}\" already exists, skipping", schema.name));
      return {};
    }
    return fail(ErrorCode::kDuplicateSchema, "schema \"{}\" already exists", schema.name);
  }
  schema.oid = edit_.allocate_oid();
  schema.acl = initial_acl(schema.owner, 0, 'n');
  edit_.put(schema);
  return create_elements(create, schema);
}

// As the schema's owner, who makes them in that schema. As in PostgreSQL: sequences, tables, views, indexes,
// and then the rights.
Status DdlRun::create_elements(const PgQuery__CreateSchemaStmt& create, const Schema& schema) {
  if (create.n_schema_elts == 0) return {};
  const auto refuse_other = [&](const PgQuery__RangeVar& name) -> Status {
    const std::string_view said = pg::text(name.schemaname);
    if (said.empty() || said == schema.name) return {};
    return fail(ErrorCode::kInvalidSchemaDefinition,
                "CREATE specifies a schema ({}) different from the one being created ({})", said,
                schema.name);
  };
  constexpr PgQuery__Node__NodeCase kOrder[] = {
      PG_QUERY__NODE__NODE_CREATE_SEQ_STMT, PG_QUERY__NODE__NODE_CREATE_STMT, PG_QUERY__NODE__NODE_VIEW_STMT,
      PG_QUERY__NODE__NODE_INDEX_STMT, PG_QUERY__NODE__NODE_GRANT_STMT};
  for (const pg::Node* element : BOP_PG_LIST(&create, schema_elts)) {
    switch (element->node_case) {
      case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT:
        BOP_TRY(refuse_other(*element->create_seq_stmt->sequence));
        break;
      case PG_QUERY__NODE__NODE_CREATE_STMT: BOP_TRY(refuse_other(*element->create_stmt->relation)); break;
      case PG_QUERY__NODE__NODE_VIEW_STMT: BOP_TRY(refuse_other(*element->view_stmt->view)); break;
      case PG_QUERY__NODE__NODE_INDEX_STMT: BOP_TRY(refuse_other(*element->index_stmt->relation)); break;
      case PG_QUERY__NODE__NODE_GRANT_STMT: break;
      default: return fail(ErrorCode::kNotImplemented, "this element of CREATE SCHEMA is not implemented");
    }
  }
  DdlContext outer = context_;
  auto& path = context_.bind.search_path;
  std::erase(path, schema.name);
  path.insert(path.begin(), schema.name);
  if (schema.owner != context_.user) {
    context_.user = schema.owner;
    context_.bind.who = std::make_shared<const Identity>(context_.identity(schema.owner));
  }
  Status done;
  for (const PgQuery__Node__NodeCase kind : kOrder) {
    for (const pg::Node* element : BOP_PG_LIST(&create, schema_elts)) {
      if (!done || element->node_case != kind) continue;
      if (kind == PG_QUERY__NODE__NODE_INDEX_STMT &&
          !now().find(schema.oid, pg::text(element->index_stmt->relation->relname))) {
        done = fail(ErrorCode::kUndefinedTable, "relation \"{}.{}\" does not exist", schema.name,
                    element->index_stmt->relation->relname);
        break;
      }
      done = apply(*element);
      // What the next one names by a regclass is looked up by the session.
      if (done && context_.before_rows)
        done = context_.before_rows(std::make_shared<const Catalog>(now()), {});
    }
  }
  context_ = std::move(outer);
  return done;
}

}  // namespace bop::sql
