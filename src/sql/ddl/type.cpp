// CREATE TYPE AS ENUM, ALTER TYPE, and what types and domains have in common: names, owners, schemas.
//
// A label's `ordinal` is what tables hold: 2^32 apart at first, halfway between its neighbours when it comes
// later. So a place takes 32 values in a row before there is no number left between two neighbours; where
// PostgreSQL would number its labels anew, which changes no row there, that is refused.
#include <algorithm>
#include <cmath>

#include "sql/ddl/ddl_run.hpp"

namespace bop::sql {

namespace {

constexpr std::int64_t kOrdinalGap = std::int64_t{1} << 32;
constexpr std::size_t kMaxLabelBytes = 63;

Status check_label(std::string_view label) {
  if (label.size() <= kMaxLabelBytes) return {};
  return std::unexpected(error(ErrorCode::kInvalidName, "invalid enum label \"{}\"", label)
                             .detail(fmt::format("Labels must be {} bytes or less.", kMaxLabelBytes)));
}

std::string shown(pg::NodeList names) {
  std::string out;
  for (const pg::Node* name : names) {
    out += out.empty() ? "" : ".";
    out += pg::string_of(name);
  }
  return out;
}

}  // namespace

std::string DdlRun::free_array_name(Oid schema, std::string_view name) const {
  for (std::string array = fmt::format("_{}", name);; array.insert(0, "_")) {
    if (array.size() > kMaxLabelBytes) {
      std::size_t end = kMaxLabelBytes;
      while ((static_cast<unsigned char>(array[end]) & 0xC0) == 0x80) --end;
      array.resize(end);
    }
    if (now().find_type(schema, array) == 0) return array;
  }
}

// 42710 if a type, or a relation with its row type, has the name; an array type makes room.
Status DdlRun::check_type_name_free(Oid schema, const std::string& name) {
  const Catalog::Named relation = now().find(schema, name);
  const Oid found = now().find_type(schema, name);
  if (const auto known = found == 0 ? nullptr : now().type(found); known == nullptr && found != 0) {
    Type other = *now().type(now().user_type(found)->definition().oid);
    other.array_name = free_array_name(schema, name);
    edit_.put(std::move(other));
  } else if (known != nullptr || (relation && relation.kind != 'i' && relation.kind != 'S')) {
    return fail(ErrorCode::kDuplicateObject, "type \"{}\" already exists", name);
  }
  return {};
}

Result<Type> DdlRun::new_type(pg::NodeList names, char kind) {
  if (names.size() > 2)
    BOP_TRY(check_database(pg::string_of(names[0]), pg::string_of(names[1]), shown(names)));
  const std::string_view in = names.size() > 1 ? pg::string_of(names[names.size() - 2]) : std::string_view();
  BOP_LET(schema, schema_for_creation(in));
  Type type;
  type.kind = kind;
  type.schema = schema->oid;
  type.name = std::string(pg::last_name(names));
  BOP_TRY(check_type_name_free(type.schema, type.name));
  type.owner = context_.user;
  type.oid = edit_.allocate_oid();
  type.array_oid = edit_.allocate_oid();
  type.array_name = free_array_name(type.schema, type.name);
  return type;
}

Result<std::shared_ptr<const Type>> DdlRun::find_type_to_change(pg::NodeList names) const {
  const std::string_view schema =
      names.size() > 1 ? pg::string_of(names[names.size() - 2]) : std::string_view();
  const std::string_view name = pg::last_name(names);
  if (!schema.empty() && now().schema(schema) == nullptr) {
    return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", schema);
  }
  BOP_TRY(may_look_in(schema));
  const bool builtin = schema.empty() || schema == "pg_catalog";
  if (builtin && bop::find_type(name) != nullptr) {
    return fail(ErrorCode::kInsufficientPrivilege, "must be owner of type {}",
                format_type(bop::find_type(name)->oid));
  }
  const Oid oid = now().find_type(context_.bind.search_path, schema, name);
  if (oid == 0) return fail(ErrorCode::kUndefinedObject, "type \"{}\" does not exist", shown(names));
  const auto type = now().type(oid);
  if (type == nullptr) {
    const std::string of = quote_name(now().user_type(oid)->definition().name);
    return std::unexpected(
        error(ErrorCode::kWrongObjectType, "cannot alter array type {}[]", of)
            .hint(fmt::format("You can alter type {}, which will alter the array type as well.", of)));
  }
  BOP_TRY(must_own(type->owner, "type " + type->name));
  return type;
}

Status DdlRun::create_enum(const PgQuery__CreateEnumStmt& create) {
  BOP_LET(type, new_type(BOP_PG_LIST(&create, type_name), 'e'));
  std::int64_t ordinal = 0;
  for (const pg::Node* node : BOP_PG_LIST(&create, vals)) {
    const std::string label(pg::string_of(node));
    BOP_TRY(check_label(label));
    if (std::ranges::find(type.labels, label, &EnumLabel::label) != type.labels.end()) {
      return std::unexpected(
          error(ErrorCode::kUniqueViolation,
                "duplicate key value violates unique constraint \"pg_enum_typid_label_index\"")
              .detail(fmt::format("Key (enumtypid, enumlabel)=({}, {}) already exists.", type.oid, label)));
    }
    type.labels.push_back({.oid = edit_.allocate_oid(),
                           .label = label,
                           .ordinal = ordinal,
                           .order = static_cast<float>(type.labels.size() + 1)});
    ordinal += kOrdinalGap;
  }
  edit_.put(std::move(type));
  return {};
}

Status DdlRun::alter_enum(const PgQuery__AlterEnumStmt& alter) {
  BOP_LET(found, find_type_to_change(BOP_PG_LIST(&alter, type_name)));
  Type type = *found;
  if (type.kind != 'e') {
    return fail(ErrorCode::kWrongObjectType, "{} is not an enum", format_type(type.oid));
  }
  const std::string_view old_label = pg::text(alter.old_val);
  const std::string label(pg::text(alter.new_val));
  BOP_TRY(check_label(label));
  const auto known = std::ranges::find(type.labels, label, &EnumLabel::label);
  if (alter.old_val != nullptr && !old_label.empty()) {
    const auto renamed = std::ranges::find(type.labels, old_label, &EnumLabel::label);
    if (renamed == type.labels.end()) {
      return fail(ErrorCode::kInvalidArgument, "\"{}\" is not an existing enum label", old_label);
    }
    if (known != type.labels.end()) {
      return fail(ErrorCode::kDuplicateObject, "enum label \"{}\" already exists", label);
    }
    renamed->label = label;
    return rename_label(std::move(type));
  }
  if (known != type.labels.end()) {
    if (alter.skip_if_new_val_exists == 0) {
      return fail(ErrorCode::kDuplicateObject, "enum label \"{}\" already exists", label);
    }
    notice(error(ErrorCode::kDuplicateObject, "enum label \"{}\" already exists, skipping", label));
    return {};
  }
  BOP_TRY(add_label(type, label, pg::text(alter.new_val_neighbor), alter.new_val_is_after != 0));
  edit_.put(std::move(type));
  return {};
}

Status DdlRun::add_label(Type& type, const std::string& label, std::string_view neighbor, bool after) {
  std::vector<EnumLabel>& labels = type.labels;
  auto next = labels.end();  // before which it will stand
  if (!neighbor.empty()) {
    next = std::ranges::find(labels, neighbor, &EnumLabel::label);
    if (next == labels.end()) {
      return fail(ErrorCode::kInvalidArgument, "\"{}\" is not an existing enum label", neighbor);
    }
    if (after) ++next;
  }
  EnumLabel made{.oid = edit_.allocate_oid(), .label = label, .ordinal = 0, .order = 1};
  if (!labels.empty() && next == labels.end()) {
    made.ordinal = labels.back().ordinal + kOrdinalGap;
    made.order = labels.back().order + 1;
  } else if (next != labels.end() && next == labels.begin()) {
    made.ordinal = next->ordinal - kOrdinalGap;
    made.order = next->order - 1;
  } else if (next != labels.end()) {
    const EnumLabel& before = *std::prev(next);
    made.ordinal = before.ordinal + (next->ordinal - before.ordinal) / 2;
    made.order = (before.order + next->order) / 2;
    if (made.ordinal == before.ordinal) {
      return std::unexpected(
          error(ErrorCode::kProgramLimitExceeded, "no more labels fit between \"{}\" and \"{}\" of enum {}",
                before.label, next->label, format_type(type.oid))
              .hint("Make a new type with the labels in order and change the columns to it."));
    }
  }
  const bool crowded = std::ranges::any_of(labels, [&](const EnumLabel& l) { return l.order == made.order; });
  labels.insert(next, std::move(made));
  if (crowded) {
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i].order = static_cast<float>(i + 1);
  }
  return {};
}

