#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <sqlite3.h>

#include "sql/explain.hpp"
#include "sql/types/json.hpp"

namespace bop::sql {

namespace {

constexpr std::string_view kTempTree = "USE TEMP B-TREE FOR ";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Replaces t<oid>, i<oid> and r<n> of SQLite's words by the catalog's names.
std::string readable(std::string_view text, const Catalog& catalog) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const bool starts_word =
        i == 0 || !(std::isalnum(static_cast<unsigned char>(text[i - 1])) != 0 || text[i - 1] == '_');
    if (starts_word && (text[i] == 't' || text[i] == 'i') && i + 1 < text.size() && is_digit(text[i + 1])) {
      std::size_t end = i + 1;
      Oid oid = 0;
      while (end < text.size() && is_digit(text[end])) {
        oid = oid * 10 + static_cast<Oid>(text[end++] - '0');
      }
      const auto table = text[i] == 't' ? catalog.relation(oid) : nullptr;
      const auto index = text[i] == 'i' ? catalog.index(oid) : nullptr;
      out += table != nullptr   ? table->name
             : index != nullptr ? index->name
                                : std::string(text.substr(i, end - i));
      i = end;
    } else {
      out += text[i++];
    }
  }
  return out;
}

// The table behind an alias r<n> of the plan's SQL: "t16384 AS r3".
std::string table_of_alias(const std::string& sql, std::string_view alias, const Catalog& catalog) {
  const std::string pattern = fmt::format(" AS {}", alias);
  for (std::size_t at = sql.find(pattern); at != std::string::npos; at = sql.find(pattern, at + 1)) {
    const std::size_t end = at + pattern.size();
    if (end < sql.size() && is_digit(sql[end])) {
      continue;
    }
    std::size_t begin = at;
    while (begin > 0 &&
           (std::isalnum(static_cast<unsigned char>(sql[begin - 1])) != 0 || sql[begin - 1] == '_')) {
      --begin;
    }
    return readable(std::string_view(sql).substr(begin, at - begin), catalog);
  }
  return std::string(alias);
}

ExplainNode node_of(std::string_view detail, const Plan& plan, const std::string& sql) {
  const auto starts = [&](std::string_view word) { return detail.starts_with(word); };
  const auto word_at = [&](std::size_t at) {
    const std::size_t end = detail.find(' ', at);
    return detail.substr(at, end == std::string_view::npos ? detail.size() - at : end - at);
  };
  const auto table = [&](std::string_view alias) {
    const bool is_alias = alias.size() > 1 && alias[0] == 'r' && is_digit(alias[1]);
    return is_alias ? table_of_alias(sql, alias, *plan.catalog) : readable(alias, *plan.catalog);
  };
  const std::size_t index = detail.find("USING ");
  std::string how =
      index == std::string_view::npos ? std::string() : readable(detail.substr(index + 6), *plan.catalog);
  if (starts("SCAN ")) {
    const std::string_view alias = word_at(5);
    if (alias == "CONSTANT") return {.type = "Result"};
    return {.type = how.empty() ? "Seq Scan" : "Index Scan", .relation = table(alias), .how = std::move(how)};
  }
  if (starts("SEARCH ")) return {.type = "Index Scan", .relation = table(word_at(7)), .how = std::move(how)};
  if (starts(kTempTree)) {
    const std::string_view what = detail.substr(kTempTree.size());
    if (what.find("ORDER BY") != std::string_view::npos) return {.type = "Sort"};
    if (what.find("GROUP BY") != std::string_view::npos) return {.type = "Sort for GroupAggregate"};
    return {.type = fmt::format("Unique ({})", what)};
  }
  return {.type = readable(detail, *plan.catalog)};
}

// SQLite's steps as they come: joined tables stand side by side, with them what is computed for them, and
// behind them the sorts of their rows.
struct Step {
  int parent = 0;
  bool sorts = false;
  ExplainNode node;
};

class Tree {
 public:
  Tree(const Plan& plan, const std::string& sql) : plan_(plan), sql_(sql) {}

