#include "sql/stored_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <functional>

#include <fmt/format.h>

#include "base/assert.hpp"
#include "sql/catalog/temporary.hpp"
#include "sql/tree.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

// ---- nodes made by hand. The tree is freed with free(), so all of it comes from malloc.

template <class T>
T* allocate(std::size_t count = 1) {
  void* memory = std::malloc(sizeof(T) * std::max<std::size_t>(count, 1));
  BOP_ASSERT(memory != nullptr);
  return static_cast<T*>(memory);
}

void assign(char*& field, std::string_view text) {
  char* made = allocate<char>(text.size() + 1);
  std::memcpy(made, text.data(), text.size());
  made[text.size()] = '\0';
  if (field != nullptr && field != &protobuf_c_empty_string[0]) std::free(field);
  field = made;
}

PgQuery__Node* new_node(PgQuery__Node__NodeCase kind) {
  auto* node = allocate<PgQuery__Node>();
  pg_query__node__init(node);
  node->node_case = kind;
  return node;
}

PgQuery__Node* string_node(std::string_view text) {
  PgQuery__Node* node = new_node(PG_QUERY__NODE__NODE_STRING);
  node->string = allocate<PgQuery__String>();
  pg_query__string__init(node->string);
  assign(node->string->sval, text);
  return node;
}

void free_node(PgQuery__Node* node) { pg_query__node__free_unpacked(node, nullptr); }

void set_fields(PgQuery__ColumnRef& ref, const std::vector<std::string>& parts) {
  for (std::size_t i = 0; i < ref.n_fields; ++i) free_node(ref.fields[i]);
  std::free(ref.fields);
  ref.n_fields = parts.size();
  ref.fields = allocate<PgQuery__Node*>(parts.size());
  for (std::size_t i = 0; i < parts.size(); ++i) ref.fields[i] = string_node(parts[i]);
}

PgQuery__Node* column_target(const std::vector<std::string>& parts, int location) {
  PgQuery__Node* value = new_node(PG_QUERY__NODE__NODE_COLUMN_REF);
  value->column_ref = allocate<PgQuery__ColumnRef>();
  pg_query__column_ref__init(value->column_ref);
  value->column_ref->location = location;
  set_fields(*value->column_ref, parts);
  PgQuery__Node* node = new_node(PG_QUERY__NODE__NODE_RES_TARGET);
  node->res_target = allocate<PgQuery__ResTarget>();
  pg_query__res_target__init(node->res_target);
  node->res_target->val = value;
  node->res_target->location = location;
  return node;
}

bool is_regclass(const PgQuery__TypeName* type) {
  return type != nullptr && type->n_array_bounds == 0 &&
         pg::last_name(BOP_PG_LIST(type, names)) == "regclass";
}

bool is_text_constant(const PgQuery__Node* node) {
  return node != nullptr && node->node_case == PG_QUERY__NODE__NODE_A_CONST &&
         node->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL && node->a_const->isnull == 0;
}

// Makes the constant at `node` one of a cast.
void cast_constant(PgQuery__Node& node, PgQuery__TypeName* type) {
  PgQuery__Node* constant = new_node(PG_QUERY__NODE__NODE_A_CONST);
  constant->a_const = node.a_const;
  auto* cast = allocate<PgQuery__TypeCast>();
  pg_query__type_cast__init(cast);
  cast->arg = constant;
  cast->location = constant->a_const->location;
  cast->type_name = type;
  node.node_case = PG_QUERY__NODE__NODE_TYPE_CAST;
  node.type_cast = cast;
}

std::string stored_name(Oid type) {
  if (type >= types::kFirstUser) return fmt::format("#{}", type);
  const TypeInfo* info = find_type(type);
  BOP_ASSERT(info != nullptr);
  return std::string(info->name);
}

void set_names(PgQuery__Node**& names, std::size_t& count, std::string_view name) {
  for (std::size_t i = 0; i < count; ++i) free_node(names[i]);
  std::free(names);
  count = 1;
  names = allocate<PgQuery__Node*>();
  names[0] = string_node(name);
}

