// The length of char(n) values where their type does not tell it.
//
// char(n) is kept without its blanks, and PostgreSQL's type of max(c), of CASE without ELSE or of
// array_agg(c) has no length, though the values do. So it is found where the values come from.
#include "sql/char_length.hpp"

#include "sql/functions/kernels.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

constexpr std::int32_t kUnknown = -1, kOfAny = -2;  // NULL is of any length

std::int32_t find(const Expr& e);

std::int32_t common(std::int32_t a, std::int32_t b) {
  return a == kOfAny || a == b ? b : b == kOfAny ? a : kUnknown;
}

std::int32_t of_branches(const Expr& e) {
  std::int32_t found = kOfAny;
  const bool is_case = e.kind == ExprKind::kCase;
  for (std::size_t i = 0; i < e.args.size(); ++i) {
    const bool value = !is_case || i % 2 == 1 || i + 1 == e.args.size();
    found = value ? common(found, find(*e.args[i])) : found;
  }
  return found;
}

std::int32_t find(const Expr& e) {
  if (e.kind == ExprKind::kConst && e.value.is_null()) {
    return kOfAny;
  }
  if (e.type != types::kBpchar && e.type != types::kBpcharArray) {
    return kUnknown;
  }
  if (char_typmod(e.typmod)) {
    return e.typmod;
  }
  switch (e.kind) {
    case ExprKind::kColumn:
      return e.entry == nullptr ? kUnknown
                                : e.entry->columns[static_cast<std::size_t>(e.number)].value_typmod;
    case ExprKind::kCase:
    case ExprKind::kCoalesce:
    case ExprKind::kGreatest:
    case ExprKind::kLeast:
    case ExprKind::kArray:
    case ExprKind::kArrayNested: return of_branches(e);
    case ExprKind::kNullIf:
    case ExprKind::kSubscript:
    case ExprKind::kSlice: return find(*e.args[0]);
    case ExprKind::kScalarSubquery:
    case ExprKind::kArraySubquery: return find(*e.query->targets[0].expr);
    case ExprKind::kCall: {
      const std::string_view name = e.kernel->proc_name;
      const bool keeps =
          name == "unnest" || name == "array_append" || name == "array_prepend" || name == "array_cat";
      return keeps ? of_branches(e) : kUnknown;
    }
    case ExprKind::kAggregate:
    case ExprKind::kWindow: {
      const bool keeps = e.kernel != nullptr && (e.kernel->name == "max" || e.kernel->name == "min" ||
                                                 e.kernel->name == "array_agg");
      return keeps ? find(*e.args[0]) : kUnknown;
    }
    default: return kUnknown;
  }
}

std::int32_t settled(std::int32_t found) { return found == kOfAny ? kUnknown : found; }

}  // namespace

std::int32_t char_value_typmod(const Expr& e) { return settled(find(e)); }

std::int32_t char_value_typmod(const Query& query, std::size_t column) {
  switch (query.kind) {
    case QueryKind::kSelect: return find(*query.targets[column].expr);
    case QueryKind::kSetOperation: {
      const auto side = [&](const Query& q) {
        return q.kind == QueryKind::kSelect ? find(*q.targets[column].expr)
                                            : q.output->columns[column].value_typmod;
      };
      return common(side(*query.left), side(*query.right));
    }
    case QueryKind::kValues: break;
  }
  std::int32_t found = kOfAny;
  for (const auto& row : query.rows) {
    found = common(found, find(*row[column]));
  }
  return found;
}

}  // namespace bop::sql
