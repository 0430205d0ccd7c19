// Window functions over frames that SQLite cannot say (functions/sqlite_frames.cpp computes them). SQLite's
// offsets are constants, and its RANGE moves nothing but plain numbers; what it can, it does itself.
#include <fmt/format.h>

#include "sql/functions/kernels.hpp"
#include "sql/generate.hpp"

namespace bop::sql {

namespace {

// FRAMEOPTION_* of PostgreSQL.
constexpr int kNonDefault = 0x1, kRange = 0x2, kOffsets = 0x800 | 0x1000 | 0x2000 | 0x4000;

bool is_constant(const ExprRef& offset) {
  if (offset == nullptr || offset->kind == ExprKind::kConst || offset->kind == ExprKind::kParam) {
    return true;
  }
  return offset->kind == ExprKind::kCast && is_constant(offset->args[0]);
}

}  // namespace

bool is_framed(const Window& w) {
  if ((w.frame_options & kNonDefault) == 0 || (w.frame_options & kOffsets) == 0) {
    return false;
  }
  return (w.frame_options & kRange) != 0 || !is_constant(w.start) || !is_constant(w.end);
}

bool sees_frame(const Expr& e) {
  return e.kernel != nullptr || e.text == "first_value" || e.text == "last_value" || e.text == "nth_value";
}

std::string Generator::framed(const Expr& e) {
  const Window& w = *e.window;
  const Oid function = e.kernel != nullptr       ? e.kernel->oid
                       : e.text == "first_value" ? 1
                       : e.text == "last_value"  ? 2
                                                 : 3;
  std::string key_types;
  std::string keys;
  for (const SortKey& key : w.order) {
    key_types += fmt::format("{}{}", key_types.empty() ? "" : ",", base_type(key.expr->type));
    keys += ", " + expression(*key.expr);
  }
  std::string types = "-";
  if (e.kernel != nullptr && e.kernel->typed) {
    types = arg_types_literal(e.arg_types, e.variadic_array);
    types = types.substr(1, types.size() - 2);
  }
  const bool ordered = !w.order.empty();
  std::string out = fmt::format(
      "bop_framed('{} {} {:d} {:d} {} {}', {}, {}, {}{}, {}", function, w.frame_options,
      ordered && w.order[0].descending, ordered && w.order[0].nulls_first, key_types, types,
      w.start == nullptr ? "NULL" : expression(*w.start), w.end == nullptr ? "NULL" : expression(*w.end),
      w.order.size(), keys, e.filter == nullptr ? "1" : "((" + condition(*e.filter) + ") IS TRUE)");
  if (!e.args.empty()) {
    out += ", " + list(e.args);
  }
  std::string over = window(w);  // without the frame, which is ours
  over.pop_back();
  return out + ") " + over + " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)";
}

}  // namespace bop::sql