// The user's object that a name of stored text means, 0 if it is another's.
Oid user_object(pg::NodeList names) {
  if (names.size() != 1) return 0;
  const std::string_view name = pg::string_of(names[0]);
  Oid oid = 0;
  if (!name.starts_with('#')) return 0;
  const auto [end, problem] = std::from_chars(name.data() + 1, name.data() + name.size(), oid);
  return problem == std::errc{} && end == name.data() + name.size() ? oid : 0;
}

Oid user_type_of(const PgQuery__TypeName& type) { return user_object(BOP_PG_LIST(&type, names)); }

PgQuery__TypeName* type_node(Oid type) {
  const bool array = is_true_array(type);
  auto* name = allocate<PgQuery__TypeName>();
  pg_query__type_name__init(name);
  name->typemod = -1;
  name->location = -1;
  name->n_names = 1;
  name->names = allocate<PgQuery__Node*>();
  name->names[0] = string_node(stored_name(array ? element_of(type) : type));
  if (array) {
    PgQuery__Node* bound = new_node(PG_QUERY__NODE__NODE_INTEGER);
    bound->integer = allocate<PgQuery__Integer>();
    pg_query__integer__init(bound->integer);
    bound->integer->ival = -1;
    name->n_array_bounds = 1;
    name->array_bounds = allocate<PgQuery__Node*>();
    name->array_bounds[0] = bound;
  }
  return name;
}

