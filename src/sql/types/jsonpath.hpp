// SQL/JSON path expressions: the tree, its parser, and the text that PostgreSQL prints of it, which is what
// is stored. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace bop {

struct JsonPathNode;
using JsonPathRef = std::unique_ptr<JsonPathNode>;

struct JsonPathNode {
  enum class Kind : std::uint8_t {
    kNull,
    kBool,      // flag
    kNumber,    // text, as numeric prints it
    kString,    // text
    kVariable,  // text
    kRoot,
    kCurrent,
    kLast,
    kKey,  // text
    kAnyKey,
    kAnyItem,   // [*]
    kIndex,     // args: from, to, from, to...; to may be null
    kAnyDepth,  // .**: first, last (-1: last)
    kFilter,    // args: condition
    kMethod,    // text
    kUnary,     // text: + or -; args
    kBinary,    // text: + - * / %; args
    kCompare,   // text: == != < <= > >=; args
    kAnd,
    kOr,
    kNot,
    kExists,
    kIsUnknown,
    kStartsWith,  // args: string, initial
    kLikeRegex,   // args: string; text: pattern; flags
  };
  Kind kind = Kind::kNull;
  bool flag = false;
  std::string text, flags;
  std::int64_t first = 0, last = 0;
  std::vector<JsonPathRef> args;
  JsonPathRef next;  // the accessor behind it
};

struct JsonPath {
  bool lax = true;
  JsonPathRef root;
};

[[nodiscard]] Result<JsonPath> parse_jsonpath(std::string_view text);
[[nodiscard]] std::string jsonpath_text(const JsonPath& path);

}  // namespace bop
