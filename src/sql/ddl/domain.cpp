// CREATE DOMAIN and ALTER DOMAIN. A domain's values are stored as those of its base type; what the domain
// demands is looked at when a value is cast to it (domain_check.hpp), and here when the demand is new.
#include <algorithm>

#include "sql/ddl/ddl_run.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

// What a CHECK of the domain is over: the one column "value".
Relation value_relation(const Type& domain) {
  Relation relation;
  relation.name = "value";
  relation.columns.push_back({.number = 1,
                              .name = "value",
                              .type = domain.base,
                              .typmod = domain.typmod,
                              .default_text = std::nullopt,
                              .collation = {},
                              .comment = {}});
  return relation;
}

}  // namespace

Status DdlRun::create_domain(const PgQuery__CreateDomainStmt& create) {
  BOP_LET(type, new_type(BOP_PG_LIST(&create, domainname), 'd'));
  pg::Node type_node = PG_QUERY__NODE__INIT;
  type_node.node_case = PG_QUERY__NODE__NODE_TYPE_NAME;
  type_node.type_name = create.type_name;
  const auto resolved = resolve_type(&type_node, *statement_);
  if (!resolved) return std::unexpected(without_position(resolved.error()));
  const TypeRef base = *resolved;
  const TypeInfo* info = bop::find_type(base.type);
  if (info == nullptr || info->typtype == 'p') {
    return fail(ErrorCode::kDatatypeMismatch, "\"{}\" is not a valid base type for a domain",
                pg::last_name(BOP_PG_LIST(create.type_name, names)));
  }
  type.base = base.type;
  type.typmod = base.typmod;
  BOP_LET(collation, collation_of(create.coll_clause, type.base));
  type.collation = std::move(collation);
  type.default_text = default_of_domain(now(), type.base);
  bool default_said = false;
  bool null_said = false;
  bool not_null_said = false;
  const auto refuse = [](ErrorCode code, std::string_view what) -> Status { return fail(code, "{}", what); };
  for (const pg::Node* item : BOP_PG_LIST(&create, constraints)) {
    const PgQuery__Constraint& constraint = *item->constraint;
    switch (constraint.contype) {
      case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT:
        if (std::exchange(default_said, true))
          return refuse(ErrorCode::kSyntaxError, "multiple default expressions");
        BOP_TRY(set_domain_default(type, constraint.raw_expr));
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL:
        if (null_said) return refuse(ErrorCode::kSyntaxError, "conflicting NULL/NOT NULL constraints");
        not_null_said = type.not_null = true;
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_NULL:
        if (not_null_said) return refuse(ErrorCode::kSyntaxError, "conflicting NULL/NOT NULL constraints");
        null_said = true;
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK: BOP_TRY(add_domain_check(type, constraint)); break;
      default: BOP_TRY(refuse_domain_constraint(constraint));
    }
  }
  edit_.put(std::move(type));
  return {};
}

Status DdlRun::refuse_domain_constraint(const PgQuery__Constraint& constraint) const {
  const auto impossible = [](std::string_view what) -> Status {
    return fail(ErrorCode::kSyntaxError, "{} constraints not possible for domains", what);
  };
  switch (constraint.contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK: return {};
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE: return impossible("unique");
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY: return impossible("primary key");
    case PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION: return impossible("exclusion");
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN: return impossible("foreign key");
    default:
      return fail(ErrorCode::kNotImplemented,
                  "specifying constraint deferrability not supported for domains");
  }
}

Status DdlRun::set_domain_default(Type& domain, const pg::Node* expression) {
  BOP_LET(stored, store_expression(statement_, expression, nullptr, ExpressionUse::kDefault, bind_now(),
                                   domain.base, default_typmod(domain.base, domain.typmod), domain.name));
  if (stored.text == "NULL") {
    domain.default_text.reset();
  } else {
    domain.default_text = std::move(stored.text);
  }
  return {};
}

Status DdlRun::add_domain_check(Type& domain, const PgQuery__Constraint& constraint) {
  if (constraint.is_no_inherit != 0) {
    return fail(ErrorCode::kInvalidObjectDefinition,
                "check constraints for domains cannot be marked NO INHERIT");
  }
  const Relation value = value_relation(domain);
  DomainCheck check;
  check.name = std::string(pg::text(constraint.conname));
  const auto taken = [&](std::string_view name) {
    return std::ranges::find(domain.checks, name, &DomainCheck::name) != domain.checks.end();
  };
  if (taken(check.name)) {
    return fail(ErrorCode::kDuplicateObject, "constraint \"{}\" for domain \"{}\" already exists", check.name,
                domain.name);
  }
  for (int number = 0; check.name.empty() || taken(check.name); ++number) {
    check.name = free_name(domain.schema, domain.name, "",
                           number == 0 ? "check" : fmt::format("check{}", number), nullptr);
  }
  BOP_LET(stored,
          store_expression(statement_, constraint.raw_expr, &value, ExpressionUse::kCheck, bind_now()));
  check.text = std::move(stored.text);
  check.validated = constraint.skip_validation == 0;
  check.oid = edit_.allocate_oid();
  domain.checks.push_back(std::move(check));
  return {};
}

