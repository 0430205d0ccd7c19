// Users' functions in pg_proc and information_schema, and the text of their definitions.
#include "sql/pg_catalog/function_rows.hpp"

#include <algorithm>

#include "sql/functions/kernels.hpp"
#include "sql/stored_text.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

constexpr Oid kSqlLanguage = 14;

Oid language_oid(const Function& function) {
  return function.language == "plpgsql" ? kPlpgsqlLanguage : kSqlLanguage;
}

std::string array_item(std::string_view text) {
  const bool plain = !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c >= 0x80;
  });
  if (plain && text != "null" && text != "NULL") return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

template <class Item>
std::string array_text(const Function& function, Item item) {
  std::string out = "{";
  for (const FunctionArgument& argument : function.arguments) {
    out += out.size() == 1 ? "" : ",";
    out += item(argument);
  }
  return out + "}";
}

// With names in place of OIDs in the defaults.
Function shown(Function function, const ObjectNames& names) {
  for (FunctionArgument& argument : function.arguments) {
    if (argument.default_text) argument.default_text = shown_expression(*argument.default_text, names);
  }
  return function;
}

std::string standard_body(const Function& function, const ObjectNames& names) {
  const auto statements = parse(function.body);
  if (!statements) return {};
  constexpr std::string_view kSelect = "SELECT ";
  if (statements->size() == 1 && function.reads.empty() && statements->front()->text.starts_with(kSelect)) {
    return "RETURN " + shown_expression(statements->front()->text.substr(kSelect.size()), names);
  }
  std::string out = "BEGIN ATOMIC\n";
  for (const ParsedStatementPtr& statement : *statements) {
    out += " " + shown_query(statement->text, names) + ";\n";
  }
  return out + "END";
}

bool may_see(const CatalogSession& session, const Function& function) {
  return !session.who || session.who->has_rights_of(function.owner) ||
         held_on(function, *session.who, right::kExecute) != 0;
}

std::string udt_schema(const CatalogSession& session, Oid type) {
  const UserType* user = type < kFirstUserOid ? nullptr : session.catalog->user_type(type);
  if (user == nullptr) return "pg_catalog";
  return session.catalog->schema(session.catalog->type(user->definition().oid)->schema)->name;
}

std::string data_type(Oid type) {
  return type >= kFirstUserOid ? "USER-DEFINED" : is_true_array(type) ? "ARRAY" : format_type(type);
}

void routines(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, function] : session.catalog->functions()) {
    if (!may_see(session, *function)) continue;
    const std::string& schema = session.catalog->schema(function->schema)->name;
    rows.row().set("specific_catalog", session.database_name).set("specific_schema", schema);
    rows.set("specific_name", fmt::format("{}_{}", function->name, oid));
    rows.set("routine_catalog", session.database_name).set("routine_schema", schema);
    rows.set("routine_name", function->name);
    rows.set("routine_type", function->kind == 'p' ? "PROCEDURE" : "FUNCTION");
    if (function->kind == 'f') {
      rows.set("data_type", data_type(function->result));
      rows.set("type_udt_catalog", session.database_name);
      rows.set("type_udt_schema", udt_schema(session, function->result));
      if (const TypeInfo* type = find_type(function->result)) rows.set("type_udt_name", type->name);
      rows.set("dtd_identifier", "0");
      rows.set("is_null_call", function->strict ? "YES" : "NO");
    }
    rows.set("routine_body", function->language == "sql" ? "SQL" : "EXTERNAL");
    if (!session.who || session.who->has_rights_of(function->owner)) {
      rows.set("routine_definition", function->standard_body ? std::string_view() : function->body);
    }
    std::string language = function->language;
    std::ranges::transform(language, language.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    rows.set("external_language", language).set("parameter_style", "GENERAL");
    rows.set("is_deterministic", function->volatility == 'i' ? "YES" : "NO");
    rows.set("sql_data_access", "MODIFIES").set("schema_level_routine", "YES");
    rows.set("max_dynamic_result_sets", 0).set("security_type", "INVOKER").set("as_locator", "NO");
    rows.set("is_udt_dependent", "NO");
  }
}

