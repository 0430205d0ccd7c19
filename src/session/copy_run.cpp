#include "session/copy_run.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <set>

#include "base/assert.hpp"
#include "session/copy_target.hpp"
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

Result<std::string> required_text(const PgQuery__DefElem& option) {
  if (option.arg == nullptr) return fail(ErrorCode::kSyntaxError, "{} requires a parameter", option.defname);
  return option_text(option);
}

std::string lowered(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// on, off, true, false, 1 and 0 of any case; nullopt: something else.
std::optional<bool> option_flag(const PgQuery__DefElem& option) {
  const std::string value = lowered(option_text(option));
  if (value == "true" || value == "on" || value == "1") return true;
  if (value == "false" || value == "off" || value == "0") return false;
  return std::nullopt;
}

Status is_character(std::string_view value, std::string_view what) {
  if (value.size() == 1) return {};
  return fail(ErrorCode::kNotImplemented, "COPY {} must be a single one-byte character", what);
}

// What COPY reads or writes. `relation` is null for a query.
struct CopyColumns {
  const std::vector<std::string>& names;
  const sql::Relation* relation;
};

Result<std::vector<bool>> option_columns(const PgQuery__DefElem& option, const CopyColumns& columns,
                                         std::string_view what) {
  std::vector<bool> chosen(columns.names.size(), false);
  if (option.arg->node_case == PG_QUERY__NODE__NODE_A_STAR) {
    chosen.assign(columns.names.size(), true);
    return chosen;
  }
  for (const pg::Node* item : BOP_PG_LIST(option.arg->list, items)) {
    const std::string_view name = pg::string_of(item);
    const auto found = std::ranges::find(columns.names, name);
    if (found == columns.names.end()) {
      if (columns.relation == nullptr)
        return fail(ErrorCode::kUndefinedColumn, "column \"{}\" does not exist", name);
      if (columns.relation->find_column(name) == nullptr) {
        return fail(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", name,
                    columns.relation->name);
      }
      return fail(ErrorCode::kInvalidColumnReference, "{} column \"{}\" not referenced by COPY", what, name);
    }
    const auto place = static_cast<std::size_t>(found - columns.names.begin());
    if (chosen[place])
      return fail(ErrorCode::kDuplicateColumn, "column \"{}\" specified more than once", name);
    chosen[place] = true;
  }
  return chosen;
}

struct ParsedOptions {
  CopyOptions options;
  bool freeze = false;
};

// The options as they are written, before PostgreSQL's demands on their values and on each other are made.
struct WrittenOptions {
  std::optional<std::string> delimiter;
  std::optional<std::string> null_text;
  std::optional<std::string> quote;
  std::optional<std::string> escape;
  const PgQuery__DefElem* force_quote = nullptr;
  const PgQuery__DefElem* force_not_null = nullptr;
  const PgQuery__DefElem* force_null = nullptr;
};

// In PostgreSQL's order: the first that is not met is the answer.
Status check_options(WrittenOptions& written, CopyOptions& options, bool is_from) {
  if (options.binary && written.delimiter)
    return fail(ErrorCode::kSyntaxError, "cannot specify DELIMITER in BINARY mode");
  if (options.binary && written.null_text)
    return fail(ErrorCode::kSyntaxError, "cannot specify NULL in BINARY mode");
  const std::string delimiter = written.delimiter.value_or(options.csv ? "," : "\t");
  const std::string quote = written.quote.value_or("\"");
  const std::string escape = written.escape.value_or(quote);
  options.null_text = written.null_text.value_or(options.csv ? "" : "\\N");
  BOP_TRY(is_character(delimiter, "delimiter"));
  options.delimiter = delimiter.front();
  if (options.delimiter == '\n' || options.delimiter == '\r') {
    return fail(ErrorCode::kInvalidArgument, "COPY delimiter cannot be newline or carriage return");
  }
  if (options.null_text.find_first_of("\r\n") != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument,
                "COPY null representation cannot use newline or carriage return");
  }
  if (!options.csv && std::string_view("\\.abcdefghijklmnopqrstuvwxyz0123456789").find(options.delimiter) !=
                          std::string_view::npos) {
    return fail(ErrorCode::kInvalidArgument, "COPY delimiter cannot be \"{}\"", options.delimiter);
  }
  if (options.binary && options.header)
    return fail(ErrorCode::kNotImplemented, "cannot specify HEADER in BINARY mode");
  const auto of_csv = [&](bool given, std::string_view what) -> Status {
    if (!given || options.csv) return {};
    return fail(ErrorCode::kNotImplemented, "COPY {} available only in CSV mode", what);
  };
  const auto only = [](bool given, bool direction, std::string_view what, std::string_view where) -> Status {
    if (!given || direction) return {};
    return fail(ErrorCode::kNotImplemented, "COPY {} only available using COPY {}", what, where);
  };
  BOP_TRY(of_csv(written.quote.has_value(), "quote"));
  BOP_TRY(is_character(quote, "quote"));
  options.quote = quote.front();
  if (options.csv && options.delimiter == options.quote) {
    return fail(ErrorCode::kInvalidArgument, "COPY delimiter and quote must be different");
  }
  BOP_TRY(of_csv(written.escape.has_value(), "escape"));
  BOP_TRY(is_character(escape, "escape"));
  options.escape = escape.front();
  BOP_TRY(of_csv(written.force_quote != nullptr, "force quote"));
  BOP_TRY(only(written.force_quote != nullptr, !is_from, "force quote", "TO"));
  BOP_TRY(of_csv(written.force_not_null != nullptr, "force not null"));
  BOP_TRY(only(written.force_not_null != nullptr, is_from, "force not null", "FROM"));
  BOP_TRY(of_csv(written.force_null != nullptr, "force null"));
  BOP_TRY(only(written.force_null != nullptr, is_from, "force null", "FROM"));
  if (options.null_text.find(options.delimiter) != std::string::npos) {
    return fail(ErrorCode::kNotImplemented, "COPY delimiter must not appear in the NULL specification");
  }
  if (options.csv && options.null_text.find(options.quote) != std::string::npos) {
    return fail(ErrorCode::kNotImplemented, "CSV quote character must not appear in the NULL specification");
  }
  return {};
}

