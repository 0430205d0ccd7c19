// The functions of SQLite that plans call besides the kernels: bop_check_row, bop_go_on,
// bop_meet_row, bop_store_row, bop_merge_once, bop_single, bop_limit, bop_offset, bop_greatest, bop_least,
// bop_domain (domain_check.cpp), bop_rows (fed_rows.cpp). Their FunctionContext is client data of the
// connection, so that a pooled connection changes sessions without registering (and so without re-preparing)
// anything.
#include <memory>
#include <new>

#include <fmt/format.h>
#include <sqlite3.h>

#include "sql/domain_check.hpp"
#include "sql/fed_rows.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/plan.hpp"
#include "sql/plan_context.hpp"
#include "sql/row_check.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

constexpr const char* kContextName = "bop_plan_context";
constexpr const char* kRegisteredName = "bop_plan_functions";

Value value_of(sqlite3_value* v) {
  switch (sqlite3_value_type(v)) {
    case SQLITE_INTEGER: return Value::of_int(sqlite3_value_int64(v));
    case SQLITE_FLOAT: return Value::of_real(sqlite3_value_double(v));
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(v));
      return Value::of_text({text, static_cast<std::size_t>(sqlite3_value_bytes(v))});
    }
    case SQLITE_BLOB: {
      const auto* blob = static_cast<const char*>(sqlite3_value_blob(v));
      return Value::of_blob({blob, static_cast<std::size_t>(sqlite3_value_bytes(v))});
    }
    default: return Value::null();
  }
}

std::string failing_row(const RowCheck& check, int count, sqlite3_value** values, const CodecContext& codec) {
  constexpr std::size_t kMaxShown = 64;  // characters of one value, as PostgreSQL cuts them
  std::string out = "Failing row contains (";
  for (int i = 0; i < count; ++i) {
    const RowCheck::Column& column = check.columns[static_cast<std::size_t>(i)];
    const Value value = value_of(values[i]);
    out += i == 0 ? "" : ", ";
    if (value.is_null()) {
      out += "null";
      continue;
    }
    std::string text;
    encode_text(column.type, column.typmod, value, codec, text);
    if (text.size() > kMaxShown) {
      std::size_t cut = kMaxShown;
      while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) {
        --cut;
      }
      text.resize(cut);
      text += "...";
    }
    out += text;
  }
  return out + ").";
}

// True for the statement to go on.
bool goes_on(sqlite3_context* c) {
  FunctionContext* context = plan_context(c);
  if (context == nullptr || !context->stop) return true;
  fail_call(c, *std::exchange(context->stop, std::nullopt));
  return false;
}

void go_on(sqlite3_context* c, int, sqlite3_value**) {
  if (goes_on(c)) sqlite3_result_int(c, 1);
}

