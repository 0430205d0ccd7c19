// What SQLite says about violated constraints, in PostgreSQL's words.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <sqlite3.h>

#include "sql/functions/kernels.hpp"
#include "sql/pending_rows.hpp"
#include "sql/plan.hpp"
#include "sql/sqlite_value.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

// "(a, b)=(1, x)"
std::string key_text(const Relation& table, const std::vector<std::int16_t>& columns, sqlite3_stmt* row) {
  std::string names;
  std::string values;
  const CodecContext codec;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const Column* column = table.find_column(columns[i]);
    names += (i == 0 ? "" : ", ") + column->name;
    std::string text = "null";
    if (const Value value = column_value(row, static_cast<int>(i)); !value.is_null()) {
      text.clear();
      encode_text(column->type, column->typmod, value, codec, text);
    }
    values += (i == 0 ? "" : ", ") + text;
  }
  return fmt::format("({})=({})", names, values);
}

void name_place(Error& e, const Catalog& catalog, const Relation& table, std::string_view constraint) {
  if (const Schema* schema = catalog.schema(table.schema); schema != nullptr) {
    e.mut().schema = schema->name;
  }
  e.mut().table = table.name;
  e.mut().constraint = constraint;
}

std::optional<std::uint32_t> number_after(std::string_view text, std::size_t place) {
  std::uint32_t n = 0;
  const auto [end, problem] = std::from_chars(text.data() + place, text.data() + text.size(), n);
  return problem == std::errc() && end != text.data() + place ? std::optional(n) : std::nullopt;
}

// The unique index that "UNIQUE constraint failed: t1.c2, t1.c3" or "...: index 'i7'" means.
std::shared_ptr<const Index> violated_index(const Catalog& catalog, std::string_view message) {
  constexpr std::string_view kByName = "index 'i";
  if (const std::size_t at = message.find(kByName); at != std::string_view::npos) {
    const auto oid = number_after(message, at + kByName.size());
    return oid ? catalog.index(*oid) : nullptr;
  }
  std::optional<std::uint32_t> table;
  std::vector<std::int16_t> columns;
  for (std::size_t at = message.find(": "); at != std::string_view::npos && at + 3 < message.size();
       at = message.find(", ", at + 2)) {
    table = number_after(message, at + 3);
    const std::size_t dot = message.find(".c", at);
    if (!table || dot == std::string_view::npos) {
      return nullptr;
    }
    const auto number = number_after(message, dot + 2);
    if (!number) {
      return nullptr;
    }
    columns.push_back(static_cast<std::int16_t>(*number));
  }
  if (!table) {
    return nullptr;
  }
  for (const auto& index : catalog.indexes_of(*table)) {
    const bool same = index->unique && std::ranges::equal(index->keys, columns, {}, &IndexKey::column);
    if (same) {
      return index;
    }
  }
  return nullptr;
}

}  // namespace

Error duplicate_key_error(const Catalog& catalog, const Relation& table, const Index& index,
                          sqlite3_stmt* found) {
  Error e =
      error(ErrorCode::kUniqueViolation, "duplicate key value violates unique constraint \"{}\"", index.name);
  name_place(e, catalog, table, index.name);
  if (found == nullptr) return e;
  std::vector<std::int16_t> columns;
  for (const IndexKey& key : index.keys) {
    columns.push_back(key.column);
  }
  e.mut().detail = fmt::format("Key {} already exists.", key_text(table, columns, found));
  return e;
}

namespace {

Error unique_violation(const Plan& plan, sqlite3* connection, std::string_view message,
                       std::span<const OwnedValue> parameters) {
  const std::shared_ptr<const Index> index = violated_index(*plan.catalog, message);
  const auto table = index == nullptr ? nullptr : plan.catalog->relation(index->table);
  if (table == nullptr) {
    return error(ErrorCode::kUniqueViolation, "duplicate key value violates a unique constraint ({})",
                 message);
  }
  Error e = duplicate_key_error(*plan.catalog, *table, *index, nullptr);
  for (const UniqueDiagnosis& diagnosis : plan.unique_diagnoses) {
    if (diagnosis.index != index->oid) {
      continue;
    }
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(connection, diagnosis.sql.c_str(), -1, &statement, nullptr) == SQLITE_OK) {
      const int wanted = sqlite3_bind_parameter_count(statement);
      for (int i = 0; i < wanted; ++i) {
        const auto k = static_cast<std::size_t>(i);
        if (k < plan.parameters.size()) {
          bind_value(statement, i + 1, k < parameters.size() ? parameters[k].view() : Value::null());
        } else if (k - plan.parameters.size() < plan.constants.size()) {
          bind_value(statement, i + 1, plan.constants[k - plan.parameters.size()].view());
        }
      }
      if (sqlite3_step(statement) == SQLITE_ROW) {
        e = duplicate_key_error(*plan.catalog, *table, *index, statement);
      }
    }
    sqlite3_finalize(statement);
  }
  return e;
}

