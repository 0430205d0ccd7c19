// Type names of the grammar become OIDs and type modifiers.
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/types/user_types.hpp"

namespace bop::sql {

namespace {

struct Serial {
  std::string_view name;
  Oid type;
  char kind;
};
constexpr std::array kSerials{
    Serial{"smallserial", types::kInt2, '2'}, Serial{"serial2", types::kInt2, '2'},
    Serial{"serial", types::kInt4, '4'},      Serial{"serial4", types::kInt4, '4'},
    Serial{"bigserial", types::kInt8, '8'},   Serial{"serial8", types::kInt8, '8'},
};

// The OID in "#16384"; 0 if it is none.
Oid stored_type_name(std::string_view name) {
  Oid oid = 0;
  const auto [end, problem] = std::from_chars(name.data() + 1, name.data() + name.size(), oid);
  return problem == std::errc{} && end == name.data() + name.size() ? oid : 0;
}

Result<TypeRef> resolve(const PgQuery__TypeName& name, bool allow_serial) {
  if (name.setof != 0) {
    return fail(ErrorCode::kNotImplemented, "SETOF is not implemented");
  }
  if (name.pct_type != 0) {
    return fail(ErrorCode::kNotImplemented, "%TYPE is not implemented");
  }
  const pg::NodeList names = BOP_PG_LIST(&name, names);
  const std::string_view last = pg::last_name(names);
  TypeRef out;
  if (allow_serial && names.size() == 1 && name.n_array_bounds == 0 && name.n_typmods == 0) {
    for (const Serial& serial : kSerials) {
      if (serial.name == last) {
        return TypeRef{.type = serial.type, .serial = serial.kind};
      }
    }
  }
  const TypeInfo* info = nullptr;
  const UserTypes* users = UserTypes::current();
  if (names.size() <= 2 && (names.size() == 1 || pg::string_of(names[0]) == "pg_catalog")) {
    info = find_type(last);
    // SQL's two-word names are names of the grammar, never of a quoted identifier.
    if (info != nullptr && info->name != last) {
      info = nullptr;
    }
  }
  if (info == nullptr && names.size() == 1 && last.starts_with('#')) {  // as stored text says it
    info = find_type(stored_type_name(last));
  }
  if (info == nullptr && users != nullptr && names.size() <= 2) {
    BOP_LET(found,
            users->find_user_type(names.size() == 2 ? pg::string_of(names[0]) : std::string_view(), last));
    info = found;
  }
  if (info == nullptr) {
    return fail(ErrorCode::kUndefinedObject, "type \"{}\" does not exist", name_list(names));
  }
  out.type = info->oid;
  if (out.type >= types::kFirstUser && name.n_typmods > 0) {
    return fail(ErrorCode::kSyntaxError, "type modifier is not allowed for type \"{}\"", name_list(names));
  }
  if (name.n_typmods > 0) {
    std::vector<std::int64_t> args;
    for (const pg::Node* node : BOP_PG_LIST(&name, typmods)) {
      const bool integer = node->node_case == PG_QUERY__NODE__NODE_A_CONST && node->a_const->isnull == 0 &&
                           (node->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL ||
                            node->a_const->val_case == PG_QUERY__A__CONST__VAL__NOT_SET);
      if (!integer) {
        return fail(ErrorCode::kSyntaxError, "type modifiers must be simple constants or identifiers");
      }
      args.push_back(node->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL ? node->a_const->ival->ival : 0);
    }
    BOP_LET(typmod, encode_typmod(out.type, args));
    out.typmod = typmod;
  } else if (name.typemod != -1 && name.typemod != 0) {
    out.typmod = name.typemod;
  }
  if (name.n_array_bounds > 0) {
    out.type = array_of(out.type);
    if (out.type == 0) {
      return fail(ErrorCode::kUndefinedObject, "type \"{}[]\" does not exist", last);
    }
  }
  return out;
}

}  // namespace

TypeRef Binder::type_name(const PgQuery__TypeName& name) const {
  Result<TypeRef> made = resolve(name, false);
  if (!made) {
    raise(std::move(made).error(), name.location);
  }
  tell_type(name, made->type);
  return *made;
}

void Binder::tell_type(const PgQuery__TypeName& name, Oid type) const {
  const Oid named = name.n_array_bounds > 0 ? element_of(type) : type;
  if (names_found == nullptr || named < types::kFirstUser) {
    return;
  }
  names_found->types[&name] = named;
  names_found->use_object(UserTypes::current()->find_user_type(named)->definition().oid);
}

Result<TypeRef> resolve_type(const PgQuery__Node* type_name, const ParsedStatement& statement,
                             bool allow_serial) {
  if (type_name == nullptr || type_name->node_case != PG_QUERY__NODE__NODE_TYPE_NAME) {
    return fail(ErrorCode::kInternal, "not a type name");
  }
  Result<TypeRef> made = resolve(*type_name->type_name, allow_serial);
  if (!made) {
    return std::unexpected(std::move(made).error().at(statement.position(type_name->type_name->location)));
  }
  return made;
}

Result<TypeRef> resolve_type(std::string_view text) {
  BOP_LET(parsed, parse_expression(fmt::format("NULL::{}", text)));
  if (parsed->node->node_case != PG_QUERY__NODE__NODE_TYPE_CAST) {
    return fail(ErrorCode::kSyntaxError, "\"{}\" is not a type name", text);
  }
  return resolve(*parsed->node->type_cast->type_name, false);
}

}  // namespace bop::sql
