// Rows of information_schema about rights: what is given on tables and views.
#include "sql/pg_catalog/relation_table.hpp"

namespace bop::sql {

namespace {

// What the session's user, or a role whose rights it has, gave or was given; `of_public`: everybody's, too.
void grants(const CatalogSession& session, RowSet& rows, bool of_public) {
  if (session.cluster == nullptr) return;
  const Identity who = session.who ? *session.who : Identity{};
  const auto name = [&](Oid role) {
    return role == kPublic ? std::string("PUBLIC") : session.cluster->role_name(role).value_or("");
  };
  for (const auto& [oid, relation] : session.catalog->relations()) {
    const Schema* schema = session.catalog->schema(relation->schema);
    for (const AclItem& item :
         relation->acl ? *relation->acl : default_acl(AclKind::kTable, relation->owner)) {
      const bool everybodys = item.grantee == kPublic;
      const bool shown =
          who.has_rights_of(item.grantor) || (everybodys ? of_public : who.has_rights_of(item.grantee));
      if (!shown) continue;
      const bool owns = !everybodys && session.cluster->identity(item.grantee).has_rights_of(relation->owner);
      for (Rights bit = 1; bit != 0 && bit <= right::kTrigger; bit = static_cast<Rights>(bit << 1)) {
        if ((item.rights & bit) == 0) continue;
        rows.row().set("grantor", name(item.grantor)).set("grantee", name(item.grantee));
        rows.set("table_catalog", session.database_name).set("table_schema", schema->name);
        rows.set("table_name", relation->name).set("privilege_type", name_of_right(bit));
        rows.set("is_grantable", owns || (item.options & bit) != 0 ? "YES" : "NO");
        rows.set("with_hierarchy", bit == right::kSelect ? "YES" : "NO");
      }
    }
  }
}

void table_privileges(const CatalogSession& session, RowSet& rows) { grants(session, rows, true); }
void role_table_grants(const CatalogSession& session, RowSet& rows) { grants(session, rows, false); }

}  // namespace

void add_privilege_makers(std::map<std::string_view, MakerInfo>& makers) {
  makers["information_schema.table_privileges"] = {table_privileges, false};
  makers["information_schema.role_table_grants"] = {role_table_grants, false};
}

}  // namespace bop::sql
