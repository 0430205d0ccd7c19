// generate_series, generate_subscripts, unnest, string_to_table.
#include <algorithm>

#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/interval.hpp"
#include "sql/types/numeric.hpp"

namespace bop {
namespace {

constexpr int kInterruptEvery = 1024;

Error zero_step() { return {ErrorCode::kInvalidArgument, "step size cannot equal zero"}; }

Result<RowSource> integers(Call& c) {
  const std::int64_t step = c.size() > 2 ? c.integer(2) : 1;
  if (step == 0) return std::unexpected(zero_step());
  return RowSource([at = static_cast<__int128>(c.integer(0)), end = c.integer(1), step, &context = c.context,
                    n = 0](std::vector<OwnedValue>& row) mutable -> Result<bool> {
    if (step > 0 ? at > end : at < end) return false;
    if (++n % kInterruptEvery == 0) BOP_TRY(interrupted(context));
    row.assign(1, OwnedValue::of_int(static_cast<std::int64_t>(at)));
    at += step;
    return true;
  });
}

Result<RowSource> numerics(Call& c) {
  const Numeric start = Numeric::parse_stored(c.text(0)), stop = Numeric::parse_stored(c.text(1));
  const Numeric step = c.size() > 2 ? Numeric::parse_stored(c.text(2)) : Numeric::of_int(1);
  constexpr std::string_view kNames[] = {"start value", "stop value", "step size"};
  const Numeric* all[] = {&start, &stop, &step};
  for (int i = 0; i < 3; ++i) {
    if (all[i]->is_nan()) return fail(ErrorCode::kInvalidArgument, "{} cannot be NaN", kNames[i]);
    if (!all[i]->is_finite()) return fail(ErrorCode::kInvalidArgument, "{} cannot be infinity", kNames[i]);
  }
  if (step.is_zero()) return std::unexpected(zero_step());
  return RowSource([at = start, stop, step, &context = c.context,
                    n = 0](std::vector<OwnedValue>& row) mutable -> Result<bool> {
    const int order = Numeric::compare(at, stop);
    if (step.sign() > 0 ? order > 0 : order < 0) return false;
    if (++n % kInterruptEvery == 0) BOP_TRY(interrupted(context));
    row.assign(1, OwnedValue::of_text(at.to_text()));
    BOP_LET(next, Numeric::add(at, step));
    at = std::move(next);
    return true;
  });
}

Result<RowSource> timestamps(Call& c, bool with_zone) {
  const Interval step = Interval::of_stored(c.text(2));
  const int sign = Interval::compare(step, {});
  if (sign == 0) return std::unexpected(zero_step());
  return RowSource([at = c.integer(0), end = c.integer(1), step, sign, with_zone, &context = c.context,
                    n = 0](std::vector<OwnedValue>& row) mutable -> Result<bool> {
    if (sign > 0 ? at > end : at < end) return false;
    if (++n % kInterruptEvery == 0) BOP_TRY(interrupted(context));
    row.assign(1, OwnedValue::of_int(at));
    BOP_LET(next, with_zone ? add_interval_tz(at, step, context.codec) : add_interval(at, step));
    at = next;
    return true;
  });
}

Result<RowSource> items(std::vector<OwnedValue> values) {
  return RowSource(
      [values = std::move(values), i = std::size_t{0}](std::vector<OwnedValue>& row) mutable -> Result<bool> {
        if (i >= values.size()) return false;
        row.assign(1, std::move(values[i++]));
        return true;
      });
}

Result<RowSource> subscripts(Call& c) {
  const Array a = parse_stored_array(c.types.empty() ? types::kTextArray : c.types[0], c.text(0));
  const std::int64_t d = c.integer(1);
  if (d < 1 || d > static_cast<std::int64_t>(a.dimensions.size())) return items({});
  const Array::Dimension& dim = a.dimensions[static_cast<std::size_t>(d - 1)];
  const bool reverse = c.size() > 2 && c[2].as_bool();
  return RowSource([dim, reverse, i = std::int32_t{0}](std::vector<OwnedValue>& row) mutable -> Result<bool> {
    if (i >= dim.count) return false;
    row.assign(1, OwnedValue::of_int(reverse ? dim.lower + dim.count - 1 - i : dim.lower + i));
    ++i;
    return true;
  });
}

// "OID COUNT TYPES;" for each function: its kernel, how many of the arguments are its own, their types if it
// asks for them.
Result<RowSource> together(Call& c) {
  std::vector<RowSource> sources;
  std::span<const Value> left = c.args.subspan(1);
  std::string_view rest = c.text(0);
  while (!rest.empty()) {
    const std::string one(rest.substr(0, rest.find(';')));
    rest.remove_prefix(one.size() + 1);
    const std::size_t first = one.find(' ');
    const std::size_t second = one.find(' ', first + 1);
    const Kernel* kernel = find_kernel(static_cast<Oid>(std::stoul(one)));
    const std::size_t count = std::stoul(one.substr(first + 1));
    if (kernel == nullptr || !implementation_of(*kernel).set || count > left.size())
      return fail(ErrorCode::kInternal, "\"{}\" is no set-returning function", one);
    std::vector<Oid> types;
    bool variadic = false;
    parse_arg_types(std::string_view(one).substr(second + 1), types, variadic);
    Call call{.args = left.first(count),
              .context = c.context,
              .kernel = *kernel,
              .types = types,
              .variadic_array = variadic};
    left = left.subspan(count);
    if (kernel->strict && std::ranges::any_of(call.args, &Value::is_null)) {
      BOP_LET(none, items({}));
      sources.push_back(std::move(none));
    } else {
      BOP_LET(source, implementation_of(*kernel).set(call));
      sources.push_back(std::move(source));
    }
  }
  std::vector<bool> none_ended(sources.size());
  return RowSource([sources = std::move(sources),
                    ended = std::move(none_ended)](std::vector<OwnedValue>& row) mutable -> Result<bool> {
    row.assign(sources.size(), OwnedValue());
    std::vector<OwnedValue> one;
    bool more = false;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (ended[i]) continue;
      BOP_LET(has, sources[i](one));
      ended[i] = !has;
      if (!has) continue;
      more = true;
      row[i] = std::move(one.front());
    }
    return more;
  });
}

}  // namespace

void add_set_functions(Implementations& all) {
  for (const char* k : {"generate_series_int4", "generate_series_step_int4", "generate_series_int8",
                        "generate_series_step_int8"}) {
    all.push_back(rows(k, integers));
  }
  for (const char* k : {"generate_series_numeric", "generate_series_step_numeric"})
    all.push_back(rows(k, numerics));
  all.push_back(rows("generate_series_timestamp", [](Call& c) { return timestamps(c, false); }));
  all.push_back(rows("generate_series_timestamptz", [](Call& c) { return timestamps(c, true); }));
  all.push_back(rows("generate_subscripts", subscripts));
  all.push_back(rows("generate_subscripts_nodir", subscripts));
  all.push_back(rows("bop_together", together));
  // No table is a partition of another.
  all.push_back(rows("pg_partition_ancestors", [](Call&) { return items({}); }));
  all.push_back(rows("array_unnest", [](Call& c) {
    return items(parse_stored_array(c.types.empty() ? types::kTextArray : c.types[0], c.text(0)).elements);
  }));
}

}  // namespace bop
