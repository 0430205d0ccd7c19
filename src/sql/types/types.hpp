// The registry of PostgreSQL types: OIDs, names, aliases, array types, type modifiers, casts that exist.
//
// All of it is constant data with the OIDs of PostgreSQL 15 (type_table.def, cast_table.def), but for the
// types that users make (user_types.hpp). Everything here is thread-safe and answers in constant time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop {

// kBoolOid, kInt4Oid, kInt4ArrayOid and so on, one for each row of the table.
namespace types {
inline constexpr Oid kBool = 16, kBytea = 17, kChar = 18, kName = 19, kInt8 = 20, kInt2 = 21,
                     kInt2Vector = 22, kInt4 = 23, kRegproc = 24, kText = 25, kOid = 26, kTid = 27, kXid = 28,
                     kCid = 29, kOidVector = 30, kJson = 114, kPgNodeTree = 194, kFloat4 = 700, kFloat8 = 701,
                     kUnknown = 705, kBpchar = 1042, kVarchar = 1043, kAclitem = 1033, kDate = 1082,
                     kTime = 1083, kTimestamp = 1114, kTimestamptz = 1184, kInterval = 1186, kTimetz = 1266,
                     kNumeric = 1700, kRegprocedure = 2202, kRegoper = 2203, kRegoperator = 2204,
                     kRegclass = 2205, kRegtype = 2206, kRecord = 2249, kCstring = 2275, kAny = 2276,
                     kAnyArray = 2277, kVoid = 2278, kTrigger = 2279, kAnyElement = 2283, kAnyNonArray = 2776,
                     kUuid = 2950, kAnyEnum = 3500, kJsonb = 3802, kAnyRange = 3831, kJsonpath = 4072,
                     kRegnamespace = 4089, kRegrole = 4096, kRegcollation = 4191, kXid8 = 5069,
                     kAnyCompatible = 5077, kAnyCompatibleArray = 5078, kAnyCompatibleNonArray = 5079,
                     kCidr = 650, kMacaddr8 = 774, kMoney = 790, kMacaddr = 829, kInet = 869, kBit = 1560,
                     kVarbit = 1562, kInt4Range = 3904, kNumRange = 3906, kTsRange = 3908, kTstzRange = 3910,
                     kDateRange = 3912, kInt8Range = 3926, kInt4Multirange = 4451, kNumMultirange = 4532,
                     kTsMultirange = 4533, kTstzMultirange = 4534, kDateMultirange = 4535,
                     kInt8Multirange = 4536, kAnyMultirange = 4537, kAnyCompatibleMultirange = 4538,
                     kAnyCompatibleRange = 5080;
inline constexpr Oid kFirstUser = 16384;  // OIDs from here on are those of users' objects
inline constexpr Oid kBoolArray = 1000, kByteaArray = 1001, kCharArray = 1002, kNameArray = 1003,
                     kInt2Array = 1005, kInt4Array = 1007, kTextArray = 1009, kBpcharArray = 1014,
                     kVarcharArray = 1015, kInt8Array = 1016, kFloat4Array = 1021, kFloat8Array = 1022,
                     kOidArray = 1028, kAclitemArray = 1034, kTimestampArray = 1115, kDateArray = 1182,
                     kTimeArray = 1183, kTimestamptzArray = 1185, kIntervalArray = 1187, kNumericArray = 1231,
                     kTimetzArray = 1270, kUuidArray = 2951, kJsonArray = 199, kJsonbArray = 3807,
                     kRecordArray = 2287;
}  // namespace types

struct TypeInfo {
  Oid oid;
  std::string_view name;  // pg_type.typname
  std::int16_t typlen;    // pg_type.typlen: -1 variable length, -2 C string
  bool byval;
  char typtype;  // 'b' base, 'p' pseudo, 'e' enum, 'c' composite, 'd' domain, 'r' range
  char category;
  bool preferred;
  char align, storage, delim;
  Oid array_oid;  // 0 without
  Oid elem_oid;   // of a true array, int2vector, oidvector, name: pg_type.typelem; 0 otherwise
  std::string_view input, output, receive, send;  // typinput...
  std::string_view sql_name;                      // format_type without modifier: "character varying"
  std::string_view collation;  // name of the SQLite collation that orders stored values; empty = BINARY
  bool storable;               // BOP can keep values of the type in a table
};

[[nodiscard]] std::span<const TypeInfo> all_types() noexcept;
[[nodiscard]] const TypeInfo* find_type(Oid oid) noexcept;
// By pg_type.typname or an SQL name in lower case ("integer", "double precision", "character varying",
// "timestamp with time zone", "int", "decimal"), also with "[]" behind it.
[[nodiscard]] const TypeInfo* find_type(std::string_view name) noexcept;

// What a domain is over, below all domains; any other type itself.
[[nodiscard]] Oid base_type(Oid oid) noexcept;
[[nodiscard]] bool is_domain(Oid oid) noexcept;
// How the elements of an array stand in its stored text: domains as their base type, enums as bigint.
[[nodiscard]] Oid stored_element(Oid element) noexcept;
[[nodiscard]] bool is_true_array(Oid oid) noexcept;  // arrays of the table, not int2vector and oidvector
[[nodiscard]] Oid array_of(Oid element) noexcept;    // 0 without
// Element of an array (or a domain over one), int2vector, oidvector; 0 otherwise.
[[nodiscard]] Oid element_of(Oid array) noexcept;
[[nodiscard]] bool is_polymorphic(Oid oid) noexcept;  // anyelement, anyarray, anycompatible...
[[nodiscard]] bool is_pseudo(Oid oid) noexcept;
// Equality of stored values is equality of their bytes under the type's collation, so that = < and ORDER BY
// of SQLite are PostgreSQL's. False for json, and for types without btree order.
[[nodiscard]] bool is_comparable(Oid oid) noexcept;

// "numeric(10,2)", "timestamp(3) without time zone", "integer[]"; "???" for an unknown OID, "-" for 0.
// Without a modifier the SQL name; a modifier of -1 tells apart char, which would be char(1), and bpchar.
inline constexpr std::int32_t kNoTypmodGiven = -2;
[[nodiscard]] std::string format_type(Oid oid, std::int32_t typmod = kNoTypmodGiven);

// The type modifier of `name(args...)`; errors 22023 as PostgreSQL ('length for type varchar must be at least
// 1').
[[nodiscard]] Result<std::int32_t> encode_typmod(Oid oid, std::span<const std::int64_t> args);
// The modifier as pg_type's typmodout prints it: "(10,2)"; empty for -1.
[[nodiscard]] std::string format_typmod(Oid oid, std::int32_t typmod);
struct NumericTypmod {
  int precision, scale;
};
[[nodiscard]] std::optional<NumericTypmod> numeric_typmod(std::int32_t typmod) noexcept;
// Length of varchar(n) and char(n) in characters.
[[nodiscard]] std::optional<int> char_typmod(std::int32_t typmod) noexcept;

enum class CastContext : std::uint8_t { kNone, kExplicit, kAssignment, kImplicit };
// From pg_cast, plus: everything from unknown is implicit, to text types is assignment, from text types
// explicit, and arrays cast as their elements do. kImplicit when from == to.
[[nodiscard]] CastContext cast_context(Oid from, Oid to) noexcept;
// A cast that changes no stored byte (varchar -> text, int4 -> int8), so that no function has to run.
[[nodiscard]] bool is_stored_alike(Oid from, Oid to) noexcept;

}  // namespace bop
