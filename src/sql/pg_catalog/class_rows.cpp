// Rows of pg_class, pg_attribute, pg_namespace and what hangs on them.
#include "sql/catalog/temporary.hpp"
#include "sql/pg_catalog/relation_table.hpp"
#include "sql/stored_text.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

void namespaces(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, schema] : session.catalog->schemas()) {
    rows.row().set("oid", oid).set("nspname", schema->name).set("nspowner", schema->owner);
    set_acl(session, rows, "nspacl", schema->acl);
  }
}

void default_acls(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, defaults] : session.catalog->default_acls()) {
    rows.row().set("oid", oid).set("defaclrole", defaults->role).set("defaclnamespace", defaults->schema);
    rows.set("defaclobjtype", defaults->object);
    set_acl(session, rows, "defaclacl", defaults->acl);
  }
}

void class_row(const CatalogSession& session, RowSet& rows, Oid oid, std::string_view name, Oid schema,
               Oid owner, char kind, std::int64_t columns) {
  rows.row().set("oid", oid).set("relname", name).set("relnamespace", schema).set("relowner", owner);
  rows.set("relkind", kind)
      .set("relnatts", columns)
      .set("relpersistence", is_temporary_schema(session.catalog->schema(schema)->name) ? 't' : 'p')
      .set("relreplident", kind == 'r' ? 'd' : 'n');
  rows.set("relispopulated", true)
      .set("relfilenode", kind == 'v' ? Oid{0} : oid)
      .set("reltuples", OwnedValue::of_real(-1));
  rows.set("relam", kind == 'r' ? Oid{2} : kind == 'i' ? Oid{403} : Oid{0});
}

std::string options_array(const std::vector<std::string>& options) {
  std::string out = "{";
  for (const std::string& option : options) {
    if (option.starts_with("bop.")) continue;  // ours
    out += (out.size() > 1 ? "," : "") + option;
  }
  return out + "}";
}

void classes(const CatalogSession& session, RowSet& rows) {
  for (const BuiltinRelation& builtin : builtin_table()) {
    class_row(session, rows, builtin.oid, builtin.name,
              builtin.schema == "pg_catalog" ? kPgCatalogSchema : kInformationSchema, kBootstrapRole,
              builtin.kind, static_cast<std::int64_t>(builtin.columns.size()));
  }
  for (const auto& [oid, relation] : session.catalog->relations()) {
    class_row(session, rows, oid, relation->name, relation->schema, relation->owner, relation->kind,
              static_cast<std::int64_t>(relation->columns.size()));
    std::int64_t checks = 0;
    bool keys = !session.catalog->references_to(oid).empty();
    for (const Constraint& constraint : relation->constraints) {
      checks += constraint.type == 'c' ? 1 : 0;
      keys |= constraint.type == 'f';
    }
    rows.set("relchecks", checks).set("relhastriggers", keys);
    rows.set("relhasindex", !session.catalog->indexes_of(oid).empty())
        .set("relhasrules", relation->kind == 'v');
    if (const std::string options = options_array(relation->options); options != "{}")
      rows.set("reloptions", options);
    set_acl(session, rows, "relacl", relation->acl);
  }
  for (const auto& [oid, index] : session.catalog->indexes()) {
    class_row(session, rows, oid, index->name, index->schema, index->owner, 'i',
              static_cast<std::int64_t>(index->keys.size() + index->include.size()));
    if (!index->options.empty()) rows.set("reloptions", options_array(index->options));
  }
  for (const auto& [oid, sequence] : session.catalog->sequences()) {
    class_row(session, rows, oid, sequence->name, sequence->schema, sequence->owner, 'S', 3);
    set_acl(session, rows, "relacl", sequence->acl);
  }
}

void attribute_row(RowSet& rows, Oid relation, std::int64_t number, std::string_view name, Oid type,
                   std::int32_t typmod) {
  const TypeInfo* info = find_type(type);
  rows.row().set("attrelid", relation).set("attname", name).set("atttypid", type).set("attnum", number);
  rows.set("atttypmod", std::int64_t{typmod})
      .set("attislocal", true)
      .set("attcacheoff", -1)
      .set("attstattarget", -1);
  rows.set("attlen", info == nullptr ? std::int64_t{-1} : std::int64_t{info->typlen});
  rows.set("attbyval", info != nullptr && info->byval).set("attalign", 'i').set("attstorage", 'p');
  const bool text = type == 25 || type == 1043 || type == 1042 || type == 19;
  rows.set("attcollation", text ? (type == 19 ? Oid{950} : Oid{100}) : Oid{0});
}

