// Functions that read the catalog, and the names behind regclass and its siblings.
#include <sqlite3.h>

#include <algorithm>
#include <charconv>

#include "base/metrics.hpp"
#include "sql/catalog/temporary.hpp"
#include "sql/pg_catalog/definition_text.hpp"
#include "sql/pg_catalog/function_rows.hpp"
#include "sql/pg_catalog/pg_catalog.hpp"
#include "sql/pg_catalog/privileges.hpp"
#include "sql/pg_catalog/relation_table.hpp"
#include "sql/stored_text.hpp"
#include "sql/types/types.hpp"
#include "sql/view_target.hpp"

namespace bop::sql {

namespace {

constexpr std::int64_t kSecondsTo2000 = 946'684'800;  // from 1970

using Args = std::span<const Value>;

OwnedValue text(std::string value) { return OwnedValue::of_text(std::move(value)); }
Oid oid_at(Args args, std::size_t i) {
  return i < args.size() && args[i].kind == Value::Kind::kInt ? static_cast<Oid>(args[i].integer) : 0;
}

// "a.b" or "\"A\".b" into parts, folded.
std::vector<std::string> parts_of(std::string_view name) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '"') {
      for (++i; i < name.size(); ++i) {
        if (name[i] == '"') {
          if (i + 1 >= name.size() || name[i + 1] != '"') break;
          ++i;
        }
        parts.back().push_back(name[i]);
      }
    } else if (name[i] == '.') {
      parts.emplace_back();
    } else if (name[i] != ' ') {
      parts.back().push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(name[i]))));
    }
  }
  return parts;
}

struct Object {
  std::string name;
  Oid schema = 0;
  char kind = 0;
};

std::optional<Object> object_of(const Catalog& catalog, Oid oid) {
  if (const auto relation = catalog.relation(oid))
    return Object{relation->name, relation->schema, relation->kind};
  if (const auto index = catalog.index(oid)) return Object{index->name, index->schema, 'i'};
  if (const auto sequence = catalog.sequence(oid)) return Object{sequence->name, sequence->schema, 'S'};
  return std::nullopt;
}

// Whether the object is the one that its bare name finds.
bool visible(const CatalogSession& session, Oid oid) {
  const auto object = object_of(*session.catalog, oid);
  return object && session.catalog->find(session.search_path, {}, object->name).oid == oid;
}

std::string role_name(const CatalogSession& session, Oid oid) {
  if (session.cluster != nullptr) {
    for (const auto& role : session.cluster->roles()) {
      if (role.oid == oid) return role.name;
    }
  }
  return fmt::format("unknown (OID={})", oid);
}

std::int64_t relation_bytes(const CatalogSession& session, const std::string& name) {
  if (session.connection == nullptr) return 0;
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(session.connection,
                         "SELECT sum(pgsize) FROM dbstat WHERE name = ?1 AND aggregate = 1", -1, &statement,
                         nullptr) != SQLITE_OK) {
    return 0;
  }
  sqlite3_bind_text(statement, 1, name.c_str(), -1, SQLITE_STATIC);
  const std::int64_t bytes = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
  sqlite3_finalize(statement);
  return bytes;
}

Result<OwnedValue> relation_size(const CatalogSession& session, Oid oid, bool with_indexes,
                                 bool only_indexes) {
  const auto object = object_of(*session.catalog, oid);
  if (!object) return OwnedValue::null();
  std::int64_t bytes = 0;
  if (object->kind == 'i') {
    bytes = relation_bytes(session, index_name(oid));
  } else if (object->kind == 'r' && !only_indexes) {
    bytes = relation_bytes(session, table_name(oid));
  }
  if (object->kind == 'r' && (with_indexes || only_indexes)) {
    for (const auto& index : session.catalog->indexes_of(oid))
      bytes += relation_bytes(session, index_name(index->oid));
  }
  return OwnedValue::of_int(bytes);
}

std::string comment_of(const CatalogSession& session, Oid oid, std::int64_t part) {
  const Catalog& catalog = *session.catalog;
  if (const auto relation = catalog.relation(oid)) {
    if (part == 0) return relation->comment;
    const Column* column = relation->find_column(static_cast<std::int16_t>(part));
    return column == nullptr ? std::string() : column->comment;
  }
  if (const auto index = catalog.index(oid)) return part == 0 ? index->comment : std::string();
  if (const auto sequence = catalog.sequence(oid)) return part == 0 ? sequence->comment : std::string();
  if (const auto type = catalog.type(oid)) return type->comment;
  if (const auto function = catalog.function(oid)) return function->comment;
  for (const auto& [domain, type] : catalog.types()) {
    for (const DomainCheck& check : type->checks) {
      if (check.oid == oid) return check.comment;
    }
  }
  if (const Schema* schema = catalog.schema(oid)) {
    if (!schema->comment.empty()) return schema->comment;
    if (oid == kPublicSchema) return "standard public schema";
  }
  for (const auto& [unused, relation] : catalog.relations()) {
    const auto found = std::ranges::find(relation->constraints, oid, &Constraint::oid);
    if (found != relation->constraints.end()) return found->comment;
  }
  return {};
}

