#include "session/copy_run.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <set>

#include "base/assert.hpp"
#include "session/pg_session.hpp"
#include "sql/sqlite_value.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

namespace {

std::string option_text(const PgQuery__DefElem& option) {
  const pg::Node* arg = option.arg;
  if (arg == nullptr) return "true";
  if (arg->node_case == PG_QUERY__NODE__NODE_STRING) return std::string(pg::text(arg->string->sval));
  if (arg->node_case == PG_QUERY__NODE__NODE_BOOLEAN) return arg->boolean->boolval != 0 ? "true" : "false";
  if (arg->node_case == PG_QUERY__NODE__NODE_INTEGER) return std::to_string(arg->integer->ival);
  return {};
}

Result<bool> option_flag(const PgQuery__DefElem& option) {
  const std::string value = option_text(option);
  if (value == "true" || value == "on" || value == "1") return true;
  if (value == "false" || value == "off" || value == "0") return false;
  return fail(ErrorCode::kSyntaxError, "{} requires a Boolean value", option.defname);
}

Result<char> option_character(const PgQuery__DefElem& option) {
  const std::string value = option_text(option);
  if (value.size() != 1) {
    return fail(ErrorCode::kNotImplemented, "COPY {} must be a single one-byte character", option.defname);
  }
  return value.front();
}

Result<std::vector<bool>> option_columns(const PgQuery__DefElem& option,
                                         const std::vector<std::string>& columns) {
  std::vector<bool> chosen(columns.size(), false);
  if (option.arg != nullptr && option.arg->node_case == PG_QUERY__NODE__NODE_A_STAR) {
    chosen.assign(columns.size(), true);
    return chosen;
  }
  if (option.arg == nullptr || option.arg->node_case != PG_QUERY__NODE__NODE_LIST) {
    return fail(ErrorCode::kInvalidArgument, "argument to option \"{}\" must be a list of column names",
                option.defname);
  }
  for (const pg::Node* item : BOP_PG_LIST(option.arg->list, items)) {
    const auto found = std::ranges::find(columns, pg::string_of(item));
    if (found == columns.end()) {
      return fail(ErrorCode::kInvalidColumnReference, "{} column \"{}\" not referenced by COPY",
                  option.defname, pg::string_of(item));
    }
    chosen[static_cast<std::size_t>(found - columns.begin())] = true;
  }
  return chosen;
}

struct ParsedOptions {
  CopyOptions options;
  bool freeze = false;
};

Result<ParsedOptions> copy_options(const sql::ParsedStatement& statement,
                                   const std::vector<std::string>& columns) {
  const PgQuery__CopyStmt& copy = *statement.node->copy_stmt;
  ParsedOptions parsed;
  CopyOptions& options = parsed.options;
  std::optional<char> delimiter;
  std::optional<std::string> null_text;
  std::optional<char> quote;
  std::optional<char> escape;
  bool force = false;
  std::set<std::string_view> given;
  for (const pg::Node* node : BOP_PG_LIST(&copy, options)) {
    const PgQuery__DefElem& option = *node->def_elem;
    const std::string_view name = pg::text(option.defname);
    const int place = statement.position(option.location);
    if (!given.insert(name).second) {
      return std::unexpected(error(ErrorCode::kSyntaxError, "conflicting or redundant options").at(place));
    }
    if (name == "format") {
      const std::string format = option_text(option);
      if (format == "csv") {
        options.csv = true;
      } else if (format == "binary") {
        return fail(ErrorCode::kNotImplemented, "COPY in binary format is not implemented");
      } else if (format != "text") {
        return std::unexpected(
            error(ErrorCode::kInvalidArgument, "COPY format \"{}\" not recognized", format).at(place));
      }
    } else if (name == "delimiter") {
      BOP_LET(character, option_character(option));
      delimiter = character;
    } else if (name == "null") {
      null_text = option_text(option);
    } else if (name == "header") {
      if (option_text(option) == "match") {
        if (copy.is_from == 0)
          return fail(ErrorCode::kNotImplemented, "cannot use \"match\" with HEADER in COPY TO");
        options.header = options.header_match = true;
      } else {
        BOP_LET(flag, option_flag(option));
        options.header = flag;
      }
    } else if (name == "quote") {
      BOP_LET(character, option_character(option));
      quote = character;
    } else if (name == "escape") {
      BOP_LET(character, option_character(option));
      escape = character;
    } else if (name == "force_quote" || name == "force_not_null" || name == "force_null") {
      BOP_LET(chosen, option_columns(option, columns));
      (name == "force_quote"  ? options.force_quote
       : name == "force_null" ? options.force_null
                              : options.force_not_null) = chosen;
      force = true;
    } else if (name == "freeze") {
      BOP_LET(flag, option_flag(option));
      parsed.freeze = flag;
    } else if (name == "encoding") {
      std::string encoding = option_text(option);
      std::ranges::transform(encoding, encoding.begin(), [](unsigned char c) { return std::tolower(c); });
      if (encoding != "utf8" && encoding != "utf-8") {
        return fail(ErrorCode::kNotImplemented, "COPY encoding \"{}\" is not implemented; only UTF8 is",
                    encoding);
      }
    } else {
      return std::unexpected(error(ErrorCode::kSyntaxError, "option \"{}\" not recognized", name).at(place));
    }
  }
  options.delimiter = delimiter.value_or(options.csv ? ',' : '\t');
  options.null_text = null_text.value_or(options.csv ? "" : "\\N");
  options.quote = quote.value_or('"');
  options.escape = escape.value_or(options.quote);
  if (!options.csv && (quote || escape || force)) {
    return fail(ErrorCode::kNotImplemented,
                "COPY quote, escape and force options are available only in CSV mode");
  }
  if (options.delimiter == '\n' || options.delimiter == '\r') {
    return fail(ErrorCode::kInvalidArgument, "COPY delimiter cannot be newline or carriage return");
  }
  if (!options.csv && std::string_view("\\.abcdefghijklmnopqrstuvwxyz0123456789").find(options.delimiter) !=
                          std::string_view::npos) {
    return fail(ErrorCode::kInvalidArgument, "COPY delimiter cannot be \"{}\"", options.delimiter);
  }
  if (options.csv && options.delimiter == options.quote) {
    return fail(ErrorCode::kInvalidArgument, "COPY delimiter and quote must be different");
  }
  if (options.null_text.find(options.delimiter) != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument, "COPY delimiter must not appear in the NULL specification");
  }
  return parsed;
}