// Constants in the texts of other objects say the new label.
Status DdlRun::rename_label(Type type) {
  const Oid oid = type.oid;
  const CodecContext& codec = context_.bind.codec;
  const std::shared_ptr<const Catalog> before = std::make_shared<const Catalog>(now());
  edit_.put(std::move(type));
  const std::shared_ptr<const Catalog> after = std::make_shared<const Catalog>(now());
  const CatalogTypes old_types(before, context_.bind.search_path, context_.bind.who);
  const CatalogTypes new_types(after, context_.bind.search_path, context_.bind.who);
  return change_texts([&](const std::string& stored) -> Result<std::string> {
    return renew_literals(stored, oid, [&](Oid of, std::string_view text) {
      Result<OwnedValue> value = OwnedValue();
      {
        const UserTypesScope scope(&old_types);
        value = parse_text(of, -1, text, codec);
      }
      if (!value) return std::string(text);
      const UserTypesScope scope(&new_types);
      std::string renewed;
      encode_text(of, -1, value->view(), codec, renewed);
      return renewed;
    });
  });
}

Status DdlRun::change_texts(const std::function<Result<std::string>(const std::string&)>& change) {
  const auto apply = [&](std::string& text, bool& changed) -> Status {
    if (text.empty()) return {};
    BOP_LET(next, change(text));
    changed = changed || next != text;
    text = std::move(next);
    return {};
  };
  for (const auto& [oid, relation] : std::map(now().relations())) {
    Relation next = *relation;
    bool changed = false;
    for (Column& column : next.columns) {
      if (column.default_text) BOP_TRY(apply(*column.default_text, changed));
    }
    for (Constraint& constraint : next.constraints) BOP_TRY(apply(constraint.check_text, changed));
    BOP_TRY(apply(next.view_text, changed));
    if (changed) edit_.put(std::move(next));
  }
  for (const auto& [oid, index] : std::map(now().indexes())) {
    Index next = *index;
    bool changed = false;
    for (IndexKey& key : next.keys) BOP_TRY(apply(key.expression, changed));
    BOP_TRY(apply(next.predicate, changed));
    if (changed) edit_.put(std::move(next));
  }
  for (const auto& [oid, type] : std::map(now().types())) {
    Type next = *type;
    bool changed = false;
    if (next.default_text) BOP_TRY(apply(*next.default_text, changed));
    for (DomainCheck& check : next.checks) BOP_TRY(apply(check.text, changed));
    if (changed) edit_.put(std::move(next));
  }
  return {};
}

