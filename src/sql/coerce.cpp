// Casts: from what an expression is to what its place wants, by PostgreSQL's coercion contexts.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/char_length.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/types/range.hpp"
#include "sql/types/user_types.hpp"

namespace bop::sql {

namespace {

// int -> numeric and the like cannot fail and cost a call each row: done once for constants.
bool folds(const Expr& e) { return e.kind == ExprKind::kConst; }

bool has_length(Oid type) {
  return type == types::kVarchar || type == types::kBpchar || type == types::kNumeric ||
         type == types::kTimestamp || type == types::kTimestamptz || type == types::kTime ||
         type == types::kTimetz || type == types::kInterval || type == types::kBit ||
         type == types::kVarbit || is_true_array(type);
}

}  // namespace

Oid Binder::type_of(const Expr& e) const {
  if (e.kind == ExprKind::kParam && (e.type == 0 || e.type == types::kUnknown)) {
    const Oid known = parameters_[static_cast<std::size_t>(e.number - 1)];
    return known == 0 ? types::kUnknown : known;
  }
  return e.type == 0 ? types::kUnknown : e.type;
}

// What a literal means can depend on the session: settled in text that is stored.
void Binder::tell_literal(int location, Oid type, const OwnedValue& value) {
  if (names_found != nullptr && location >= 0) {
    names_found->literal_types[location] = type;
  }
  switch (type) {
    case types::kRegclass:
    case types::kDate:
    case types::kTime:
    case types::kTimetz:
    case types::kTimestamp:
    case types::kTimestamptz:
    case types::kInterval: break;
    default:
      if (element_of(type) < types::kFirstUser && type < types::kFirstUser) return;
  }
  if (names_found == nullptr || location < 0 || value.is_null()) {
    return;
  }
  std::string text;
  encode_text(type, -1, value.view(), CodecContext{}, text);
  if (type == types::kRegclass) {
    names_found->use_object(static_cast<Oid>(value.view().integer));
  } else if (const UserTypes* users = UserTypes::current(); users != nullptr) {
    if (const UserType* user = users->find_user_type(type)) {
      names_found->use_object(user->definition().oid);
    }
  }
  names_found->literals[location] = {.type = type, .text = std::move(text)};
}

bool Binder::can_coerce(Oid from, Oid to, CastContext context) const {
  if (from == to || from == types::kUnknown || to == types::kAny) {
    return true;
  }
  const CastContext needed = cast_context(from, to);
  return needed != CastContext::kNone && needed >= context;
}

// Where an expression begins: an operator's own location is its sign.
static int leftmost(const Expr& e) {
  int found = e.location;
  if (e.kind == ExprKind::kCall || e.kind == ExprKind::kCast) {
    for (const ExprRef& arg : e.args) {
      const int begin = leftmost(*arg);
      found = begin >= 0 && (found < 0 || begin < found) ? begin : found;
    }
  }
  return found;
}

namespace {

// Types whose text PostgreSQL reads or writes by settings (TimeZone, DateStyle, IntervalStyle) or by the
// catalog: the input or output function is stable.
bool reads_by_settings(Oid type) {
  const TypeInfo* info = find_type(type);
  return type == types::kDate || type == types::kTime || type == types::kTimetz ||
         type == types::kTimestamp || type == types::kTimestamptz || type == types::kInterval ||
         is_true_array(type) || find_enum(type) != nullptr || subtype_of_range(type) != 0 ||
         (info != nullptr && info->name.starts_with("reg"));
}

bool writes_by_settings(Oid type) {
  return reads_by_settings(type) && type != types::kTime && type != types::kTimetz;
}

bool is_text(Oid type) {
  const TypeInfo* info = find_type(type);
  return info != nullptr && info->category == 'S';
}

// Casts that PostgreSQL calls stable.
bool depends_on_settings(Oid from, Oid to) {
  from = base_type(from);
  to = base_type(to);
  if (from == to) {
    return false;
  }
  if (is_true_array(from) && is_true_array(to)) {
    return depends_on_settings(element_of(from), element_of(to));
  }
  if (is_text(from) || is_text(to)) {
    return (is_text(from) && reads_by_settings(to)) || (is_text(to) && writes_by_settings(from));
  }
  const auto is_datetime = [](Oid type) {
    return type == types::kDate || type == types::kTime || type == types::kTimetz ||
           type == types::kTimestamp || type == types::kTimestamptz;
  };
  const bool zoned = from == types::kTimestamptz || to == types::kTimestamptz;
  return is_datetime(from) && is_datetime(to) && (zoned || (from == types::kTime && to == types::kTimetz));
}

}  // namespace

void Binder::note_volatility(const Kernel& kernel, std::span<const Oid> args) {
  is_volatile = is_volatile || kernel.volatility == 'v';
  // PostgreSQL puts the body of these in their place, $1 || $2::text: it counts as the cast does.
  if (kernel.proc_name == "textanycat" || kernel.proc_name == "anytextcat") {
    has_stable = has_stable || std::ranges::any_of(args, [](Oid type) { return writes_by_settings(type); });
    return;
  }
  has_stable = has_stable || kernel.volatility != 'i';
}

ExprRef Binder::padded(ExprRef e) const {
  if (e->kind == ExprKind::kRow) {
    auto row = std::make_shared<Expr>(*e);
    for (ExprRef& field : row->args) {
      field = padded(std::move(field));
    }
    return row;
  }
  const std::int32_t typmod = char_value_typmod(*e);
  if (!char_typmod(typmod)) {
    return e;
  }
  // Text from here on: read again as char(n), the value would lose its blanks.
  const Oid type = e->type == types::kBpchar ? types::kText : types::kTextArray;
  const int location = e->location;
  if (folds(*e)) {
    return constant(type, bop::padded(e->type, typmod, e->value.view()), location);
  }
  ExprRef made = make_expr(ExprKind::kPadded, type, {std::move(e)}, location);
  made->number = typmod;
  return made;
}

namespace {

// Casts from char(n) through its text; the others begin with taking its blanks away.
bool casts_with_blanks(Oid from, Oid to) {
  const TypeInfo* info = find_type(to);
  const bool is_text = info != nullptr && info->category == 'S';
  return (from == types::kBpchar && !is_text && to != types::kChar && to != types::kUnknown) ||
         (from == types::kBpcharArray && !is_true_array(to));
}

}  // namespace

// A value of the base type, with the constraints of the domain looked at when it is computed.
ExprRef Binder::coerce_to_domain(ExprRef e, Oid type, CastContext context, int location) {
  const Oid plain = unchecked_type(type);
  if (e->kind == ExprKind::kParam && type_of(*e) == types::kUnknown) {
    parameters_[static_cast<std::size_t>(e->number - 1)] = type;
    e->type = plain;
  }
  ExprRef value = try_coerce(std::move(e), plain, unchecked_typmod(type), context, location);
  if (value == nullptr) {
    return nullptr;
  }
  ExprRef made = make_expr(ExprKind::kCast, type, {std::move(value)}, location);
  made->cast_from = plain;
  made->explicit_cast = context == CastContext::kExplicit;
  return made;
}

ExprRef Binder::try_coerce(ExprRef e, Oid type, std::int32_t typmod, CastContext context, int location) {
  if (location < 0) {
    location = e->location;
  }
  if (unchecked_type(type) != type && type_of(*e) != type) {
    return coerce_to_domain(std::move(e), type, context, location);
  }
  if (e->kind == ExprKind::kUnknown) {
    // The modifier of an interval says what a number without unit counts.
    const std::int32_t reading = type == types::kInterval ? typmod : -1;
    Result<OwnedValue> value = parse_text(type, reading, e->text, context_.codec);
    if (value && typmod >= 0) {
      value = apply_typmod(type, typmod, std::move(*value), context == CastContext::kExplicit);
      if (!value) {
        raise(std::move(value).error());
      }
    } else if (!value) {
      raise(std::move(value).error(), e->location);
    }
    tell_literal(e->location, type, *value);
    ExprRef made = constant(type, std::move(*value), e->location);
    made->typmod = typmod;
    return made;
  }
  if (e->kind == ExprKind::kParam && (e->type == 0 || e->type == types::kUnknown)) {
    Oid& known = parameters_[static_cast<std::size_t>(e->number - 1)];
    if (known == 0) {
      known = type;
    }
    if (known != type && !can_coerce(known, type, context)) {
      raise(error(ErrorCode::kAmbiguousParameter, "inconsistent types deduced for parameter ${}", e->number)
                .detail(fmt::format("{} versus {}", format_type(known), format_type(type))),
            e->location);
    }
    e->type = known;
  }
  Oid from = type_of(*e);
  if (type == types::kRecord && from != type) {
    return from == types::kUnknown && folds(*e) && e->value.is_null() ? null_constant(type) : nullptr;
  }
  if (from == type) {
    if (typmod < 0 || typmod == e->typmod || !has_length(type)) {
      return e;
    }
  } else if (!can_coerce(from, type, context)) {
    return nullptr;
  }
  if (type == types::kBit && (from == types::kInt4 || from == types::kInt8)) {
    // The lowest bits of the number: how many is part of the computation.
    ExprRef length = constant(types::kInt4, OwnedValue::of_int(std::max(typmod, 1)));
    ExprRef made = make_call("pg_catalog", "bit", {std::move(e), std::move(length)}, location);
    made->typmod = typmod;
    return made;
  }
  if (casts_with_blanks(from, type)) {
    e = padded(std::move(e));
    from = type_of(*e);
  }
  const bool is_explicit = context == CastContext::kExplicit;
  // Also of a constant, which is cast here by the settings of now; a strict function's NULL is none of them.
  has_stable = has_stable || (depends_on_settings(from, type) && !(folds(*e) && e->value.is_null()));
  if (folds(*e)) {
    if (e->value.is_null()) {
      ExprRef null = null_constant(type);
      null->typmod = typmod;
      return null;
    }
    const bool stable =
        from == types::kTimestamptz || type == types::kTimestamptz || type == types::kRegclass;
    if (!stable || from == type) {
      Result<OwnedValue> value = from == type
                                     ? Result<OwnedValue>(e->value)
                                     : cast(from, type, e->value.view(), is_explicit, context_.codec);
      if (value && typmod >= 0) {
        value = apply_typmod(type, typmod, std::move(*value), is_explicit);
      }
      if (!value) {
        raise(std::move(value).error());
      }
      ExprRef made =
          constant(type, std::move(*value), std::min(location, e->location < 0 ? location : e->location));
      made->typmod = typmod;
      return made;
    }
  }
  ExprRef made = make_expr(ExprKind::kCast, type, {std::move(e)}, location);
  made->cast_from = from;
  made->typmod = typmod;
  made->explicit_cast = is_explicit;
  return made;
}

ExprRef Binder::coerce(ExprRef e, Oid type, std::int32_t typmod, CastContext context, int location) {
  const Oid from = type_of(*e);
  const int place = location < 0 ? e->location : location;
  ExprRef made = try_coerce(std::move(e), type, typmod, context, location);
  if (made == nullptr) {
    raise(error(ErrorCode::kCannotCoerce, "cannot cast type {} to {}", format_type(from), format_type(type)),
          place);
  }
  return made;
}

ExprRef Binder::coerce_assignment(ExprRef e, const Column& column, int location) {
  const Oid from = type_of(*e);
  ExprRef made = try_coerce(e, column.type, column.typmod, CastContext::kAssignment, -1);
  if (made == nullptr) {
    raise(error(ErrorCode::kDatatypeMismatch, "column \"{}\" is of type {} but expression is of type {}",
                column.name, format_type(column.type), format_type(from))
              .hint("You will need to rewrite or cast the expression."),
          e->location >= 0 ? leftmost(*e) : location);
  }
  return made;
}

ExprRef Binder::coerce_boolean(ExprRef e, std::string_view what) {
  const Oid from = type_of(*e);
  const int location = e->location;
  ExprRef made = try_coerce(std::move(e), types::kBool, -1, CastContext::kImplicit);
  if (made == nullptr) {
    raise(error(ErrorCode::kDatatypeMismatch, "argument of {} must be type boolean, not type {}", what,
                format_type(from)),
          location);
  }
  return made;
}

ExprRef Binder::resolve_unknown(ExprRef e) {
  return type_of(*e) == types::kUnknown ? coerce(std::move(e), types::kText, -1, CastContext::kImplicit) : e;
}

// Branches of one domain keep it; those of several types meet in what the domains are over.
bool Binder::meet_in_base_types(std::span<const ExprRef> branches) const {
  return std::ranges::any_of(branches,
                             [&](const ExprRef& e) { return type_of(*e) != type_of(*branches.front()); });
}

Oid Binder::common_type_or_none(std::span<const ExprRef> branches) const {
  Oid chosen = types::kUnknown;
  const bool bases = meet_in_base_types(branches);
  for (const ExprRef& e : branches) {
    const Oid type = bases ? base_type(type_of(*e)) : type_of(*e);
    if (type == types::kUnknown || type == chosen) {
      continue;
    }
    if (chosen == types::kUnknown) {
      chosen = type;
      continue;
    }
    const TypeInfo* a = find_type(chosen);
    const TypeInfo* b = find_type(type);
    if (a == nullptr || b == nullptr || a->category != b->category) {
      return 0;
    }
    if (!a->preferred && can_coerce(chosen, type, CastContext::kImplicit) &&
        !can_coerce(type, chosen, CastContext::kImplicit)) {
      chosen = type;
    }
  }
  return chosen == types::kUnknown ? types::kText : chosen;
}

Oid Binder::common_type(std::span<const ExprRef> branches, std::string_view what) {
  Oid chosen = types::kUnknown;
  const bool bases = meet_in_base_types(branches);
  for (const ExprRef& e : branches) {
    const Oid type = bases ? base_type(type_of(*e)) : type_of(*e);
    if (type == types::kUnknown || type == chosen) {
      continue;
    }
    if (chosen == types::kUnknown) {
      chosen = type;
      continue;
    }
    const TypeInfo* a = find_type(chosen);
    const TypeInfo* b = find_type(type);
    if (a == nullptr || b == nullptr || a->category != b->category) {
      raise(error(ErrorCode::kDatatypeMismatch, "{} types {} and {} cannot be matched", what,
                  format_type(chosen), format_type(type)),
            e->location);
    }
    if (!a->preferred && can_coerce(chosen, type, CastContext::kImplicit) &&
        !can_coerce(type, chosen, CastContext::kImplicit)) {
      chosen = type;
    }
  }
  if (chosen == types::kUnknown) {
    chosen = types::kText;
  }
  for (const ExprRef& e : branches) {
    const Oid type = type_of(*e);
    if (!can_coerce(type, chosen, CastContext::kImplicit)) {
      raise(error(ErrorCode::kCannotCoerce, "{} could not convert type {} to {}", what, format_type(type),
                  format_type(chosen)),
            e->location);
    }
  }
  return chosen;
}

std::int32_t Binder::common_typmod(std::span<const ExprRef> branches) {
  if (branches.empty()) {
    return -1;
  }
  const Expr& first = *branches.front();
  for (const ExprRef& e : branches) {
    if (e->type != first.type || e->typmod != first.typmod) {
      return -1;
    }
  }
  return first.typmod;
}

ExprRef Binder::constant(Oid type, OwnedValue value, int location) const {
  ExprRef e = make_expr(ExprKind::kConst, type, {}, location);
  e->value = std::move(value);
  return e;
}

ExprRef Binder::text_constant(std::string_view text) const {
  return constant(types::kText, OwnedValue::of_text(std::string(text)));
}

ExprRef Binder::null_constant(Oid type) const { return constant(type, OwnedValue::null()); }

}  // namespace bop::sql