// Calls `f` for the columns of tables whose values are of the domain, also by a domain over it.
Status DdlRun::each_column_of(const Type& domain,
                              const std::function<Status(const Relation&, const Column&)>& f) const {
  std::set<Oid> of{domain.oid};
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& [oid, other] : now().types()) {
      grew = (other->kind == 'd' && of.contains(other->base) && of.insert(oid).second) || grew;
    }
  }
  for (const auto& [oid, relation] : now().relations()) {
    for (const Column& column : relation->columns) {
      if (relation->kind != 'r' || column.dropped) continue;
      const Oid element = is_true_array(base_type(column.type)) ? element_of(column.type) : Oid{0};
      if (of.contains(element)) {
        return fail(ErrorCode::kNotImplemented, "cannot alter type \"{}\" because column \"{}.{}\" uses it",
                    domain.name, relation->name, column.name);
      }
    }
  }
  for (const auto& [oid, relation] : now().relations()) {
    for (const Column& column : relation->columns) {
      if (relation->kind == 'r' && !column.dropped && of.contains(column.type)) BOP_TRY(f(*relation, column));
    }
  }
  return {};
}

Status DdlRun::verify_domain_check(const Type& domain, const DomainCheck& check) {
  BOP_LET(parsed, parse_expression(check.text));
  const Relation value = value_relation(domain);
  BOP_LET(bound, bind_expression(parsed, &value, ExpressionUse::kCheck, bind_now()));
  return each_column_of(domain, [&](const Relation& table, const Column& column) -> Status {
    BOP_LET(broken, first(fmt::format("SELECT 1 FROM (SELECT {} AS c1 FROM {}) WHERE NOT ({}) LIMIT 1",
                                      column_name(column.number), table_name(table.oid), bound.sql)));
    if (!broken) return {};
    return std::unexpected(
        about(table, error(ErrorCode::kCheckViolation,
                           "column \"{}\" of table \"{}\" contains values that violate the new constraint",
                           column.name, table.name))
            .column(column.name));
  });
}

Status DdlRun::alter_domain(const PgQuery__AlterDomainStmt& alter) {
  BOP_LET(found, find_type_to_change(BOP_PG_LIST(&alter, type_name)));
  Type domain = *found;
  if (domain.kind != 'd') {
    return fail(ErrorCode::kWrongObjectType, "{} is not a domain", format_type(domain.oid));
  }
  const std::string_view name = pg::text(alter.name);
  const auto check = std::ranges::find(domain.checks, name, &DomainCheck::name);
  const auto no_check = [&] {
    return error(ErrorCode::kUndefinedObject, "constraint \"{}\" of domain \"{}\" does not exist", name,
                 domain.name);
  };
  switch (pg::text(alter.subtype).front()) {
    case 'T':
      if (alter.def == nullptr) {
        domain.default_text.reset();
      } else {
        BOP_TRY(set_domain_default(domain, alter.def));
      }
      break;
    case 'N': domain.not_null = false; break;
    case 'O':
      if (domain.not_null) return {};
      BOP_TRY(each_column_of(domain, [&](const Relation& table, const Column& column) -> Status {
        BOP_LET(null, first(fmt::format("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", table_name(table.oid),
                                        column_name(column.number))));
        if (!null) return {};
        return std::unexpected(
            about(table, error(ErrorCode::kNotNullViolation,
                               "column \"{}\" of table \"{}\" contains null values", column.name, table.name))
                .column(column.name));
      }));
      domain.not_null = true;
      break;
    case 'C': {
      const PgQuery__Constraint& constraint = *alter.def->constraint;
      BOP_TRY(refuse_domain_constraint(constraint));
      BOP_TRY(add_domain_check(domain, constraint));
      if (domain.checks.back().validated) BOP_TRY(verify_domain_check(domain, domain.checks.back()));
      break;
    }
    case 'X':
      if (check == domain.checks.end()) {
        if (alter.missing_ok == 0) return std::unexpected(no_check());
        notice(error(ErrorCode::kUndefinedObject,
                     "constraint \"{}\" of domain \"{}\" does not exist, skipping", name, domain.name));
        return {};
      }
      domain.checks.erase(check);
      break;
    case 'V':
      if (check == domain.checks.end()) return std::unexpected(no_check());
      BOP_TRY(verify_domain_check(domain, *check));
      check->validated = true;
      break;
    default: return fail(ErrorCode::kNotImplemented, "this form of ALTER DOMAIN is not implemented");
  }
  edit_.put(std::move(domain));
  return {};
}

Status DdlRun::rename_domain_check(const PgQuery__RenameStmt& rename) {
  BOP_LET(found, find_type_or_domain(rename.object, PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN));
  Type domain = *found;
  const std::string_view from = pg::text(rename.subname);
  const std::string_view to = pg::text(rename.newname);
  const auto check = std::ranges::find(domain.checks, from, &DomainCheck::name);
  if (check == domain.checks.end()) {
    return fail(ErrorCode::kUndefinedObject, "constraint \"{}\" for domain {} does not exist", from,
                format_type(domain.oid));
  }
  if (std::ranges::find(domain.checks, to, &DomainCheck::name) != domain.checks.end()) {
    return fail(ErrorCode::kDuplicateObject, "constraint \"{}\" for domain {} already exists", to,
                format_type(domain.oid));
  }
  check->name = std::string(to);
  edit_.put(std::move(domain));
  return {};
}

// COMMENT ON CONSTRAINT c ON DOMAIN d: the type, then the constraint.
Status DdlRun::comment_on_domain_check(const PgQuery__CommentStmt& comment) {
  const pg::NodeList parts = BOP_PG_LIST(comment.object->list, items);
  BOP_LET(found, find_type_or_domain(parts[0], PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN));
  Type domain = *found;
  const std::string_view name = pg::string_of(parts[1]);
  const auto check = std::ranges::find(domain.checks, name, &DomainCheck::name);
  if (check == domain.checks.end()) {
    return fail(ErrorCode::kUndefinedObject, "constraint \"{}\" for domain {} does not exist", name,
                format_type(domain.oid));
  }
  check->comment = std::string(pg::text(comment.comment));
  edit_.put(std::move(domain));
  return {};
}

}  // namespace bop::sql
