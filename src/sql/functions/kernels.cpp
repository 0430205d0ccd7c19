#include "sql/functions/kernels.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "sql/functions/regex.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/user_types.hpp"

namespace bop {
namespace {

struct ProcRow {
  Oid oid;
  std::string_view name, key;
  char kind;  // pg_proc.prokind
  bool strict;
  char volatility;
  bool returns_set;
  Oid variadic;
  int defaults;
  Oid result;
  std::string_view args, columns;
};
const std::vector<ProcRow> kProcs = {
#define BOP_PROC(oid, name, key, kind, strict, volatility, returns_set, variadic, defaults, result, args, \
                 columns)                                                                                 \
  {oid, name, key, kind, strict, volatility, returns_set, variadic, defaults, result, args, columns},
#include "sql/functions/bop_proc_table.def"
#include "sql/functions/proc_table.def"
#undef BOP_PROC
};

struct OperatorRow {
  std::string_view sign;
  Oid left, right, result, proc;
};
const std::vector<OperatorRow> kOperators = {
#define BOP_OPERATOR(sign, left, right, result, proc) {sign, left, right, result, proc},
#include "sql/functions/operator_table.def"
#undef BOP_OPERATOR
};

std::vector<Oid> parse_oids(std::string_view s) {
  std::vector<Oid> v;
  while (!s.empty()) {
    Oid o = 0;
    const auto r = std::from_chars(s.data(), s.data() + s.size(), o);
    v.push_back(o);
    s.remove_prefix(std::min<std::size_t>(s.size(), static_cast<std::size_t>(r.ptr - s.data()) + 1));
  }
  return v;
}

std::vector<KernelColumn> parse_columns(std::string_view s) {  // "key:25 value:3802"
  std::vector<KernelColumn> v;
  while (!s.empty()) {
    const std::size_t colon = s.find(':'), end = std::min(s.find(' '), s.size());
    Oid o = 0;
    std::from_chars(s.data() + colon + 1, s.data() + end, o);
    v.push_back({s.substr(0, colon), o});
    s.remove_prefix(std::min(s.size(), end + 1));
  }
  return v;
}

std::string sqlite_name_of(std::string_view key) {
  std::string n = "bop_f_";
  for (const char c : key) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (plain)
      n += c;
    else if (c == '[')
      n += "_array";  // not the name of the function over one element
    else if (c != ')' && n.back() != '_')
      n += '_';
  }
  return n;
}

constexpr Oid kTogether = 13901;  // for the binder alone, no name finds it

struct Tables {
  std::vector<Kernel> kernels;
  std::vector<const Implementation*> implementations;  // beside kernels
  std::unordered_map<std::string_view, std::vector<const Kernel*>> functions, operators;
  std::unordered_map<Oid, const Kernel*> by_oid;

  Tables() {
    std::unordered_map<std::string_view, const Implementation*> by_key;
    for (const Implementation& i : all_implementations()) by_key.emplace(i.key, &i);
    std::unordered_map<Oid, std::size_t> index;
    for (const ProcRow& p : kProcs) {
      const auto found = by_key.find(p.key);
      if (found == by_key.end()) continue;
      const Implementation& i = *found->second;
      Kernel k{.oid = p.oid,
               .name = p.name,
               .args = parse_oids(p.args),
               .result = p.result,
               .variadic = p.variadic,
               .defaults = p.defaults,
               .strict = p.strict,
               .volatility = p.volatility};
      k.kind = i.set           ? KernelKind::kSetReturning
               : p.kind == 'a' ? KernelKind::kAggregate
                               : KernelKind::kScalar;
      // A strict function that takes an array of whatever comes is not strict about what is in it.
      if (k.variadic != 0 && k.args.size() == 1) k.strict = false;
      k.is_operator = false;
      k.typed = i.native.empty() &&
                std::ranges::any_of(k.args, [](Oid o) { return is_pseudo(o) && o != types::kCstring; });
      k.window = k.kind == KernelKind::kAggregate;
      k.proc_name = p.name;
      k.sqlite_name = sqlite_name_of(p.key);
      k.native_sql = i.native;
      k.columns = parse_columns(p.columns);
      index.emplace(p.oid, kernels.size());
      kernels.push_back(std::move(k));
      implementations.push_back(&i);
    }
    for (const OperatorRow& o : kOperators) {
      const auto found = index.find(o.proc);
      if (found == index.end()) continue;
      Kernel k = kernels[found->second];
      k.name = o.sign;
      k.args.clear();
      if (o.left != 0) k.args.push_back(o.left);
      k.args.push_back(o.right);
      k.result = o.result;
      k.is_operator = true;
      if (k.variadic != 0) {  // an operator over a variadic function hands the array over whole
        k.variadic = 0;
        k.sqlite_name += "_array";
      }
      kernels.push_back(std::move(k));
      implementations.push_back(implementations[found->second]);
    }
    for (const Kernel& k : kernels) {
      if (k.oid != kTogether) (k.is_operator ? operators : functions)[k.name].push_back(&k);
      if (!k.is_operator) by_oid.emplace(k.oid, &k);
    }
  }
};
const Tables& tables() {
  static const Tables t;
  return t;
}