Result<ParsedOptions> copy_options(const sql::ParsedStatement& statement, const CopyColumns& columns) {
  const PgQuery__CopyStmt& copy = *statement.node->copy_stmt;
  ParsedOptions parsed;
  CopyOptions& options = parsed.options;
  WrittenOptions written;
  std::set<std::string_view> given;
  for (const pg::Node* node : BOP_PG_LIST(&copy, options)) {
    const PgQuery__DefElem& option = *node->def_elem;
    const std::string_view name = pg::text(option.defname);
    const int place = statement.position(option.location);
    if (!given.insert(name).second) {
      return std::unexpected(error(ErrorCode::kSyntaxError, "conflicting or redundant options").at(place));
    }
    if (name == "format") {
      BOP_LET(format, required_text(option));
      if (format == "csv") {
        options.csv = true;
      } else if (format == "binary") {
        options.binary = true;
      } else if (format == "parquet") {
        options.parquet = true;
      } else if (format != "text") {
        return std::unexpected(
            error(ErrorCode::kInvalidArgument, "COPY format \"{}\" not recognized", format).at(place));
      }
    } else if (name == "delimiter") {
      BOP_LET(text, required_text(option));
      written.delimiter = std::move(text);
    } else if (name == "null") {
      BOP_LET(text, required_text(option));
      written.null_text = std::move(text);
    } else if (name == "header") {
      const std::optional<bool> flag = option_flag(option);
      if (lowered(option_text(option)) == "match") {
        if (copy.is_from == 0)
          return fail(ErrorCode::kNotImplemented, "cannot use \"match\" with HEADER in COPY TO");
        options.header = options.header_match = true;
      } else {
        if (!flag) {
          return fail(ErrorCode::kSyntaxError, "{} requires a Boolean value or \"match\"", option.defname);
        }
        options.header = *flag;
      }
    } else if (name == "quote") {
      BOP_LET(text, required_text(option));
      written.quote = std::move(text);
    } else if (name == "escape") {
      BOP_LET(text, required_text(option));
      written.escape = std::move(text);
    } else if (name == "force_quote" || name == "force_not_null" || name == "force_null") {
      const bool list = option.arg != nullptr && option.arg->node_case == PG_QUERY__NODE__NODE_LIST;
      const bool all = option.arg != nullptr && option.arg->node_case == PG_QUERY__NODE__NODE_A_STAR;
      if (!list && !(all && name == "force_quote")) {
        return std::unexpected(error(ErrorCode::kInvalidArgument,
                                     "argument to option \"{}\" must be a list of column names", name)
                                   .at(place));
      }
      (name == "force_quote"  ? written.force_quote
       : name == "force_null" ? written.force_null
                              : written.force_not_null) = &option;
    } else if (name == "freeze") {
      const std::optional<bool> flag = option_flag(option);
      if (!flag) return fail(ErrorCode::kSyntaxError, "{} requires a Boolean value", name);
      parsed.freeze = *flag;
    } else if (name == "encoding") {
      BOP_LET(text, required_text(option));
      const std::string encoding = lowered(std::move(text));
      if (encoding != "utf8" && encoding != "utf-8") {
        return fail(ErrorCode::kNotImplemented, "COPY encoding \"{}\" is not implemented; only UTF8 is",
                    encoding);
      }
    } else {
      return std::unexpected(error(ErrorCode::kSyntaxError, "option \"{}\" not recognized", name).at(place));
    }
  }
  if (options.parquet) {
    for (const std::string_view name : given) {
      if (name != "format")
        return fail(ErrorCode::kNotImplemented, "the option \"{}\" of Parquet files is not implemented",
                    name);
    }
    if (pg::text(copy.filename).empty())
      return fail(ErrorCode::kNotImplemented,
                  "COPY of Parquet but with a file of the server is not implemented");
    return parsed;
  }
  BOP_TRY(check_options(written, options, copy.is_from != 0));
  const auto choose = [&](const PgQuery__DefElem* option, std::string_view what,
                          std::vector<bool>& chosen) -> Status {
    if (option == nullptr) return {};
    BOP_LET(found, option_columns(*option, columns, what));
    chosen = std::move(found);
    return {};
  };
  BOP_TRY(choose(written.force_quote, "FORCE_QUOTE", options.force_quote));
  BOP_TRY(choose(written.force_not_null, "FORCE_NOT_NULL", options.force_not_null));
  BOP_TRY(choose(written.force_null, "FORCE_NULL", options.force_null));
  return parsed;
}

}  // namespace