void attributes(const CatalogSession& session, RowSet& rows) {
  for (const BuiltinRelation& builtin : builtin_table()) {
    for (std::size_t i = 0; i < builtin.columns.size(); ++i) {
      attribute_row(rows, builtin.oid, static_cast<std::int64_t>(i + 1), builtin.columns[i].name,
                    builtin.columns[i].type, -1);
      rows.set("attnotnull", builtin.columns[i].not_null);
    }
  }
  for (const auto& [oid, relation] : session.catalog->relations()) {
    for (const Column& column : relation->columns) {
      attribute_row(rows, oid, column.number, column.name, column.dropped ? Oid{0} : column.type,
                    column.typmod);
      rows.set("attnotnull", column.not_null).set("attisdropped", column.dropped);
      rows.set("atthasdef", column.default_text.has_value());
      if (column.collation == "C") rows.set("attcollation", Oid{950});
      if (column.collation == "POSIX") rows.set("attcollation", Oid{951});
      if (column.identity != 0) rows.set("attidentity", column.identity);
      if (column.acl) set_acl(session, rows, "attacl", column.acl);
      if (column.generated != 0) rows.set("attgenerated", column.generated);
    }
  }
  for (const auto& [oid, index] : session.catalog->indexes()) {
    const auto table = session.catalog->relation(index->table);
    std::int64_t number = 0;
    for (const IndexKey& key : index->keys) {
      const Column* column = key.column != 0 ? table->find_column(key.column) : nullptr;
      const std::string expression = number == 0 ? "expr" : fmt::format("expr{}", number);
      ++number;
      attribute_row(rows, oid, number, column != nullptr ? column->name : expression, key.type,
                    column != nullptr ? column->typmod : -1);
    }
    for (const std::int16_t included : index->include) {
      const Column* column = table->find_column(included);
      attribute_row(rows, oid, ++number, column->name, column->type, column->typmod);
    }
  }
  for (const auto& [oid, sequence] : session.catalog->sequences()) {
    attribute_row(rows, oid, 1, "last_value", 20, -1);
    attribute_row(rows, oid, 2, "log_cnt", 20, -1);
    attribute_row(rows, oid, 3, "is_called", 16, -1);
  }
}

// The default's own OID is made of its column's: table and number never change.
void defaults(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, relation] : session.catalog->relations()) {
    for (const Column& column : relation->columns) {
      if (!column.default_text || column.dropped) continue;
      rows.row().set("oid", default_oid(oid, column.number)).set("adrelid", oid);
      rows.set("adnum", std::int64_t{column.number}).set("adbin", *column.default_text);
    }
  }
}

void descriptions(const CatalogSession& session, RowSet& rows) {
  const auto add = [&](Oid object, Oid class_oid, std::int64_t part, const std::string& text) {
    if (text.empty()) return;
    rows.row()
        .set("objoid", object)
        .set("classoid", class_oid)
        .set("objsubid", part)
        .set("description", text);
  };
  constexpr Oid kClass = 1259;
  constexpr Oid kNamespace = 2615;
  constexpr Oid kConstraint = 2606;
  add(kPublicSchema, kNamespace, 0, "standard public schema");
  add(kPgCatalogSchema, kNamespace, 0, "system catalog schema");
  for (const auto& [oid, schema] : session.catalog->schemas()) add(oid, kNamespace, 0, schema->comment);
  for (const auto& [oid, relation] : session.catalog->relations()) {
    add(oid, kClass, 0, relation->comment);
    for (const Column& column : relation->columns) add(oid, kClass, column.number, column.comment);
    for (const Constraint& constraint : relation->constraints)
      add(constraint.oid, kConstraint, 0, constraint.comment);
  }
  for (const auto& [oid, index] : session.catalog->indexes()) add(oid, kClass, 0, index->comment);
  for (const auto& [oid, sequence] : session.catalog->sequences()) add(oid, kClass, 0, sequence->comment);
}

std::string schema_name(const Catalog& catalog, Oid schema) { return catalog.schema(schema)->name; }