Result<std::shared_ptr<const Type>> DdlRun::find_type_or_domain(const pg::Node* object,
                                                                PgQuery__ObjectType wanted) const {
  const bool typed = object->node_case == PG_QUERY__NODE__NODE_TYPE_NAME;
  const pg::NodeList names = typed ? BOP_PG_LIST(object->type_name, names) : BOP_PG_LIST(object->list, items);
  BOP_LET(type, find_type_to_change(names));
  if (wanted == PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN && type->kind != 'd') {
    return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a domain", type->name);
  }
  return type;
}

Status DdlRun::rename_type(const PgQuery__RenameStmt& rename) {
  BOP_LET(found, find_type_or_domain(rename.object, rename.rename_type));
  Type type = *found;
  const std::string to(pg::text(rename.newname));
  BOP_TRY(may_create_in(*now().schema(type.schema)));
  BOP_TRY(check_type_name_free(type.schema, to));
  type.name = to;
  edit_.put(type);
  type.array_name = free_array_name(type.schema, to);
  edit_.put(std::move(type));
  return {};
}

Status DdlRun::set_type_schema(const PgQuery__AlterObjectSchemaStmt& alter) {
  BOP_LET(found, find_type_or_domain(alter.object, alter.object_type));
  BOP_LET(schema, schema_for_creation(pg::text(alter.newschema)));
  if (schema->oid == found->schema) return {};
  BOP_TRY(check_type_name_free(schema->oid, found->name));
  Type type = *found;
  type.schema = schema->oid;
  type.array_name = free_array_name(type.schema, type.name);
  edit_.put(std::move(type));
  return {};
}