// Fields of binary COPY on their way into the row.
class PgSession::BinaryRows final : public CopyBinaryReader::Sink {
 public:
  BinaryRows(PgSession& session, Run& run) : session_(session), run_(run) {}
  Status field(std::size_t column, CopyField value) override {
    return session_.copy_field(run_, column, value);
  }
  Status row() override { return session_.store_copied(run_); }

 private:
  PgSession& session_;
  Run& run_;
};

bool PgSession::in_copy() const {
  const Run* run = current_run();
  return run != nullptr && run->copy_in && run->stage == Run::Stage::kCopyIn;
}

Result<Progress> PgSession::step_copy(Run& run) {
  const PgQuery__CopyStmt& copy = *run.statement->node->copy_stmt;
  if (run.copy_in && run.stage == Run::Stage::kCopyIn)
    return Progress::kSuspended;  // data comes through copy_input
  if (run.copy_out || run.copies_rows) {
    BOP_LET(ready, get_connection(run));
    if (!ready) return Progress::kWaiting;
    BOP_LET(progress, step_plan(run));
    constexpr std::string_view kInsert = "INSERT 0 ";
    if (run.copies_rows && run.tag.starts_with(kInsert)) run.tag.replace(0, kInsert.size(), "COPY ");
    return progress;
  }
  const std::string file(pg::text(copy.filename));
  if (copy.is_program != 0) {
    return std::unexpected(
        error(ErrorCode::kNotImplemented, "COPY with a PROGRAM of the server is not implemented")
            .hint("Use COPY ... FROM STDIN or TO STDOUT; psql's \\copy does."));
  }
  if (!file.empty()) BOP_TRY(files_.check_right(copy.is_from != 0 ? "COPY from a file" : "COPY to a file"));
  ensure_transaction();
  if (copy.is_from == 0) {
    sql::ParsedStatementPtr select;
    std::vector<std::string> columns;
    std::shared_ptr<const sql::Relation> relation;
    if (copy.query != nullptr) {
      select = sql::inner_statement(run.statement, copy.query);
    } else {
      BOP_TRY(may_look_in(copy.relation->schemaname));
      BOP_LET(target, copy_target(copy, *catalog(), usable_path(*catalog())));
      BOP_LET(parsed, sql::parse(fmt::format("SELECT {} FROM {}", column_list(target.columns), target.name)));
      select = parsed.front();
      columns = target.columns;
      relation = target.relation;
    }
    BOP_LET(plan, sql::bind(select, bind_context()));
    if (plan->kind != sql::PlanKind::kSelect) {
      return fail(ErrorCode::kNotImplemented, "COPY of a query that changes rows is not implemented");
    }
    for (const OutputColumn& column : plan->columns) {
      if (copy.query != nullptr) columns.push_back(column.name);
    }
    BOP_LET(parsed, copy_options(*run.statement, {columns, relation.get()}));
    run.plan = plan;
    run.copy_out = std::make_unique<CopyOut>();
    run.copy_out->options = std::move(parsed.options);
    if (run.copy_out->options.binary) {
      for (const OutputColumn& column : plan->columns) {
        const TypeInfo* type = find_type(column.type);
        if (type != nullptr && type->send != "-") continue;
        return fail(ErrorCode::kUndefinedFunction, "no binary output function available for type {}",
                    format_type(column.type));
      }
    }
    if (!file.empty()) BOP_TRY(start_copy_file(run));
    return step_copy(run);
  }
  if (transaction_.read_only()) {
    return fail(ErrorCode::kReadOnlyTransaction, "cannot execute COPY FROM in a read-only transaction");
  }
  BOP_LET(ready, transaction_.want_writer());
  if (!ready) return Progress::kWaiting;
  BOP_TRY(settle_portals());
  BOP_TRY(may_look_in(copy.relation->schemaname));
  BOP_LET(target, copy_target(copy, *catalog(), usable_path(*catalog())));
  BOP_LET(parsed, copy_options(*run.statement, {target.columns, target.relation.get()}));
  if (parsed.freeze) {
    notice(Severity::kNotice, Error(ErrorCode::kNotImplemented, "COPY FREEZE is accepted and has no effect"));
  }
  if (parsed.options.parquet) return copy_from_parquet(run, target);
  std::string values;
  for (std::size_t i = 1; i <= target.columns.size(); ++i)
    values += fmt::format("{}${}", i > 1 ? ", " : "", i);
  std::string filtered;
  if (copy.where_clause != nullptr) {
    BOP_LET(text, copy_filter(run.statement, target, bind_context()));
    filtered = std::move(text);
  }
  const std::string insert = !filtered.empty() ? filtered
                             : target.columns.empty()
                                 ? fmt::format("INSERT INTO {} DEFAULT VALUES", target.name)
                                 : fmt::format("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
                                               target.name, column_list(target.columns), values);
  BOP_LET(statements, sql::parse(insert));
  auto in = std::make_unique<CopyIn>();
  BOP_LET(plan, sql::bind(statements.front(), bind_context(), target.types));
  BOP_TRY(check_privileges(*plan));
  in->insert = std::move(plan);
  in->filters = !filtered.empty();
  in->table = target.plain;
  in->columns = target.columns;
  in->types = std::move(target.types);
  in->typmods = std::move(target.typmods);
  in->values.resize(in->columns.size());
  run.connection = &transaction_.connection();
  catalog_session_.catalog = in->insert->catalog;
  catalog_session_.connection = run.connection->handle();
  BOP_TRY(make_guards(run, *in->insert));
  BOP_LET(prepared, run.connection->prepare(in->insert->sql));
  in->statement = std::move(prepared);
  const bool binary = parsed.options.binary;
  if (binary) {
    in->binary_sink = std::make_unique<BinaryRows>(*this, run);
    in->source = std::make_unique<CopyBinaryReader>(in->columns.size(), *in->binary_sink);
  } else {
    const bool match = parsed.options.header_match;
    auto reader = std::make_unique<CopyReader>(
        std::move(parsed.options), in->columns.size(),
        [this, &run](std::span<const CopyField> fields) { return copy_row(run, fields); });
    if (match) reader->expect_header(in->columns);
    in->source = std::move(reader);
  }
  run.copy_in = std::move(in);
  if (!file.empty()) return copy_from_file(run, file);
  run.stage = Run::Stage::kCopyIn;
  sink_->gate(transaction_.gate());
  sink_->copy_in({.binary = binary, .columns = static_cast<std::uint16_t>(run.copy_in->columns.size())});
  transaction_.set_idle(true);
  return Progress::kSuspended;
}