// Calls `f` for each message below one; by protobuf-c's descriptors, so that no kind of node is forgotten.
template <class Function>
void each_child(ProtobufCMessage* message, Function f) {
  for (unsigned i = 0; i < message->descriptor->n_fields; ++i) {
    const ProtobufCFieldDescriptor& field = message->descriptor->fields[i];
    if (field.type != PROTOBUF_C_TYPE_MESSAGE) continue;
    char* base = reinterpret_cast<char*>(message);
    if (field.label == PROTOBUF_C_LABEL_REPEATED) {
      const std::size_t count = *reinterpret_cast<std::size_t*>(base + field.quantifier_offset);
      auto** items = *reinterpret_cast<ProtobufCMessage***>(base + field.offset);
      for (std::size_t k = 0; k < count; ++k) f(items[k]);
      continue;
    }
    const bool one_of = (field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (one_of && *reinterpret_cast<std::uint32_t*>(base + field.quantifier_offset) != field.id) continue;
    if (auto* child = *reinterpret_cast<ProtobufCMessage**>(base + field.offset); child != nullptr) f(child);
  }
}

// Writes what was found into the tree.
class Settler {
 public:
  explicit Settler(const NamesFound& found) : found_(found) {}

  void walk(ProtobufCMessage* message) {
    const ProtobufCMessageDescriptor* kind = message->descriptor;
    if (kind == &pg_query__range_var__descriptor) {
      auto& range = *reinterpret_cast<PgQuery__RangeVar*>(message);
      if (const auto at = found_.schemas.find(&range); at != found_.schemas.end()) {
        assign(range.schemaname, at->second);
        assign(range.catalogname, "");
      }
      return;
    }
    if (kind == &pg_query__column_ref__descriptor) {
      auto& ref = *reinterpret_cast<PgQuery__ColumnRef*>(message);
      if (const auto at = found_.columns.find(&ref); at != found_.columns.end()) set_fields(ref, at->second);
      return;
    }
    if (kind == &pg_query__type_cast__descriptor) {
      auto& cast = *reinterpret_cast<PgQuery__TypeCast*>(message);
      if (is_text_constant(cast.arg)) {
        settle(*cast.arg->a_const);
        walk(reinterpret_cast<ProtobufCMessage*>(cast.type_name));
        return;
      }
    }
    if (kind == &pg_query__node__descriptor) {
      auto& node = *reinterpret_cast<PgQuery__Node*>(message);
      if (is_text_constant(&node)) {
        if (const NamesFound::Literal* literal = settle(*node.a_const);
            literal != nullptr && (literal->type == types::kRegclass || is_of_user(literal->type))) {
          cast_constant(node, type_node(literal->type));
        }
        return;
      }
    }
    if (kind == &pg_query__type_name__descriptor) {
      auto& type = *reinterpret_cast<PgQuery__TypeName*>(message);
      if (const auto at = found_.types.find(&type); at != found_.types.end())
        set_names(type.names, type.n_names, stored_name(at->second));
    }
    if (kind == &pg_query__func_call__descriptor) {
      auto& call = *reinterpret_cast<PgQuery__FuncCall*>(message);
      if (const auto at = found_.functions.find(&call); at != found_.functions.end())
        set_names(call.funcname, call.n_funcname, fmt::format("#{}", at->second));
    }
    if (kind == &pg_query__join_expr__descriptor) {
      auto& join = *reinterpret_cast<PgQuery__JoinExpr*>(message);
      if (const auto at = found_.naturals.find(&join); at != found_.naturals.end()) {
        join.is_natural = 0;
        join.n_using_clause = at->second.size();
        join.using_clause = allocate<PgQuery__Node*>(at->second.size());
        for (std::size_t i = 0; i < at->second.size(); ++i) join.using_clause[i] = string_node(at->second[i]);
      }
    }
    if (kind == &pg_query__select_stmt__descriptor)
      expand_stars(*reinterpret_cast<PgQuery__SelectStmt*>(message));
    if (kind == &pg_query__res_target__descriptor) {
      walk_target(*reinterpret_cast<PgQuery__ResTarget*>(message));
      return;
    }
    each_child(message, [&](ProtobufCMessage* child) { walk(child); });
  }

 private:
  static bool is_of_user(Oid type) {
    return type >= types::kFirstUser || element_of(type) >= types::kFirstUser;
  }
  const NamesFound::Literal* settle(PgQuery__AConst& constant) {
    const auto at = found_.literals.find(constant.location);
    if (at == found_.literals.end()) return nullptr;
    assign(constant.sval->sval, at->second.text);
    return &at->second;
  }

  // A column that is called as a function is keeps that name.
  void walk_target(PgQuery__ResTarget& target) {
    const bool is_named = target.name != nullptr && *target.name != '\0';
    const std::string name = is_named || target.val == nullptr ? std::string() : pg::target_name(*target.val);
    each_child(&target.base, [&](ProtobufCMessage* child) { walk(child); });
    if (!name.empty() && pg::target_name(*target.val) != name) assign(target.name, name);
  }

  void expand_stars(PgQuery__SelectStmt& select) {
    std::vector<PgQuery__Node*> targets;
    bool changed = false;
    for (PgQuery__Node* item : BOP_PG_LIST(&select, target_list)) {
      const PgQuery__Node* value = item->res_target->val;
      const auto at = value != nullptr && value->node_case == PG_QUERY__NODE__NODE_COLUMN_REF
                          ? found_.stars.find(value->column_ref)
                          : found_.stars.end();
      if (at == found_.stars.end()) {
        targets.push_back(item);
        continue;
      }
      for (const auto& parts : at->second.columns)
        targets.push_back(column_target(parts, value->column_ref->location));
      free_node(item);
      changed = true;
    }
    if (!changed) return;
    std::free(select.target_list);
    select.n_target_list = targets.size();
    select.target_list = allocate<PgQuery__Node*>(targets.size());
    std::ranges::copy(targets, select.target_list);
  }

  const NamesFound& found_;
};

template <class Message, class Function>
void each(const ProtobufCMessageDescriptor& kind, ProtobufCMessage* message, const Function& f) {
  if (message->descriptor == &kind) f(*reinterpret_cast<Message*>(message));
  each_child(message, [&](ProtobufCMessage* child) { each<Message>(kind, child, f); });
}

// EXTRACT(year FROM a): the grammar's word is a constant in the tree.
bool has_words(const PgQuery__FuncCall& call) {
  constexpr std::string_view kNames[] = {"extract", "normalize", "is_normalized"};
  return call.funcformat == PG_QUERY__COERCION_FORM__COERCE_SQL_SYNTAX &&
         std::ranges::find(kNames, pg::last_name(BOP_PG_LIST(&call, funcname))) != std::end(kNames);
}

void pin(ProtobufCMessage* message, const std::map<int, Oid>& types) {
  if (message->descriptor == &pg_query__type_cast__descriptor &&
      is_text_constant(reinterpret_cast<PgQuery__TypeCast*>(message)->arg)) {
    return;
  }
  if (message->descriptor == &pg_query__node__descriptor) {
    auto& node = *reinterpret_cast<PgQuery__Node*>(message);
    if (is_text_constant(&node)) {
      if (const auto at = types.find(node.a_const->location); at != types.end())
        cast_constant(node, type_node(at->second));
      return;
    }
  }
  const bool words = message->descriptor == &pg_query__func_call__descriptor &&
                     has_words(*reinterpret_cast<PgQuery__FuncCall*>(message));
  each_child(message, [&](ProtobufCMessage* child) {
    const bool word = words && child->descriptor == &pg_query__node__descriptor &&
                      is_text_constant(reinterpret_cast<PgQuery__Node*>(child));
    if (!word) pin(child, types);
  });
}

// The query goes on to call the relation by the name, and its columns by the names, that it knows.
void rename_range(PgQuery__RangeVar& range, const RelationName& to, const std::vector<std::string>& columns) {
  if (range.alias == nullptr) {
    range.alias = allocate<PgQuery__Alias>();
    pg_query__alias__init(range.alias);
    assign(range.alias->aliasname, range.relname);
  }
  PgQuery__Alias& alias = *range.alias;
  if (alias.n_colnames < columns.size()) {
    auto** names = allocate<PgQuery__Node*>(columns.size());
    for (std::size_t i = 0; i < columns.size(); ++i)
      names[i] = i < alias.n_colnames ? alias.colnames[i] : string_node(columns[i]);
    std::free(alias.colnames);
    alias.colnames = names;
    alias.n_colnames = columns.size();
  }
  assign(range.schemaname, to.schema);
  assign(range.relname, to.name);
}

// Each regclass constant that is an OID, with its text for a change.
void each_regclass(ProtobufCMessage* message, const std::function<void(Oid, char*&)>& f) {
  if (message->descriptor == &pg_query__type_cast__descriptor) {
    auto& cast = *reinterpret_cast<PgQuery__TypeCast*>(message);
    if (is_regclass(cast.type_name) && is_text_constant(cast.arg)) {
      const std::string_view text = cast.arg->a_const->sval->sval;
      Oid oid = 0;
      const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), oid);
      if (problem == std::errc{} && end == text.data() + text.size()) f(oid, cast.arg->a_const->sval->sval);
      return;
    }
  }
  each_child(message, [&](ProtobufCMessage* child) { each_regclass(child, f); });
}

