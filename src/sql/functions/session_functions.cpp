// Functions about the session and the server, sequences, and those the catalog answers.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/time.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/bytes.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/numeric.hpp"

namespace bop {
namespace {

Result<SessionInfo*> session(Call& c) {
  if (c.context.session == nullptr)
    return fail(ErrorCode::kNotImplemented, "function {} needs a session", c.kernel.name);
  return c.context.session;
}
Result<Sequences*> sequences(Call& c) {
  if (c.context.sequences == nullptr)
    return fail(ErrorCode::kNotImplemented, "function {} needs a session", c.kernel.name);
  return c.context.sequences;
}

Implementation about(std::string key, std::string (*f)(SessionInfo&)) {
  return scalar(std::move(key), [f](Call& c) -> Returned {
    BOP_LET(s, session(c));
    return OwnedValue::of_text(f(*s));
  });
}

Returned current_setting(Call& c) {
  BOP_LET(s, session(c));
  if (auto v = s->setting(c.text(0))) return OwnedValue::of_text(*std::move(v));
  if (c.size() > 1 && c[1].as_bool()) return OwnedValue::null();
  return fail(ErrorCode::kUndefinedObject, "unrecognized configuration parameter \"{}\"", c.text(0));
}

Returned set_config(Call& c) {
  if (c[0].is_null()) return fail(ErrorCode::kNullNotAllowed, "SET requires parameter name");
  BOP_LET(s, session(c));
  BOP_LET(v, s->set_setting(c.text(0), c[1].is_null() ? "" : c.text(1), !c[2].is_null() && c[2].as_bool()));
  return OwnedValue::of_text(std::move(v));
}

struct Keyword {
  std::string_view word;
  char category;
  bool bare_label;
};
constexpr auto kKeywords = std::to_array<Keyword>({
#define BOP_KEYWORD(word, category, bare_label) {word, category, bare_label},
#include "sql/functions/keywords.def"
#undef BOP_KEYWORD
});

Returned advisory(Call& c, SessionInfo::AdvisoryLock lock) {
  BOP_LET(s, session(c));
  lock.key = static_cast<std::uint64_t>(c[0].integer);
  if (lock.pair) lock.key = lock.key << 32U | static_cast<std::uint32_t>(c[1].integer);
  BOP_LET(done, s->advisory_lock(lock));
  if (lock.what == SessionInfo::AdvisoryLock::What::kLock) return OwnedValue::of_text("");
  return OwnedValue::of_bool(done);
}

Returned signal_backend(Call& c, bool terminate) {
  BOP_LET(s, session(c));
  const std::int64_t timeout_ms = c.size() > 1 ? c.integer(1) : 0;
  BOP_LET(sent, s->signal_backend(static_cast<std::int32_t>(c.integer(0)), terminate, timeout_ms));
  return OwnedValue::of_bool(sent);
}

Returned sleep(Call& c) {
  BOP_LET(s, session(c));
  const double seconds = c[0].kind == Value::Kind::kInt ? static_cast<double>(c.integer(0)) : c[0].real;
  if (seconds > 0) BOP_TRY(s->sleep_us(static_cast<std::int64_t>(std::min(seconds, 1e9) * 1e6)));
  return OwnedValue::of_text("");
}

std::string size_text(Numeric n) {
  // Up to ten thousand of a unit, then the next; units of 1024, rounded half away from zero.
  constexpr std::string_view kUnits[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
  const Numeric limit = Numeric::of_int(10 * 1024);
  if (Numeric::compare(n.absolute(), limit) < 0) return n.to_text() + " bytes";
  // One extra bit decides the rounding, as PostgreSQL keeps it.
  Numeric doubled = *Numeric::divide_integral(n, Numeric::of_int(512));
  const auto halved = [](const Numeric& v) {
    const Numeric adjusted =
        v.sign() < 0 ? *Numeric::subtract(v, Numeric::of_int(1)) : *Numeric::add(v, Numeric::of_int(1));
    return *Numeric::divide_integral(adjusted, Numeric::of_int(2));
  };
  for (std::size_t u = 1; u < std::size(kUnits); ++u) {
    if (Numeric::compare(doubled.absolute(), Numeric::of_int(20 * 1024 - 1)) < 0 ||
        u + 1 == std::size(kUnits)) {
      return halved(doubled).to_text() + " " + std::string(kUnits[u]);
    }
    doubled = *Numeric::divide_integral(doubled, Numeric::of_int(1024));
  }
  return n.to_text();
}

Returned catalog(Call& c) {
  if (c.context.catalog == nullptr)
    return fail(ErrorCode::kNotImplemented, "function {} is not available here", c.kernel.name);
  return c.context.catalog->call(c.kernel.name, c.args);
}

Returned schemas(Call& c) {
  BOP_LET(s, session(c));
  std::vector<OwnedValue> items;
  for (std::string& name : s->current_schemas(c[0].as_bool()))
    items.push_back(OwnedValue::of_text(std::move(name)));
  return OwnedValue::of_text(stored_array(types::kNameArray, Array::of_vector(std::move(items))));
}

}  // namespace

void add_session_functions(Implementations& all) {
  all.push_back(about("current_user", [](SessionInfo& s) { return s.current_user(); }));
  all.push_back(about("session_user", [](SessionInfo& s) { return s.session_user(); }));
  all.push_back(about("current_database", [](SessionInfo& s) { return s.current_database(); }));
  all.push_back(scalar("current_schema", [](Call& c) -> Returned {
    BOP_LET(s, session(c));
    auto names = s->current_schemas(false);
    return names.empty() ? OwnedValue::null() : OwnedValue::of_text(std::move(names.front()));
  }));
  all.push_back(scalar("current_schemas", schemas));
  all.push_back(
      scalar("pgsql_version", [](Call& c) -> Returned { return OwnedValue::of_text(c.context.version); }));
  all.push_back(scalar("show_config_by_name", current_setting));
  all.push_back(scalar("show_config_by_name_missing_ok", current_setting));
  all.push_back(scalar("set_config_by_name", set_config));
  all.push_back(scalar("pg_backend_pid", [](Call& c) -> Returned {
    BOP_LET(s, session(c));
    return OwnedValue::of_int(s->backend_pid());
  }));
  for (const char* k : {"pg_current_xact_id", "txid_current", "pg_current_xact_id_if_assigned"}) {
    all.push_back(scalar(k, [](Call& c) -> Returned {
      BOP_LET(s, session(c));
      return OwnedValue::of_int(static_cast<std::int64_t>(s->transaction_id()));
    }));
  }
  all.push_back(scalar("pg_sleep", sleep));
  all.push_back(scalar("pg_cancel_backend", [](Call& c) { return signal_backend(c, false); }));
  all.push_back(scalar("pg_terminate_backend", [](Call& c) { return signal_backend(c, true); }));
  using Advisory = SessionInfo::AdvisoryLock;
  for (const auto& [what, name] : {std::pair(Advisory::What::kLock, "pg_advisory_{}lock{}_{}"),
                                   std::pair(Advisory::What::kTry, "pg_try_advisory_{}lock{}_{}"),
                                   std::pair(Advisory::What::kUnlock, "pg_advisory_{}unlock{}_{}")}) {
    for (const bool transaction : {false, true}) {
      if (transaction && what == Advisory::What::kUnlock) continue;
      for (const bool shared : {false, true}) {
        for (const bool pair : {false, true}) {
          Advisory lock{.what = what, .shared = shared, .transaction = transaction, .pair = pair};
          all.push_back(scalar(fmt::format(fmt::runtime(name), transaction ? "xact_" : "",
                                           shared ? "_shared" : "", pair ? "int4" : "int8"),
                               [lock](Call& c) { return advisory(c, lock); }));
        }
      }
    }
  }
  all.push_back(rows("pg_get_keywords", [](Call&) -> Result<RowSource> {
    return RowSource([i = std::size_t{0}](std::vector<OwnedValue>& row) mutable -> Result<bool> {
      if (i >= kKeywords.size()) return false;
      const Keyword& k = kKeywords[i++];
      row.clear();
      row.push_back(OwnedValue::of_text(std::string(k.word)));
      row.push_back(OwnedValue::of_text(std::string(1, k.category)));
      row.push_back(OwnedValue::of_bool(k.bare_label));
      row.push_back(OwnedValue::of_text(k.category == 'R'   ? "reserved"
                                        : k.category == 'T' ? "reserved (can be function or type name)"
                                        : k.category == 'C' ? "unreserved (cannot be function or type name)"
                                                            : "unreserved"));
      row.push_back(OwnedValue::of_text(k.bare_label ? "can be bare label" : "requires AS"));
      return true;
    });
  }));
  all.push_back(scalar("pg_advisory_unlock_all", [](Call& c) -> Returned {
    BOP_LET(s, session(c));
    s->advisory_unlock_all();
    return OwnedValue::of_text("");
  }));
  all.push_back(scalar("pg_notify", [](Call& c) -> Returned {
    BOP_LET(s, session(c));
    BOP_TRY(s->notify(c[0].is_null() ? "" : c.text(0), c[1].is_null() ? "" : c.text(1)));
    return OwnedValue::of_text("");
  }));
  all.push_back(rows("pg_listening_channels", [](Call& c) -> Result<RowSource> {
    BOP_LET(s, session(c));
    return RowSource([names = s->listening_channels(),
                      i = std::size_t{0}](std::vector<OwnedValue>& row) mutable -> Result<bool> {
      if (i >= names.size()) return false;
      row.assign(1, OwnedValue::of_text(std::move(names[i++])));
      return true;
    });
  }));
  all.push_back(scalar("pg_notification_queue_usage", [](Call& c) -> Returned {
    BOP_LET(s, session(c));
    return OwnedValue::of_real(s->notification_queue_usage());
  }));
  all.push_back(scalar("pg_size_pretty",
                       [](Call& c) { return text_result(size_text(Numeric::of_int(c.integer(0)))); }));
  all.push_back(scalar("pg_size_pretty_numeric",
                       [](Call& c) { return text_result(size_text(Numeric::parse_stored(c.text(0)))); }));
  all.push_back(scalar("pg_typeof", [](Call& c) -> Returned {
    return OwnedValue::of_int(c.types.empty() ? types::kUnknown : c.types[0]);
  }));
  all.push_back(scalar("format_type", [](Call& c) -> Returned {
    if (c[0].is_null()) return OwnedValue::null();
    const auto oid = static_cast<Oid>(c.integer(0));
    if (find_type(oid) == nullptr && c.context.catalog != nullptr) return catalog(c);
    if (c[1].is_null()) return OwnedValue::of_text(format_type(oid));
    return OwnedValue::of_text(
        format_type(oid, static_cast<std::int32_t>(std::max<std::int64_t>(c.integer(1), -1))));
  }));
  all.push_back(scalar("nextval_oid", [](Call& c) -> Returned {
    BOP_LET(s, sequences(c));
    return then(s->nextval(static_cast<Oid>(c.integer(0))), OwnedValue::of_int);
  }));
  all.push_back(scalar("currval_oid", [](Call& c) -> Returned {
    BOP_LET(s, sequences(c));
    return then(s->currval(static_cast<Oid>(c.integer(0))), OwnedValue::of_int);
  }));
  for (const char* k : {"setval_oid", "setval3_oid"}) {
    all.push_back(scalar(k, [](Call& c) -> Returned {
      BOP_LET(s, sequences(c));
      return then(s->setval(static_cast<Oid>(c.integer(0)), c.integer(1), c.size() < 3 || c[2].as_bool()),
                  OwnedValue::of_int);
    }));
  }
  all.push_back(scalar("lastval", [](Call& c) -> Returned {
    BOP_LET(s, sequences(c));
    return then(s->lastval(), OwnedValue::of_int);
  }));
  for (const char* k : {"pg_get_userbyid",
                        "pg_table_is_visible",
                        "pg_type_is_visible",
                        "pg_function_is_visible",
                        "pg_operator_is_visible",
                        "pg_opclass_is_visible",
                        "pg_collation_is_visible",
                        "pg_conversion_is_visible",
                        "pg_ts_config_is_visible",
                        "pg_get_expr",
                        "pg_get_expr_ext",
                        "pg_get_indexdef",
                        "pg_get_indexdef_ext",
                        "pg_get_constraintdef",
                        "pg_get_constraintdef_ext",
                        "pg_get_viewdef",
                        "pg_get_viewdef_ext",
                        "pg_get_viewdef_name",
                        "pg_get_viewdef_name_ext",
                        "pg_get_viewdef_wrap",
                        "pg_get_triggerdef",
                        "pg_get_triggerdef_ext",
                        "pg_get_ruledef",
                        "pg_get_ruledef_ext",
                        "pg_get_functiondef",
                        "pg_get_function_arguments",
                        "pg_get_function_identity_arguments",
                        "pg_get_function_result",
                        "pg_get_function_arg_default",
                        "pg_get_function_sqlbody",
                        "pg_get_serial_sequence",
                        "pg_get_statisticsobjdef",
                        "pg_get_statisticsobjdef_columns",
                        "pg_get_partkeydef",
                        "pg_get_partition_constraintdef",
                        "pg_encoding_to_char",
                        "PG_encoding_to_char",
                        "PG_char_to_encoding",
                        "PG_char_to_encoding_name",
                        "getdatabaseencoding",
                        "pg_client_encoding",
                        "obj_description",
                        "col_description",
                        "shobj_description",
                        "obj_description(oid, name)",
                        "obj_description(oid)",
                        "col_description(oid, integer)",
                        "shobj_description(oid, name)",
                        "pg_relation_size",
                        "pg_relation_size(regclass)",
                        "pg_total_relation_size",
                        "pg_table_size",
                        "pg_indexes_size",
                        "pg_database_size_oid",
                        "pg_database_size_name",
                        "pg_tablespace_size_oid",
                        "pg_tablespace_size_name",
                        "pg_relation_filenode",
                        "pg_relation_filepath",
                        "pg_tablespace_location",
                        "pg_tablespace_databases",
                        "has_table_privilege_name",
                        "has_table_privilege_id",
                        "has_table_privilege_name_name",
                        "has_table_privilege_name_id",
                        "has_table_privilege_id_name",
                        "has_table_privilege_id_id",
                        "has_schema_privilege_name",
                        "has_schema_privilege_id",
                        "has_schema_privilege_name_name",
                        "has_schema_privilege_name_id",
                        "has_database_privilege_name",
                        "has_database_privilege_id",
                        "has_database_privilege_name_name",
                        "has_database_privilege_name_id",
                        "has_column_privilege_name_name",
                        "has_column_privilege_id_attnum",
                        "has_column_privilege_id_name",
                        "has_sequence_privilege_name",
                        "has_sequence_privilege_id",
                        "has_function_privilege_name",
                        "has_function_privilege_id",
                        "has_type_privilege_id",
                        "has_type_privilege_name",
                        "has_any_column_privilege_id",
                        "has_any_column_privilege_name",
                        "pg_has_role_name",
                        "has_sequence_privilege_name_name",
                        "has_sequence_privilege_name_id",
                        "has_sequence_privilege_id_name",
                        "has_sequence_privilege_id_id",
                        "has_database_privilege_id_name",
                        "has_database_privilege_id_id",
                        "has_function_privilege_name_name",
                        "has_function_privilege_name_id",
                        "has_function_privilege_id_name",
                        "has_function_privilege_id_id",
                        "has_schema_privilege_id_name",
                        "has_schema_privilege_id_id",
                        "has_column_privilege_name_name_name",
                        "has_column_privilege_name_name_attnum",
                        "has_column_privilege_name_id_name",
                        "has_column_privilege_name_id_attnum",
                        "has_column_privilege_id_name_name",
                        "has_column_privilege_id_name_attnum",
                        "has_column_privilege_id_id_name",
                        "has_column_privilege_id_id_attnum",
                        "has_column_privilege_name_attnum",
                        "has_any_column_privilege_name_name",
                        "has_any_column_privilege_name_id",
                        "has_any_column_privilege_id_name",
                        "has_any_column_privilege_id_id",
                        "has_type_privilege_name_name",
                        "has_type_privilege_name_id",
                        "has_type_privilege_id_name",
                        "has_type_privilege_id_id",
                        "pg_has_role_id",
                        "pg_has_role_name_name",
                        "pg_has_role_name_id",
                        "pg_has_role_id_name",
                        "pg_has_role_id_id",
                        "pg_is_in_recovery",
                        "pg_postmaster_start_time",
                        "pg_conf_load_time",
                        "pg_is_other_temp_schema",
                        "pg_my_temp_schema",
                        "inet_client_addr",
                        "inet_client_port",
                        "inet_server_addr",
                        "inet_server_port",
                        "pg_relation_is_publishable",
                        "to_regclass",
                        "to_regtype",
                        "to_regproc",
                        "to_regprocedure",
                        "to_regnamespace",
                        "to_regrole",
                        "to_regoper",
                        "to_regoperator",
                        "to_regcollation",
                        "pg_stat_get_numscans",
                        "row_security_active_name",
                        "row_security_active",
                        "pg_index_column_has_property",
                        "pg_index_has_property",
                        "pg_indexam_has_property",
                        "pg_sequence_parameters",
                        "pg_sequence_last_value",
                        "pg_describe_object",
                        "pg_identify_object",
                        "pg_blocking_pids",
                        "pg_column_is_updatable",
                        "pg_relation_is_updatable",
                        "pg_char_to_encoding",
                        "pg_export_snapshot",
                        "pg_jit_available",
                        "bop_current_csn"}) {
    all.push_back(scalar(k, catalog));
  }
}

}  // namespace bop
