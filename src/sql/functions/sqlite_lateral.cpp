// bop_pack(o1, o2...): an aggregate that makes one value of rows. bop_unpack(value): the table of those rows
// again, with columns o1, o2... generate_lateral.cpp says what for.
//
// The value, little-endian: the number of columns (2 bytes), then each value of each row: its kind (1 byte: 0
// NULL, 1 integer, 2 real, 3 text, 4 blob), the number or the length of the bytes (8 bytes; none for NULL),
// the bytes. It lives within one statement only.
#include <sqlite3.h>

#include <bit>
#include <cstring>

#include "base/memory_use.hpp"
#include "sql/functions/row_table.hpp"
#include "sql/functions/sqlite_binding.hpp"

namespace bop {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr int kColumns = 100;  // as many as generate_lateral.cpp lets through
constexpr std::size_t kHeader = 2;

void append_number(std::string& out, const void* number) { out.append(static_cast<const char*>(number), 8); }

void append_value(std::string& out, sqlite3_value* v) {
  const int type = sqlite3_value_type(v);
  if (type == SQLITE_NULL) {
    out += '\0';
  } else if (type == SQLITE_INTEGER) {
    out += '\1';
    const std::int64_t number = sqlite3_value_int64(v);
    append_number(out, &number);
  } else if (type == SQLITE_FLOAT) {
    out += '\2';
    const double number = sqlite3_value_double(v);
    append_number(out, &number);
  } else {
    out += type == SQLITE_TEXT ? '\3' : '\4';
    const auto* bytes =
        type == SQLITE_TEXT ? static_cast<const void*>(sqlite3_value_text(v)) : sqlite3_value_blob(v);
    const auto size = static_cast<std::uint64_t>(sqlite3_value_bytes(v));
    append_number(out, &size);
    out.append(static_cast<const char*>(bytes), size);
  }
}

void pack_step(sqlite3_context* sc, int n, sqlite3_value** v) {
  auto** packed = static_cast<std::string**>(sqlite3_aggregate_context(sc, sizeof(std::string*)));
  if (packed == nullptr) return sqlite3_result_error_nomem(sc);
  if (*packed == nullptr) {
    const auto columns = static_cast<std::uint16_t>(n);
    *packed = new std::string(reinterpret_cast<const char*>(&columns), kHeader);
  }
  for (int i = 0; i < n; ++i) append_value(**packed, v[i]);
  FunctionContext& context = *static_cast<Binding*>(sqlite3_user_data(sc))->context;
  if ((*packed)->size() > most_value_bytes()) {
    report(sc, context,
           error(ErrorCode::kProgramLimitExceeded, "out of memory")
               .detail(fmt::format("The rows of a LATERAL subquery exceed {} bytes.", most_value_bytes())));
  } else if (context.stop) {
    report(sc, context, *std::exchange(context.stop, std::nullopt));
  }
}

void pack_final(sqlite3_context* sc) {
  auto** packed = static_cast<std::string**>(sqlite3_aggregate_context(sc, 0));
  if (packed == nullptr || *packed == nullptr) return sqlite3_result_null(sc);
  sqlite3_result_blob64(sc, (*packed)->data(), (*packed)->size(), SQLITE_TRANSIENT);
  delete *packed;
  *packed = nullptr;
}

struct RowsCursor : sqlite3_vtab_cursor {
  std::string packed;
  std::vector<std::size_t> values;  // of the row: where each begins
  std::size_t next = 0;
  std::size_t columns = 0;
  std::int64_t number = 0;
  bool at_end = true;

  std::uint64_t number_at(std::size_t at) const {
    std::uint64_t out = 0;
    std::memcpy(&out, packed.data() + at, sizeof out);
    return out;
  }
  void advance() {
    at_end = next >= packed.size();
    ++number;
    for (std::size_t i = 0; !at_end && i < columns; ++i) {
      values[i] = next;
      const char kind = packed[next];
      next += kind == 0 ? 1 : kind < 3 ? 9 : 9 + number_at(next + 1);
    }
  }
};

int connect(sqlite3* connection, void*, int, const char* const*, sqlite3_vtab** out, char**) {
  std::string sql = "CREATE TABLE x(";
  for (int i = 1; i <= kColumns; ++i) sql += fmt::format("o{}, ", i);
  sql += "a0 HIDDEN)";
  if (const int code = sqlite3_declare_vtab(connection, sql.c_str()); code != SQLITE_OK) return code;
  *out = new sqlite3_vtab{};
  return SQLITE_OK;
}
int best_index(sqlite3_vtab*, sqlite3_index_info* info) {
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& c = info->aConstraint[i];
    if (c.iColumn != kColumns || c.op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
    if (c.usable == 0) return SQLITE_CONSTRAINT;
    info->aConstraintUsage[i].argvIndex = 1;
    info->aConstraintUsage[i].omit = 1;
  }
  info->estimatedCost = 100;
  info->estimatedRows = 10;
  return SQLITE_OK;
}
int filter(sqlite3_vtab_cursor* cursor, int, const char*, int n, sqlite3_value** v) {
  auto* c = static_cast<RowsCursor*>(cursor);
  c->packed.clear();
  c->next = c->columns = 0;
  c->number = 0;
  if (n > 0 && sqlite3_value_type(v[0]) == SQLITE_BLOB) {
    const auto* bytes = static_cast<const char*>(sqlite3_value_blob(v[0]));
    c->packed.assign(bytes, static_cast<std::size_t>(sqlite3_value_bytes(v[0])));
    std::uint16_t columns = 0;
    std::memcpy(&columns, c->packed.data(), kHeader);
    c->columns = columns;
    c->values.assign(columns, 0);
    c->next = kHeader;
  }
  c->advance();
  return SQLITE_OK;
}
int next(sqlite3_vtab_cursor* c) {
  static_cast<RowsCursor*>(c)->advance();
  return SQLITE_OK;
}
int column(sqlite3_vtab_cursor* cursor, sqlite3_context* sc, int i) {
  const auto* c = static_cast<RowsCursor*>(cursor);
  if (static_cast<std::size_t>(i) >= c->columns) return SQLITE_OK;
  const std::size_t at = c->values[static_cast<std::size_t>(i)];
  const char kind = c->packed[at];
  if (kind == 0) return SQLITE_OK;
  const std::uint64_t number = c->number_at(at + 1);
  const char* bytes = c->packed.data() + at + 9;
  switch (kind) {
    case 1: sqlite3_result_int64(sc, static_cast<std::int64_t>(number)); break;
    case 2: sqlite3_result_double(sc, std::bit_cast<double>(number)); break;
    case 3: sqlite3_result_text64(sc, bytes, number, SQLITE_TRANSIENT, SQLITE_UTF8); break;
    default: sqlite3_result_blob64(sc, bytes, number, SQLITE_TRANSIENT); break;
  }
  return SQLITE_OK;
}
const sqlite3_module kModule =
    row_table<sqlite3_vtab, RowsCursor>({connect, best_index, filter, next, column});

}  // namespace

Status register_lateral(sqlite3* connection, Binding* binding) {
  if (sqlite3_create_module_v2(connection, "bop_unpack", &kModule, nullptr, nullptr) != SQLITE_OK ||
      sqlite3_create_function_v2(connection, "bop_pack", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, binding,
                                 nullptr, pack_step, pack_final, nullptr) != SQLITE_OK) {
    return fail(ErrorCode::kInternal, "SQLite refused a function: {}", sqlite3_errmsg(connection));
  }
  return {};
}

}  // namespace bop