// One line: its fields become stored values, the values a row.
Status PgSession::copy_row(Run& run, std::span<const CopyField> fields) {
  CopyIn& in = *run.copy_in;
  if (fields.size() < in.columns.size()) {
    return fail(ErrorCode::kBadCopyFormat, "missing data for column \"{}\"", in.columns[fields.size()]);
  }
  for (std::size_t column = 0; column < fields.size(); ++column)
    BOP_TRY(copy_field(run, column, fields[column]));
  return store_copied(run);
}

Status PgSession::copy_field(Run& run, std::size_t column, CopyField field) {
  CopyIn& in = *run.copy_in;
  if (!field) {
    in.values[column] = OwnedValue();
    return {};
  }
  in.column = column;
  in.field = field;
  in.in_column = true;
  const Oid type = in.types[column];
  const std::int32_t typmod = in.typmods[column];
  BOP_LET(value, in.binary_sink ? parse_binary(type, typmod, *field, functions_.codec)
                                : parse_text(type, typmod, *field, functions_.codec));
  BOP_LET(fitted, apply_typmod(type, typmod, std::move(value), false));
  in.values[column] = std::move(fitted);
  in.in_column = false;
  return {};
}

Status PgSession::store_copied(Run& run) {
  CopyIn& in = *run.copy_in;
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
    in.is_stored = extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY;
    if (auto below = run.connection->take_error()) return std::unexpected(std::move(*below));
    return std::unexpected(
        sql::translate_error(*in.insert, handle, extended, message, &functions_, in.values));
  }
  const bool stored = sqlite3_changes64(run.connection->handle()) > 0;
  sqlite3_reset(statement);
  if (stored || !in.filters) ++in.rows;
  return {};
}

