// Variables of PL/pgSQL: their types, and what is assigned to them.
#include <algorithm>

#include "session/plpgsql_run.hpp"
#include "sql/plpgsql/scanner.hpp"
#include "sql/types/user_types.hpp"

namespace bop::session {

namespace plpgsql = sql::plpgsql;

// A value as a variable of the type takes it: by an assignment's cast, else by way of its text.
Task<Result<OwnedValue>> PlpgsqlRun::convert(Typed& value, Oid type, std::int32_t typmod) {
  if (is_constrained(type)) {
    const auto parsed = sql::parse(fmt::format("SELECT CAST($1 AS \"#{}\")", type));
    if (!parsed) co_return std::unexpected(parsed.error());
    Run run;
    run.statement = parsed->front();
    run.hints.push_back(value.type);
    run.parameters.push_back(std::move(value.value));
    auto answer = co_await run_statement(run, 1);
    if (!answer) co_return std::unexpected(std::move(answer).error());
    co_return std::move(answer->rows->row(0)[0]);
  }
  if (value.value.is_null()) co_return OwnedValue::null();
  const Oid from = base_type(value.type);
  const Oid to = base_type(type);
  const CodecContext& codec = session_.functions_.codec;
  OwnedValue made = std::move(value.value);
  if (from != to) {
    const CastContext cast = cast_context(from, to);
    if (cast == CastContext::kImplicit || cast == CastContext::kAssignment) {
      auto cast_value = bop::cast(from, to, made, false, codec);
      if (!cast_value) co_return std::unexpected(std::move(cast_value).error());
      made = std::move(*cast_value);
    } else {
      std::string text;
      encode_text(from, value.typmod, made, codec, text);
      co_return parse_text(to, typmod, text, codec);
    }
  }
  if (typmod < 0) co_return made;
  co_return apply_typmod(to, typmod, std::move(made), false);
}

Status PlpgsqlRun::become_row(Slot& slot, const sql::Relation& relation) const {
  slot.record = slot.assigned = slot.fixed = true;
  slot.fields.clear();
  for (const sql::Column& column : relation.columns) {
    if (!column.dropped) {
      slot.fields.push_back({.name = column.name, .type = column.type, .typmod = column.typmod, .value = {}});
    }
  }
  return {};
}

// t.c%TYPE, v%TYPE, t%ROWTYPE. False: the text is a type's name.
Result<bool> PlpgsqlRun::resolve_by_reference(const std::string& text, Slot& made) {
  BOP_LET(tokens, plpgsql::scan(text));
  std::vector<std::string> names;
  std::size_t i = 0;
  for (; tokens[i].kind == plpgsql::Token::Kind::kWord || tokens[i].kind == plpgsql::Token::Kind::kQuoted;
       ++i) {
    names.push_back(tokens[i].word);
    if (tokens[i + 1].word != ".") {
      ++i;
      break;
    }
    ++i;
  }
  if (names.empty()) return false;
  const auto table = [&](std::span<const std::string> path) -> Result<std::shared_ptr<const sql::Relation>> {
    const auto catalog = session_.catalog();
    const auto found =
        catalog->find(session_.usable_path(*catalog), path.size() > 1 ? path[0] : std::string(), path.back());
    const auto relation = found ? catalog->relation(found.oid) : nullptr;
    if (!relation) return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", path.back());
    return relation;
  };
  if (tokens[i].word != "%") {
    if (tokens[i].kind != plpgsql::Token::Kind::kEnd) return false;
    if (const auto row = table(names); row && !sql::resolve_type(text)) {
      BOP_TRY(become_row(made, **row));
      return true;
    }
    return false;
  }
  const std::string& what = tokens[i + 1].word;
  if (what == "rowtype") {
    BOP_LET(relation, table(names));
    BOP_TRY(become_row(made, *relation));
    return true;
  }
  if (what != "type") return fail(ErrorCode::kSyntaxError, "invalid type name \"{}\"", text);
  if (names.size() == 1) {
    for (std::size_t v = 0; v < program_->variables.size(); ++v) {
      if (program_->variables[v].name != names[0] || slots_[v].type == 0) continue;
      made.type = slots_[v].type;
      made.typmod = slots_[v].typmod;
      return true;
    }
    return fail(ErrorCode::kUndefinedObject, "variable \"{}\" does not exist", names[0]);
  }
  BOP_LET(relation, table(std::span(names).first(names.size() - 1)));
  const sql::Column* column = relation->find_column(names.back());
  if (column == nullptr) {
    return fail(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", names.back(),
                relation->name);
  }
  made.type = column->type;
  made.typmod = column->typmod;
  return true;
}

Status PlpgsqlRun::resolve(int variable) {
  const plpgsql::Variable& declared = program_->variables[static_cast<std::size_t>(variable)];
  Slot made;
  if (declared.known_type != 0) {
    made.type = declared.known_type;
  } else if (declared.type == "record") {
    made.record = true;
  } else if (!declared.type.empty()) {
    (void)session_.bind_context();  // types of the newest catalog
    BOP_LET(referred, resolve_by_reference(declared.type, made));
    if (!referred) {
      auto type = sql::resolve_type(declared.type);
      if (!type) {
        Error why = type.error();
        why.mut().position = 0;
        return std::unexpected(std::move(why));
      }
      if (is_pseudo(type->type) && type->type != types::kRecord) {
        return fail(ErrorCode::kNotImplemented, "variable \"{}\" has pseudo-type {}", declared.name,
                    format_type(type->type));
      }
      made.record = type->type == types::kRecord;
      made.type = type->type;
      made.typmod = type->typmod;
    }
  }
  slot(variable) = std::move(made);
  return {};
}

void PlpgsqlRun::set_found(bool found) { slot(program_->found).value = OwnedValue::of_bool(found); }

Task<Status> PlpgsqlRun::enter(const Statement& s) {
  for (const int variable : s.variables) {
    const plpgsql::Variable& declared = program_->variables[static_cast<std::size_t>(variable)];
    BOP_CO_TRY(resolve(variable));
    if (!declared.initial) {
      if (is_constrained(slot(variable).type)) {
        Typed nothing;
        nothing.type = slot(variable).type;
        auto null = co_await convert(nothing, slot(variable).type, -1);
        if (!null) co_return std::unexpected(std::move(null).error());
      }
      continue;
    }
    auto value = co_await evaluate(declared.initial);
    if (!value) co_return std::unexpected(std::move(value).error());
    Place place;
    place.variable = variable;
    auto assigned = co_await assign(place, *value);
    if (!assigned) co_return std::unexpected(std::move(assigned).error());
  }
  co_return Status{};
}

Task<Status> PlpgsqlRun::assign(const Place& place, Typed& value) {
  const plpgsql::Variable& declared = program_->variables[static_cast<std::size_t>(place.variable)];
  Slot& to = slot(place.variable);
  if (to.record && place.field.empty()) {
    co_return fail(ErrorCode::kNotImplemented, "assignment of a whole record in PL/pgSQL is not implemented");
  }
  if (!place.field.empty()) {
    if (!to.record) {
      co_return fail(ErrorCode::kSyntaxError, "\"{}.{}\" is not a known variable", declared.name,
                     place.field);
    }
    if (!to.assigned) {
      co_return std::unexpected(
          bop::error(ErrorCode::kNotInPrerequisiteState, "record \"{}\" is not assigned yet", declared.name)
              .detail("The tuple structure of a not-yet-assigned record is indeterminate."));
    }
    const auto field = std::ranges::find(to.fields, place.field, &Field::name);
    if (field == to.fields.end()) {
      co_return fail(ErrorCode::kUndefinedColumn, "record \"{}\" has no field \"{}\"", declared.name,
                     place.field);
    }
    auto made = co_await convert(value, field->type, field->typmod);
    if (!made) co_return std::unexpected(std::move(made).error());
    field->value = std::move(*made);
    co_return Status{};
  }
  if (to.type == 0) {  // the subject of CASE
    to.type = value.type;
    to.typmod = value.typmod;
  }
  auto made = co_await convert(value, to.type, to.typmod);
  if (!made) co_return std::unexpected(std::move(made).error());
  if (made->is_null() && declared.not_null) {
    co_return fail(ErrorCode::kNullNotAllowed,
                   "null value cannot be assigned to variable \"{}\" declared NOT NULL", declared.name);
  }
  slot(place.variable).value = std::move(*made);
  co_return Status{};
}

// By position; what is missing is NULL, what is too much is left out. No values: all NULL.
Task<Status> PlpgsqlRun::assign_row(const Target& target, const std::vector<OutputColumn>& columns,
                                    std::vector<OwnedValue>& values) {
  const Place& first = target.places.front();
  Slot& record = slot(first.variable);
  if (record.record && first.field.empty()) {
    if (target.places.size() > 1) {
      co_return fail(ErrorCode::kSyntaxError, "record variable cannot be part of multiple-item INTO list");
    }
    if (!record.fixed) {
      record.assigned = true;
      record.fields.clear();
      for (std::size_t i = 0; i < columns.size(); ++i) {
        record.fields.push_back({.name = columns[i].name,
                                 .type = columns[i].type,
                                 .typmod = columns[i].typmod,
                                 .value = i < values.size() ? std::move(values[i]) : OwnedValue::null()});
      }
      co_return Status{};
    }
    for (std::size_t i = 0; i < record.fields.size(); ++i) {
      Typed value;
      if (i < values.size())
        value = {.value = std::move(values[i]), .type = columns[i].type, .typmod = columns[i].typmod};
      if (value.type == 0) {
        record.fields[i].value = OwnedValue::null();
        continue;
      }
      auto made = co_await convert(value, record.fields[i].type, record.fields[i].typmod);
      if (!made) co_return std::unexpected(std::move(made).error());
      record.fields[i].value = std::move(*made);
    }
    co_return Status{};
  }
  for (std::size_t i = 0; i < target.places.size(); ++i) {
    Typed value{.value = {}, .type = types::kText};
    if (i < columns.size()) value.type = columns[i].type;
    if (i < values.size()) {
      value.value = std::move(values[i]);
      value.typmod = columns[i].typmod;
    }
    auto assigned = co_await assign(target.places[i], value);
    if (!assigned) co_return std::unexpected(std::move(assigned).error());
  }
  co_return Status{};
}

}  // namespace bop::session
