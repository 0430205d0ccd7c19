// The constraints of a domain become one statement over its value, prepared once for each run of the
// statement that needs it: SQLite drops what is kept with an argument when a run ends, so that a later run
// sees the constraints of its time.
#include "sql/domain_check.hpp"

#include <sqlite3.h>

#include <memory>

#include "sql/bind.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/parse.hpp"
#include "sql/plan_context.hpp"
#include "sql/sqlite_value.hpp"
#include "sql/types/array.hpp"
#include "sql/types/user_types.hpp"

namespace bop::sql {

namespace {

class DomainCheckRun {
 public:
  DomainCheckRun(sqlite3* connection, FunctionContext& context, Oid type)
      : connection_(connection), context_(context), domain_(is_true_array(type) ? element_of(type) : type) {}

  [[nodiscard]] Status prepare() {
    std::string cases;
    std::vector<const UserType*> chain;
    for (const UserType* type = find_user_type(domain_); type != nullptr && type->definition().kind == 'd';
         type = find_user_type(type->definition().base)) {
      chain.insert(chain.begin(), type);
    }
    // Those of the innermost domain come first.
    for (const UserType* type : chain) {
      not_null_ = not_null_ || type->definition().not_null;
      for (const DomainRule& rule : type->definition().checks) {
        BOP_LET(sql, condition(type->definition(), rule));
        names_.push_back(rule.name);
        cases += fmt::format(" WHEN NOT ({}) THEN {}", sql, names_.size());
      }
    }
    if (names_.empty()) return {};
    const TypeInfo* base = find_type(base_type(domain_));
    const std::string collate =
        base == nullptr || base->collation.empty() ? "" : fmt::format(" COLLATE {}", base->collation);
    const std::string sql = fmt::format("SELECT CASE{} ELSE 0 END FROM (SELECT ?1{} AS c1)", cases, collate);
    sqlite3_stmt* made = nullptr;
    if (sqlite3_prepare_v2(connection_, sql.c_str(), -1, &made, nullptr) != SQLITE_OK) {
      return fail(ErrorCode::kInternal, "cannot prepare the constraints of a domain: {}",
                  sqlite3_errmsg(connection_));
    }
    statement_.reset(made);
    return {};
  }

  [[nodiscard]] Status check(const Value& value) {
    if (not_null_ && value.is_null()) {
      return std::unexpected(about(
          error(ErrorCode::kNotNullViolation, "domain {} does not allow null values", format_type(domain_))));
    }
    if (statement_ == nullptr) return {};
    sqlite3_stmt* statement = statement_.get();
    sqlite3_reset(statement);
    if (bind_value(statement, 1, OwnedValue(value)) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW) {
      if (context_.error) return std::unexpected(*std::exchange(context_.error, std::nullopt));
      return fail(ErrorCode::kInternal, "a domain's constraint: {}", sqlite3_errmsg(connection_));
    }
    const int broken = sqlite3_column_int(statement, 0);
    sqlite3_reset(statement);
    if (broken == 0) return {};
    const std::string& name = names_[static_cast<std::size_t>(broken - 1)];
    return std::unexpected(
        about(error(ErrorCode::kCheckViolation, "value for domain {} violates check constraint \"{}\"",
                    format_type(domain_), name)
                  .constraint(name)));
  }

 private:
  [[nodiscard]] Error about(Error why) const {
    const UserType& type = *find_user_type(domain_);
    why.mut().schema = UserTypes::current()->schema_of(type);
    why.mut().data_type = type.definition().name;
    return why;
  }
  [[nodiscard]] Result<std::string> condition(const UserType::Definition& domain,
                                              const DomainRule& rule) const {
    BOP_LET(parsed, parse_expression(rule.check));
    Relation value;
    value.name = "value";
    value.columns.push_back({.number = 1,
                             .name = "value",
                             .type = domain.base,
                             .typmod = domain.base_typmod,
                             .default_text = std::nullopt,
                             .collation = {},
                             .comment = {}});
    BindContext context;
    context.catalog = std::make_shared<const Catalog>();
    context.search_path.clear();
    context.codec = context_.codec;
    BOP_LET(bound, bind_expression(parsed, &value, ExpressionUse::kCheck, context));
    return bound.sql;
  }

  sqlite3* connection_;
  FunctionContext& context_;
  Oid domain_;
  bool not_null_ = false;
  std::vector<std::string> names_;
  std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement_{nullptr, &sqlite3_finalize};
};

Value value_of(sqlite3_value* v) {
  const auto bytes = [&](const void* data) {
    return std::string_view(static_cast<const char*>(data), static_cast<std::size_t>(sqlite3_value_bytes(v)));
  };
  switch (sqlite3_value_type(v)) {
    case SQLITE_INTEGER: return Value::of_int(sqlite3_value_int64(v));
    case SQLITE_FLOAT: return Value::of_real(sqlite3_value_double(v));
    case SQLITE_TEXT: return Value::of_text(bytes(sqlite3_value_text(v)));
    case SQLITE_BLOB: return Value::of_blob(bytes(sqlite3_value_blob(v)));
    default: return Value::null();
  }
}

Status check_value(DomainCheckRun& run, Oid type, const Value& value) {
  if (!is_true_array(type)) return run.check(value);
  if (value.is_null()) return {};
  const Array array = parse_stored_array(type, value.bytes);
  for (const OwnedValue& element : array.elements) BOP_TRY(run.check(element));
  return {};
}

void domain(sqlite3_context* call, int, sqlite3_value** argv) {
  constexpr int kTypeArgument = 1;
  FunctionContext* context = plan_context(call);
  if (context == nullptr) return sqlite3_result_error(call, "a domain is checked without a session", -1);
  const auto type = static_cast<Oid>(sqlite3_value_int64(argv[kTypeArgument]));
  auto* run = static_cast<DomainCheckRun*>(sqlite3_get_auxdata(call, kTypeArgument));
  std::unique_ptr<DomainCheckRun> fresh;
  if (run == nullptr) {
    fresh = std::make_unique<DomainCheckRun>(sqlite3_context_db_handle(call), *context, type);
    if (Status made = fresh->prepare(); !made) return fail_call(call, made.error());
    run = fresh.get();
  }
  if (Status held = check_value(*run, type, value_of(argv[0])); !held) return fail_call(call, held.error());
  sqlite3_result_value(call, argv[0]);
  if (fresh != nullptr) {
    sqlite3_set_auxdata(call, kTypeArgument, fresh.release(),
                        [](void* p) { delete static_cast<DomainCheckRun*>(p); });
  }
}

}  // namespace

int register_domain_check(sqlite3* connection) {
  // Of a statement: the checks change with the catalog only. Generated columns may be of a domain.
  return sqlite3_create_function_v2(connection, "bop_domain", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr,
                                    domain, nullptr, nullptr, nullptr);
}

}  // namespace bop::sql
