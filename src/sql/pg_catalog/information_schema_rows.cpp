// Rows of information_schema.
#include <algorithm>

#include "sql/catalog/temporary.hpp"
#include "sql/pg_catalog/definition_text.hpp"
#include "sql/pg_catalog/relation_table.hpp"
#include "sql/stored_text.hpp"
#include "sql/types/types.hpp"
#include "sql/view_target.hpp"

namespace bop::sql {

namespace {

constexpr Rights kOfColumns = right::kSelect | right::kInsert | right::kUpdate | right::kReferences;
constexpr Rights kButSelect = right::kOfTable & ~right::kSelect;

bool owns(const CatalogSession& session, Oid owner) {
  return !session.who || session.who->has_rights_of(owner);
}
// These views tell only of what the user owns or has some right on.
template <class Object>
bool may_see(const CatalogSession& session, const Object& object, Rights any) {
  return owns(session, object.owner) || held_on(object, *session.who, any) != 0;
}

const char* yes_no(bool yes) { return yes ? "YES" : "NO"; }

std::string schema_name(const Catalog& catalog, Oid schema) { return catalog.schema(schema)->name; }

template <class Visit>
void each_relation(const CatalogSession& session, Visit visit) {
  for (const auto& relation : *session.catalog->builtin()) visit(*relation, true);
  const std::string_view own = own_temporary(session.search_path);
  for (const auto& [oid, relation] : session.catalog->relations()) {
    const std::string& schema = session.catalog->schema(relation->schema)->name;
    if (!is_temporary_schema(schema) || schema == own) visit(*relation, false);
  }
}

std::optional<std::vector<std::int16_t>> written_columns(const CatalogSession& session,
                                                         const Relation& view) {
  const auto relation = session.catalog->relation(view.oid);
  return relation == nullptr || relation->kind != 'v' || relation->is_virtual()
             ? std::nullopt
             : updatable_columns(session.catalog, relation);
}

void tables(const CatalogSession& session, RowSet& rows) {
  each_relation(session, [&](const Relation& relation, bool builtin) {
    if (!may_see(session, relation, right::kOfTable)) return;
    rows.row()
        .set("table_catalog", session.database_name)
        .set("table_schema", schema_name(*session.catalog, relation.schema));
    rows.set("table_name", relation.name)
        .set("table_type", relation.kind == 'v'          ? "VIEW"
                           : relation.persistence == 't' ? "LOCAL TEMPORARY"
                                                         : "BASE TABLE");
    const bool writable =
        !builtin && (relation.kind == 'r' || written_columns(session, relation).has_value());
    rows.set("is_insertable_into", yes_no(writable)).set("is_typed", "NO");
  });
}

void domains(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, type] : session.catalog->types()) {
    if (type->kind != 'd') continue;
    const TypeInfo* base = find_type(type->base);
    rows.row().set("domain_catalog", session.database_name).set("domain_name", type->name);
    rows.set("domain_schema", schema_name(*session.catalog, type->schema));
    rows.set("data_type", is_true_array(type->base) ? "ARRAY" : format_type(type->base));
    if (type->default_text)
      rows.set("domain_default", shown_expression(*type->default_text, CatalogKernels(session)));
    rows.set("udt_catalog", session.database_name).set("udt_schema", "pg_catalog");
    rows.set("udt_name", base == nullptr ? "" : base->name).set("dtd_identifier", "1");
  }
}

void domain_constraints(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, type] : session.catalog->types()) {
    for (const DomainCheck& check : type->checks) {
      const std::string schema = schema_name(*session.catalog, type->schema);
      rows.row().set("constraint_catalog", session.database_name).set("constraint_schema", schema);
      rows.set("constraint_name", check.name).set("domain_catalog", session.database_name);
      rows.set("domain_schema", schema).set("domain_name", type->name);
      rows.set("is_deferrable", "NO").set("initially_deferred", "NO");
    }
  }
}