void check_row(sqlite3_context* c, int argc, sqlite3_value** argv) {
  if (!goes_on(c)) return;
  auto* check = static_cast<RowCheck*>(sqlite3_get_auxdata(c, 0));
  std::unique_ptr<RowCheck> fresh;
  if (check == nullptr) {
    const Value text = value_of(argv[0]);
    fresh = std::make_unique<RowCheck>(RowCheck::decode(text.bytes));
    check = fresh.get();
  }
  const FunctionContext* context = plan_context(c);
  const auto columns = static_cast<int>(check->columns.size());
  const auto checks = static_cast<int>(check->checks.size());
  if (argc != 1 + columns + checks) {
    fail_call(c, error(ErrorCode::kInternal, "bop_check_row was called with {} arguments", argc));
    return;
  }
  const CodecContext codec = context == nullptr ? CodecContext{} : context->codec;
  const auto refuse = [&](Error e) {
    if (check->whole_row) {
      e.mut().detail = failing_row(*check, columns, argv + 1, codec);
    }
    e.mut().table = check->relation;
    fail_call(c, std::move(e));
  };
  for (int i = 0; i < columns; ++i) {
    const RowCheck::Column& column = check->columns[static_cast<std::size_t>(i)];
    if (column.not_null && sqlite3_value_type(argv[1 + i]) == SQLITE_NULL) {
      Error e = error(ErrorCode::kNotNullViolation,
                      "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                      column.name, check->relation);
      e.mut().column = column.name;
      refuse(std::move(e));
      return;
    }
  }
  for (int i = 0; i < checks; ++i) {
    sqlite3_value* result = argv[1 + columns + i];
    if (sqlite3_value_type(result) != SQLITE_NULL && sqlite3_value_int64(result) == 0) {
      const std::string_view name = check->checks[static_cast<std::size_t>(i)];
      if (name.starts_with(RowCheck::kOption)) {
        fail_call(
            c, error(ErrorCode::kWithCheckOptionViolation, "new row violates check option for view \"{}\"",
                     name.substr(RowCheck::kOption.size()))
                   .detail(check->whole_row ? failing_row(*check, columns, argv + 1, codec) : std::string()));
        return;
      }
      Error e =
          error(ErrorCode::kCheckViolation, "new row for relation \"{}\" violates check constraint \"{}\"",
                check->relation, check->checks[static_cast<std::size_t>(i)]);
      e.mut().constraint = check->checks[static_cast<std::size_t>(i)];
      refuse(std::move(e));
      return;
    }
  }
  sqlite3_result_int(c, 1);
  if (fresh != nullptr) {
    sqlite3_set_auxdata(c, 0, fresh.release(), [](void* p) { delete static_cast<RowCheck*>(p); });
  }
}

// The one value of a scalar subquery. State: the value kept, or none yet.
struct Single {
  sqlite3_value* value;
  bool seen;
};

void single_step(sqlite3_context* c, int, sqlite3_value** argv) {
  auto* state = static_cast<Single*>(sqlite3_aggregate_context(c, sizeof(Single)));
  if (state == nullptr) {
    sqlite3_result_error_nomem(c);
    return;
  }
  if (state->seen) {
    fail_call(c, Error(ErrorCode::kCardinalityViolation,
                       "more than one row returned by a subquery used as an expression"));
    return;
  }
  state->seen = true;
  state->value = sqlite3_value_dup(argv[0]);
}

void single_final(sqlite3_context* c) {
  auto* state = static_cast<Single*>(sqlite3_aggregate_context(c, 0));
  if (state == nullptr || state->value == nullptr) {
    sqlite3_result_null(c);
    return;
  }
  sqlite3_result_value(c, state->value);
  sqlite3_value_free(state->value);
  state->value = nullptr;
}

// ON CONFLICT DO UPDATE: a row of the table that this statement has stored itself cannot be meant again.
void meet_row(sqlite3_context* c, int, sqlite3_value** argv) {
  FunctionContext* context = plan_context(c);
  if (context != nullptr && context->stored_rows.contains(sqlite3_value_int64(argv[0]))) {
    fail_call(c,
              Error(ErrorCode::kCardinalityViolation,
                    "ON CONFLICT DO UPDATE command cannot affect row a second time")
                  .hint("Ensure that no rows proposed for insertion within the same command have duplicate "
                        "constrained values."));
    return;
  }
  sqlite3_result_int(c, 1);
}

void merge_once(sqlite3_context* c, int, sqlite3_value**) {
  fail_call(c, Error(ErrorCode::kCardinalityViolation, "MERGE command cannot affect row a second time")
                   .hint("Ensure that not more than one source row matches any one target row."));
}

void store_row(sqlite3_context* c, int, sqlite3_value** argv) {
  if (FunctionContext* context = plan_context(c); context != nullptr) {
    context->stored_rows.insert(sqlite3_value_int64(argv[0]));
  }
  sqlite3_result_null(c);
}

void pending_row(sqlite3_context* c, int, sqlite3_value** argv) {
  if (FunctionContext* context = plan_context(c); context != nullptr) {
    context->pending_rows.push_back({.table = static_cast<Oid>(sqlite3_value_int64(argv[0])),
                                     .constraint = static_cast<Oid>(sqlite3_value_int64(argv[1])),
                                     .rowid = sqlite3_value_int64(argv[2])});
  }
  sqlite3_result_null(c);
}

// NULL is no limit; negative numbers are refused.
void limit(sqlite3_context* c, int, sqlite3_value** argv) {
  const bool is_offset = sqlite3_user_data(c) != nullptr;
  if (sqlite3_value_type(argv[0]) == SQLITE_NULL) {
    sqlite3_result_int64(c, is_offset ? 0 : -1);
    return;
  }
  const sqlite3_int64 n = sqlite3_value_int64(argv[0]);
  if (n < 0) {
    fail_call(c, is_offset ? Error(ErrorCode::kInvalidRowCountInOffset, "OFFSET must not be negative")
                           : Error(ErrorCode::kInvalidRowCountInLimit, "LIMIT must not be negative"));
    return;
  }
  sqlite3_result_int64(c, n);
}

// bop_function(oid, arguments...)
void call_function(sqlite3_context* c, int argc, sqlite3_value** argv) {
  if (!goes_on(c)) return;
  FunctionContext* context = plan_context(c);
  const auto oid = static_cast<Oid>(sqlite3_value_int64(argv[0]));
  std::vector<Value> args;
  for (int i = 1; i < argc; ++i) args.push_back(value_of(argv[i]));
  if (context == nullptr || context->user_functions == nullptr) {
    fail_call(c,
              Error(ErrorCode::kNotImplemented, "a function with statements of its own cannot be run here"));
    return;
  }
  const auto answer = context->user_functions->call_function(oid, args);
  if (!answer) {
    fail_call(c, answer.error());
    return;
  }
  switch (answer->kind()) {
    case OwnedValue::Kind::kNull: sqlite3_result_null(c); break;
    case OwnedValue::Kind::kInt: sqlite3_result_int64(c, answer->integer()); break;
    case OwnedValue::Kind::kReal: sqlite3_result_double(c, answer->real()); break;
    case OwnedValue::Kind::kText:
      sqlite3_result_text64(c, answer->bytes().data(), answer->bytes().size(), SQLITE_TRANSIENT, SQLITE_UTF8);
      break;
    case OwnedValue::Kind::kBlob:
      sqlite3_result_blob64(c, answer->bytes().data(), answer->bytes().size(), SQLITE_TRANSIENT);
      break;
  }
}

void greatest(sqlite3_context* c, int argc, sqlite3_value** argv) {
  const bool least = sqlite3_user_data(c) != nullptr;
  const auto type = static_cast<Oid>(sqlite3_value_int64(argv[0]));
  int best = 0;
  for (int i = 1; i < argc; ++i) {
    if (sqlite3_value_type(argv[i]) == SQLITE_NULL) {
      continue;
    }
    if (best == 0) {
      best = i;
      continue;
    }
    const int order = compare(type, value_of(argv[i]), value_of(argv[best]));
    if (least ? order < 0 : order > 0) {
      best = i;
    }
  }
  if (best == 0) {
    sqlite3_result_null(c);
  } else {
    sqlite3_result_value(c, argv[best]);
  }
}

}  // namespace