std::string conditions(const std::vector<std::int16_t>& a, std::string_view a_name,
                       const std::vector<std::int16_t>& b, std::string_view b_name) {
  std::string out;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    out += fmt::format("{}{}.c{} = {}.c{}", i == 0 ? "" : " AND ", a_name, a[i], b_name, b[i]);
  }
  return out;
}

// A row of `table` whose key has no counterpart: 23503 as seen from the side that was changed.
std::optional<Error> violation_of(const Catalog& catalog, sqlite3* connection, const Relation& table,
                                  const Constraint& key, bool from_referenced) {
  const auto target = catalog.relation(key.foreign_table);
  if (target == nullptr) {
    return std::nullopt;
  }
  std::string columns;
  std::string present;
  for (const std::int16_t number : key.columns) {
    columns += fmt::format("{}f.c{}", columns.empty() ? "" : ", ", number);
    present += fmt::format(" AND f.c{} IS NOT NULL", number);
  }
  const std::string sql = fmt::format(
      "SELECT {} FROM t{} AS f WHERE 1{} AND NOT EXISTS (SELECT 1 FROM t{} AS p WHERE {}){} LIMIT 1", columns,
      table.oid, present, target->oid, conditions(key.foreign_columns, "p", key.columns, "f"),
      key.validated ? "" : " ORDER BY f.rowid DESC");  // rather a new row than one that was never validated
  sqlite3_stmt* statement = nullptr;
  std::optional<Error> found;
  if (sqlite3_prepare_v2(connection, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK &&
      sqlite3_step(statement) == SQLITE_ROW) {
    if (from_referenced) {
      found = error(ErrorCode::kForeignKeyViolation,
                    "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
                    target->name, key.name, table.name);
      found->mut().detail = fmt::format("Key {} is still referenced from table \"{}\".",
                                        key_text(*target, key.foreign_columns, statement), table.name);
    } else {
      found = error(ErrorCode::kForeignKeyViolation,
                    "insert or update on table \"{}\" violates foreign key constraint \"{}\"", table.name,
                    key.name);
      found->mut().detail = fmt::format("Key {} is not present in table \"{}\".",
                                        key_text(table, key.columns, statement), target->name);
    }
    name_place(*found, catalog, table, key.name);
  }
  sqlite3_finalize(statement);
  return found;
}

}  // namespace