void columns(const CatalogSession& session, RowSet& rows) {
  each_relation(session, [&](const Relation& relation, bool builtin) {
    if (!may_see(session, relation, kOfColumns)) return;
    std::int64_t position = 0;
    const auto written = written_columns(session, relation);
    for (const Column& column : relation.columns) {
      ++position;
      if (column.dropped) continue;
      const bool writable =
          relation.kind == 'r' || (written && std::ranges::find(*written, column.number) != written->end());
      const TypeInfo* type = find_type(column.type);
      rows.row().set("table_catalog", session.database_name);
      rows.set("table_schema", schema_name(*session.catalog, relation.schema))
          .set("table_name", relation.name);
      rows.set("column_name", column.name)
          .set("ordinal_position", position)
          .set("is_nullable", yes_no(!column.not_null));
      if (column.default_text && column.generated == 0)
        rows.set("column_default", shown_expression(*column.default_text, CatalogKernels(session)));
      // Of a domain, what it is over; its own name stands in domain_name.
      const auto domain = session.catalog->type(column.type);
      const Oid shown = domain != nullptr && domain->kind == 'd' ? domain->base : column.type;
      if (shown != column.type) {
        type = find_type(shown);
        rows.set("domain_catalog", session.database_name).set("domain_name", domain->name);
        rows.set("domain_schema", schema_name(*session.catalog, domain->schema));
      }
      const UserType* user = session.catalog->user_type(shown);
      const bool array = is_true_array(shown);
      rows.set("data_type", array             ? "ARRAY"
                            : user != nullptr ? "USER-DEFINED"
                                              : format_type(shown))
          .set("udt_catalog", session.database_name);
      rows.set("udt_schema",
               user == nullptr
                   ? "pg_catalog"
                   : schema_name(*session.catalog, session.catalog->type(user->definition().oid)->schema));
      rows.set("udt_name", type == nullptr ? "" : type->name);
      rows.set("dtd_identifier", std::to_string(position)).set("is_self_referencing", "NO");
      rows.set("is_identity", yes_no(column.identity != 0))
          .set("is_generated", column.generated != 0 ? "ALWAYS" : "NEVER");
      if (column.generated != 0)
        rows.set("generation_expression", shown_expression(*column.default_text, CatalogKernels(session)));
      if (column.identity != 0) {
        rows.set("identity_generation", column.identity == 'a' ? "ALWAYS" : "BY DEFAULT");
        if (const auto sequence = session.catalog->sequence(column.sequence)) {
          rows.set("identity_start", std::to_string(sequence->start))
              .set("identity_increment", std::to_string(sequence->increment));
          rows.set("identity_maximum", std::to_string(sequence->max))
              .set("identity_minimum", std::to_string(sequence->min));
        }
      }
      rows.set("identity_cycle", "NO").set("is_updatable", yes_no(!builtin && writable));
      switch (column.type) {
        case types::kVarchar:
        case types::kBpchar:
          if (column.typmod >= 4) {
            rows.set("character_maximum_length", std::int64_t{column.typmod - 4});
            rows.set("character_octet_length", std::int64_t{column.typmod - 4} * 4);
          } else {
            rows.set("character_octet_length", std::int64_t{1} << 30);
          }
          break;
        case types::kText: rows.set("character_octet_length", std::int64_t{1} << 30); break;
        case types::kInt2:
          rows.set("numeric_precision", 16).set("numeric_precision_radix", 2).set("numeric_scale", 0);
          break;
        case types::kInt4:
          rows.set("numeric_precision", 32).set("numeric_precision_radix", 2).set("numeric_scale", 0);
          break;
        case types::kInt8:
          rows.set("numeric_precision", 64).set("numeric_precision_radix", 2).set("numeric_scale", 0);
          break;
        case types::kFloat4: rows.set("numeric_precision", 24).set("numeric_precision_radix", 2); break;
        case types::kFloat8: rows.set("numeric_precision", 53).set("numeric_precision_radix", 2); break;
        case types::kNumeric:
          rows.set("numeric_precision_radix", 10);
          if (column.typmod >= 4) {
            rows.set("numeric_precision", std::int64_t{((column.typmod - 4) >> 16) & 0xffff});
            rows.set("numeric_scale", std::int64_t{(column.typmod - 4) & 0x7ff});
          }
          break;
        case types::kDate: rows.set("datetime_precision", 0); break;
        case types::kTime:
        case types::kTimestamp:
        case types::kTimestamptz:
          rows.set("datetime_precision", column.typmod >= 0 ? std::int64_t{column.typmod} : std::int64_t{6});
          break;
        default: break;
      }
    }
  });
}

void schemata(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, schema] : session.catalog->schemas()) {
    if (!may_see(session, *schema, right::kOfSchema)) continue;
    rows.row().set("catalog_name", session.database_name).set("schema_name", schema->name);
    std::string owner;
    if (session.cluster != nullptr) {
      for (const auto& role : session.cluster->roles()) {
        if (role.oid == schema->owner) owner = role.name;
      }
    }
    rows.set("schema_owner", owner);
  }
}