struct Target {
  std::string name;  // qualified and quoted
  std::string plain;
  std::vector<std::string> columns;
  std::vector<Oid> types;
  std::vector<std::int32_t> typmods;
};

Result<Target> copy_target(const PgQuery__CopyStmt& copy, const sql::Catalog& catalog,
                           std::span<const std::string> path) {
  const PgQuery__RangeVar& relation = *copy.relation;
  const auto found = catalog.find(path, pg::text(relation.schemaname), pg::text(relation.relname));
  const auto table = found ? catalog.relation(found.oid) : nullptr;
  if (!table) {
    return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", relation.relname);
  }
  if (table->kind == 'v' || table->is_virtual()) {
    if (copy.is_from != 0) {
      return fail(ErrorCode::kWrongObjectType, "cannot copy to view \"{}\"", table->name);
    }
    if (table->kind == 'v') {
      return std::unexpected(error(ErrorCode::kWrongObjectType, "cannot copy from view \"{}\"", table->name)
                                 .hint("Try the COPY (SELECT ...) TO variant."));
    }
  }
  Target target;
  target.plain = table->name;
  const sql::Schema* schema = catalog.schema(table->schema);
  target.name = fmt::format("{}.{}", sql::quote_name(schema->name), sql::quote_name(table->name));
  const auto add = [&](const sql::Column& column) {
    target.columns.push_back(column.name);
    target.types.push_back(column.type);
    target.typmods.push_back(column.typmod);
  };
  if (copy.n_attlist == 0) {
    for (const sql::Column& column : table->columns) {
      if (!column.dropped && column.generated == 0) add(column);
    }
    return target;
  }
  for (const pg::Node* item : BOP_PG_LIST(&copy, attlist)) {
    const std::string_view name = pg::string_of(item);
    const sql::Column* column = table->find_column(name);
    if (column == nullptr) {
      return fail(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", name,
                  table->name);
    }
    if (std::ranges::find(target.columns, name) != target.columns.end()) {
      return fail(ErrorCode::kDuplicateColumn, "column \"{}\" specified more than once", name);
    }
    add(*column);
  }
  return target;
}

std::string column_list(const std::vector<std::string>& columns) {
  std::string list;
  for (const std::string& column : columns) {
    if (!list.empty()) list += ", ";
    list += sql::quote_name(column);
  }
  return list;
}

}  // namespace

