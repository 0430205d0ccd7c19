// Writing through a view.
//
// A view is updatable by itself when its query takes all of its rows from one table or updatable view, one by
// one: no DISTINCT, grouping, set operation, WITH, LIMIT, aggregate, window or set-returning function.
// INSERT, UPDATE and DELETE then change that table. The view's query is bound as for reading, and its range
// entry is merged: a column of it is written as the expression of the query, over the table's own entry,
// which becomes the target of the change. Its columns that are columns of the table can be assigned to; its
// WHERE is part of the change's; with a check option it is also a check of the new row.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sql/query.hpp"

namespace bop::sql {

class Binder;

// The options of a view as the catalog keeps them.
inline constexpr std::string_view kCheckLocal = "check_option=local";
inline constexpr std::string_view kCheckCascaded = "check_option=cascaded";

struct ViewTarget {
  std::shared_ptr<const Relation> view;  // that the statement names
  RangeRef entry;                        // of the view
  std::vector<RangeRef> levels;          // of it and the views below, outermost first
  ExprRef condition;                     // the statement's own; that of the views is read by their owners
};

// Why no row can be changed through the view whose query this is; empty: they can. `from_items`: of its FROM
// as it is written.
[[nodiscard]] std::string_view not_updatable(const Query& query, std::size_t from_items);
// The column of the table behind that the entry's column is; nullptr if it is none.
[[nodiscard]] const Column* updatable_column(const RangeEntry& view, std::size_t column);

// For information_schema: the numbers of the view's columns that can be assigned to; nullopt: the view cannot
// be written to.
[[nodiscard]] std::optional<std::vector<std::int16_t>> updatable_columns(
    const std::shared_ptr<const Catalog>& catalog, const std::shared_ptr<const Relation>& view);
// The reason as CREATE VIEW ... WITH CHECK OPTION tells it; empty if there is none.
[[nodiscard]] std::string_view why_not_updatable(const std::shared_ptr<const Catalog>& catalog,
                                                 const std::shared_ptr<const Relation>& view);

}  // namespace bop::sql