void parameters(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, function] : session.catalog->functions()) {
    if (!may_see(session, *function)) continue;
    int place = 0;
    for (const FunctionArgument& argument : function->arguments) {
      rows.row().set("specific_catalog", session.database_name);
      rows.set("specific_schema", session.catalog->schema(function->schema)->name);
      rows.set("specific_name", fmt::format("{}_{}", function->name, oid)).set("ordinal_position", ++place);
      rows.set("parameter_mode", argument.mode == 'o' || argument.mode == 't' ? "OUT"
                                 : argument.mode == 'b'                       ? "INOUT"
                                                                              : "IN");
      rows.set("is_result", "NO").set("as_locator", "NO");
      if (!argument.name.empty()) rows.set("parameter_name", argument.name);
      rows.set("data_type", data_type(argument.type)).set("udt_catalog", session.database_name);
      rows.set("udt_schema", udt_schema(session, argument.type));
      if (const TypeInfo* type = find_type(argument.type)) rows.set("udt_name", type->name);
      rows.set("dtd_identifier", std::to_string(place));
      if (argument.default_text) rows.set("parameter_default", *argument.default_text);
    }
  }
}

}  // namespace

void user_procs(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, function] : session.catalog->functions()) {
    rows.row().set("oid", oid).set("proname", function->name).set("pronamespace", function->schema);
    rows.set("proowner", function->owner).set("prolang", language_oid(*function));
    rows.set("procost", OwnedValue::of_real(function->cost))
        .set("prorows", OwnedValue::of_real(function->rows));
    rows.set("provariadic", function->kernel->variadic).set("prokind", function->kind);
    rows.set("proleakproof", function->leakproof).set("proisstrict", function->strict);
    rows.set("proretset", function->returns_set).set("provolatile", function->volatility);
    rows.set("proparallel", function->parallel).set("prorettype", function->result);
    const std::vector<Oid> inputs = function->input_types();
    rows.set("pronargs", static_cast<std::int64_t>(inputs.size()));
    rows.set("pronargdefaults", static_cast<std::int64_t>(function->defaults()));
    std::string types;
    for (const Oid type : inputs) types += (types.empty() ? "" : " ") + std::to_string(type);
    rows.set("proargtypes", types);
    const auto is_plain = [](const FunctionArgument& a) { return a.mode == 'i'; };
    if (!std::ranges::all_of(function->arguments, is_plain)) {
      rows.set("proallargtypes", array_text(*function, [](const auto& a) { return std::to_string(a.type); }));
      rows.set("proargmodes", array_text(*function, [](const auto& a) { return std::string(1, a.mode); }));
    }
    if (std::ranges::any_of(function->arguments, [](const auto& a) { return !a.name.empty(); })) {
      rows.set("proargnames", array_text(*function, [](const auto& a) { return array_item(a.name); }));
    }
    if (function->defaults() > 0) {
      std::string defaults;
      for (const FunctionArgument& a : function->arguments) {
        if (a.default_text) defaults += (defaults.empty() ? "" : ", ") + *a.default_text;
      }
      rows.set("proargdefaults", defaults);
    }
    rows.set("prosrc", function->standard_body ? std::string_view() : std::string_view(function->body));
    if (function->standard_body) rows.set("prosqlbody", function->body);
    set_acl(session, rows, "proacl", function->acl);
  }
}

void add_function_makers(std::map<std::string_view, MakerInfo>& makers) {
  makers["information_schema.routines"] = {routines, false};
  makers["information_schema.parameters"] = {parameters, false};
}