OwnedValue or_null(std::string value) { return value.empty() ? OwnedValue::null() : text(std::move(value)); }

Result<OwnedValue> serial_sequence(const CatalogSession& session, std::string_view table,
                                   std::string_view column) {
  const auto parts = parts_of(table);
  const auto found =
      session.catalog->find(session.search_path, parts.size() > 1 ? parts[0] : std::string(), parts.back());
  const auto relation = found ? session.catalog->relation(found.oid) : nullptr;
  if (!relation) return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", table);
  const Column* known = relation->find_column(column);
  if (known == nullptr) {
    return fail(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", column,
                relation->name);
  }
  for (const auto& [oid, sequence] : session.catalog->sequences()) {
    if (sequence->owned_by_table == relation->oid && sequence->owned_by_column == known->number) {
      return text(fmt::format("{}.{}", quote_name(session.catalog->schema(sequence->schema)->name),
                              quote_name(sequence->name)));
    }
  }
  return OwnedValue::null();
}

}  // namespace

Result<OwnedValue> CatalogKernels::call(std::string_view name, std::span<const Value> args) {
  const CatalogSession& session = session_;
  const Catalog& catalog = *session.catalog;
  const Oid first = oid_at(args, 0);
  if (name == "pg_get_expr")
    return args[0].is_null() ? OwnedValue::null() : text(shown_expression(std::string(args[0].bytes), *this));
  if (name == "pg_get_indexdef") {
    const auto index = catalog.index(first);
    if (!index) return OwnedValue::null();
    if (args.size() > 1 && args[1].integer != 0)
      return text(index_key_definition(catalog, *index, args[1].integer, *this));
    return text(index_definition(catalog, *index, *this));
  }
  if (name == "pg_get_constraintdef") {
    for (const auto& [oid, relation] : catalog.relations()) {
      for (const Constraint& constraint : relation->constraints) {
        if (constraint.oid == first)
          return text(constraint_definition(catalog, *relation, constraint, *this));
      }
    }
    for (const auto& [oid, type] : catalog.types()) {
      for (const DomainCheck& check : type->checks) {
        if (check.oid == first) return text(domain_check_definition(check, *this));
      }
    }
    return OwnedValue::null();
  }
  if (name == "pg_get_viewdef") {
    Oid view = first;
    if (args[0].kind == Value::Kind::kText) {
      BOP_LET(found, resolve(types::kRegclass, args[0].bytes));
      view = found;
    }
    const auto relation = catalog.relation(view);
    return relation && relation->kind == 'v' ? text(" " + shown_query(relation->view_text, *this) + ";")
                                             : OwnedValue::null();
  }
  if (name.starts_with("pg_get_function")) return about_function(session, *this, name, args);
  if (name == "pg_function_is_visible") {
    const auto function = catalog.function(first);
    if (function == nullptr) return OwnedValue::of_bool(true);
    const auto seen = catalog.find_functions(session.search_path, {}, function->name);
    return OwnedValue::of_bool(std::ranges::any_of(seen, [&](const auto& f) { return f->oid == first; }));
  }
  if (name == "pg_get_userbyid") return text(role_name(session, first));
  if (name == "pg_table_is_visible") {
    return object_of(catalog, first) ? OwnedValue::of_bool(visible(session, first)) : OwnedValue::null();
  }
  if (name == "pg_type_is_visible") {
    const UserType* user = catalog.user_type(first);
    if (user == nullptr) return find_type(first) != nullptr ? OwnedValue::of_bool(true) : OwnedValue::null();
    const TypeInfo& type = user->definition().oid == first ? user->info() : user->array_info();
    return OwnedValue::of_bool(catalog.find_type(session.search_path, {}, type.name) == first);
  }
  if (name.starts_with("pg_") && name.ends_with("_is_visible")) return OwnedValue::of_bool(true);
  if (name == "obj_description" || name == "shobj_description") return or_null(comment_of(session, first, 0));
  if (name == "col_description") return or_null(comment_of(session, first, args[1].integer));
  if (name == "pg_get_serial_sequence") return serial_sequence(session, args[0].bytes, args[1].bytes);
  if (name == "pg_relation_size") return relation_size(session, first, false, false);
  if (name == "pg_table_size") return relation_size(session, first, false, false);
  if (name == "pg_indexes_size") return relation_size(session, first, false, true);
  if (name == "pg_total_relation_size") return relation_size(session, first, true, false);
  if (name == "pg_database_size") {
    if (session.cluster == nullptr) return OwnedValue::null();
    for (const auto& database : session.cluster->databases()) {
      const bool wanted =
          args[0].kind == Value::Kind::kText ? database.name == args[0].bytes : database.oid == first;
      if (wanted) return OwnedValue::of_int(database.size_bytes);
    }
    if (args[0].kind == Value::Kind::kText) {
      return fail(ErrorCode::kUndefinedDatabase, "database \"{}\" does not exist", args[0].bytes);
    }
    return OwnedValue::null();
  }
  if (name == "pg_stat_get_numscans") return OwnedValue::null();  // nobody counts them
  if (name == "pg_postmaster_start_time" || name == "pg_conf_load_time")
    return OwnedValue::of_int((metrics().start_time_seconds.value() - kSecondsTo2000) * 1'000'000);
  if (name == "pg_encoding_to_char")
    return text(args[0].integer == 6 ? "UTF8" : args[0].integer == 0 ? "SQL_ASCII" : "");
  if (name == "pg_char_to_encoding")
    return OwnedValue::of_int(args[0].bytes == "UTF8" || args[0].bytes == "utf8" ? 6 : -1);
  if (name == "pg_has_role" || (name.starts_with("has_") && name.ends_with("_privilege"))) {
    return has_privilege(session, *this, name, args);
  }
  if (name == "pg_relation_is_publishable") {
    const auto relation = catalog.relation(first);
    return OwnedValue::of_bool(relation && relation->kind == 'r' && !relation->is_virtual());
  }
  if (name == "to_regclass") {
    const auto found = resolve(types::kRegclass, args[0].bytes);
    if (!found && found.error().code() == ErrorCode::kInsufficientPrivilege) {
      return std::unexpected(found.error());
    }
    return found ? OwnedValue::of_int(*found) : OwnedValue::null();
  }
  if (name == "to_regtype") {
    const auto found = resolve(types::kRegtype, args[0].bytes);
    return found ? OwnedValue::of_int(*found) : OwnedValue::null();
  }
  if (name == "bop_current_csn") return OwnedValue::of_int(static_cast<std::int64_t>(session.snapshot.value));
  if (name == "pg_relation_is_updatable" || name == "pg_column_is_updatable") {
    constexpr int kUpdate = 1 << 2, kInsert = 1 << 3, kDelete = 1 << 4;  // PostgreSQL's CmdType
    const auto relation = catalog.relation(first);
    const bool table = relation && relation->kind == 'r' && !relation->is_virtual();
    const auto columns = relation && relation->kind == 'v' && !relation->is_virtual()
                             ? updatable_columns(session.catalog, relation)
                             : std::nullopt;
    if (name == "pg_relation_is_updatable")
      return OwnedValue::of_int(table || columns ? kUpdate | kInsert | kDelete : 0);
    const auto number = static_cast<std::int16_t>(args[1].integer);
    return OwnedValue::of_bool(table ? relation->find_column(number) != nullptr
                                     : columns && std::ranges::find(*columns, number) != columns->end());
  }
  if (name == "pg_my_temp_schema") {
    const Schema* own = catalog.schema(own_temporary(session.search_path));
    return OwnedValue::of_int(own == nullptr ? 0 : own->oid);
  }
  if (name == "pg_is_other_temp_schema") {
    const Schema* schema = catalog.schema(first);
    return OwnedValue::of_bool(schema != nullptr && is_temporary_schema(schema->name) &&
                               schema->name != own_temporary(session.search_path));
  }
  if (name == "pg_is_in_recovery") return OwnedValue::of_bool(false);
  if (name == "pg_get_partkeydef" || name == "pg_get_statisticsobjdef_columns" ||
      name == "pg_get_statisticsobjdef" || name == "pg_get_triggerdef" || name == "pg_get_ruledef" ||
      name == "pg_tablespace_location") {
    return OwnedValue::null();  // there are no such objects
  }
  return fail(ErrorCode::kNotImplemented, "function {} is not implemented", name);
}