ProtobufCMessage* tree_of(const ParsedStatement& copy) {
  return reinterpret_cast<ProtobufCMessage*>(const_cast<PgQuery__Node*>(copy.node));
}

// Each name of a user's type.
void each_user_type(ProtobufCMessage* message, const std::function<void(Oid, PgQuery__TypeName&)>& f) {
  each<PgQuery__TypeName>(pg_query__type_name__descriptor, message, [&](PgQuery__TypeName& type) {
    if (const Oid oid = user_type_of(type); oid != 0) f(oid, type);
  });
}

// Each call of a user's function.
void each_user_function(ProtobufCMessage* message, const std::function<void(Oid, PgQuery__FuncCall&)>& f) {
  each<PgQuery__FuncCall>(pg_query__func_call__descriptor, message, [&](PgQuery__FuncCall& call) {
    if (const Oid oid = user_object(BOP_PG_LIST(&call, funcname)); oid != 0) f(oid, call);
  });
}

void name_objects(const ParsedStatement& parsed, const ObjectNames& names) {
  each_user_function(tree_of(parsed), [&](Oid oid, PgQuery__FuncCall& call) {
    auto named = parse_expression(names.name_of(types::kRegproc, oid) + "()");
    if (!named || (*named)->node->node_case != PG_QUERY__NODE__NODE_FUNC_CALL) return;
    PgQuery__FuncCall& other = *(*named)->node->func_call;
    std::swap(call.funcname, other.funcname);
    std::swap(call.n_funcname, other.n_funcname);
  });
  each_regclass(tree_of(parsed),
                [&](Oid oid, char*& text) { assign(text, names.name_of(types::kRegclass, oid)); });
  each_user_type(tree_of(parsed), [&](Oid oid, PgQuery__TypeName& type) {
    auto named = parse_expression("NULL::" + names.name_of(types::kRegtype, oid));
    if (!named || (*named)->node->node_case != PG_QUERY__NODE__NODE_TYPE_CAST) return;
    PgQuery__TypeName& other = *(*named)->node->type_cast->type_name;
    std::swap(type.names, other.names);
    std::swap(type.n_names, other.n_names);
  });
}

