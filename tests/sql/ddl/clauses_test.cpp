// Every field of every node that DDL and maintenance statements accept is accounted for: honoured, refused,
// or without meaning here. A grammar with a new field fails this test until somebody has looked at it.
#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>
#include <string_view>

#include "sql/tree.hpp"

namespace bop::sql {
namespace {

struct Node {
  const ProtobufCMessageDescriptor* descriptor;
  std::string_view honoured;
  std::string_view refused;      // 0A000, or PostgreSQL's own error
  std::string_view meaningless;  // set by later stages of PostgreSQL only, or equal for all tables of BOP
};

const Node kNodes[] = {
    {&pg_query__create_stmt__descriptor, "relation table_elts options if_not_exists",
     "inh_relations partbound partspec of_typename oncommit tablespacename access_method", "constraints"},
    {&pg_query__column_def__descriptor, "colname type_name raw_default coll_clause constraints location",
     "compression fdwoptions",
     "inhcount is_local is_not_null is_from_type storage cooked_default identity identity_sequence generated "
     "coll_oid"},
    {&pg_query__constraint__descriptor,
     "contype conname deferrable initdeferred location is_no_inherit raw_expr generated_when keys including "
     "options pktable fk_attrs pk_attrs fk_matchtype fk_upd_action fk_del_action skip_validation",
     "nulls_not_distinct exclusions indexname indexspace access_method where_clause fk_del_set_cols",
     "cooked_expr reset_default_tblspc old_conpfeqop old_pktable_oid initially_valid"},
    {&pg_query__table_like_clause__descriptor, "relation options", "", "relation_oid"},
    {&pg_query__index_stmt__descriptor,
     "idxname relation access_method index_params index_including_params options where_clause unique "
     "concurrent if_not_exists",
     "table_space nulls_not_distinct",
     "exclude_op_names idxcomment index_oid old_node old_create_subid old_first_relfilenode_subid primary "
     "isconstraint deferrable initdeferred transformed reset_default_tblspc"},
    {&pg_query__index_elem__descriptor, "name expr collation opclass ordering nulls_ordering", "opclassopts",
     "indexcolname"},
    {&pg_query__view_stmt__descriptor, "view aliases query replace", "options with_check_option", ""},
    {&pg_query__create_seq_stmt__descriptor, "sequence options if_not_exists", "", "owner_id for_identity"},
    {&pg_query__alter_seq_stmt__descriptor, "sequence options missing_ok", "", "for_identity"},
    {&pg_query__create_schema_stmt__descriptor, "schemaname authrole if_not_exists", "schema_elts", ""},
    {&pg_query__create_table_as_stmt__descriptor, "query into is_select_into if_not_exists", "objtype", ""},
    {&pg_query__into_clause__descriptor, "rel col_names options skip_data",
     "access_method on_commit table_space_name", "view_query"},
    {&pg_query__alter_table_stmt__descriptor, "relation cmds objtype missing_ok", "", ""},
    {&pg_query__alter_table_cmd__descriptor, "subtype name newowner def behavior missing_ok", "num",
     "recurse"},
    {&pg_query__drop_stmt__descriptor, "objects remove_type behavior missing_ok concurrent", "", ""},
    {&pg_query__truncate_stmt__descriptor, "relations restart_seqs behavior", "", ""},
    {&pg_query__rename_stmt__descriptor, "rename_type relation_type relation subname newname missing_ok",
     "object", "behavior"},
    {&pg_query__alter_object_schema_stmt__descriptor, "object_type relation newschema missing_ok", "object",
     ""},
    {&pg_query__alter_owner_stmt__descriptor, "object_type object newowner", "relation", ""},
    {&pg_query__comment_stmt__descriptor, "objtype object comment", "", ""},
    {&pg_query__reindex_stmt__descriptor, "kind relation name params", "", ""},
    {&pg_query__lock_stmt__descriptor, "relations mode", "nowait", ""},
    {&pg_query__vacuum_stmt__descriptor, "options rels is_vacuumcmd", "", ""},
    {&pg_query__vacuum_relation__descriptor, "relation va_cols", "", "oid"},
    {&pg_query__range_var__descriptor, "schemaname relname relpersistence alias location", "catalogname",
     "inh"},
    {&pg_query__type_name__descriptor, "names typmods typemod array_bounds location", "setof pct_type",
     "type_oid"},
    {&pg_query__collate_clause__descriptor, "arg collname location", "", ""},
    {&pg_query__create_role_stmt__descriptor, "stmt_type role options", "", ""},
    {&pg_query__alter_role_stmt__descriptor, "role options", "action", ""},
    {&pg_query__drop_role_stmt__descriptor, "roles missing_ok", "", ""},
    {&pg_query__createdb_stmt__descriptor, "dbname options", "", ""},
    {&pg_query__dropdb_stmt__descriptor, "dbname missing_ok", "options", ""},
    {&pg_query__def_elem__descriptor, "defname arg location", "defnamespace defaction", ""},
    {&pg_query__role_spec__descriptor, "roletype rolename location", "", ""},
};

TEST(Clauses, every_field_of_an_accepted_node_is_accounted_for) {
  for (const Node& node : kNodes) {
    std::set<std::string> known;
    for (const std::string_view list : {node.honoured, node.refused, node.meaningless}) {
      std::istringstream words{std::string(list)};
      for (std::string word; words >> word;) {
        EXPECT_TRUE(known.insert(word).second) << node.descriptor->name << "." << word << " stands twice";
      }
    }
    std::set<std::string> fields;
    for (unsigned i = 0; i < node.descriptor->n_fields; ++i) fields.insert(node.descriptor->fields[i].name);
    EXPECT_EQ(known, fields) << node.descriptor->name;
  }
}

}  // namespace
}  // namespace bop::sql