Result<Oid> CatalogKernels::resolve(Oid kind, std::string_view name) const {
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (problem == std::errc{} && end == name.data() + name.size()) return static_cast<Oid>(number);
  if (name == "-") return Oid{0};
  const auto parts = parts_of(name);
  const Catalog& catalog = *session_.catalog;
  if (kind == types::kRegclass) {
    const std::string schema = parts.size() > 1 ? parts[parts.size() - 2] : std::string();
    BOP_TRY(may_look_in(catalog, schema, session_.who.get()));
    const auto found = catalog.find(session_.search_path, schema, parts.back());
    if (found) return found.oid;
    std::string shown = parts.back();
    if (!schema.empty()) shown = schema + "." + shown;
    return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", shown);
  }
  if (kind == types::kRegtype) {
    const TypeInfo* type = find_type(name);
    if (type == nullptr && parts.size() > 1 && parts[0] == "pg_catalog")
      type = find_type(std::string_view(parts[1]));
    if (type == nullptr) {
      BOP_LET(resolved, resolve_type(name));
      return resolved.type;
    }
    return type->oid;
  }
  if (kind == types::kRegnamespace) {
    const Schema* schema = catalog.schema(std::string_view(parts.back()));
    if (schema == nullptr) return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", name);
    return schema->oid;
  }
  if (kind == types::kRegrole) {
    if (session_.cluster != nullptr) {
      for (const auto& role : session_.cluster->roles()) {
        if (role.name == parts.back()) return role.oid;
      }
    }
    return fail(ErrorCode::kUndefinedObject, "role \"{}\" does not exist", parts.back());
  }
  if (const auto open = name.find('('); open != std::string_view::npos && name.ends_with(')')) {
    // regprocedure: with the types of its arguments.
    std::vector<Oid> wanted;
    std::string_view rest = name.substr(open + 1, name.size() - open - 2);
    while (!rest.empty()) {
      int depth = 0;
      std::size_t length = 0;
      for (; length < rest.size() && (depth > 0 || rest[length] != ','); ++length) {
        depth += rest[length] == '(' ? 1 : rest[length] == ')' ? -1 : 0;
      }
      BOP_LET(type, resolve(types::kRegtype, rest.substr(0, length)));
      wanted.push_back(type);
      rest.remove_prefix(std::min(rest.size(), length + 1));
    }
    const std::vector<std::string> bare = parts_of(name.substr(0, open));
    BOP_LET(found, resolve_function_name(session_, bare, wanted));
    if (found != 0) return found;
    for (const Kernel* kernel : lookup_any(bare.back())) {
      if (kernel->args == wanted) return kernel->oid;
    }
    return fail(ErrorCode::kUndefinedFunction, "function \"{}\" does not exist", name);
  }
  BOP_LET(of_user, resolve_function_name(session_, parts, std::nullopt));
  if (of_user != 0) return of_user;
  const auto kernels = lookup_any(parts.back());
  if (const IoFunction* io = find_io_function(parts.back()); io != nullptr && kernels.empty()) return io->oid;
  if (kernels.empty()) return fail(ErrorCode::kUndefinedFunction, "function \"{}\" does not exist", name);
  if (kernels.size() > 1 && kind == types::kRegproc) {
    return fail(ErrorCode::kAmbiguousFunction, "more than one function named \"{}\"", name);
  }
  return kernels.front()->oid;
}

