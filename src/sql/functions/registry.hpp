// How the files of this folder hand their kernels to the table and to SQLite.
//
// An implementation's key is pg_proc.prosrc of an internal function ("int4pl"), or "name(argument types)" of
// an aggregate or of a function that PostgreSQL writes in SQL ("sum(integer)"). One implementation may stand
// behind several rows of pg_proc and several operators.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sql/functions/kernels.hpp"

namespace bop {

using Returned = Result<OwnedValue>;

struct Call {
  std::span<const Value> args;
  FunctionContext& context;
  const Kernel& kernel;
  std::span<const Oid> types;  // actual types of a typed kernel's arguments, empty otherwise
  bool variadic_array = false;

  [[nodiscard]] const Value& operator[](std::size_t i) const { return args[i]; }
  [[nodiscard]] std::size_t size() const { return args.size(); }
  [[nodiscard]] std::string_view text(std::size_t i) const { return args[i].bytes; }
  [[nodiscard]] std::int64_t integer(std::size_t i) const { return args[i].integer; }
  [[nodiscard]] const CodecContext& codec() const { return context.codec; }
};

using ScalarFunction = std::function<Returned(Call&)>;

// The state of one group. `step` adds a row, `undo` takes the oldest row out again (window frames that move).
class Aggregate {
 public:
  virtual ~Aggregate() = default;
  [[nodiscard]] virtual Status step(Call& call) = 0;
  [[nodiscard]] virtual Status undo(Call& call);  // 0A000 unless overridden
  [[nodiscard]] virtual Returned value(FunctionContext& context) const = 0;
};
using AggregateFactory = std::function<std::unique_ptr<Aggregate>()>;

// Produces rows one by one; false at the end. The call's arguments are gone by then: copy what is needed.
using RowSource = std::move_only_function<Result<bool>(std::vector<OwnedValue>&)>;
using SetFunction = std::function<Result<RowSource>(Call&)>;

struct Implementation {
  std::string key;
  ScalarFunction scalar = {};
  AggregateFactory aggregate = {};
  SetFunction set = {};
  std::string native = {};
};
using Implementations = std::vector<Implementation>;

inline Implementation scalar(std::string key, ScalarFunction f) {
  return {.key = std::move(key), .scalar = std::move(f)};
}
inline Implementation native(std::string key, std::string sql) {
  return {.key = std::move(key), .native = std::move(sql)};
}
inline Implementation aggregate(std::string key, AggregateFactory f) {
  return {.key = std::move(key), .aggregate = std::move(f)};
}
inline Implementation rows(std::string key, SetFunction f) {
  return {.key = std::move(key), .set = std::move(f)};
}
template <class A>
Implementation aggregate_of(std::string key) {
  return aggregate(std::move(key), [] { return std::make_unique<A>(); });
}

void add_comparisons(Implementations& all);             // comparison.cpp
void add_integer_functions(Implementations& all);       // integer_functions.cpp
void add_numeric_functions(Implementations& all);       // numeric_functions.cpp
void add_float_functions(Implementations& all);         // float_functions.cpp
void add_text_functions(Implementations& all);          // text_functions.cpp
void add_pattern_functions(Implementations& all);       // pattern_functions.cpp
void add_encoding_functions(Implementations& all);      // encoding_functions.cpp
void add_datetime_functions(Implementations& all);      // datetime_functions.cpp
void add_interval_functions(Implementations& all);      // interval_functions.cpp
void add_datetime_formats(Implementations& all);        // format_datetime.cpp
void add_number_formats(Implementations& all);          // format_number.cpp
void add_json_functions(Implementations& all);          // json_functions.cpp
void add_json_building(Implementations& all);           // json_building.cpp
void add_array_functions(Implementations& all);         // array_functions.cpp
void add_set_functions(Implementations& all);           // set_functions.cpp
void add_enum_functions(Implementations& all);          // enum_functions.cpp
void add_aggregates(Implementations& all);              // aggregates.cpp
void add_statistics_aggregates(Implementations& all);   // statistics_aggregates.cpp
void add_ordered_set_aggregates(Implementations& all);  // ordered_set_aggregates.cpp
void add_bit_functions(Implementations& all);           // bit_functions.cpp
void add_network_functions(Implementations& all);       // network_functions.cpp
void add_money_functions(Implementations& all);         // money_functions.cpp
void add_range_functions(Implementations& all);         // range_functions.cpp
void add_timetz_functions(Implementations& all);        // timetz_functions.cpp
void add_overlaps_functions(Implementations& all);      // overlaps_functions.cpp
void add_angle_functions(Implementations& all);         // angle_functions.cpp
void add_binary_functions(Implementations& all);        // binary_functions.cpp
void add_identifier_functions(Implementations& all);    // identifier_functions.cpp
void add_session_functions(Implementations& all);       // session_functions.cpp

[[nodiscard]] const Implementations& all_implementations();
[[nodiscard]] const Implementation& implementation_of(const Kernel& kernel);
// Functions outside pg_proc that the binder calls by name (bop_cast, bop_any...): name and function.
struct Helper {
  const char* name;
  ScalarFunction function;
};
[[nodiscard]] const std::vector<Helper>& helpers();  // binder_functions.cpp

// The value of a Result<T> turned into a stored value, or its error. (g++ 12 has no expected::transform.)
template <class T, class F>
[[nodiscard]] Returned then(const Result<T>& r, F&& f) {
  if (!r) return std::unexpected(r.error());
  return f(*r);
}
[[nodiscard]] inline Returned text_result(std::string s) { return OwnedValue::of_text(std::move(s)); }
[[nodiscard]] inline Returned int_result(std::int64_t v) { return OwnedValue::of_int(v); }
[[nodiscard]] inline Returned bool_result(bool v) { return OwnedValue::of_bool(v); }
[[nodiscard]] std::string text_of(Oid type, const Value& value, const CodecContext& context);
// Reads what arg_types_literal wrote.
void parse_arg_types(std::string_view literal, std::vector<Oid>& types, bool& variadic_array);
[[nodiscard]] Status interrupted(FunctionContext& context);

}  // namespace bop