bool accepts(const Kernel& k, std::size_t n) {
  const std::size_t declared = k.args.size();
  if (k.variadic != 0) return n + 1 >= declared && n >= 1;
  return n <= declared && n + static_cast<std::size_t>(k.defaults) >= declared;
}

std::vector<const Kernel*> filtered(
    const std::unordered_map<std::string_view, std::vector<const Kernel*>>& map, std::string_view name,
    auto&& wanted) {
  std::vector<const Kernel*> found;
  if (const auto it = map.find(name); it != map.end()) {
    std::ranges::copy_if(it->second, std::back_inserter(found), wanted);
  }
  return found;
}

}  // namespace

const Implementations& all_implementations() {
  static const Implementations all = [] {
    Implementations v;
    add_comparisons(v);
    add_integer_functions(v);
    add_numeric_functions(v);
    add_float_functions(v);
    add_text_functions(v);
    add_pattern_functions(v);
    add_encoding_functions(v);
    add_datetime_functions(v);
    add_interval_functions(v);
    add_json_functions(v);
    add_json_building(v);
    add_array_functions(v);
    add_set_functions(v);
    add_enum_functions(v);
    add_aggregates(v);
    add_datetime_formats(v);
    add_number_formats(v);
    add_session_functions(v);
    add_statistics_aggregates(v);
    add_ordered_set_aggregates(v);
    add_bit_functions(v);
    add_network_functions(v);
    add_money_functions(v);
    add_range_functions(v);
    add_timetz_functions(v);
    add_overlaps_functions(v);
    add_angle_functions(v);
    add_binary_functions(v);
    add_identifier_functions(v);
    return v;
  }();
  return all;
}

const Implementation& implementation_of(const Kernel& kernel) {
  return *tables().implementations[static_cast<std::size_t>(&kernel - tables().kernels.data())];
}

std::vector<const Kernel*> lookup(std::string_view name, std::size_t nargs) {
  return filtered(tables().functions, name, [nargs](const Kernel* k) { return accepts(*k, nargs); });
}
std::vector<const Kernel*> lookup_any(std::string_view name) {
  return filtered(tables().functions, name, [](const Kernel*) { return true; });
}
std::vector<const Kernel*> lookup_operator(std::string_view sign, std::size_t nargs) {
  return filtered(tables().operators, sign, [nargs](const Kernel* k) { return k->args.size() == nargs; });
}
const Kernel* find_kernel(Oid proc) {
  const auto it = tables().by_oid.find(proc);
  return it == tables().by_oid.end() ? nullptr : it->second;
}
std::span<const Kernel> all_kernels() { return tables().kernels; }

std::string arg_types_literal(std::span<const Oid> actual, bool variadic_array) {
  std::string s = "'";
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (i > 0) s += ',';
    if (variadic_array && i + 1 == actual.size()) s += 'v';
    s += std::to_string(actual[i]);
  }
  return s + "'";
}

void parse_arg_types(std::string_view s, std::vector<Oid>& out, bool& variadic_array) {
  out.clear();
  variadic_array = false;
  while (!s.empty()) {
    if (s[0] == 'v') {
      variadic_array = true;
      s.remove_prefix(1);
    }
    Oid o = 0;
    const auto r = std::from_chars(s.data(), s.data() + s.size(), o);
    out.push_back(o);
    s.remove_prefix(std::min<std::size_t>(s.size(), static_cast<std::size_t>(r.ptr - s.data()) + 1));
  }
}

std::string cast_sql(Oid from, Oid to, std::int32_t typmod, bool explicit_cast, std::string_view operand) {
  if (const Oid plain = unchecked_type(to); plain != to) {
    const std::string value = from == plain && typmod < 0
                                  ? std::string(operand)
                                  : cast_sql(from, plain, typmod, explicit_cast, operand);
    return is_constrained(to) ? fmt::format("bop_domain({}, {})", value, to) : value;
  }
  std::string sql;
  const auto is_int = [](Oid o) { return o == types::kInt2 || o == types::kInt4 || o == types::kInt8; };
  if (is_stored_alike(from, to))
    sql = operand;
  else if (is_int(from) && (to == types::kNumeric || to == types::kText || to == types::kVarchar))
    sql = fmt::format("CAST({} AS TEXT)", operand);
  else if (is_int(from) && to == types::kFloat8)
    sql = fmt::format("CAST({} AS REAL)", operand);
  else
    sql = fmt::format("bop_cast({}, {}, {}, {})", operand, from, to, explicit_cast ? 1 : 0);
  if (typmod >= 0) sql = fmt::format("bop_typmod({}, {}, {}, {})", sql, to, typmod, explicit_cast ? 1 : 0);
  return sql;
}

std::string text_of(Oid type, const Value& value, const CodecContext& context) {
  std::string s;
  encode_text(type, -1, value, context, s);
  return s;
}

Status interrupted(FunctionContext& context) {
  return context.session == nullptr ? Status() : context.session->check_interrupt();
}

Status Aggregate::undo(Call& call) {
  return fail(ErrorCode::kNotImplemented, "aggregate {} cannot be used over a window frame whose start moves",
              call.kernel.name);
}

FunctionContext::FunctionContext() : regexes(std::make_unique<RegexCache>()) {}
FunctionContext::~FunctionContext() = default;

}  // namespace bop
