#include "sql/sqlite_value.hpp"

#include <sqlite3.h>

namespace bop::sql {

int bind_value(sqlite3_stmt* statement, int index, const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull: return sqlite3_bind_null(statement, index);
    case Value::Kind::kInt: return sqlite3_bind_int64(statement, index, value.integer);
    case Value::Kind::kReal: return sqlite3_bind_double(statement, index, value.real);
    case Value::Kind::kText:
      return sqlite3_bind_text64(statement, index, value.bytes.data() == nullptr ? "" : value.bytes.data(),
                                 value.bytes.size(), SQLITE_STATIC, SQLITE_UTF8);
    case Value::Kind::kBlob:
      // No address is NULL to SQLite, not an empty value.
      return sqlite3_bind_blob64(statement, index, value.bytes.data() == nullptr ? "" : value.bytes.data(),
                                 value.bytes.size(), SQLITE_STATIC);
  }
  return SQLITE_MISUSE;
}

Value column_value(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER: return Value::of_int(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT: return Value::of_real(sqlite3_column_double(statement, column));
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
      return Value::of_text({text, static_cast<std::size_t>(sqlite3_column_bytes(statement, column))});
    }
    case SQLITE_BLOB: {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, column));
      return Value::of_blob({bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement, column))});
    }
    default: return Value::null();
  }
}

}  // namespace bop::sql
