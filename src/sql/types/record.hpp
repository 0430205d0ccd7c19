// Values of type record: rows of tables and subqueries, and what ROW(...) makes.
//
// Such a value describes itself, because nothing else knows its columns: not the collation that orders it,
// and not to_json, which wants their names. As SQLite has it, it is text:
//
//   record  := field*
//   field   := type ',' modifier ',' name-length ':' name kind value
//   kind    := 'n' NULL, no value; 'i' integer; 'r' real (shortest exact); 't' text; 'b' blob in hexadecimal
//   value   := length ':' bytes
//
// with decimal numbers, lengths in bytes, and the values as they are stored. So equal records have equal
// bytes only where their types have (1.0 and 1.00 are equal): bop_record compares field by field, names and
// modifiers apart. A value does not outlive its statement: no column of a table has this type.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "sql/types/codec.hpp"

namespace bop {

struct RecordField {
  std::string name;
  Oid type = 0;
  std::int32_t typmod = -1;
  OwnedValue value;
};
using Record = std::vector<RecordField>;

// What stands before a field's value; the value itself.
[[nodiscard]] std::string record_field_head(std::string_view name, Oid type, std::int32_t typmod);
void append_record_value(const Value& v, std::string& out);
[[nodiscard]] Record parse_stored_record(std::string_view stored);
// PostgreSQL's text, (1,"a b",), and binary form.
void append_record(const Record& record, const CodecContext& context, std::string& out);
void append_record_binary(const Record& record, const CodecContext& context, std::string& out);
// As in ORDER BY: field by field, NULL behind everything; a record of fewer fields first.
[[nodiscard]] int compare_records(std::string_view a, std::string_view b) noexcept;

}  // namespace bop
