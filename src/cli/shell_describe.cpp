// \d and its family: questions to pg_catalog, answered as psql lays them out.
#include <algorithm>

#include "cli/shell.hpp"

namespace bop::cli {

namespace {

// A pattern of psql: * and ? as in file names, lower case unless quoted, schema.name. As conditions on
// `schema` and `name`, to follow another.
std::string matching(const std::vector<std::string>& arguments, std::string_view schema,
                     std::string_view name, std::string_view visible, bool system) {
  std::string out;
  if (arguments.empty()) {
    if (!system && !schema.empty()) {
      out += fmt::format(" AND {0} <> 'pg_catalog' AND {0} <> 'information_schema' AND {0} !~ '^pg_toast'",
                         schema);
    }
    if (!visible.empty()) out += fmt::format(" AND {}", visible);
    return out;
  }
  std::vector<std::string> parts(1);
  bool quoted = false;
  for (const char c : arguments[0]) {
    std::string& part = parts.back();
    if (c == '"') {
      quoted = !quoted;
    } else if (c == '.' && !quoted) {
      parts.emplace_back();
    } else if (c == '*' && !quoted) {
      part += ".*";
    } else if (c == '?' && !quoted) {
      part += '.';
    } else if (std::string_view("|*+?()[]{}.^$\\").find(c) != std::string_view::npos) {
      part += std::string("\\") + c;
    } else {
      part += !quoted && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  const auto like = [&](std::string_view column, const std::string& part) {
    if (part != ".*") out += fmt::format(" AND {} ~ {}", column, sql_literal("^(" + part + ")$"));
  };
  like(name, parts.back());
  if (parts.size() > 1 && !schema.empty()) {
    like(schema, parts[parts.size() - 2]);
  } else if (!visible.empty()) {
    out += fmt::format(" AND {}", visible);
  }
  return out;
}

constexpr std::string_view kRelations =
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";
constexpr std::string_view kVisible = "pg_catalog.pg_table_is_visible(c.oid)";

void list_relations(Shell& shell, std::string_view kinds, bool more, bool system,
                    const std::vector<std::string>& arguments) {
  const bool indexes = kinds == "'i'";
  shell.show(
      fmt::format(
          "SELECT n.nspname AS \"Schema\", c.relname AS \"Name\", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' "
          "THEN 'view' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' ELSE c.relkind::text END AS \"Type\", "
          "pg_catalog.pg_get_userbyid(c.relowner) AS \"Owner\"{}{} {}{} WHERE c.relkind IN ({}){} ORDER BY 1, 2",
          indexes ? ", t.relname AS \"Table\"" : "",
          more ? ", pg_catalog.obj_description(c.oid, 'pg_class') AS \"Description\"" : "", kRelations,
          indexes
              ? " LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid LEFT JOIN pg_catalog.pg_class t "
                "ON t.oid = x.indrelid"
              : "",
          kinds, matching(arguments, "n.nspname", "c.relname", kVisible, system)),
      "List of relations");
}

// Lines under a title, indented; nothing when there are none.
void add_lines(Shell& shell, std::vector<std::string>& footers, std::string_view title,
               const std::string& sql) {
  const Answer answer = shell.ask(sql);
  if (answer.rows.empty()) return;
  footers.emplace_back(title);
  for (const auto& row : answer.rows) footers.push_back("    " + row[0].value_or(""));
}

std::vector<std::string> table_footers(Shell& shell, const std::string& oid) {
  std::vector<std::string> footers;
  add_lines(
      shell, footers, "Indexes:",
      fmt::format(
          "SELECT '\"' || c.relname || '\" ' || CASE WHEN i.indisprimary THEN 'PRIMARY KEY, ' WHEN "
          "k.contype = 'u' THEN 'UNIQUE CONSTRAINT, ' WHEN i.indisunique THEN 'UNIQUE, ' ELSE '' END || "
          "regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid), '^.* USING ', '') FROM "
          "pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid LEFT JOIN "
          "pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u') WHERE "
          "i.indrelid = {} ORDER BY i.indisprimary DESC, c.relname",
          oid));
  const auto constraints = [&](std::string_view title, std::string_view kind) {
    add_lines(
        shell, footers, title,
        fmt::format("SELECT '\"' || conname || '\" ' || pg_catalog.pg_get_constraintdef(oid, true) FROM "
                    "pg_catalog.pg_constraint WHERE conrelid = {} AND contype = '{}' ORDER BY conname",
                    oid, kind));
  };
  constraints("Check constraints:", "c");
  constraints("Foreign-key constraints:", "f");
  add_lines(
      shell, footers, "Referenced by:",
      fmt::format(
          "SELECT 'TABLE \"' || conrelid::pg_catalog.regclass::text || '\" CONSTRAINT \"' || conname || "
          "'\" ' || pg_catalog.pg_get_constraintdef(oid, true) FROM pg_catalog.pg_constraint WHERE "
          "confrelid = {} AND contype = 'f' ORDER BY conname",
          oid));
  return footers;
}

void describe_columns(Shell& shell, const std::string& oid, const std::string& kind, const std::string& name,
                      bool more) {
  std::vector<std::string> footers;
  std::string title = "Table";
  if (kind == "v") {
    title = "View";
    if (more) {
      const Answer text = shell.ask(fmt::format("SELECT pg_catalog.pg_get_viewdef({}, true)", oid));
      if (!text.rows.empty()) footers = {"View definition:", text.rows[0][0].value_or("")};
    }
  } else if (kind == "i") {
    title = "Index";
    const Answer text = shell.ask(fmt::format("SELECT pg_catalog.pg_get_indexdef({})", oid));
    if (!text.rows.empty()) footers = {text.rows[0][0].value_or("")};
  } else {
    footers = table_footers(shell, oid);
  }
  if (footers.empty()) footers.emplace_back("");
  shell.show(
      fmt::format(
          "SELECT a.attname AS \"Column\", pg_catalog.format_type(a.atttypid, a.atttypmod) AS \"Type\", CASE "
          "WHEN a.attnotnull THEN 'not null' ELSE '' END AS \"Nullable\", CASE WHEN a.attidentity = 'a' THEN "
          "'generated always as identity' WHEN a.attidentity = 'd' THEN 'generated by default as identity' "
          "WHEN a.attgenerated = 's' THEN 'generated always as (' || pg_catalog.pg_get_expr(d.adbin, "
          "d.adrelid) || ') stored' ELSE coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') END AS "
          "\"Default\"{} FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = "
          "a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = {} AND a.attnum > 0 AND NOT a.attisdropped "
          "ORDER BY a.attnum",
          more ? ", pg_catalog.col_description(a.attrelid, a.attnum) AS \"Description\"" : "", oid),
      fmt::format("{} \"{}\"", title, name), std::move(footers));
}

void describe_relation(Shell& shell, bool more, bool system, const std::vector<std::string>& arguments) {
  const Answer found = shell.ask(
      fmt::format("SELECT c.oid, n.nspname || '.' || c.relname, c.relkind {} WHERE true{} ORDER BY 2",
                  kRelations, matching(arguments, "n.nspname", "c.relname", kVisible, system)));
  if (found.error) return shell.complain(*found.error);
  if (found.rows.empty())
    return shell.complain(fmt::format("Did not find any relation named \"{}\".", arguments[0]));
  for (const auto& row : found.rows) {
    const std::string oid = row[0].value_or("0");
    if (row[2] == "S") {
      shell.show(
          fmt::format(
              "SELECT pg_catalog.format_type(seqtypid, NULL) AS \"Type\", seqstart AS \"Start\", seqmin AS "
              "\"Minimum\", seqmax AS \"Maximum\", seqincrement AS \"Increment\", CASE WHEN seqcycle "
              "THEN 'yes' ELSE 'no' END AS \"Cycles?\", seqcache AS \"Cache\" FROM "
              "pg_catalog.pg_sequence WHERE seqrelid = {}",
              oid),
          fmt::format("Sequence \"{}\"", row[1].value_or("")), {""});
    } else {
      describe_columns(shell, oid, row[2].value_or(""), row[1].value_or(""), more);
    }
  }
}

void show_source(Shell& shell, std::string_view what, const std::vector<std::string>& arguments) {
  if (arguments.empty()) return shell.complain("the name is missing");
  const bool view = what == "sv";
  std::string sql;
  if (view) {
    sql = fmt::format(
        "SELECT 'CREATE OR REPLACE VIEW ' || {0}::pg_catalog.regclass::text || ' AS' || chr(10) || "
        "pg_catalog.pg_get_viewdef({0}::pg_catalog.regclass, true)",
        sql_literal(arguments[0]));
  } else {
    const bool signature = arguments[0].find('(') != std::string::npos;
    sql = fmt::format("SELECT pg_catalog.pg_get_functiondef({}::pg_catalog.{})", sql_literal(arguments[0]),
                      signature ? "regprocedure" : "regproc");
  }
  const Answer answer = shell.ask(sql);
  if (answer.error) return shell.complain(*answer.error);
  for (const auto& row : answer.rows) shell.say(row[0].value_or(""));
}

void list_schemas(Shell& shell, bool more, bool system, const std::vector<std::string>& arguments) {
  shell.show(
      fmt::format("SELECT n.nspname AS \"Name\", pg_catalog.pg_get_userbyid(n.nspowner) AS \"Owner\"{} FROM "
                  "pg_catalog.pg_namespace n WHERE true{}{} ORDER BY 1",
                  more ? ", pg_catalog.obj_description(n.oid, 'pg_namespace') AS \"Description\"" : "",
                  system || !arguments.empty() ? ""
                                               : " AND n.nspname !~ '^pg_' AND n.nspname <> "
                                                 "'information_schema'",
                  matching(arguments, "", "n.nspname", "", system)),
      "List of schemas");
}

void list_roles(Shell& shell, const std::vector<std::string>& arguments) {
  shell.show(
      fmt::format(
          "SELECT r.rolname AS \"Role name\", concat_ws(', ', CASE WHEN r.rolsuper THEN 'Superuser' END, CASE WHEN "
          "r.rolcreaterole THEN 'Create role' END, CASE WHEN r.rolcreatedb THEN 'Create DB' END, CASE WHEN NOT "
          "r.rolcanlogin THEN 'Cannot login' END, CASE WHEN NOT r.rolinherit THEN 'No inheritance' END) AS "
          "\"Attributes\", ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles b "
          "ON m.roleid = b.oid WHERE m.member = r.oid) AS \"Member of\" FROM pg_catalog.pg_roles r WHERE true{}{} "
          "ORDER BY 1",
          arguments.empty() ? " AND r.rolname !~ '^pg_'" : "",
          matching(arguments, "", "r.rolname", "", true)),
      "List of roles");
}

void list_functions(Shell& shell, bool system, const std::vector<std::string>& arguments) {
  shell.show(
      fmt::format(
          "SELECT n.nspname AS \"Schema\", p.proname AS \"Name\", "
          "CASE WHEN p.proretset THEN 'SETOF ' ELSE '' END || pg_catalog.format_type(p.prorettype, NULL) "
          "AS \"Result data type\", array_to_string(ARRAY(SELECT pg_catalog.format_type(t, NULL) FROM "
          "unnest(p.proargtypes::pg_catalog.oid[]) t), ', ') AS \"Argument data types\", CASE p.prokind WHEN "
          "'a' THEN 'agg' WHEN 'w' THEN 'window' WHEN 'p' THEN 'proc' ELSE 'func' END AS \"Type\" FROM "
          "pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE true{} "
          "ORDER BY 1, 2, 4",
          matching(arguments, "n.nspname", "p.proname", "pg_catalog.pg_function_is_visible(p.oid)", system)),
      "List of functions");
}

void list_types(Shell& shell, bool domains, bool system, const std::vector<std::string>& arguments) {
  shell.show(
      fmt::format(
          "SELECT n.nspname AS \"Schema\", pg_catalog.format_type(t.oid, NULL) AS \"Name\", {} FROM "
          "pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE {}{} "
          "ORDER BY 1, 2",
          domains ? "pg_catalog.format_type(t.typbasetype, t.typtypmod) AS \"Type\", CASE WHEN "
                    "t.typnotnull THEN 'not null' ELSE '' END AS \"Nullable\", t.typdefault AS \"Default\""
                  : "pg_catalog.obj_description(t.oid, 'pg_type') AS \"Description\"",
          domains ? "t.typtype = 'd'" : "t.typrelid = 0 AND t.typelem = 0",
          matching(arguments, "n.nspname", "t.typname", "pg_catalog.pg_type_is_visible(t.oid)", system)),
      domains ? "List of domains" : "List of data types");
}

void list_databases(Shell& shell, const std::vector<std::string>& arguments) {
  shell.show(
      fmt::format("SELECT d.datname AS \"Name\", pg_catalog.pg_get_userbyid(d.datdba) AS \"Owner\", "
                  "pg_catalog.pg_encoding_to_char(d.encoding) AS \"Encoding\", d.datcollate AS \"Collate\", "
                  "d.datctype AS \"Ctype\" FROM pg_catalog.pg_database d WHERE true{} ORDER BY 1",
                  matching(arguments, "", "d.datname", "", true)),
      "List of databases");
}

void list_privileges(Shell& shell, const std::vector<std::string>& arguments) {
  shell.show(
      fmt::format(
          "SELECT n.nspname AS \"Schema\", c.relname AS \"Name\", CASE c.relkind WHEN 'r' THEN 'table' WHEN "
          "'v' THEN 'view' WHEN 'S' THEN 'sequence' END AS \"Type\", array_to_string(c.relacl, ', ') AS "
          "\"Access privileges\" {} WHERE c.relkind IN ('r', 'v', 'S'){} ORDER BY 1, 2",
          kRelations, matching(arguments, "n.nspname", "c.relname", kVisible, false)),
      "Access privileges");
}

}  // namespace

bool describe_command(Shell& shell, std::string_view name, const std::vector<std::string>& arguments) {
  bool more = false;
  bool system = false;
  while (name.ends_with('+') || (name.ends_with('S') && name.size() > 1)) {
    (name.back() == '+' ? more : system) = true;
    name.remove_suffix(1);
  }
  if (name == "d") {
    if (arguments.empty()) {
      list_relations(shell, "'r', 'v', 'S'", more, system, arguments);
    } else {
      describe_relation(shell, more, system, arguments);
    }
  } else if (name == "dt") {
    list_relations(shell, "'r'", more, system, arguments);
  } else if (name == "di") {
    list_relations(shell, "'i'", more, system, arguments);
  } else if (name == "dv") {
    list_relations(shell, "'v'", more, system, arguments);
  } else if (name == "ds") {
    list_relations(shell, "'S'", more, system, arguments);
  } else if (name == "dn") {
    list_schemas(shell, more, system, arguments);
  } else if (name == "du" || name == "dg") {
    list_roles(shell, arguments);
  } else if (name == "df") {
    list_functions(shell, system, arguments);
  } else if (name == "dT" || name == "dD") {
    list_types(shell, name == "dD", system, arguments);
  } else if (name == "l" || name == "list") {
    list_databases(shell, arguments);
  } else if (name == "dp" || name == "z") {
    list_privileges(shell, arguments);
  } else if (name == "sv" || name == "sf") {
    show_source(shell, name, arguments);
  } else {
    return false;
  }
  return true;
}

}  // namespace bop::cli
