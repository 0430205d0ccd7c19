// Tables of SQLite that exist by their name alone and are read row by row (sqlite.org/vtab.html): what all of
// them have in common. A Cursor is a sqlite3_vtab_cursor with `at_end` and `number`, its row's rowid.
#pragma once

#include <sqlite3.h>

namespace bop {

// What differs.
struct RowTableMethods {
  int (*connect)(sqlite3*, void*, int, const char* const*, sqlite3_vtab**, char**);
  int (*best_index)(sqlite3_vtab*, sqlite3_index_info*);
  int (*filter)(sqlite3_vtab_cursor*, int, const char*, int, sqlite3_value**);
  int (*next)(sqlite3_vtab_cursor*);
  int (*column)(sqlite3_vtab_cursor*, sqlite3_context*, int);
};

template <class Table, class Cursor>
sqlite3_module row_table(const RowTableMethods& methods) {
  sqlite3_module m{};
  m.xConnect = methods.connect;  // no xCreate: no statement makes one
  m.xDisconnect = [](sqlite3_vtab* table) {
    delete static_cast<Table*>(table);
    return SQLITE_OK;
  };
  m.xBestIndex = methods.best_index;
  m.xOpen = [](sqlite3_vtab*, sqlite3_vtab_cursor** out) {
    *out = new Cursor{};
    return SQLITE_OK;
  };
  m.xClose = [](sqlite3_vtab_cursor* cursor) {
    delete static_cast<Cursor*>(cursor);
    return SQLITE_OK;
  };
  m.xFilter = methods.filter;
  m.xNext = methods.next;
  m.xEof = [](sqlite3_vtab_cursor* cursor) { return static_cast<Cursor*>(cursor)->at_end ? 1 : 0; };
  m.xColumn = methods.column;
  m.xRowid = [](sqlite3_vtab_cursor* cursor, sqlite3_int64* out) {
    *out = static_cast<Cursor*>(cursor)->number;
    return SQLITE_OK;
  };
  return m;
}

}  // namespace bop