Status DdlRun::set_type_owner(const PgQuery__AlterOwnerStmt& alter) {
  BOP_LET(found, find_type_or_domain(alter.object, alter.object_type));
  BOP_LET(owner, role_oid(*alter.newowner));
  if (found->owner == owner) return {};
  BOP_TRY(may_give(owner, *alter.newowner, found->schema));
  Type type = *found;
  type.owner = owner;
  edit_.put(std::move(type));
  return {};
}

Status DdlRun::comment_on_type(const PgQuery__CommentStmt& comment) {
  BOP_LET(found, find_type_or_domain(comment.object, comment.objtype));
  Type type = *found;
  type.comment = std::string(pg::text(comment.comment));
  edit_.put(std::move(type));
  return {};
}

// The types of DROP TYPE and DROP DOMAIN.
Status DdlRun::find_dropped_types(const PgQuery__DropStmt& drop, Dropped& dropped, std::string& what) {
  for (const pg::Node* object : BOP_PG_LIST(&drop, objects)) {
    const pg::NodeList names = BOP_PG_LIST(object->type_name, names);
    const std::string_view schema =
        names.size() > 1 ? pg::string_of(names[names.size() - 2]) : std::string_view();
    const std::string_view name = pg::last_name(names);
    const bool builtin = schema.empty() || schema == "pg_catalog";
    if (const TypeInfo* info = builtin ? bop::find_type(name) : nullptr) {
      return fail(ErrorCode::kDependentObjectsStillExist,
                  "cannot drop type {} because it is required by the database system",
                  format_type(info->oid));
    }
    const bool no_schema = !schema.empty() && now().schema(schema) == nullptr;
    BOP_TRY(may_look_in(schema));
    const Oid oid = no_schema ? 0 : now().find_type(context_.bind.search_path, schema, name);
    if (oid == 0) {
      const std::string missing = no_schema ? fmt::format("schema \"{}\" does not exist", schema)
                                            : fmt::format("type \"{}\" does not exist", shown(names));
      if (drop.missing_ok == 0)
        return fail(no_schema ? ErrorCode::kUndefinedSchema : ErrorCode::kUndefinedObject, "{}", missing);
      notice(error(ErrorCode::kUndefinedObject, "{}, skipping", missing));
      continue;
    }
    const auto type = now().type(oid);
    if (type == nullptr) {
      const std::string of = description(now().user_type(oid)->definition().oid);
      return std::unexpected(error(ErrorCode::kDependentObjectsStillExist,
                                   "cannot drop type {} because {} requires it", format_type(oid), of)
                                 .hint(fmt::format("You can drop {} instead.", of)));
    }
    if (drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN && type->kind != 'd') {
      return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a domain", name);
    }
    if (const Schema* in = now().schema(type->schema); !who().has_rights_of(in->owner)) {
      BOP_TRY(must_own(type->owner, "type " + type->name));
    }
    what = dropped.types.empty() ? description(oid) : "desired object(s)";
    dropped.types.insert(oid);
  }
  return {};
}

}  // namespace bop::sql