bool PgSession::in_copy() const {
  const Run* run = current_run();
  return run != nullptr && run->copy_in && run->stage == Run::Stage::kCopyIn;
}

Result<Progress> PgSession::step_copy(Run& run) {
  const PgQuery__CopyStmt& copy = *run.statement->node->copy_stmt;
  if (run.copy_in && run.stage == Run::Stage::kCopyIn)
    return Progress::kSuspended;  // data comes through copy_input
  if (run.copy_out) {
    BOP_LET(ready, get_connection(run));
    if (!ready) return Progress::kWaiting;
    return step_plan(run);
  }
  if (pg::text(copy.filename).size() > 0 || copy.is_program != 0) {
    return std::unexpected(
        error(ErrorCode::kNotImplemented, "COPY with a file or program of the server is not implemented")
            .hint("Use COPY ... FROM STDIN or TO STDOUT; psql's \\copy does."));
  }
  ensure_transaction();
  if (copy.is_from == 0) {
    sql::ParsedStatementPtr select;
    std::vector<std::string> columns;
    if (copy.query != nullptr) {
      select = sql::inner_statement(run.statement, copy.query);
    } else {
      BOP_TRY(may_look_in(copy.relation->schemaname));
      BOP_LET(target, copy_target(copy, *catalog(), usable_path(*catalog())));
      BOP_LET(parsed, sql::parse(fmt::format("SELECT {} FROM {}", column_list(target.columns), target.name)));
      select = parsed.front();
      columns = target.columns;
    }
    BOP_LET(plan, sql::bind(select, bind_context()));
    if (plan->kind != sql::PlanKind::kSelect) {
      return fail(ErrorCode::kNotImplemented, "COPY of a query that changes rows is not implemented");
    }
    for (const OutputColumn& column : plan->columns) {
      if (copy.query != nullptr) columns.push_back(column.name);
    }
    BOP_LET(parsed, copy_options(*run.statement, columns));
    run.plan = plan;
    run.copy_out = std::make_unique<CopyOut>();
    run.copy_out->options = std::move(parsed.options);
    return step_copy(run);
  }
  if (transaction_.read_only()) {
    return fail(ErrorCode::kReadOnlyTransaction, "cannot execute COPY FROM in a read-only transaction");
  }
  BOP_LET(ready, transaction_.want_writer());
  if (!ready) return Progress::kWaiting;
  BOP_TRY(settle_portals());
  if (copy.where_clause != nullptr)
    return fail(ErrorCode::kNotImplemented, "COPY FROM ... WHERE is not implemented");
  BOP_TRY(may_look_in(copy.relation->schemaname));
  BOP_LET(target, copy_target(copy, *catalog(), usable_path(*catalog())));
  BOP_LET(parsed, copy_options(*run.statement, target.columns));
  if (parsed.freeze) {
    notice(Severity::kNotice, Error(ErrorCode::kNotImplemented, "COPY FREEZE is accepted and has no effect"));
  }
  std::string values;
  for (std::size_t i = 1; i <= target.columns.size(); ++i)
    values += fmt::format("{}${}", i > 1 ? ", " : "", i);
  const std::string insert = target.columns.empty()
                                 ? fmt::format("INSERT INTO {} DEFAULT VALUES", target.name)
                                 : fmt::format("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
                                               target.name, column_list(target.columns), values);
  BOP_LET(statements, sql::parse(insert));
  auto in = std::make_unique<CopyIn>();
  BOP_LET(plan, sql::bind(statements.front(), bind_context(), target.types));
  BOP_TRY(check_privileges(*plan));
  in->insert = std::move(plan);
  in->table = target.plain;
  in->columns = target.columns;
  in->types = std::move(target.types);
  in->typmods = std::move(target.typmods);
  in->values.resize(in->columns.size());
  run.connection = &transaction_.connection();
  catalog_session_.catalog = in->insert->catalog;
  catalog_session_.connection = run.connection->handle();
  BOP_LET(prepared, run.connection->prepare(in->insert->sql));
  in->statement = std::move(prepared);
  const bool match = parsed.options.header_match;
  in->reader = std::make_unique<CopyReader>(
      std::move(parsed.options), in->columns.size(),
      [this, &run](std::span<const CopyField> fields) { return copy_row(run, fields); });
  if (match) in->reader->expect_header(in->columns);
  run.copy_in = std::move(in);
  run.stage = Run::Stage::kCopyIn;
  sink_->gate(transaction_.gate());
  sink_->copy_in({.binary = false, .columns = static_cast<std::uint16_t>(run.copy_in->columns.size())});
  transaction_.set_idle(true);
  return Progress::kSuspended;
}