void views(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, relation] : session.catalog->relations()) {
    if (relation->kind != 'v' || !may_see(session, *relation, right::kOfTable)) continue;
    rows.row()
        .set("table_catalog", session.database_name)
        .set("table_schema", schema_name(*session.catalog, relation->schema));
    rows.set("table_name", relation->name);
    if (owns(session, relation->owner)) {
      rows.set("view_definition", " " + shown_query(relation->view_text, CatalogKernels(session)) + ";");
    }
    const auto has = [&](std::string_view option) {
      return std::ranges::find(relation->options, option) != relation->options.end();
    };
    const char* writable = yes_no(updatable_columns(session.catalog, relation).has_value());
    rows.set("check_option", has(kCheckCascaded) ? "CASCADED" : has(kCheckLocal) ? "LOCAL" : "NONE");
    rows.set("is_updatable", writable).set("is_insertable_into", writable);
    rows.set("is_trigger_updatable", "NO")
        .set("is_trigger_deletable", "NO")
        .set("is_trigger_insertable_into", "NO");
  }
}

void sequences(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, sequence] : session.catalog->sequences()) {
    if (!may_see(session, *sequence, right::kOfSequence)) continue;
    rows.row().set("sequence_catalog", session.database_name);
    rows.set("sequence_schema", schema_name(*session.catalog, sequence->schema))
        .set("sequence_name", sequence->name);
    rows.set("data_type", format_type(sequence->type))
        .set("numeric_precision_radix", 2)
        .set("numeric_scale", 0);
    rows.set("numeric_precision", sequence->type == 21 ? 16 : sequence->type == 23 ? 32 : 64);
    rows.set("start_value", std::to_string(sequence->start))
        .set("minimum_value", std::to_string(sequence->min));
    rows.set("maximum_value", std::to_string(sequence->max))
        .set("increment", std::to_string(sequence->increment));
    rows.set("cycle_option", yes_no(sequence->cycle));
  }
}

template <class Visit>
void each_constraint(const CatalogSession& session, Visit visit) {
  for (const auto& [oid, relation] : session.catalog->relations()) {
    for (const Constraint& constraint : relation->constraints) {
      visit(*relation, constraint, schema_name(*session.catalog, relation->schema));
    }
  }
}

void table_constraints(const CatalogSession& session, RowSet& rows) {
  each_constraint(
      session, [&](const Relation& relation, const Constraint& constraint, const std::string& schema) {
        if (!may_see(session, relation, kButSelect)) return;
        rows.row().set("constraint_catalog", session.database_name).set("constraint_schema", schema);
        rows.set("constraint_name", constraint.name)
            .set("table_catalog", session.database_name)
            .set("table_schema", schema);
        rows.set("table_name", relation.name);
        rows.set("constraint_type", constraint.type == 'p'   ? "PRIMARY KEY"
                                    : constraint.type == 'u' ? "UNIQUE"
                                    : constraint.type == 'f' ? "FOREIGN KEY"
                                                             : "CHECK");
        rows.set("is_deferrable", yes_no(constraint.deferrable))
            .set("initially_deferred", yes_no(constraint.deferred));
        rows.set("enforced", "YES");
        if (constraint.type == 'u') rows.set("nulls_distinct", "YES");
      });
  for (const auto& [oid, relation] : session.catalog->relations()) {
    if (relation->kind != 'r' || !may_see(session, *relation, kButSelect)) continue;
    for (const Column& column : relation->columns) {
      if (!column.not_null || column.dropped) continue;
      const std::string schema = schema_name(*session.catalog, relation->schema);
      rows.row().set("constraint_catalog", session.database_name).set("constraint_schema", schema);
      rows.set("constraint_name", fmt::format("{}_{}_{}_not_null", relation->schema, oid, column.number));
      rows.set("table_catalog", session.database_name)
          .set("table_schema", schema)
          .set("table_name", relation->name);
      rows.set("constraint_type", "CHECK")
          .set("is_deferrable", "NO")
          .set("initially_deferred", "NO")
          .set("enforced", "YES");
    }
  }
}