namespace {

// At most kCopyTextShown bytes, whole characters.
std::string shown(std::string_view text) {
  if (text.size() <= kCopyTextShown) return std::string(text);
  std::size_t end = kCopyTextShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

}  // namespace

// Where in the data an error of COPY came up, as PostgreSQL says it: binary data is not shown, nor the line
// of a row that was complete and met another one in a unique key.
void add_copy_context(const CopyIn& in, Error& why) {
  const std::uint64_t line = in.source->line();
  if (!why.fields().context.empty() || line == 0) return;
  std::string& context = why.mut().context;
  context = fmt::format("COPY {}, line {}", in.table, line);
  if (in.binary_sink) {
    const auto column = static_cast<const CopyBinaryReader&>(*in.source).column();
    if (column) context += fmt::format(", column {}", in.columns[*column]);
  } else if (in.in_column) {
    context += fmt::format(", column {}: \"{}\"", in.columns[in.column], shown(in.field.value_or("")));
  } else if (!in.is_stored) {
    context += fmt::format(": \"{}\"", shown(static_cast<const CopyReader&>(*in.source).current_line()));
  }
}

Progress PgSession::copy_failed(Error why) {
  Run& run = *current_run();
  if (run.copy_in->insert) why = without_rows(*run.copy_in->insert, std::move(why));
  add_copy_context(*run.copy_in, why);
  run.copy_in.reset();
  statement_failed(std::move(why));
  finish_operation();
  return Progress::kDone;
}

Progress PgSession::copy_input(std::string_view bytes) {
  const UserTypesScope scope(&user_types_);
  if (!in_copy()) return Progress::kDone;
  if (evicted_) return copy_failed(*std::exchange(evicted_, std::nullopt));
  transaction_.set_idle(false);
  Run& run = *current_run();
  if (Status fed = run.copy_in->source->feed(bytes); !fed) return copy_failed(fed.error());
  if (auto why = interrupt()) return copy_failed(std::move(*why));
  transaction_.set_idle(true);
  return Progress::kDone;
}

// All rows are there.
Status PgSession::end_copy_in(Run& run) {
  CopyIn& in = *run.copy_in;
  in.statement = {};
  if (in.insert->check_foreign_keys) {
    transaction_.table_changed(in.insert->target);
    const Oid target = in.insert->target;
    BOP_TRY(sql::check_foreign_keys(*in.insert->catalog, run.connection->handle(), std::span(&target, 1),
                                    waits_for_commit()));
  }
  BOP_TRY(end_guards(run, *in.insert));
  run.tag = fmt::format("COPY {}", in.rows);
  run.copy_in.reset();
  run.stage = Run::Stage::kEnd;
  return {};
}

Progress PgSession::copy_input_done() {
  const UserTypesScope scope(&user_types_);
  if (!in_copy()) return Progress::kDone;
  if (evicted_) return copy_failed(*std::exchange(evicted_, std::nullopt));
  transaction_.set_idle(false);
  Run& run = *current_run();
  if (Status finished = run.copy_in->source->finish(); !finished) return copy_failed(finished.error());
  if (Status ended = end_copy_in(run); !ended) {
    statement_failed(std::move(ended).error());
    finish_operation();
    return Progress::kDone;
  }
  return drive();
}

Progress PgSession::copy_input_fail(std::string_view reason) {
  const UserTypesScope scope(&user_types_);
  if (!in_copy()) return Progress::kDone;
  return copy_failed(error(ErrorCode::kCancelled, "COPY from stdin failed: {}", reason));
}

}  // namespace bop::session
