// Comparisons. Where stored values order as the type does, SQLite's own operator is the answer, with the
// type's collation named so that indexes of such columns serve it.
#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/numeric.hpp"

namespace bop {
namespace {

constexpr const char* kWords[] = {"eq", "ne", "lt", "le", "gt", "ge"};
constexpr const char* kSigns[] = {"=", "<>", "<", "<=", ">", ">="};

bool holds(int order, int which) {
  switch (which) {
    case 0: return order == 0;
    case 1: return order != 0;
    case 2: return order < 0;
    case 3: return order <= 0;
    case 4: return order > 0;
    default: return order >= 0;
  }
}

void add_native(Implementations& all, const std::string& prefix, const char* collation = nullptr,
                const std::string& suffix = "") {
  for (int i = 0; i < 6; ++i) {
    const std::string collate = collation == nullptr ? "" : fmt::format(" COLLATE {}", collation);
    all.push_back(native(prefix + kWords[i] + suffix, fmt::format("({{0}} {} {{1}}{})", kSigns[i], collate)));
  }
}

// Dates against timestamps: `order` compares the two stored values as instants of one scale.
void add_ordered(Implementations& all, const std::string& prefix, const std::string& suffix,
                 int (*order)(Call&)) {
  for (int i = 0; i < 6; ++i) {
    all.push_back(
        scalar(prefix + kWords[i] + suffix, [order, i](Call& c) { return bool_result(holds(order(c), i)); }));
  }
}

std::int64_t as_timestamp(std::int64_t date) {
  return date == kDateInfinity        ? kTimestampInfinity
         : date == kDateMinusInfinity ? kTimestampMinusInfinity
                                      : date * kUsPerDay;
}
int order_of(std::int64_t a, std::int64_t b) { return a < b ? -1 : a > b ? 1 : 0; }

}  // namespace

void add_comparisons(Implementations& all) {
  for (const char* p : {"int2", "int4", "int8", "int24", "int42", "int28", "int82", "int48", "int84",
                        "float4", "float8", "float48", "float84", "oid", "char", "bytea", "bool", "name"}) {
    add_native(all, p);
  }
  for (const char* p : {"text_", "date_", "time_", "timestamp_", "uuid_", "bpchar"}) {
    add_native(all, p);
  }
  for (const char* p : {"bool", "text", "bpchar", "xid", "cid", "xid8"}) {
    all.push_back(native(std::string(p) + "eq", "({0} = {1})"));
    all.push_back(native(std::string(p) + "ne", "({0} <> {1})"));
    all.push_back(native(std::string(p) + "neq", "({0} <> {1})"));
  }
  add_native(all, "name", nullptr, "text");
  for (int i = 0; i < 6; ++i)
    all.push_back(native(fmt::format("text{}name", kWords[i]), fmt::format("({{0}} {} {{1}})", kSigns[i])));
  add_native(all, "numeric_", "bop_numeric");
  add_native(all, "interval_", "bop_interval");
  add_native(all, "timetz_", "bop_timetz");
  add_native(all, "jsonb_", "bop_jsonb");
  add_native(all, "record_", "bop_record");
  add_native(all, "oidvector", "bop_oidvector");
  add_native(all, "text_pattern_");
  add_ordered(all, "date_", "_timestamp",
              [](Call& c) { return order_of(as_timestamp(c.integer(0)), c.integer(1)); });
  add_ordered(all, "timestamp_", "_date",
              [](Call& c) { return order_of(c.integer(0), as_timestamp(c.integer(1))); });
  add_ordered(all, "date_", "_timestamptz", [](Call& c) {
    return order_of(from_local(as_timestamp(c.integer(0)), c.codec()), c.integer(1));
  });
  add_ordered(all, "timestamptz_", "_date", [](Call& c) {
    return order_of(c.integer(0), from_local(as_timestamp(c.integer(1)), c.codec()));
  });
  add_ordered(all, "timestamp_", "_timestamptz",
              [](Call& c) { return order_of(from_local(c.integer(0), c.codec()), c.integer(1)); });
  add_ordered(all, "timestamptz_", "_timestamp",
              [](Call& c) { return order_of(c.integer(0), from_local(c.integer(1), c.codec())); });
  add_ordered(all, "array_", "", [](Call& c) {
    const Oid type = c.types.empty() ? types::kTextArray : c.types[0];
    return compare_arrays(type, c.text(0), c.text(1));
  });
  for (int i = 0; i < 6; ++i) {  // enums are stored as ordinals
    all.push_back(native(fmt::format("enum_{}", kWords[i]), fmt::format("({{0}} {} {{1}})", kSigns[i])));
  }
}

}  // namespace bop
