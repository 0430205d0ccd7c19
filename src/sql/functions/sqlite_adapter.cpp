// Kernels as functions and aggregates of SQLite, and the collations. Table-valued functions: sqlite_sets.cpp.
#include <sqlite3.h>

#include <algorithm>
#include <memory>
#include <unordered_set>

#include "sql/functions/registry.hpp"
#include "sql/functions/sqlite_binding.hpp"
#include "sql/types/array.hpp"

namespace bop {
namespace {

constexpr const char* kBindingName = "bop_functions";
constexpr int kTypesCached = 0;  // slot of sqlite3_set_auxdata

struct ArgTypes {
  std::vector<Oid> oids;
  bool variadic_array = false;
};

constexpr std::size_t kInlineArgs = 16;
class Arguments {
 public:
  Arguments(int n, sqlite3_value** v) {
    Value* at = inline_;
    if (n > static_cast<int>(kInlineArgs)) {
      more_.resize(static_cast<std::size_t>(n));
      at = more_.data();
    }
    for (int i = 0; i < n; ++i) at[i] = value_of(v[i]);
    span_ = {at, static_cast<std::size_t>(n)};
  }
  [[nodiscard]] std::span<const Value> span() const { return span_; }

 private:
  Value inline_[kInlineArgs];
  std::vector<Value> more_;
  std::span<const Value> span_;
};

bool any_null(std::span<const Value> args) { return std::ranges::any_of(args, &Value::is_null); }

void run_scalar(sqlite3_context* sc, int n, sqlite3_value** v) {
  const Slot& slot = *static_cast<Slot*>(sqlite3_user_data(sc));
  FunctionContext& context = *slot.binding->context;
  if (context.stop) return report(sc, context, *std::exchange(context.stop, std::nullopt));
  const Arguments arguments(n, v);
  std::span<const Value> args = arguments.span();
  const ArgTypes* types = nullptr;
  ArgTypes local;
  if (slot.kernel->typed) {
    types = static_cast<const ArgTypes*>(sqlite3_get_auxdata(sc, kTypesCached));
    if (types == nullptr) {
      auto parsed = std::make_unique<ArgTypes>();
      parse_arg_types(args[0].bytes, parsed->oids, parsed->variadic_array);
      local = *parsed;
      types = &local;
      sqlite3_set_auxdata(sc, kTypesCached, parsed.release(),
                          [](void* p) { delete static_cast<ArgTypes*>(p); });
    }
    args = args.subspan(1);
  }
  if (slot.kernel->strict && any_null(args)) return sqlite3_result_null(sc);
  Call call{.args = args,
            .context = context,
            .kernel = *slot.kernel,
            .types = types == nullptr ? std::span<const Oid>() : std::span<const Oid>(types->oids),
            .variadic_array = types != nullptr && types->variadic_array};
  auto result = slot.implementation->scalar(call);
  if (!result) return report(sc, context, std::move(result).error());
  set_result(sc, *result);
}

void run_helper(sqlite3_context* sc, int n, sqlite3_value** v) {
  const HelperSlot& slot = *static_cast<HelperSlot*>(sqlite3_user_data(sc));
  const Arguments arguments(n, v);
  static const Kernel none{.sqlite_name = "bop"};
  Call call{.args = arguments.span(), .context = *slot.binding->context, .kernel = none};
  auto result = slot.helper->function(call);
  if (!result) return report(sc, call.context, std::move(result).error());
  set_result(sc, *result);
}

// DISTINCT of aggregates with several arguments: the rows arrive sorted by all of them.
class DistinctNeighbours : public Aggregate {
 public:
  explicit DistinctNeighbours(std::unique_ptr<Aggregate> inner) : inner_(std::move(inner)) {}
  Status step(Call& call) override {
    bool same = !last_.empty();
    for (std::size_t i = 0; same && i < call.size(); ++i) {
      const Oid type = i < call.types.size() ? call.types[i] : call.kernel.args[i];
      const Value last = last_[i];
      same = call[i].is_null() || last.is_null() ? call[i].is_null() && last.is_null()
                                                 : compare(type, call[i], last) == 0;
    }
    if (same) return {};
    last_.clear();
    for (const Value& v : call.args) last_.emplace_back(v);
    return inner_->step(call);
  }
  Returned value(FunctionContext& context) const override { return inner_->value(context); }

