// CREATE and ALTER SEQUENCE, and the options of identity columns. The values themselves are not in the
// catalog.
#include <charconv>

#include "sql/ddl/ddl_run.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

Result<std::int64_t> number_of(const pg::Node* node, std::string_view option) {
  if (node != nullptr && node->node_case == PG_QUERY__NODE__NODE_INTEGER) return node->integer->ival;
  if (node != nullptr && node->node_case == PG_QUERY__NODE__NODE_FLOAT) {
    const std::string_view text = pg::text(node->float_->fval);
    std::int64_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem == std::errc{} && end == text.data() + text.size()) return value;
    return fail(ErrorCode::kNumericOutOfRange, "value \"{}\" is out of range for type bigint", text);
  }
  return fail(ErrorCode::kSyntaxError, "{} requires a numeric value", option);
}

std::pair<std::int64_t, std::int64_t> range_of(Oid type) {
  if (type == types::kInt2) return {INT16_MIN, INT16_MAX};
  if (type == types::kInt4) return {INT32_MIN, INT32_MAX};
  return {INT64_MIN, INT64_MAX};
}

}  // namespace

// OWNED BY: a table and column, or NONE.
Status DdlRun::own_sequence(Sequence& sequence, pg::NodeList names) const {
  const auto linked = now().relation(sequence.owned_by_table);
  const auto refuse_identity = [&]() -> Status {
    const Column* column = linked ? linked->find_column(sequence.owned_by_column) : nullptr;
    if (column == nullptr || column->identity == 0) return {};
    return std::unexpected(
        error(ErrorCode::kNotImplemented, "cannot change ownership of identity sequence")
            .detail(fmt::format("Sequence \"{}\" is linked to table \"{}\".", sequence.name, linked->name)));
  };
  if (names.size() == 1) {
    if (pg::string_of(names[0]) != "none") {
      return std::unexpected(error(ErrorCode::kSyntaxError, "invalid OWNED BY option")
                                 .hint("Specify OWNED BY table.column or OWNED BY NONE."));
    }
    BOP_TRY(refuse_identity());
    sequence.owned_by_table = 0;
    sequence.owned_by_column = 0;
    return {};
  }
  std::string schema;
  std::string name;
  BOP_LET(found, find_qualified(names.first(names.size() - 1), schema, name));
  if (!found) {
    return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist",
                schema.empty() ? name : fmt::format("{}.{}", schema, name));
  }
  const auto table = now().relation(found.oid);
  if (!table) {
    return std::unexpected(
        error(ErrorCode::kWrongObjectType, "sequence cannot be owned by relation \"{}\"", name)
            .detail(fmt::format("This operation is not supported for {}.",
                                found.kind == 'i' ? "indexes" : "sequences")));
  }
  if (table->owner != sequence.owner) {
    return fail(ErrorCode::kNotInPrerequisiteState, "sequence must have same owner as table it is linked to");
  }
  if (table->schema != sequence.schema) {
    return fail(ErrorCode::kNotInPrerequisiteState,
                "sequence must be in same schema as table it is linked to");
  }
  const Column* column = table->find_column(pg::string_of(names.back()));
  if (column == nullptr) {
    return fail(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist",
                pg::string_of(names.back()), name);
  }
  BOP_TRY(refuse_identity());
  sequence.owned_by_table = table->oid;
  sequence.owned_by_column = column->number;
  return {};
}

