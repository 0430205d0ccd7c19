// JSON documents as trees, for json (verbatim text) and jsonb (normalised text).
//
// jsonb is stored as the text PostgreSQL prints: keys by length then bytes, the last of duplicates, ", " and
// ": ", numbers as numeric prints them, strings with only the necessary escapes. Its order is that of
// PostgreSQL's btree.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace bop {

inline constexpr int kMaxJsonDepth = 5000;

struct Json {
  enum class Type : std::uint8_t { kNull, kString, kNumber, kBool, kArray, kObject };
  Type type = Type::kNull;
  bool boolean = false;
  std::string
      text;  // of a string without escapes, of a number as written (json) or as numeric prints it (jsonb)
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;
  std::string_view raw;  // the bytes it was parsed from; valid while they are

  static Json string(std::string s) {
    Json j;
    j.type = Type::kString;
    j.text = std::move(s);
    return j;
  }
  static Json number(std::string s) {
    Json j = string(std::move(s));
    j.type = Type::kNumber;
    return j;
  }
  static Json of_bool(bool b) {
    Json j;
    j.type = Type::kBool;
    j.boolean = b;
    return j;
  }
  static Json of(Type t) {
    Json j;
    j.type = t;
    return j;
  }
  [[nodiscard]] bool is_scalar() const { return type < Type::kArray; }
  [[nodiscard]] const Json* find(std::string_view key) const;  // the last member of that name
  [[nodiscard]] const Json* at(std::int64_t index) const;      // negative counts from the end
};

// `normalise` makes what jsonb keeps: numbers checked and rewritten, \u0000 refused, members sorted and
// unique.
[[nodiscard]] Result<Json> parse_json(std::string_view text, bool normalise);
// A stored value, known to be good.
[[nodiscard]] Json parse_stored_json(std::string_view text);
void normalise(Json& object);  // sorts the members of one object and drops earlier duplicates
void append_json(const Json& j, std::string& out);  // the form of jsonb
void append_json_string(std::string_view s, std::string& out);
[[nodiscard]] std::string jsonb_text(const Json& j);
[[nodiscard]] int compare_json(const Json& a, const Json& b) noexcept;

}  // namespace bop