std::string owner_name(const CatalogSession& session, Oid owner) {
  if (session.cluster != nullptr) {
    for (const auto& role : session.cluster->roles()) {
      if (role.oid == owner) return role.name;
    }
  }
  return fmt::format("unknown (OID={})", owner);
}

void tables(const CatalogSession& session, RowSet& rows) {
  for (const BuiltinRelation& builtin : builtin_table()) {
    if (builtin.kind != 'r') continue;
    rows.row()
        .set("schemaname", builtin.schema)
        .set("tablename", builtin.name)
        .set("tableowner", owner_name(session, kBootstrapRole));
    rows.set("hasindexes", true).set("hasrules", false).set("hastriggers", false).set("rowsecurity", false);
  }
  for (const auto& [oid, relation] : session.catalog->relations()) {
    if (relation->kind != 'r') continue;
    rows.row()
        .set("schemaname", schema_name(*session.catalog, relation->schema))
        .set("tablename", relation->name);
    rows.set("tableowner", owner_name(session, relation->owner));
    rows.set("hasindexes", !session.catalog->indexes_of(oid).empty()).set("hasrules", false);
    rows.set("hastriggers", false).set("rowsecurity", false);
  }
}

void views(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, relation] : session.catalog->relations()) {
    if (relation->kind != 'v') continue;
    rows.row()
        .set("schemaname", schema_name(*session.catalog, relation->schema))
        .set("viewname", relation->name);
    rows.set("viewowner", owner_name(session, relation->owner))
        .set("definition", " " + shown_query(relation->view_text, CatalogKernels(session)) + ";");
  }
}

void user_tables(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, relation] : session.catalog->relations()) {
    if (relation->kind != 'r') continue;
    rows.row().set("relid", oid).set("schemaname", schema_name(*session.catalog, relation->schema));
    rows.set("relname", relation->name);
  }
}

void sequences(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, sequence] : session.catalog->sequences()) {
    rows.row().set("seqrelid", oid).set("seqtypid", sequence->type).set("seqstart", sequence->start);
    rows.set("seqincrement", sequence->increment).set("seqmax", sequence->max).set("seqmin", sequence->min);
    rows.set("seqcache", sequence->cache).set("seqcycle", sequence->cycle);
  }
}

void sequence_view(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, sequence] : session.catalog->sequences()) {
    rows.row()
        .set("schemaname", schema_name(*session.catalog, sequence->schema))
        .set("sequencename", sequence->name);
    rows.set("sequenceowner", owner_name(session, sequence->owner)).set("data_type", sequence->type);
    rows.set("start_value", sequence->start).set("min_value", sequence->min).set("max_value", sequence->max);
    rows.set("increment_by", sequence->increment)
        .set("cycle", sequence->cycle)
        .set("cache_size", sequence->cache);
    const bool shown = !session.who || held_on(*sequence, *session.who, right::kSelect | right::kUsage) != 0;
    if (session.cluster != nullptr && shown) {
      const auto at = session.cluster->sequence_position(oid);
      if (at && at->called) rows.set("last_value", at->value);
    }
  }
}

// What a sequence is as a table (Binder::sequence_item); who may read it has been asked.
void sequence_states(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, sequence] : session.catalog->sequences()) {
    const auto at = session.cluster == nullptr ? std::nullopt : session.cluster->sequence_position(oid);
    rows.row().set("sequence", oid).set("last_value", at ? at->value : sequence->start);
    rows.set("log_cnt", std::int64_t{0}).set("is_called", at && at->called);
  }
}

}  // namespace

void add_class_makers(std::map<std::string_view, MakerInfo>& makers) {
  makers["pg_namespace"] = {namespaces, true};
  makers["pg_class"] = {classes, true};
  makers["pg_attribute"] = {attributes, true};
  makers["pg_default_acl"] = {default_acls, true};
  makers["pg_attrdef"] = {defaults, true};
  makers["pg_description"] = {descriptions, true};
  makers["pg_tables"] = {tables, false};
  makers["pg_views"] = {views, false};
  makers["pg_stat_user_tables"] = {user_tables, true};
  makers["pg_stat_all_tables"] = {user_tables, true};
  makers["pg_sequence"] = {sequences, true};
  makers["pg_sequences"] = {sequence_view, false};
  makers["bop_sequence_state"] = {sequence_states, false};
}

}  // namespace bop::sql
