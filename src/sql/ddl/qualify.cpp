// Names in stored queries: a view means the relations that it meant when it was made, whatever the reader's
// search_path.
#include <protobuf-c/protobuf-c.h>

#include <algorithm>
#include <deque>

#include "sql/ddl/ddl_run.hpp"

namespace bop::sql {

namespace {

// Walks a parse tree by its message descriptors and writes the schema of each relation into its name. Names
// of WITH queries, seen in the statement that has the WITH, after the query itself (before it when
// RECURSIVE), stay bare.
class Qualifier {
 public:
  // Answers the schema of a bare name; empty leaves it alone.
  using SchemaOf = std::function<std::string(std::string_view)>;
  explicit Qualifier(SchemaOf schema_of) : schema_of_(std::move(schema_of)) {}

  void walk(ProtobufCMessage* message) {
    if (message->descriptor == &pg_query__range_var__descriptor)
      return name(*reinterpret_cast<PgQuery__RangeVar*>(message));
    const std::size_t outer = with_names_.size();
    PgQuery__WithClause* with = nullptr;
    if (message->descriptor == &pg_query__select_stmt__descriptor) {
      with = reinterpret_cast<PgQuery__SelectStmt*>(message)->with_clause;
    }
    if (with != nullptr) enter(*with);
    for (unsigned i = 0; i < message->descriptor->n_fields; ++i) {
      const ProtobufCFieldDescriptor& field = message->descriptor->fields[i];
      if (field.type != PROTOBUF_C_TYPE_MESSAGE) continue;
      char* base = reinterpret_cast<char*>(message);
      if (field.label == PROTOBUF_C_LABEL_REPEATED) {
        const std::size_t count = *reinterpret_cast<std::size_t*>(base + field.quantifier_offset);
        auto** items = *reinterpret_cast<ProtobufCMessage***>(base + field.offset);
        for (std::size_t k = 0; k < count; ++k) walk(items[k]);
        continue;
      }
      const bool one_of = (field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
      if (one_of && *reinterpret_cast<std::uint32_t*>(base + field.quantifier_offset) != field.id) continue;
      auto* child = *reinterpret_cast<ProtobufCMessage**>(base + field.offset);
      if (child != nullptr && child != reinterpret_cast<ProtobufCMessage*>(with)) walk(child);
    }
    with_names_.resize(outer);
  }

  // Gives the tree its own strings back; it may be freed then.
  ~Qualifier() {
    for (const auto& [range, schema] : changed_) range->schemaname = schema;
  }
  Qualifier(const Qualifier&) = delete;
  Qualifier& operator=(const Qualifier&) = delete;

 private:
  void enter(PgQuery__WithClause& with) {
    const auto add = [&](const PgQuery__Node* item) {
      with_names_.push_back(item->common_table_expr->ctename);
    };
    if (with.recursive != 0) std::ranges::for_each(BOP_PG_LIST(&with, ctes), add);
    for (PgQuery__Node* item : BOP_PG_LIST(&with, ctes)) {
      walk(reinterpret_cast<ProtobufCMessage*>(item));
      if (with.recursive == 0) add(item);
    }
  }

  void name(PgQuery__RangeVar& range) {
    if (!pg::text(range.schemaname).empty() ||
        std::ranges::find(with_names_, range.relname) != with_names_.end())
      return;
    std::string schema = schema_of_(range.relname);
    if (schema.empty()) return;
    changed_.emplace_back(&range, range.schemaname);
    range.schemaname = kept_.emplace_back(std::move(schema)).data();
  }

  SchemaOf schema_of_;
  std::vector<std::string_view> with_names_;
  std::deque<std::string> kept_;
  std::vector<std::pair<PgQuery__RangeVar*, char*>> changed_;
};

}  // namespace

Result<std::string> DdlRun::qualified_text(const PgQuery__Node* query) const {
  // The statement's own tree may be shared with other sessions: a copy is changed.
  BOP_LET(text, deparse_statement(query));
  BOP_LET(copy, parse(text));
  if (copy.size() != 1) return fail(ErrorCode::kInternal, "the query of a view is not one statement");
  PgQuery__Node* node = const_cast<PgQuery__Node*>(copy.front()->node);
  Qualifier qualifier([&](std::string_view name) -> std::string {
    const Catalog::Named found = now().find(context_.bind.search_path, {}, name);
    const auto relation = found ? now().relation(found.oid) : nullptr;
    if (!relation || relation->schema == kPgCatalogSchema) return {};
    const Schema* schema = now().schema(relation->schema);
    return schema == nullptr ? std::string() : schema->name;
  });
  qualifier.walk(reinterpret_cast<ProtobufCMessage*>(node));
  return deparse_statement(node);
}

}  // namespace bop::sql