  void add(int id, int parent, const char* detail, std::optional<std::uint64_t> rows,
           std::optional<std::uint64_t> loops) {
    const std::string_view text = detail == nullptr ? "" : detail;
    Step& step = steps_[id];
    if (order_.empty() || std::ranges::find(order_, id) == order_.end()) order_.push_back(id);
    step.parent = parent;
    step.sorts = text.starts_with(kTempTree);
    step.node = node_of(text, plan_, sql_);
    step.node.rows = rows;
    step.node.loops = loops;
  }

  // What the statement's rows come from; none if it reads nothing.
  ExplainNode top() {
    std::vector<ExplainNode> tops = below(0);
    return tops.empty() ? ExplainNode{.type = "Result"} : std::move(tops.front());
  }

 private:
  // One node for all that stands under a parent, or none: the tables that are read, joined; what else is
  // computed for it (subqueries, co-routines); and around it the sorts of its rows.
  std::vector<ExplainNode> below(int parent) {
    std::vector<ExplainNode> scans, others, sorts;
    for (const int id : order_) {
      Step& step = steps_[id];
      if (step.parent != parent || id == parent) continue;
      step.node.inputs = below(id);
      const bool scans_table = !step.node.relation.empty();
      (step.sorts ? sorts : scans_table ? scans : others).push_back(std::move(step.node));
    }
    std::vector<ExplainNode> made;
    if (scans.size() == 1) {
      made = std::move(scans);
    } else if (!scans.empty()) {
      made.push_back({.type = "Nested Loop"});
      made.front().inputs = std::move(scans);
    } else if (others.size() == 1) {
      made = std::exchange(others, {});
    } else if (!others.empty()) {
      made.push_back({.type = "Append"});
    }
    if (!made.empty()) std::ranges::move(others, std::back_inserter(made.front().inputs));
    for (ExplainNode& sort : sorts) {
      std::ranges::move(made, std::back_inserter(sort.inputs));
      made.clear();
      made.push_back(std::move(sort));
    }
    return made;
  }

  const Plan& plan_;
  const std::string& sql_;
  std::map<int, Step> steps_;
  std::vector<int> order_;
};

void write_text(const ExplainNode& node, int level, std::vector<std::string>& lines) {
  std::string line =
      level == 0 ? std::string() : std::string(static_cast<std::size_t>(level) * 6 - 4, ' ') + "->  ";
  line += node.type;
  if (!node.relation.empty()) line += " on " + node.relation;
  if (!node.how.empty()) line += " (" + node.how + ")";
  if (!node.estimate.empty()) line += fmt::format(" (rows={})", node.estimate);
  if (node.loops == 0U) {
    line += " (never executed)";
  } else if (node.rows) {
    const std::uint64_t loops = node.loops.value_or(1);
    line += fmt::format(" (actual rows={} loops={})", (*node.rows + loops / 2) / loops, loops);
  }
  lines.push_back(std::move(line));
  for (const ExplainNode& input : node.inputs) write_text(input, level + 1, lines);
}

std::string json_text(std::string_view text) {
  std::string out;
  append_json_string(text, out);
  return out;
}

struct Field {
  std::string_view name;
  std::string value;
  bool is_text = true;
};

std::vector<Field> fields_of(const ExplainNode& node) {
  std::vector<Field> out{{"Node Type", node.type}};
  if (!node.relation.empty()) out.push_back({"Relation Name", node.relation});
  if (!node.how.empty()) out.push_back({"Index Cond", node.how});
  if (!node.estimate.empty()) out.push_back({"Plan Rows", node.estimate, false});
  if (node.rows || node.loops) {
    const std::uint64_t loops = node.loops.value_or(1);
    const std::uint64_t rows = node.rows.value_or(0);
    out.push_back({"Actual Rows", std::to_string(loops == 0 ? 0 : (rows + loops / 2) / loops), false});
    out.push_back({"Actual Loops", std::to_string(loops), false});
  }
  return out;
}