void key_column_usage(const CatalogSession& session, RowSet& rows) {
  each_constraint(
      session, [&](const Relation& relation, const Constraint& constraint, const std::string& schema) {
        if (constraint.type == 'c' || !may_see(session, relation, kOfColumns)) return;
        for (std::size_t i = 0; i < constraint.columns.size(); ++i) {
          rows.row().set("constraint_catalog", session.database_name).set("constraint_schema", schema);
          rows.set("constraint_name", constraint.name).set("table_catalog", session.database_name);
          rows.set("table_schema", schema).set("table_name", relation.name);
          rows.set("column_name", relation.find_column(constraint.columns[i])->name);
          rows.set("ordinal_position", static_cast<std::int64_t>(i + 1));
          if (constraint.type != 'f') continue;
          const auto index = session.catalog->index(constraint.index);
          for (std::size_t k = 0; index && k < index->keys.size(); ++k) {
            if (index->keys[k].column == constraint.foreign_columns[i]) {
              rows.set("position_in_unique_constraint", static_cast<std::int64_t>(k + 1));
            }
          }
        }
      });
}

void referential_constraints(const CatalogSession& session, RowSet& rows) {
  const auto rule = [](char action) {
    return action == 'r'   ? "RESTRICT"
           : action == 'c' ? "CASCADE"
           : action == 'n' ? "SET NULL"
           : action == 'd' ? "SET DEFAULT"
                           : "NO ACTION";
  };
  each_constraint(
      session, [&](const Relation& relation, const Constraint& constraint, const std::string& schema) {
        if (constraint.type != 'f' || !may_see(session, relation, kButSelect)) return;
        rows.row().set("constraint_catalog", session.database_name).set("constraint_schema", schema);
        rows.set("constraint_name", constraint.name);
        if (const auto index = session.catalog->index(constraint.index)) {
          rows.set("unique_constraint_catalog", session.database_name);
          rows.set("unique_constraint_schema", schema_name(*session.catalog, index->schema))
              .set("unique_constraint_name", index->name);
        }
        rows.set("match_option", constraint.match == 'f' ? "FULL" : "NONE");
        rows.set("update_rule", rule(constraint.on_update)).set("delete_rule", rule(constraint.on_delete));
      });
}

void constraint_column_usage(const CatalogSession& session, RowSet& rows) {
  each_constraint(
      session, [&](const Relation& relation, const Constraint& constraint, const std::string& schema) {
        const bool foreign = constraint.type == 'f';
        const auto other = foreign ? session.catalog->relation(constraint.foreign_table) : nullptr;
        const Relation& table = foreign ? *other : relation;
        if (!owns(session, table.owner)) return;
        for (const std::int16_t number : foreign ? constraint.foreign_columns : constraint.columns) {
          rows.row().set("table_catalog", session.database_name);
          rows.set("table_schema", schema_name(*session.catalog, table.schema)).set("table_name", table.name);
          rows.set("column_name", table.find_column(number)->name)
              .set("constraint_catalog", session.database_name);
          rows.set("constraint_schema", schema).set("constraint_name", constraint.name);
        }
      });
}

void check_constraints(const CatalogSession& session, RowSet& rows) {
  each_constraint(session, [&](const Relation& relation, const Constraint& constraint,
                               const std::string& schema) {
    if (constraint.type != 'c' || !owns(session, relation.owner)) return;
    rows.row().set("constraint_catalog", session.database_name).set("constraint_schema", schema);
    rows.set("constraint_name", constraint.name)
        .set("check_clause", "(" + shown_expression(constraint.check_text, CatalogKernels(session)) + ")");
  });
}

}  // namespace

void add_information_schema_makers(std::map<std::string_view, MakerInfo>& makers) {
  makers["information_schema.tables"] = {tables, false};
  makers["information_schema.columns"] = {columns, false};
  makers["information_schema.domains"] = {domains, false};
  makers["information_schema.domain_constraints"] = {domain_constraints, false};
  makers["information_schema.schemata"] = {schemata, false};
  makers["information_schema.views"] = {views, false};
  makers["information_schema.sequences"] = {sequences, false};
  makers["information_schema.table_constraints"] = {table_constraints, false};
  makers["information_schema.key_column_usage"] = {key_column_usage, false};
  makers["information_schema.referential_constraints"] = {referential_constraints, false};
  makers["information_schema.constraint_column_usage"] = {constraint_column_usage, false};
  makers["information_schema.check_constraints"] = {check_constraints, false};
}

}  // namespace bop::sql