std::string function_definition(const Catalog& catalog, const Function& stored, const ObjectNames& names) {
  const Function function = shown(stored, names);
  const bool procedure = function.kind == 'p';
  std::string out = fmt::format("CREATE OR REPLACE {} {}.{}({})\n", procedure ? "PROCEDURE" : "FUNCTION",
                                quote_name(catalog.schema(function.schema)->name), quote_name(function.name),
                                arguments_text(function, true));
  if (!procedure) out += fmt::format(" RETURNS {}\n", result_text(function));
  out += fmt::format(" LANGUAGE {}\n", quote_name(function.language));
  std::string options;
  if (function.volatility != 'v') options += function.volatility == 'i' ? " IMMUTABLE" : " STABLE";
  if (function.parallel != 'u')
    options += function.parallel == 's' ? " PARALLEL SAFE" : " PARALLEL RESTRICTED";
  if (function.strict) options += " STRICT";
  if (function.leakproof) options += " LEAKPROOF";
  if (function.cost != 100) options += fmt::format(" COST {}", function.cost);
  if (function.rows > 0 && function.rows != 1000) options += fmt::format(" ROWS {}", function.rows);
  if (!options.empty()) out += options + "\n";
  if (function.standard_body) return out + standard_body(function, names) + "\n";
  std::string tag = procedure ? "$procedure" : "$function";
  while (function.body.find(tag + "$") != std::string::npos) tag += "x";
  return out + fmt::format("AS {0}${1}{0}$\n", tag, function.body);
}

Result<OwnedValue> about_function(const CatalogSession& session, const ObjectNames& names,
                                  std::string_view name, std::span<const Value> args) {
  const auto function =
      args[0].is_null() ? nullptr : session.catalog->function(static_cast<Oid>(args[0].integer));
  if (function == nullptr) {
    // Of a built-in one what its row says.
    const Kernel* kernel = args[0].is_null() ? nullptr : find_kernel(static_cast<Oid>(args[0].integer));
    if (kernel == nullptr || name == "pg_get_functiondef" || name == "pg_get_function_sqlbody" ||
        name == "pg_get_function_arg_default") {
      return OwnedValue::null();
    }
    if (name == "pg_get_function_result") {
      return OwnedValue::of_text((kernel->kind == KernelKind::kSetReturning ? "SETOF " : "") +
                                 format_type(kernel->result));
    }
    std::string types;
    for (const Oid type : kernel->args) types += (types.empty() ? "" : ", ") + format_type(type);
    return OwnedValue::of_text(types);
  }
  if (name == "pg_get_functiondef") {
    return OwnedValue::of_text(function_definition(*session.catalog, *function, names));
  }
  if (name == "pg_get_function_result") {
    std::string text = result_text(*function);
    return text.empty() ? OwnedValue::null() : OwnedValue::of_text(std::move(text));
  }
  if (name == "pg_get_function_arguments") {
    return OwnedValue::of_text(arguments_text(shown(*function, names), true));
  }
  if (name == "pg_get_function_identity_arguments") return OwnedValue::of_text(identity_text(*function));
  if (name == "pg_get_function_sqlbody") {
    return function->standard_body ? OwnedValue::of_text(standard_body(*function, names))
                                   : OwnedValue::null();
  }
  const auto inputs = function->inputs();
  const std::int64_t place = args[1].integer;
  if (place < 1 || place > static_cast<std::int64_t>(inputs.size())) return OwnedValue::null();
  const auto& text = inputs[static_cast<std::size_t>(place - 1)]->default_text;
  return text ? OwnedValue::of_text(shown_expression(*text, names)) : OwnedValue::null();
}

Result<Oid> resolve_function_name(const CatalogSession& session, std::span<const std::string> parts,
                                  std::optional<std::vector<Oid>> types) {
  const std::string schema = parts.size() > 1 ? parts[parts.size() - 2] : std::string();
  auto found = session.catalog->find_functions(session.search_path, schema, parts.back());
  if (types) std::erase_if(found, [&](const auto& f) { return f->input_types() != *types; });
  if (found.size() > 1) {
    return fail(ErrorCode::kAmbiguousFunction, "more than one function named \"{}\"", parts.back());
  }
  return found.empty() ? Oid{0} : found.front()->oid;
}

std::string function_name(const CatalogSession& session, const Function& function, bool with_types) {
  const auto seen = session.catalog->find_functions(session.search_path, {}, function.name);
  const bool visible = std::ranges::any_of(seen, [&](const auto& f) { return f->oid == function.oid; });
  std::string out = visible ? "" : quote_name(session.catalog->schema(function.schema)->name) + ".";
  out += quote_name(function.name);
  if (!with_types) return out;
  std::string types;
  for (const Oid type : function.input_types()) types += (types.empty() ? "" : ",") + format_type(type);
  return fmt::format("{}({})", out, types);
}

}  // namespace bop::sql