FunctionContext* plan_context(sqlite3* connection) {
  return static_cast<FunctionContext*>(sqlite3_get_clientdata(connection, kContextName));
}

FunctionContext* plan_context(sqlite3_context* call) { return plan_context(sqlite3_context_db_handle(call)); }

void fail_call(sqlite3_context* call, Error why) {
  sqlite3_result_error(call, why.what().c_str(), static_cast<int>(why.what().size()));
  if (FunctionContext* context = plan_context(call); context != nullptr) {
    context->error = std::move(why);
  }
}

Status register_plan_functions(sqlite3* connection, FunctionContext* context) {
  if (sqlite3_set_clientdata(connection, kContextName, context, nullptr) != SQLITE_OK) {
    return fail(ErrorCode::kOutOfMemory, "out of memory");
  }
  static int registered_mark = 0;
  if (sqlite3_get_clientdata(connection, kRegisteredName) != nullptr) {
    return {};
  }
  constexpr int kFlags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
  static int second = 0;  // any address: tells OFFSET and LEAST apart
  int status = SQLITE_OK;
  const auto scalar = [&](const char* name, int args, int flags, void* data,
                          void (*f)(sqlite3_context*, int, sqlite3_value**)) {
    if (status == SQLITE_OK) {
      status = sqlite3_create_function_v2(connection, name, args, flags, data, f, nullptr, nullptr, nullptr);
    }
  };
  scalar("bop_check_row", -1, SQLITE_UTF8, nullptr, check_row);
  scalar("bop_meet_row", 1, SQLITE_UTF8, nullptr, meet_row);
  scalar("bop_store_row", 1, SQLITE_UTF8, nullptr, store_row);
  scalar("bop_pending_row", 3, SQLITE_UTF8, nullptr, pending_row);
  scalar("bop_merge_once", 0, SQLITE_UTF8, nullptr, merge_once);
  scalar("bop_go_on", 0, SQLITE_UTF8, nullptr, go_on);
  scalar("bop_function", -1, SQLITE_UTF8, nullptr, call_function);
  scalar("bop_limit", 1, kFlags, nullptr, limit);
  scalar("bop_offset", 1, kFlags, &second, limit);
  scalar("bop_greatest", -1, kFlags, nullptr, greatest);
  scalar("bop_least", -1, kFlags, &second, greatest);
  if (status == SQLITE_OK) {
    status = sqlite3_create_function_v2(connection, "bop_single", 1, SQLITE_UTF8, nullptr, nullptr,
                                        single_step, single_final, nullptr);
  }
  if (status == SQLITE_OK) {
    status = register_domain_check(connection);
  }
  if (status == SQLITE_OK) {
    status = register_fed_rows(connection);
  }
  if (status == SQLITE_OK) {
    status = sqlite3_set_clientdata(connection, kRegisteredName, &registered_mark, nullptr);
  }
  if (status != SQLITE_OK) {
    return fail(ErrorCode::kInternal, "cannot register the functions of plans: {}", sqlite3_errstr(status));
  }
  return {};
}

}  // namespace bop::sql
