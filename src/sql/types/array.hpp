// Arrays of one to six dimensions.
//
// Stored as PostgreSQL's array literal with the elements' session-independent text forms (ISO dates, UTC, hex
// bytea, shortest floats), with "[l:u]..=" in front when a lower bound is not 1; int2vector and oidvector as
// numbers separated by one space, subscripts from 0. Ordered by bop_array_<element OID>: elements first, then
// dimensions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "sql/types/codec.hpp"

namespace bop {

inline constexpr std::size_t kMaxArrayDimensions = 6;
inline constexpr std::int64_t kMaxArrayElements = 134217727;

struct Array {
  struct Dimension {
    std::int32_t lower = 1;
    std::int32_t count = 0;
    friend bool operator==(const Dimension&, const Dimension&) = default;
  };
  std::vector<Dimension> dimensions;  // empty for the array without elements
  std::vector<OwnedValue> elements;   // row-major; NULL elements are null values

  static Array of_vector(std::vector<OwnedValue> items, std::int32_t lower = 1) {
    Array a;
    if (!items.empty()) a.dimensions.push_back({lower, static_cast<std::int32_t>(items.size())});
    a.elements = std::move(items);
    return a;
  }
};

// `array` is the OID of the array type (or int2vector, oidvector).
[[nodiscard]] Result<Array> parse_array(Oid array, std::int32_t typmod, std::string_view text,
                                        const CodecContext& context);
[[nodiscard]] Array parse_stored_array(Oid array, std::string_view stored);
[[nodiscard]] std::string stored_array(Oid array, const Array& a);
void append_array(Oid array, const Array& a, const CodecContext& context, std::string& out);
[[nodiscard]] Result<Array> parse_array_binary(Oid array, std::int32_t typmod, std::string_view bytes,
                                               const CodecContext& context);
void append_array_binary(Oid array, const Array& a, const CodecContext& context, std::string& out);
// Of stored values.
[[nodiscard]] int compare_arrays(Oid array, std::string_view a, std::string_view b) noexcept;
// What stored values are made with.
[[nodiscard]] const CodecContext& storage_context() noexcept;

}  // namespace bop