bool names_nothing(const std::string& stored) {
  return stored.find("regclass") == std::string::npos && stored.find("\"#") == std::string::npos;
}

// The tree of a stored query or expression.
Result<ParsedStatementPtr> parse_stored(const std::string& stored, bool& is_query) {
  is_query = false;
  if (auto expression = parse_expression(stored)) return expression;
  is_query = true;
  BOP_LET(parsed, parse(stored));
  if (parsed.size() != 1) return fail(ErrorCode::kInternal, "a stored query is not one statement");
  return parsed.front();
}

}  // namespace

ViewRead& NamesFound::read(Oid relation) {
  const auto known = std::ranges::find(reads, relation, &ViewRead::relation);
  if (known != reads.end()) return *known;
  return reads.emplace_back(ViewRead{.relation = relation, .columns = {}, .used = {}});
}

void NamesFound::use(Oid relation, std::int16_t column) {
  std::vector<std::int16_t>& used = read(relation).used;
  if (std::ranges::find(used, column) == used.end()) used.push_back(column);
}

Result<StoredQuery> store_query(const PgQuery__Node* query, const BindContext& context) {
  // The statement's own tree may be shared with other sessions: a copy is bound and changed.
  BOP_LET(text, deparse_statement(query));
  BOP_LET(copy, parse(text));
  if (copy.size() != 1) return fail(ErrorCode::kInternal, "the query of a view is not one statement");
  StoredQuery stored;
  NamesFound found;
  BOP_LET(plan, bind_query(copy.front(), context, found));
  stored.plan = std::move(plan);
  Settler(found).walk(tree_of(*copy.front()));
  stored.reads = std::move(found.reads);
  BOP_LET(settled, deparse_statement(copy.front()->node));
  stored.text = std::move(settled);
  // What is kept must bind without a search path, and to the same columns.
  BindContext bare = context;
  bare.body_path = bare.search_path;
  std::erase_if(bare.search_path, [](const std::string& schema) { return !is_temporary_schema(schema); });
  BOP_LET(again, parse(stored.text));
  BOP_LET(second, sql::bind(again.front(), bare));
  const bool same = std::ranges::equal(stored.plan->columns, second->columns,
                                       [](const OutputColumn& a, const OutputColumn& b) {
                                         return a.name == b.name && a.type == b.type && a.typmod == b.typmod;
                                       });
  if (!same) return fail(ErrorCode::kInternal, "a query has other columns when stored: {}", stored.text);
  return stored;
}

Result<StoredExpression> store_expression(const ParsedStatementPtr& statement,
                                          const PgQuery__Node* expression, const Relation* relation,
                                          ExpressionUse use, const BindContext& context, Oid coerce_to,
                                          std::int32_t coerce_typmod, std::string_view column_name) {
  // Where it stands first: errors point into the client's text. What is kept is bound and changed as a copy.
  BOP_TRY(bind_expression(inner_statement(statement, expression), relation, use, context, coerce_to,
                          coerce_typmod, column_name));
  BOP_LET(text, deparse_expression(expression));
  BOP_LET(copy, parse_expression(text));
  NamesFound found;
  BOP_LET(bound,
          bind_expression(copy, relation, use, context, coerce_to, coerce_typmod, column_name, &found));
  // Columns are those of the one table: its name may change.
  for (auto& [ref, parts] : found.columns) parts.erase(parts.begin(), parts.end() - 1);
  Settler(found).walk(tree_of(*copy));
  BOP_LET(settled, deparse_expression(copy->node));
  return StoredExpression{.text = std::move(settled), .bound = std::move(bound)};
}

Result<StoredExpression> pin_literals(const std::string& stored, const Relation* relation, ExpressionUse use,
                                      const BindContext& context, Oid coerce_to, std::int32_t coerce_typmod,
                                      std::string_view column_name) {
  BOP_LET(parsed, parse_expression(stored));
  NamesFound found;
  BOP_LET(bound,
          bind_expression(parsed, relation, use, context, coerce_to, coerce_typmod, column_name, &found));
  // A cast does not say what its place said beyond the type, as the fields of an interval do: the value
  // itself has to. Columns keep the names that the text has.
  found.columns.clear();
  Settler(found).walk(tree_of(*parsed));
  pin(tree_of(*parsed), found.literal_types);
  BOP_LET(text, deparse_expression(parsed->node));
  return StoredExpression{.text = std::move(text), .bound = std::move(bound)};
}