std::string CatalogKernels::name_of(Oid kind, Oid object) const {
  if (object == 0) return "-";
  const Catalog& catalog = *session_.catalog;
  if (kind == types::kRegclass) {
    const auto found = object_of(catalog, object);
    if (!found) return std::to_string(object);
    if (visible(session_, object)) return quote_name(found->name);
    return quote_name(catalog.schema(found->schema)->name) + "." + quote_name(found->name);
  }
  if (kind == types::kRegtype) {
    return find_type(object) != nullptr ? format_type(object) : std::to_string(object);
  }
  if (kind == types::kRegnamespace) {
    const Schema* schema = catalog.schema(object);
    return schema == nullptr ? std::to_string(object) : quote_name(schema->name);
  }
  if (kind == types::kRegrole) {
    const std::string name = role_name(session_, object);
    return name.starts_with("unknown") ? std::to_string(object) : quote_name(name);
  }
  if (const auto function = catalog.function(object)) {
    return function_name(session_, *function, kind == types::kRegprocedure);
  }
  const Kernel* kernel = find_kernel(object);
  const auto io = std::ranges::find(io_functions(), object, &IoFunction::oid);
  if (io != io_functions().end()) return std::string(io->name);
  return kernel == nullptr ? std::to_string(object) : std::string(kernel->name);
}

}  // namespace bop::sql