 private:
  std::unique_ptr<Aggregate> inner_;
  std::vector<OwnedValue> last_;
};

// SQLite keeps this zeroed memory for a group.
struct Group {
  Aggregate* aggregate;
  ArgTypes* types;
};

void step_or_undo(sqlite3_context* sc, int n, sqlite3_value** v, bool undo) {
  const Slot& slot = *static_cast<Slot*>(sqlite3_user_data(sc));
  auto* group = static_cast<Group*>(sqlite3_aggregate_context(sc, sizeof(Group)));
  if (group == nullptr) return sqlite3_result_error_nomem(sc);
  const Arguments arguments(n, v);
  std::span<const Value> args = arguments.span();
  if (group->aggregate == nullptr) {
    std::unique_ptr<Aggregate> made = slot.implementation->aggregate();
    if (slot.distinct) made = std::make_unique<DistinctNeighbours>(std::move(made));
    group->aggregate = made.release();
    if (slot.kernel->typed) {
      group->types = new ArgTypes;
      parse_arg_types(args[0].bytes, group->types->oids, group->types->variadic_array);
    }
  }
  if (slot.kernel->typed) args = args.subspan(1);
  Call call{
      .args = args,
      .context = *slot.binding->context,
      .kernel = *slot.kernel,
      .types = group->types == nullptr ? std::span<const Oid>() : std::span<const Oid>(group->types->oids)};
  auto done = undo ? group->aggregate->undo(call) : group->aggregate->step(call);
  if (!done) report(sc, call.context, std::move(done).error());
}
void run_step(sqlite3_context* sc, int n, sqlite3_value** v) { step_or_undo(sc, n, v, false); }
void run_inverse(sqlite3_context* sc, int n, sqlite3_value** v) { step_or_undo(sc, n, v, true); }

void show_value(sqlite3_context* sc, const Slot& slot, Group* group) {
  FunctionContext& context = *slot.binding->context;
  // A group without rows never stepped: its value is that of a fresh state.
  std::unique_ptr<Aggregate> fresh;
  if (group == nullptr || group->aggregate == nullptr) fresh = slot.implementation->aggregate();
  auto result = (fresh ? fresh.get() : group->aggregate)->value(context);
  if (!result) return report(sc, context, std::move(result).error());
  set_result(sc, *result);
}
void run_value(sqlite3_context* sc) {
  show_value(sc, *static_cast<Slot*>(sqlite3_user_data(sc)),
             static_cast<Group*>(sqlite3_aggregate_context(sc, 0)));
}
void run_final(sqlite3_context* sc) {
  auto* group = static_cast<Group*>(sqlite3_aggregate_context(sc, 0));
  show_value(sc, *static_cast<Slot*>(sqlite3_user_data(sc)), group);
  if (group == nullptr) return;
  delete group->aggregate;
  delete group->types;
  *group = {};
}

int collate(void* type, int n, const void* a, int m, const void* b) {
  const auto oid = static_cast<Oid>(reinterpret_cast<std::uintptr_t>(type));
  return compare(oid, Value::of_text({static_cast<const char*>(a), static_cast<std::size_t>(n)}),
                 Value::of_text({static_cast<const char*>(b), static_cast<std::size_t>(m)}));
}

Status checked(sqlite3* connection, int code) {
  if (code == SQLITE_OK) return {};
  return fail(ErrorCode::kInternal, "SQLite refused a function: {}", sqlite3_errmsg(connection));
}

}  // namespace

Value value_of(sqlite3_value* v) {
  switch (sqlite3_value_type(v)) {
    case SQLITE_INTEGER: return Value::of_int(sqlite3_value_int64(v));
    case SQLITE_FLOAT: return Value::of_real(sqlite3_value_double(v));
    case SQLITE_TEXT: {
      const auto* p = reinterpret_cast<const char*>(sqlite3_value_text(v));
      return Value::of_text({p == nullptr ? "" : p, static_cast<std::size_t>(sqlite3_value_bytes(v))});
    }
    case SQLITE_BLOB: {
      const auto* p = static_cast<const char*>(sqlite3_value_blob(v));
      return Value::of_blob({p == nullptr ? "" : p, static_cast<std::size_t>(sqlite3_value_bytes(v))});
    }
    default: return Value::null();
  }
}

void set_result(sqlite3_context* sc, const Value& v) {
  switch (v.kind) {
    case Value::Kind::kNull: return sqlite3_result_null(sc);
    case Value::Kind::kInt: return sqlite3_result_int64(sc, v.integer);
    case Value::Kind::kReal: return sqlite3_result_double(sc, v.real);
    case Value::Kind::kText:
      return sqlite3_result_text64(sc, v.bytes.data(), v.bytes.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    case Value::Kind::kBlob:
      if (v.bytes.empty()) return sqlite3_result_zeroblob(sc, 0);
      return sqlite3_result_blob64(sc, v.bytes.data(), v.bytes.size(), SQLITE_TRANSIENT);
  }
}

void report(sqlite3_context* sc, FunctionContext& context, Error failure) {
  sqlite3_result_error(sc, failure.what().c_str(), static_cast<int>(failure.what().size()));
  context.error = std::move(failure);
}

Status register_collations(sqlite3* connection) {
  for (const TypeInfo& t : all_types()) {
    if (t.collation.empty()) continue;
    auto* type = reinterpret_cast<void*>(static_cast<std::uintptr_t>(t.oid));
    BOP_TRY(checked(connection, sqlite3_create_collation_v2(connection, std::string(t.collation).c_str(),
                                                            SQLITE_UTF8, type, collate, nullptr)));
  }
  return {};
}

Status register_functions(sqlite3* connection, FunctionContext* context) {
  BOP_TRY(register_collations(connection));
  auto owned = std::make_unique<Binding>();
  Binding* binding = owned.get();
  binding->context = context;
  BOP_TRY(checked(connection, sqlite3_set_clientdata(connection, kBindingName, owned.release(),
                                                     [](void* p) { delete static_cast<Binding*>(p); })));
  std::unordered_set<std::string_view> done;
  for (const Kernel& k : all_kernels()) {
    const Implementation& i = implementation_of(k);
    if (!i.native.empty() && !i.scalar && !i.aggregate) continue;
    if (!done.insert(k.sqlite_name).second) continue;
    Slot* slot = binding->slots.emplace_back(std::make_unique<Slot>(Slot{binding, &k, &i})).get();
    if (i.set) {
      BOP_TRY(register_set(connection, slot));
      continue;
    }
    const int flags = SQLITE_UTF8 | (k.volatility == 'v' ? 0 : SQLITE_DETERMINISTIC);
    if (i.aggregate && (k.typed || k.args.size() > 1)) {
      Slot* distinct = binding->slots.emplace_back(std::make_unique<Slot>(Slot{binding, &k, &i, true})).get();
      BOP_TRY(checked(connection,
                      sqlite3_create_function_v2(connection, (k.sqlite_name + "_distinct").c_str(), -1, flags,
                                                 distinct, nullptr, run_step, run_final, nullptr)));
    }
    BOP_TRY(checked(connection,
                    i.aggregate
                        ? sqlite3_create_window_function(connection, k.sqlite_name.c_str(), -1, flags, slot,
                                                         run_step, run_final, run_value, run_inverse, nullptr)
                        : sqlite3_create_function_v2(connection, k.sqlite_name.c_str(), -1, flags, slot,
                                                     run_scalar, nullptr, nullptr, nullptr)));
  }
  for (const Helper& h : helpers()) {
    HelperSlot* slot =
        binding->helpers.emplace_back(std::make_unique<HelperSlot>(HelperSlot{binding, &h})).get();
    BOP_TRY(checked(connection,
                    sqlite3_create_function_v2(connection, h.name, -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
                                               slot, run_helper, nullptr, nullptr, nullptr)));
  }
  BOP_TRY(register_files(connection, binding));
  BOP_TRY(register_frames(connection, binding));
  BOP_TRY(register_lateral(connection, binding));
  return register_collector(connection, binding);
}

void rebind_functions(sqlite3* connection, FunctionContext* context) {
  auto* binding = static_cast<Binding*>(sqlite3_get_clientdata(connection, kBindingName));
  BOP_ASSERT(binding != nullptr);
  binding->context = context;
}

// bop_array_collect(elem oid, value): array_agg's shape for ARRAY(SELECT ...), which is empty, not NULL,
// without rows.
Status register_collector(sqlite3* connection, Binding* binding) {
  struct State {
    std::vector<OwnedValue>* items;
    Oid element;
  };
  return checked(connection,
                 sqlite3_create_function_v2(
                     connection, "bop_array_collect", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, binding, nullptr,
                     [](sqlite3_context* sc, int, sqlite3_value** v) {
                       auto* s = static_cast<State*>(sqlite3_aggregate_context(sc, sizeof(State)));
                       if (s == nullptr) return sqlite3_result_error_nomem(sc);
                       if (s->items == nullptr) s->items = new std::vector<OwnedValue>;
                       s->element = static_cast<Oid>(sqlite3_value_int64(v[0]));
                       s->items->emplace_back(value_of(v[1]));
                     },
                     [](sqlite3_context* sc) {
                       auto* s = static_cast<State*>(sqlite3_aggregate_context(sc, 0));
                       if (s == nullptr || s->items == nullptr)
                         return sqlite3_result_text(sc, "{}", 2, SQLITE_STATIC);
                       set_result(sc, OwnedValue::of_text(stored_array(
                                          array_of(s->element), Array::of_vector(std::move(*s->items)))));
                       delete s->items;
                     },
                     nullptr));
}

}  // namespace bop