Error translate_constraint(const Plan& plan, sqlite3* connection, int extended_code, std::string_view message,
                           std::span<const OwnedValue> parameters) {
  switch (extended_code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: return unique_violation(plan, connection, message, parameters);
    case SQLITE_CONSTRAINT_FOREIGNKEY: {
      if (Status status =
              check_foreign_keys(*plan.catalog, connection, plan.changed_tables, nullptr, plan.acting_keys);
          !status) {
        return std::move(status).error();
      }
      return Error(ErrorCode::kForeignKeyViolation, "a foreign key constraint is violated");
    }
    case SQLITE_CONSTRAINT_NOTNULL: {
      const auto table = plan.catalog->relation(plan.target);
      const std::size_t dot = message.rfind(".c");
      const auto number = dot == std::string_view::npos ? std::nullopt : number_after(message, dot + 2);
      const Column* column =
          table == nullptr || !number ? nullptr : table->find_column(static_cast<std::int16_t>(*number));
      if (column != nullptr) {
        Error e = error(ErrorCode::kNotNullViolation,
                        "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                        column->name, table->name);
        name_place(e, *plan.catalog, *table, "");
        e.mut().column = column->name;
        return e;
      }
      return error(ErrorCode::kNotNullViolation, "null value violates a not-null constraint ({})", message);
    }
    default:
      return error(ErrorCode::kInternal, "a constraint of the storage engine is violated: {}", message);
  }
}

Error translate_error(const Plan& plan, sqlite3* connection, int extended_code, std::string_view message,
                      FunctionContext* context, std::span<const OwnedValue> parameters) {
  if (context != nullptr && context->error) {
    Error e = std::move(*context->error);
    context->error.reset();
    // bop_check_row knows the table's name only.
    for (const Oid oid : plan.changed_tables) {
      const auto table = plan.catalog->relation(oid);
      if (table != nullptr && e.fields().schema.empty() && e.fields().table == table->name) {
        name_place(e, *plan.catalog, *table, std::string(e.fields().constraint));
      }
    }
    return e;
  }
  switch (extended_code & 0xff) {
    case SQLITE_CONSTRAINT: return translate_constraint(plan, connection, extended_code, message, parameters);
    case SQLITE_INTERRUPT: return Error(ErrorCode::kCancelled, "canceling statement due to user request");
    case SQLITE_FULL: return error(ErrorCode::kDiskFull, "could not extend the database: {}", message);
    case SQLITE_IOERR: return error(ErrorCode::kIo, "input/output error: {}", message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return error(ErrorCode::kCorrupt, "the database is damaged: {}", message);
    case SQLITE_NOMEM: return Error(ErrorCode::kOutOfMemory, "out of memory");
    case SQLITE_TOOBIG: return error(ErrorCode::kProgramLimitExceeded, "value too long: {}", message);
    case SQLITE_READONLY:
      return error(ErrorCode::kReadOnlyTransaction, "cannot change rows in a read-only transaction");
    default: break;
  }
  const auto says = [&](std::string_view part) { return message.find(part) != std::string_view::npos; };
  if (says("integer overflow")) {
    return Error(ErrorCode::kNumericOutOfRange, "bigint out of range");
  }
  if (says("argument of ntile")) {
    return Error(ErrorCode::kInvalidArgumentForNtile, "argument of ntile must be greater than zero");
  }
  if (says("argument to nth_value")) {
    return Error(ErrorCode::kInvalidArgumentForNthValue, "argument of nth_value must be greater than zero");
  }
  for (const std::string_view side : {"starting", "ending"}) {
    if (says(fmt::format("frame {} offset", side))) {
      return error(ErrorCode::kInvalidFrameOffset, "frame {} offset must not be negative", side);
    }
  }
  if (says("too many") || says("stack overflow") || says("too large") || says("at most")) {
    return error(ErrorCode::kStatementTooComplex, "the statement is too complex: {}", message);
  }
  return error(ErrorCode::kInternal, "the storage engine refused the statement: {}", message);
}

Status check_foreign_key(const Catalog& catalog, sqlite3* connection, const Relation& table,
                         const Constraint& key) {
  if (auto found = violation_of(catalog, connection, table, key, false)) {
    return std::unexpected(std::move(*found));
  }
  return check_match_full(catalog, connection, table, key);
}

Status check_foreign_keys(const Catalog& catalog, sqlite3* connection, std::span<const Oid> tables,
                          const IsDeferred& is_deferred, std::span<const Oid> acting_keys,
                          std::span<const Oid> only_inserted) {
  // Rows that were there before a key NOT VALID violate nothing: SQLite counts what is changed.
  int changed = 0;
  int highest = 0;
  sqlite3_db_status(connection, SQLITE_DBSTATUS_DEFERRED_FKS, &changed, &highest, 0);
  const auto deferred = [&](const Constraint& key) { return is_deferred && is_deferred(key); };
  const auto asked = [&](const Constraint& key) { return !deferred(key) && (key.validated || changed > 0); };
  for (const Oid oid : tables) {
    const auto table = catalog.relation(oid);
    for (std::size_t i = 0; table != nullptr && i < table->constraints.size(); ++i) {
      const Constraint& key = table->constraints[i];
      if (!deferred(key) && std::ranges::find(acting_keys, key.oid) != acting_keys.end()) {
        if (auto found = violation_of(catalog, connection, *table, key, false)) {
          return std::unexpected(std::move(*found));
        }
      }
    }
  }
  for (const Oid oid : tables) {
    const auto table = catalog.relation(oid);
    if (table == nullptr) {
      continue;
    }
    for (const Constraint& key : table->constraints) {
      if (key.type == 'f' && asked(key)) {
        if (auto found = violation_of(catalog, connection, *table, key, false)) {
          return std::unexpected(std::move(*found));
        }
      }
    }
    if (std::ranges::find(only_inserted, oid) != only_inserted.end()) {
      continue;
    }
    for (const Catalog::Reference& reference : catalog.references_to(oid)) {
      if (asked(*reference.constraint)) {
        if (auto found = violation_of(catalog, connection, *reference.table, *reference.constraint, true)) {
          return std::unexpected(std::move(*found));
        }
      }
    }
  }
  return {};
}

}  // namespace bop::sql
