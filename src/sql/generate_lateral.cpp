// LATERAL for SQLite, whose subqueries in FROM see nothing of each other, while a subquery in an expression
// and the arguments of a function in FROM do:
//
//   bop_unpack((SELECT bop_pack(o1, o2) FROM (the subquery))) AS r5
//
// For each row of the items that the subquery refers to, SQLite runs it as the subquery that it is (over an
// index, up to its LIMIT, with the statement's WITH, parameters and snapshot), bop_pack makes one value of
// its rows, and the table function bop_unpack rows of that again (functions/sqlite_lateral.cpp). So it may
// stand wherever FROM may.
#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/generate.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

namespace {

void refuse_lateral_out_of(const FromNode& node, const std::set<const RangeEntry*>& inside) {
  if (node.entry == nullptr) {
    refuse_lateral_out_of(*node.left, inside);
    refuse_lateral_out_of(*node.right, inside);
    return;
  }
  const RangeEntry& entry = *node.entry;
  const Visitor look = [&](const Expr& part) {
    if (part.kind == ExprKind::kColumn && part.entry != nullptr && part.entry->depth == entry.depth &&
        !inside.contains(part.entry.get())) {
      throw BindFailure{error(ErrorCode::kNotImplemented,
                              "a LATERAL reference out of a join in parentheses is not implemented")};
    }
    return true;
  };
  if (entry.lateral) {
    visit(*entry.query, look);
  }
  if (entry.function != nullptr) {
    visit(*entry.function, look);
  }
}

void add_entries(const FromNode& node, std::set<const RangeEntry*>& out) {
  if (node.entry != nullptr) {
    out.insert(node.entry.get());
    return;
  }
  add_entries(*node.left, out);
  add_entries(*node.right, out);
}

}  // namespace

// To SQLite a join in parentheses is a subquery.
std::string Generator::in_parentheses(const FromNode& node) {
  std::set<const RangeEntry*> inside;
  add_entries(node, inside);
  refuse_lateral_out_of(node, inside);
  return "(" + from_node(node) + ")";
}

std::string Generator::lateral(const RangeEntry& e) {
  const std::size_t columns = e.query->targets.size();
  if (columns > kMaxPackedColumns) {
    throw BindFailure{error(ErrorCode::kNotImplemented,
                            "a LATERAL subquery with more than {} columns is not implemented",
                            kMaxPackedColumns)};
  }
  std::string packed = columns == 0 ? "NULL" : "";
  for (std::size_t i = 1; i <= columns; ++i) {
    packed += fmt::format("{}o{}", i == 1 ? "" : ", ", i);
  }
  return fmt::format("bop_unpack((SELECT bop_pack({}) FROM ({}))) AS r{}", packed,
                     has_volatile_output(*e.query) ? once(*e.query) : query(*e.query), e.id);
}

// The rows that a number made of the row's (or its block's) place and the seed lets in. Without REPEATABLE
// the statement has a seed of its own.
std::string Generator::sampled(const RangeEntry& e) {
  constexpr int kRowsABlock = 32;
  const std::string place = e.sample->system ? fmt::format("rowid / {}", kRowsABlock) : std::string("rowid");
  const std::string seed = e.sample->seed == nullptr
                               ? "(SELECT random())"
                               : fmt::format("bop_sample_seed({})", expression(*e.sample->seed));
  return fmt::format("(SELECT * FROM {} WHERE bop_sampled({}, bop_sample_size({}), {})) AS r{}",
                     table_name(e.relation->oid), place, expression(*e.sample->percent), seed, e.id);
}

}  // namespace bop::sql