// One line: its fields become stored values, the values a row.
Status PgSession::copy_row(Run& run, std::span<const CopyField> fields) {
  CopyIn& in = *run.copy_in;
  if (fields.size() < in.columns.size()) {
    return fail(ErrorCode::kBadCopyFormat, "missing data for column \"{}\"", in.columns[fields.size()]);
  }
  for (in.column = 0; in.column < fields.size(); ++in.column) {
    if (!fields[in.column]) {
      in.values[in.column] = OwnedValue();
      continue;
    }
    in.in_column = true;
    BOP_LET(value,
            parse_text(in.types[in.column], in.typmods[in.column], *fields[in.column], functions_.codec));
    BOP_LET(fitted, apply_typmod(in.types[in.column], in.typmods[in.column], std::move(value), false));
    in.values[in.column] = std::move(fitted);
    in.in_column = false;
  }
  sqlite3_stmt* statement = in.statement.get();
  int index = 0;
  for (const OwnedValue& value : in.values) sql::bind_value(statement, ++index, value);
  for (const OwnedValue& value : in.insert->constants) sql::bind_value(statement, ++index, value);
  const int code = sqlite3_step(statement);
  if (code != SQLITE_DONE && code != SQLITE_ROW) {
    sqlite3* handle = run.connection->handle();
    const int extended = sqlite3_extended_errcode(handle);
    const std::string message = sqlite3_errmsg(handle);
    sqlite3_reset(statement);
    if (auto below = run.connection->take_error()) return std::unexpected(std::move(*below));
    return std::unexpected(
        sql::translate_error(*in.insert, handle, extended, message, &functions_, in.values));
  }
  sqlite3_reset(statement);
  ++in.rows;
  return {};
}

namespace {

// Where in the data an error of COPY came up, as PostgreSQL says it.
void add_copy_context(const CopyIn& in, Error& why) {
  if (!why.fields().context.empty()) return;
  if (in.in_column) {
    why.mut().context = fmt::format("COPY {}, line {}, column {}: \"{}\"", in.table, in.reader->line(),
                                    in.columns[in.column], in.reader->current_line());
  } else {
    why.mut().context =
        fmt::format("COPY {}, line {}: \"{}\"", in.table, in.reader->line(), in.reader->current_line());
  }
}

}  // namespace

Progress PgSession::copy_failed(Error why) {
  Run& run = *current_run();
  add_copy_context(*run.copy_in, why);
  run.copy_in.reset();
  statement_failed(std::move(why));
  finish_operation();
  return Progress::kDone;
}

Progress PgSession::copy_input(std::string_view bytes) {
  if (!in_copy()) return Progress::kDone;
  if (evicted_) return copy_failed(*std::exchange(evicted_, std::nullopt));
  transaction_.set_idle(false);
  Run& run = *current_run();
  if (Status fed = run.copy_in->reader->feed(bytes); !fed) return copy_failed(fed.error());
  if (auto why = interrupt()) return copy_failed(std::move(*why));
  transaction_.set_idle(true);
  return Progress::kDone;
}

Progress PgSession::copy_input_done() {
  if (!in_copy()) return Progress::kDone;
  if (evicted_) return copy_failed(*std::exchange(evicted_, std::nullopt));
  transaction_.set_idle(false);
  Run& run = *current_run();
  CopyIn& in = *run.copy_in;
  if (Status finished = in.reader->finish(); !finished) return copy_failed(finished.error());
  in.statement = {};
  if (in.insert->check_foreign_keys) {
    transaction_.table_changed(in.insert->target);
    const Oid target = in.insert->target;
    if (Status held = sql::check_foreign_keys(*in.insert->catalog, run.connection->handle(),
                                              std::span(&target, 1), false);
        !held) {
      statement_failed(held.error());
      finish_operation();
      return Progress::kDone;
    }
  }
  run.tag = fmt::format("COPY {}", in.rows);
  run.copy_in.reset();
  run.stage = Run::Stage::kEnd;
  return drive();
}

Progress PgSession::copy_input_fail(std::string_view reason) {
  if (!in_copy()) return Progress::kDone;
  return copy_failed(error(ErrorCode::kCancelled, "COPY from stdin failed: {}", reason));
}

}  // namespace bop::session