Result<std::string> rename_relation(const std::string& stored_query, const RelationName& from,
                                    const RelationName& to, const std::vector<std::string>& columns) {
  BOP_LET(parsed, parse(stored_query));
  if (parsed.size() != 1) return fail(ErrorCode::kInternal, "a stored query is not one statement");
  each<PgQuery__RangeVar>(
      pg_query__range_var__descriptor, tree_of(*parsed.front()), [&](PgQuery__RangeVar& range) {
        if (pg::text(range.schemaname) == from.schema && pg::text(range.relname) == from.name)
          rename_range(range, to, columns);
      });
  return deparse_statement(parsed.front()->node);
}

Result<std::string> rename_column(const std::string& stored_expression, std::string_view from,
                                  std::string_view to) {
  BOP_LET(parsed, parse_expression(stored_expression));
  each<PgQuery__ColumnRef>(pg_query__column_ref__descriptor, tree_of(*parsed), [&](PgQuery__ColumnRef& ref) {
    PgQuery__Node* last = ref.fields[ref.n_fields - 1];
    if (pg::string_of(last) == from) assign(last->string->sval, to);
  });
  return deparse_expression(parsed->node);
}

std::vector<Oid> named_objects(std::string_view stored_expression) {
  std::vector<Oid> found;
  const auto parsed = parse_expression(stored_expression);
  if (!parsed) return found;
  each_regclass(tree_of(**parsed), [&](Oid oid, char*&) { found.push_back(oid); });
  return found;
}

std::vector<Oid> named_types(const std::string& stored) {
  std::vector<Oid> found;
  if (stored.find("\"#") == std::string::npos) return found;
  bool is_query = false;
  const auto parsed = parse_stored(stored, is_query);
  if (!parsed) return found;
  each_user_type(tree_of(**parsed), [&](Oid oid, PgQuery__TypeName&) { found.push_back(oid); });
  return found;
}

std::vector<Oid> named_functions(const std::string& stored) {
  std::vector<Oid> found;
  if (stored.find("\"#") == std::string::npos) return found;
  bool is_query = false;
  const auto parsed = parse_stored(stored, is_query);
  if (!parsed) return found;
  each_user_function(tree_of(**parsed), [&](Oid oid, PgQuery__FuncCall&) { found.push_back(oid); });
  return found;
}

Result<std::string> renew_literals(const std::string& stored, Oid type, const RenewLiteral& renew) {
  if (stored.find(fmt::format("\"#{}\"", type)) == std::string::npos) return stored;
  bool is_query = false;
  BOP_LET(parsed, parse_stored(stored, is_query));
  each<PgQuery__TypeCast>(pg_query__type_cast__descriptor, tree_of(*parsed), [&](PgQuery__TypeCast& cast) {
    if (!is_text_constant(cast.arg) || user_type_of(*cast.type_name) != type) return;
    const Oid of = cast.type_name->n_array_bounds > 0 ? array_of(type) : type;
    PgQuery__String& constant = *cast.arg->a_const->sval;
    assign(constant.sval, renew(of, constant.sval));
  });
  return is_query ? deparse_statement(parsed->node) : deparse_expression(parsed->node);
}

std::string shown_expression(const std::string& stored, const ObjectNames& names) {
  if (names_nothing(stored)) return stored;
  const auto parsed = parse_expression(stored);
  if (!parsed) return stored;
  name_objects(**parsed, names);
  return deparse_expression((*parsed)->node).value_or(stored);
}

std::string shown_query(const std::string& stored, const ObjectNames& names) {
  if (names_nothing(stored)) return stored;
  const auto parsed = parse(stored);
  if (!parsed || parsed->size() != 1) return stored;
  name_objects(*parsed->front(), names);
  return deparse_statement(parsed->front()->node).value_or(stored);
}

}  // namespace bop::sql