Status DdlRun::sequence_options(Sequence& sequence, pg::NodeList options, bool create) {
  std::optional<std::int64_t> start;
  std::optional<std::int64_t> min;
  std::optional<std::int64_t> max;
  bool default_min = create;
  bool default_max = create;
  bool reset_min = false;
  bool reset_max = false;
  std::optional<std::optional<std::int64_t>> restart;
  const std::int64_t old_start = sequence.start;
  bool changed = false;  // anything but the owner
  std::set<std::string_view> said;
  for (const pg::Node* item : options) {
    const PgQuery__DefElem& option = *item->def_elem;
    const std::string_view name = pg::text(option.defname);
    if (!said.insert(name).second) {
      return std::unexpected(
          error(ErrorCode::kSyntaxError, "conflicting or redundant options").at(position(option.location)));
    }
    changed = changed || name != "owned_by";
    if (name == "as") {
      pg::Node type_node = PG_QUERY__NODE__INIT;
      type_node.node_case = PG_QUERY__NODE__NODE_TYPE_NAME;
      type_node.type_name = option.arg->type_name;
      BOP_LET(type, resolve_type(&type_node, *statement_));
      if (type.type != 20 && type.type != 21 && type.type != 23) {
        return fail(ErrorCode::kInvalidArgument, "sequence type must be smallint, integer, or bigint");
      }
      // Limits that are those of the old type become those of the new one; others were chosen.
      reset_min = !create && sequence.type != type.type && sequence.min == range_of(sequence.type).first;
      reset_max = !create && sequence.type != type.type && sequence.max == range_of(sequence.type).second;
      sequence.type = type.type;
    } else if (name == "increment") {
      BOP_LET(value, number_of(option.arg, name));
      if (value == 0) return fail(ErrorCode::kInvalidArgument, "INCREMENT must not be zero");
      sequence.increment = value;
    } else if (name == "start") {
      BOP_LET(value, number_of(option.arg, name));
      start = value;
    } else if (name == "restart") {
      if (option.arg == nullptr) {
        restart.emplace(std::nullopt);
      } else {
        BOP_LET(value, number_of(option.arg, name));
        restart.emplace(value);
      }
    } else if (name == "minvalue") {
      if (option.arg == nullptr) {
        default_min = true;
      } else {
        BOP_LET(value, number_of(option.arg, name));
        min = value;
      }
    } else if (name == "maxvalue") {
      if (option.arg == nullptr) {
        default_max = true;
      } else {
        BOP_LET(value, number_of(option.arg, name));
        max = value;
      }
    } else if (name == "cache") {
      BOP_LET(value, number_of(option.arg, name));
      if (value <= 0) return fail(ErrorCode::kInvalidArgument, "CACHE ({}) must be greater than zero", value);
      sequence.cache = value;
    } else if (name == "cycle") {
      sequence.cycle = option.arg == nullptr || option.arg->boolean->boolval != 0;
    } else if (name == "owned_by") {
      BOP_TRY(own_sequence(sequence, BOP_PG_LIST(option.arg->list, items)));
    } else {
      return fail(ErrorCode::kNotImplemented, "sequence option \"{}\" is not implemented", name);
    }
  }
  const auto [low, high] = range_of(sequence.type);
  if (default_min || reset_min) sequence.min = sequence.increment > 0 && !reset_min ? 1 : low;
  if (default_max || reset_max) sequence.max = sequence.increment > 0 || reset_max ? high : -1;
  if (min) sequence.min = *min;
  if (max) sequence.max = *max;
  if (sequence.min < low || sequence.min > high) {
    return fail(ErrorCode::kInvalidArgument, "MINVALUE ({}) is out of range for sequence data type {}",
                sequence.min, format_type(sequence.type));
  }
  if (sequence.max < low || sequence.max > high) {
    return fail(ErrorCode::kInvalidArgument, "MAXVALUE ({}) is out of range for sequence data type {}",
                sequence.max, format_type(sequence.type));
  }
  if (sequence.min >= sequence.max) {
    return fail(ErrorCode::kInvalidArgument, "MINVALUE ({}) must be less than MAXVALUE ({})", sequence.min,
                sequence.max);
  }
  if (create) sequence.start = sequence.increment > 0 ? sequence.min : sequence.max;
  if (start) sequence.start = *start;
  if (sequence.start < sequence.min) {
    return fail(ErrorCode::kInvalidArgument, "START value ({}) cannot be less than MINVALUE ({})",
                sequence.start, sequence.min);
  }
  if (sequence.start > sequence.max) {
    return fail(ErrorCode::kInvalidArgument, "START value ({}) cannot be greater than MAXVALUE ({})",
                sequence.start, sequence.max);
  }
  if (create) outcome_.sequence_starts.push_back({sequence.oid, sequence.start, false});
  if (restart) {
    const std::int64_t value = restart->value_or(sequence.start);
    if (value < sequence.min || value > sequence.max) {
      return fail(ErrorCode::kInvalidArgument, "RESTART value ({}) cannot be {} ({})", value,
                  value < sequence.min ? "less than MINVALUE" : "greater than MAXVALUE",
                  value < sequence.min ? sequence.min : sequence.max);
    }
    if (create) return {};  // START is what counts
    restart_sequence(sequence, value, false);
  } else if (!create && changed) {
    // Goes on behind the last value by the new rules.
    const auto position =
        context_.sequence_position ? context_.sequence_position(sequence.state_key()) : std::nullopt;
    const auto [value, called] = position.value_or(std::pair(old_start, false));
    if (value < sequence.min || value > sequence.max) {
      return fail(ErrorCode::kInvalidArgument, "RESTART value ({}) cannot be {} ({})", value,
                  value < sequence.min ? "less than MINVALUE" : "greater than MAXVALUE",
                  value < sequence.min ? sequence.min : sequence.max);
    }
    restart_sequence(sequence, value, called);
  }
  return {};
}

// Under a new key, so that a rollback brings the old state back.
void DdlRun::restart_sequence(Sequence& sequence, std::int64_t first, bool called) {
  outcome_.dropped_sequences.push_back(sequence.state_key());
  sequence.state = edit_.allocate_oid();
  outcome_.sequence_starts.push_back({sequence.oid, first, called});
}

Status DdlRun::create_sequence(const PgQuery__CreateSeqStmt& create) {
  BOP_LET(schema, schema_for_creation(*create.sequence));
  const std::string name(pg::text(create.sequence->relname));
  if (now().find(schema->oid, name)) {
    if (create.if_not_exists != 0) {
      notice(error(ErrorCode::kDuplicateTable, "relation \"{}\" already exists, skipping", name));
      return {};
    }
    return fail(ErrorCode::kDuplicateTable, "relation \"{}\" already exists", name);
  }
  if (pg::text(create.sequence->relpersistence) == "u") {
    notice(Error(ErrorCode::kNotImplemented,
                 "UNLOGGED is accepted and has no effect: every commit is in the log"));
  }
  Sequence sequence;
  sequence.oid = edit_.allocate_oid();
  sequence.schema = schema->oid;
  sequence.name = name;
  sequence.owner = context_.user;
  sequence.acl = initial_acl(sequence.owner, sequence.schema, 'S');
  BOP_TRY(sequence_options(sequence, BOP_PG_LIST(&create, options), true));
  edit_.put(std::move(sequence));
  return {};
}

Status DdlRun::alter_sequence(const PgQuery__AlterSeqStmt& alter) {
  BOP_LET(found, find_relation(*alter.sequence, alter.missing_ok != 0));
  if (!found) {
    notice(error(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist, skipping",
                 alter.sequence->relname));
    return {};
  }
  const auto known = now().sequence(found.oid);
  if (!known) return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a sequence", alter.sequence->relname);
  BOP_TRY(must_own(found));
  Sequence sequence = *known;
  BOP_TRY(sequence_options(sequence, BOP_PG_LIST(&alter, options), false));
  edit_.put(std::move(sequence));
  return {};
}

}  // namespace bop::sql