void write_json(const ExplainNode& node, int indent, std::string& out) {
  const std::string pad(static_cast<std::size_t>(indent), ' ');
  std::string_view separator = "{";
  for (const Field& field : fields_of(node)) {
    out += fmt::format("{}\n{}  {}: {}", std::exchange(separator, ","), pad, json_text(field.name),
                       field.is_text ? json_text(field.value) : field.value);
  }
  if (!node.inputs.empty()) {
    out += fmt::format(",\n{}  \"Plans\": [", pad);
    std::string_view between;
    for (const ExplainNode& input : node.inputs) {
      out += fmt::format("{}\n{}    ", std::exchange(between, ","), pad);
      write_json(input, indent + 4, out);
    }
    out += fmt::format("\n{}  ]", pad);
  }
  out += fmt::format("\n{}}}", pad);
}

std::string xml_name(std::string_view name) {
  std::string out(name);
  std::ranges::replace(out, ' ', '-');
  return out;
}

std::string xml_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string xml_field(const Field& field) {
  const std::string name = xml_name(field.name);
  return fmt::format("<{}>{}</{}>", name, xml_text(field.value), name);
}

void write_xml(const ExplainNode& node, int indent, std::string& out) {
  const std::string pad(static_cast<std::size_t>(indent), ' ');
  out += pad + "<Plan>\n";
  for (const Field& field : fields_of(node)) out += fmt::format("{}  {}\n", pad, xml_field(field));
  if (!node.inputs.empty()) {
    out += pad + "  <Plans>\n";
    for (const ExplainNode& input : node.inputs) write_xml(input, indent + 4, out);
    out += pad + "  </Plans>\n";
  }
  out += pad + "</Plan>\n";
}

std::string yaml_field(const Field& field) {
  return fmt::format("{}: {}", field.name, field.is_text ? json_text(field.value) : field.value);
}

// The first field stands where the caller has indented to.
void write_yaml(const ExplainNode& node, int indent, std::string& out) {
  const std::string pad = "\n" + std::string(static_cast<std::size_t>(indent), ' ');
  std::string before;
  for (const Field& field : fields_of(node)) out += std::exchange(before, pad) + yaml_field(field);
  if (node.inputs.empty()) return;
  out += pad + "Plans: ";
  for (const ExplainNode& input : node.inputs) {
    out += pad + "  - ";
    write_yaml(input, indent + 4, out);
  }
}

std::string milliseconds(std::int64_t ns) { return fmt::format("{:.3f}", static_cast<double>(ns) / 1e6); }

std::vector<Field> fields_of(const ExplainSummary& summary) {
  std::vector<Field> out{{"Executor", summary.executor}};
  if (!summary.shown) return out;
  out.push_back({"Planning Time", milliseconds(summary.planning_ns), false});
  if (summary.execution_ns) out.push_back({"Execution Time", milliseconds(*summary.execution_ns), false});
  return out;
}

Result<ExplainNode> explain_sql(const Plan& plan, const std::string& sql, sqlite3* connection) {
  const std::string explaining = "EXPLAIN QUERY PLAN " + sql;
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(connection, explaining.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
    Error e = error(ErrorCode::kInternal, "the storage engine refused the statement: {}",
                    sqlite3_errmsg(connection));
    sqlite3_finalize(statement);
    return std::unexpected(std::move(e));
  }
  Tree tree(plan, sql);
  while (sqlite3_step(statement) == SQLITE_ROW) {
    tree.add(sqlite3_column_int(statement, 0), sqlite3_column_int(statement, 1),
             reinterpret_cast<const char*>(sqlite3_column_text(statement, 3)), std::nullopt, std::nullopt);
  }
  sqlite3_finalize(statement);
  return tree.top();
}

// What SQLite has counted in a run.
ExplainNode counted_top(const Plan& plan, const std::string& sql, sqlite3_stmt* statement) {
  Tree tree(plan, sql);
  for (int i = 0;; ++i) {
    int id = 0, parent = 0;
    const char* detail = nullptr;
    const auto ask = [&](int what, void* answer) {
      return sqlite3_stmt_scanstatus_v2(statement, i, what, SQLITE_SCANSTAT_COMPLEX, answer) == 0;
    };
    if (!ask(SQLITE_SCANSTAT_SELECTID, &id)) break;
    (void)ask(SQLITE_SCANSTAT_PARENTID, &parent);
    (void)ask(SQLITE_SCANSTAT_EXPLAIN, static_cast<void*>(&detail));
    sqlite3_int64 loops = -1, visited = -1;
    (void)ask(SQLITE_SCANSTAT_NLOOP, &loops);
    (void)ask(SQLITE_SCANSTAT_NVISIT, &visited);
    const auto counted = [](sqlite3_int64 n) {
      return n < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(n));
    };
    tree.add(id, parent, detail, loops < 0 ? std::nullopt : counted(visited), counted(loops));
  }
  return tree.top();
}

