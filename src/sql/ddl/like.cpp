// CREATE TABLE ... (LIKE other INCLUDING ...): columns, and what is said of them.
#include <algorithm>
#include <set>

#include "sql/ddl/ddl_run.hpp"

namespace bop::sql {

namespace {

// Bits of LIKE's options; of storage, compression and statistics there is nothing to copy.
constexpr std::uint32_t kComments = 1u << 0, kConstraints = 1u << 2, kDefaults = 1u << 3,
                        kGenerated = 1u << 4, kIdentity = 1u << 5, kIndexes = 1u << 6;

}  // namespace

// Its limits and steps, not how far it has come.
void DdlRun::copy_sequence(Oid made, const Sequence& original) {
  Sequence sequence = *now().sequence(made);
  sequence.start = original.start;
  sequence.increment = original.increment;
  sequence.min = original.min;
  sequence.max = original.max;
  sequence.cache = original.cache;
  sequence.cycle = original.cycle;
  edit_.put(sequence);
  outcome_.sequence_starts.push_back({made, original.start, false});
}

Status DdlRun::copy_like(Relation& table, const PgQuery__TableLikeClause& like) {
  BOP_LET(found, find_relation(*like.relation));
  const auto source = now().relation(found.oid);
  if (!source)
    return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a table or view", like.relation->relname);
  if (held_on(*source, who(), right::kSelect) == 0) return std::unexpected(permission_denied(*source));
  for (const Column& original : source->columns) {
    if (original.dropped) continue;
    if (table.find_column(original.name) != nullptr) {
      return fail(ErrorCode::kDuplicateColumn, "column \"{}\" specified more than once", original.name);
    }
    Column column;
    column.number = static_cast<std::int16_t>(table.columns.size() + 1);
    column.name = original.name;
    column.type = original.type;
    column.typmod = original.typmod;
    column.not_null = original.not_null;
    column.collation = original.collation;
    const bool generated = original.generated != 0;
    if ((like.options & (generated ? kGenerated : kDefaults)) != 0) {
      column.default_text = original.default_text;
      column.generated = original.generated;
    }
    if ((like.options & kComments) != 0) column.comment = original.comment;
    if (original.identity != 0 && (like.options & kIdentity) != 0) {
      BOP_TRY(add_sequence_column(table, column, original.identity, original.type, {}));
      copy_sequence(column.sequence, *now().sequence(original.sequence));
    }
    table.columns.push_back(std::move(column));
  }
  if ((like.options & kConstraints) != 0) {
    for (const Constraint& original : source->constraints) {
      if (original.type != 'c') continue;
      Constraint constraint = original;
      constraint.oid = edit_.allocate_oid();
      constraint.columns.clear();
      if ((like.options & kComments) == 0) constraint.comment.clear();
      for (const std::int16_t number : original.columns) {
        constraint.columns.push_back(table.find_column(source->find_column(number)->name)->number);
      }
      table.constraints.push_back(std::move(constraint));
    }
  }
  return {};
}

// As CREATE TABLE AS of the query without its INTO, which stands in the leftmost of several SELECTs.

// Under names of their own; a key's becomes a key.
Status DdlRun::copy_indexes(Relation& table, const PgQuery__TableLikeClause& like,
                            std::vector<Index>& indexes) {
  if ((like.options & kIndexes) == 0) return {};
  BOP_LET(found, find_relation(*like.relation));
  const auto source = now().relation(found.oid);
  const auto number_here = [&](std::int16_t number) {
    return table.find_column(source->find_column(number)->name)->number;
  };
  for (const auto& original : now().indexes_of(source->oid)) {
    if (original->primary && table.primary_key() != nullptr) {
      return fail(ErrorCode::kInvalidTableDefinition,
                  "multiple primary keys for table \"{}\" are not allowed", table.name);
    }
    Index index = *original;
    std::string columns;
    std::set<std::string> taken;
    const auto add_name = [&](std::string_view name) {
      std::string free(name);
      for (int i = 1; !taken.insert(free).second; ++i) free = fmt::format("{}{}", name, i);
      columns += (columns.empty() ? "" : "_") + free;
    };
    for (IndexKey& key : index.keys) {
      if (key.column == 0) {
        BOP_LET(parsed, parse_expression(key.expression));
        add_name(expression_name(parsed->node));
        continue;
      }
      key.column = number_here(key.column);
      add_name(table.find_column(key.column)->name);
    }
    for (std::int16_t& number : index.include) {
      number = number_here(number);
      add_name(table.find_column(number)->name);
    }
    const bool is_key = original->constraint != 0;
    const std::string_view label = index.primary ? "pkey" : is_key ? "key" : "idx";
    const auto name = [&](std::string_view ending) {
      return free_name(table.schema, table.name, index.primary ? "" : columns, ending, &table);
    };
    index.name = name(label);
    for (int n = 1;
         std::ranges::any_of(indexes, [&](const Index& other) { return other.name == index.name; }); ++n) {
      index.name = name(fmt::format("{}{}", label, n));
    }
    index.oid = edit_.allocate_oid();
    index.schema = table.schema;
    index.table = table.oid;
    index.owner = table.owner;
    if ((like.options & kComments) == 0) index.comment.clear();
    if (is_key) {
      const auto key = std::ranges::find(source->constraints, original->constraint, &Constraint::oid);
      Constraint constraint = *key;
      constraint.oid = index.constraint = edit_.allocate_oid();
      constraint.name = index.name;
      constraint.index = index.oid;
      constraint.comment.clear();  // PostgreSQL copies those of checks alone
      for (std::int16_t& number : constraint.columns) number = number_here(number);
      table.constraints.push_back(std::move(constraint));
    }
    indexes.push_back(std::move(index));
  }
  return {};
}

}  // namespace bop::sql