// A change above its rows; of a SELECT they are all there is.
ExplainNode with_root(const Plan& plan, ExplainNode top) {
  if (plan.kind == PlanKind::kSelect) return top;
  ExplainNode root = explain_root(plan);
  root.inputs.push_back(std::move(top));
  return root;
}

ExplainNode step_node(const PlanStep& step, ExplainNode top) {
  ExplainNode node{.type = step.label, .relation = step.relation};
  node.inputs.push_back(std::move(top));
  return node;
}

}  // namespace

ExplainNode explain_root(const Plan& plan) {
  if (plan.kind == PlanKind::kChangingSelect) return {.type = "Result"};
  const auto target = plan.catalog->relation(plan.target);
  return {.type = plan.tag == "MERGE"              ? "Merge"
                  : plan.kind == PlanKind::kInsert ? "Insert"
                  : plan.kind == PlanKind::kUpdate ? "Update"
                                                   : "Delete",
          .relation = target == nullptr ? "?" : target->name};
}

Result<ExplainNode> explain(const Plan& plan, sqlite3* connection, const ExplainedSource& other) {
  const auto top_of = [&](const std::string& sql, const PlanPtr& source) -> Result<ExplainNode> {
    if (source != nullptr && source.get() == other.source) return other.node;
    return explain_sql(plan, sql, connection);
  };
  if (plan.steps.empty()) {
    BOP_LET(top, top_of(plan.sql, plan.source));
    return with_root(plan, std::move(top));
  }
  ExplainNode root = explain_root(plan);
  for (const PlanStep& step : plan.steps) {
    if (step.kind == PlanStep::Kind::kCommand) continue;
    BOP_LET(top, top_of(step.sql, step.source));
    root.inputs.push_back(step_node(step, std::move(top)));
  }
  return root;
}

ExplainNode explain_run(const Plan& plan, sqlite3_stmt* statement, std::uint64_t rows) {
  ExplainNode root = with_root(plan, counted_top(plan, plan.sql, statement));
  root.rows = rows;
  root.loops = 1;
  return root;
}

ExplainNode explain_step_run(const Plan& plan, const PlanStep& step, sqlite3_stmt* statement,
                             std::uint64_t rows) {
  ExplainNode node = step_node(step, counted_top(plan, step.sql, statement));
  node.rows = rows;
  node.loops = 1;
  return node;
}

namespace {

std::vector<std::string> text_lines(const ExplainNode& root, const ExplainSummary& summary) {
  std::vector<std::string> lines;
  write_text(root, 0, lines);
  for (const Field& field : fields_of(summary)) {
    lines.push_back(fmt::format("{}: {}{}", field.name, field.value, field.is_text ? "" : " ms"));
  }
  return lines;
}

}  // namespace

std::vector<std::string> explain_lines(const ExplainNode& root, const ExplainSummary& summary,
                                       ExplainFormat format) {
  std::string out;
  switch (format) {
    case ExplainFormat::kText: return text_lines(root, summary);
    case ExplainFormat::kJson:
      out = "[\n  {\n    \"Plan\": ";
      write_json(root, 4, out);
      for (const Field& field : fields_of(summary)) {
        out += fmt::format(",\n    {}: {}", json_text(field.name),
                           field.is_text ? json_text(field.value) : field.value);
      }
      out += "\n  }\n]";
      break;
    case ExplainFormat::kXml:
      out = "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query>\n";
      write_xml(root, 4, out);
      for (const Field& field : fields_of(summary)) out += fmt::format("    {}\n", xml_field(field));
      out += "  </Query>\n</explain>";
      break;
    case ExplainFormat::kYaml:
      out = "- Plan: \n    ";
      write_yaml(root, 4, out);
      for (const Field& field : fields_of(summary)) out += "\n  " + yaml_field(field);
      break;
  }
  return {std::move(out)};
}

}  // namespace bop::sql
