// jsonb_path_*: SQL/JSON paths over jsonb, by the rules of the lax and the strict mode.
#include "sql/functions/jsonpath_functions.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "sql/functions/regex.hpp"
#include "sql/types/float.hpp"
#include "sql/types/json.hpp"
#include "sql/types/jsonpath.hpp"
#include "sql/types/numeric.hpp"

namespace bop {
namespace {

using Kind = JsonPathNode::Kind;
using Items = std::vector<Json>;
enum class Truth : std::uint8_t { kFalse, kTrue, kUnknown };

Truth of_bool(bool b) { return b ? Truth::kTrue : Truth::kFalse; }

bool is_number(const Json& j) { return j.type == Json::Type::kNumber; }
bool is_array(const Json& j) { return j.type == Json::Type::kArray; }
Json number(const Numeric& n) { return Json::number(n.to_text()); }

class PathRun {
 public:
  PathRun(const JsonPath& path, const Json& root, const Json& variables, FunctionContext& context)
      : path_(path), root_(root), variables_(variables), regexes_(*context.regexes), context_(context) {}

  [[nodiscard]] Status find(Items& out) { return run(*path_.root, root_, out, path_.lax); }

 private:
  [[nodiscard]] Status go_on(const JsonPathNode& n, const Json& item, Items& out) {
    if (n.next != nullptr) return run(*n.next, item, out, path_.lax);
    // A copy of all that is below: of `$.**` that grows with the square of the depth.
    if (!item.is_scalar()) BOP_TRY(interrupted(context_));
    out.push_back(item);
    return {};
  }
  // The items of an array each, without taking apart what is in them.
  [[nodiscard]] Status each_item(const JsonPathNode& n, const Json& array, Items& out) {
    for (const Json& item : array.items) BOP_TRY(run(n, item, out, false));
    return {};
  }

  [[nodiscard]] Status run(const JsonPathNode& n, const Json& item, Items& out, bool unwraps) {
    switch (n.kind) {
      case Kind::kNull: return go_on(n, Json::of(Json::Type::kNull), out);
      case Kind::kBool: return go_on(n, Json::of_bool(n.flag), out);
      case Kind::kNumber: return go_on(n, Json::number(n.text), out);
      case Kind::kString: return go_on(n, Json::string(n.text), out);
      case Kind::kVariable: {
        const Json* value = variables_.find(n.text);
        if (value == nullptr) {
          return fail(ErrorCode::kUndefinedObject, "could not find jsonpath variable \"{}\"", n.text);
        }
        return go_on(n, *value, out);
      }
      case Kind::kRoot: return go_on(n, root_, out);
      case Kind::kCurrent: return go_on(n, *current_, out);
      case Kind::kLast: return go_on(n, Json::number(std::to_string(last_)), out);
      case Kind::kKey: return member(n, item, out, unwraps);
      case Kind::kAnyKey: return any_member(n, item, out, unwraps);
      case Kind::kAnyItem:
        if (is_array(item)) {
          for (const Json& one : item.items) BOP_TRY(go_on(n, one, out));
          return {};
        }
        if (path_.lax) return go_on(n, item, out);
        return fail(ErrorCode::kDataException,
                    "jsonpath wildcard array accessor can only be applied to an array");
      case Kind::kIndex: return subscript(n, item, out);
      case Kind::kAnyDepth: return descend(n, item, out, 0);
      case Kind::kFilter: {
        if (unwraps && is_array(item)) return each_item(n, item, out);
        BOP_LET(held, holds(*n.args[0], item));
        return held == Truth::kTrue ? go_on(n, item, out) : Status();
      }
      case Kind::kMethod: return method(n, item, out, unwraps);
      case Kind::kUnary: return unary(n, item, out);
      case Kind::kBinary: return binary(n, item, out);
      default: {
        BOP_LET(truth, test(n, item));
        return go_on(
            n, truth == Truth::kUnknown ? Json::of(Json::Type::kNull) : Json::of_bool(truth == Truth::kTrue),
            out);
      }
    }
  }

  [[nodiscard]] Status member(const JsonPathNode& n, const Json& item, Items& out, bool unwraps) {
    if (item.type == Json::Type::kObject) {
      if (const Json* found = item.find(n.text)) return go_on(n, *found, out);
      if (path_.lax) return {};
      return fail(ErrorCode::kDataException, "JSON object does not contain key \"{}\"", n.text);
    }
    if (unwraps && is_array(item)) return each_item(n, item, out);
    if (path_.lax) return {};
    return fail(ErrorCode::kDataException, "jsonpath member accessor can only be applied to an object");
  }

  [[nodiscard]] Status any_member(const JsonPathNode& n, const Json& item, Items& out, bool unwraps) {
    if (item.type == Json::Type::kObject) {
      for (const auto& [key, value] : item.members) BOP_TRY(go_on(n, value, out));
      return {};
    }
    if (unwraps && is_array(item)) return each_item(n, item, out);
    if (path_.lax) return {};
    return fail(ErrorCode::kDataException,
                "jsonpath wildcard member accessor can only be applied to an object");
  }

  [[nodiscard]] Status descend(const JsonPathNode& n, const Json& item, Items& out, std::int64_t level) {
    const bool leaf = item.is_scalar() || (item.items.empty() && item.members.empty());
    const bool within = n.first < 0 ? leaf && (n.last < 0 || level <= n.last)
                                    : level >= n.first && (n.last < 0 || level <= n.last);
    if (within) BOP_TRY(go_on(n, item, out));
    if (n.first >= 0 && n.last >= 0 && level >= n.last) return {};
    for (const Json& one : item.items) BOP_TRY(descend(n, one, out, level + 1));
    for (const auto& [key, value] : item.members) BOP_TRY(descend(n, value, out, level + 1));
    return {};
  }

  [[nodiscard]] Result<std::int64_t> index(const JsonPathNode& n, const Json& item) {
    Items found;
    BOP_TRY(run(n, item, found, path_.lax));
    if (found.size() != 1 || !is_number(found[0])) {
      return fail(ErrorCode::kDataException, "jsonpath array subscript is not a single numeric value");
    }
    const auto whole =
        Numeric::parse_stored(found[0].text).truncated(0).to_int(INT32_MIN, INT32_MAX, "integer");
    if (!whole) return fail(ErrorCode::kDataException, "jsonpath array subscript is out of integer range");
    return *whole;
  }

  [[nodiscard]] Status subscript(const JsonPathNode& n, const Json& item, Items& out) {
    if (!is_array(item) && !path_.lax) {
      return fail(ErrorCode::kDataException, "jsonpath array accessor can only be applied to an array");
    }
    const std::int64_t size = is_array(item) ? static_cast<std::int64_t>(item.items.size()) : 1;
    const std::int64_t outer = std::exchange(last_, size - 1);
    for (std::size_t i = 0; i < n.args.size(); i += 2) {
      BOP_LET(from, index(*n.args[i], item));
      std::int64_t to = from;
      if (n.args[i + 1] != nullptr) {
        BOP_LET(end, index(*n.args[i + 1], item));
        to = end;
      }
      if (!path_.lax && (from < 0 || from > to || to >= size)) {
        return fail(ErrorCode::kDataException, "jsonpath array subscript is out of bounds");
      }
      for (std::int64_t k = std::max<std::int64_t>(from, 0); k <= std::min(to, size - 1); ++k)
        BOP_TRY(go_on(n, is_array(item) ? item.items[static_cast<std::size_t>(k)] : item, out));
    }
    last_ = outer;
    return {};
  }

  [[nodiscard]] Status method(const JsonPathNode& n, const Json& item, Items& out, bool unwraps) {
    const std::string& name = n.text;
    const auto only = [&](ErrorCode code, std::string_view what) {
      return fail(code, "jsonpath item method .{}() can only be applied to {}", name, what);
    };
    if (name == "type") {
      constexpr std::string_view kNames[] = {"null", "string", "number", "boolean", "array", "object"};
      return go_on(n, Json::string(std::string(kNames[static_cast<std::size_t>(item.type)])), out);
    }
    if (name == "size") {
      if (!is_array(item) && !path_.lax) return only(ErrorCode::kDataException, "an array");
      return go_on(n, Json::number(std::to_string(is_array(item) ? item.items.size() : 1)), out);
    }
    if (unwraps && is_array(item)) return each_item(n, item, out);
    if (name == "keyvalue") return key_values(n, item, out);
    if (name == "double") {
      if (!is_number(item) && item.type != Json::Type::kString)
        return only(ErrorCode::kDataException, "a string or numeric value");
      const auto value = parse_float8(item.text);
      if (!value || !std::isfinite(*value)) {
        return fail(
            ErrorCode::kDataException,
            "{} argument of jsonpath item method .{}() is not a valid representation of a double precision "
            "number",
            is_number(item) ? "numeric" : "string", name);
      }
      return go_on(n, number(Numeric::of_double(*value)), out);
    }
    if (!is_number(item)) return only(ErrorCode::kDataException, "a numeric value");
    const Numeric value = Numeric::parse_stored(item.text);
    return go_on(n,
                 number(name == "abs"     ? value.absolute()
                        : name == "floor" ? value.floor()
                                          : value.ceiling()),
                 out);
  }

  [[nodiscard]] Status key_values(const JsonPathNode& n, const Json& item, Items& out) {
    if (item.type != Json::Type::kObject) {
      return fail(ErrorCode::kDataException,
                  "jsonpath item method .keyvalue() can only be applied to an object");
    }
    const std::int64_t id = objects_++;
    for (const auto& [key, value] : item.members) {
      Json pair = Json::of(Json::Type::kObject);
      pair.members.emplace_back("id", Json::number(std::to_string(id)));
      pair.members.emplace_back("key", Json::string(key));
      pair.members.emplace_back("value", value);
      BOP_TRY(go_on(n, pair, out));
    }
    return {};
  }

  // What an operand answers; in the lax mode arrays are taken apart.
  [[nodiscard]] Status operands(const JsonPathNode& n, const Json& item, Items& out) {
    Items found;
    BOP_TRY(run(n, item, found, path_.lax));
    for (Json& one : found) {
      if (path_.lax && is_array(one)) {
        std::ranges::move(one.items, std::back_inserter(out));
      } else {
        out.push_back(std::move(one));
      }
    }
    return {};
  }

  [[nodiscard]] Status unary(const JsonPathNode& n, const Json& item, Items& out) {
    Items found;
    BOP_TRY(operands(*n.args[0], item, found));
    for (const Json& one : found) {
      if (!is_number(one)) {
        return fail(ErrorCode::kDataException, "operand of unary jsonpath operator {} is not a numeric value",
                    n.text);
      }
      const Numeric value = Numeric::parse_stored(one.text);
      BOP_TRY(go_on(n, number(n.text == "-" ? value.negated() : value), out));
    }
    return {};
  }

  [[nodiscard]] Status binary(const JsonPathNode& n, const Json& item, Items& out) {
    Numeric values[2];
    for (std::size_t i = 0; i < 2; ++i) {
      Items found;
      BOP_TRY(operands(*n.args[i], item, found));
      if (found.size() != 1 || !is_number(found[0])) {
        return fail(ErrorCode::kDataException,
                    "{} operand of jsonpath operator {} is not a single numeric value",
                    i == 0 ? "left" : "right", n.text);
      }
      values[i] = Numeric::parse_stored(found[0].text);
    }
    const auto compute = n.text == "+"   ? &Numeric::add
                         : n.text == "-" ? &Numeric::subtract
                         : n.text == "*" ? &Numeric::multiply
                         : n.text == "/" ? &Numeric::divide
                                         : &Numeric::modulo;
    BOP_LET(value, compute(values[0], values[1]));
    return go_on(n, number(value), out);
  }

  // Whether an operand of a condition has an answer; a variable that is not there is nobody's answer.
  static Result<bool> answered(Status done) {
    if (done) return true;
    if (done.error().code() == ErrorCode::kUndefinedObject) return std::unexpected(std::move(done).error());
    return false;
  }

  // A condition over an item of the path. Errors in it make it unknown.
  [[nodiscard]] Result<Truth> holds(const JsonPathNode& n, const Json& item) {
    const Json* outer = std::exchange(current_, &item);
    auto truth = test(n, item);
    current_ = outer;
    return truth;
  }

  [[nodiscard]] Result<Truth> test(const JsonPathNode& n, const Json& item) {
    switch (n.kind) {
      case Kind::kAnd:
      case Kind::kOr: {
        const Truth decides = n.kind == Kind::kAnd ? Truth::kFalse : Truth::kTrue;
        BOP_LET(left, test(*n.args[0], item));
        if (left == decides) return left;
        BOP_LET(right, test(*n.args[1], item));
        return right == decides ? right : left == Truth::kUnknown ? left : right;
      }
      case Kind::kNot: {
        BOP_LET(inner, test(*n.args[0], item));
        return inner == Truth::kUnknown ? inner : of_bool(inner == Truth::kFalse);
      }
      case Kind::kIsUnknown: {
        BOP_LET(inner, test(*n.args[0], item));
        return of_bool(inner == Truth::kUnknown);
      }
      case Kind::kExists: {
        Items found;
        BOP_LET(known, answered(run(*n.args[0], item, found, path_.lax)));
        return known ? of_bool(!found.empty()) : Truth::kUnknown;
      }
      case Kind::kCompare:
        return pairs(n, item, [&](const Json& a, const Json& b) { return compared(n.text, a, b); });
      case Kind::kStartsWith:
        return pairs(n, item, [](const Json& a, const Json& b) {
          if (a.type != Json::Type::kString || b.type != Json::Type::kString) return Truth::kUnknown;
          return of_bool(a.text.starts_with(b.text));
        });
      case Kind::kLikeRegex: {
        BOP_LET(regex, regexes_.get(n.text, regex_options(n.flags)));
        Items found;
        BOP_LET(known, answered(operands(*n.args[0], item, found)));
        if (!known) return Truth::kUnknown;
        return combine(found, [&](const Json& a) {
          if (a.type != Json::Type::kString) return Truth::kUnknown;
          Regex::Match m;
          return of_bool(regex->find(a.text, 0, m).value_or(false));
        });
      }
      default: {  // a value where a condition is wanted
        Items found;
        if (!run(n, item, found, path_.lax) || found.size() != 1 || found[0].type != Json::Type::kBool)
          return Truth::kUnknown;
        return of_bool(found[0].boolean);
      }
    }
  }

  static RegexOptions regex_options(std::string_view flags) {
    const auto has = [&](char flag) { return flags.find(flag) != flags.npos; };
    return {.ignore_case = has('i'),
            .newline_stops_dot = !has('s'),
            .newline_anchors = has('m'),
            .extended = has('x'),
            .literal = has('q')};
  }

  // True if it holds of any; an unknown one counts unless the lax mode has found it true before.
  template <class F>
  Truth combine(const Items& items, F holds_of) const {
    bool found = false, unknown = false;
    for (const Json& item : items) {
      const Truth truth = holds_of(item);
      if (truth == Truth::kUnknown) {
        if (!path_.lax) return Truth::kUnknown;
        unknown = true;
      } else if (truth == Truth::kTrue) {
        if (path_.lax) return Truth::kTrue;
        found = true;
      }
    }
    return found ? Truth::kTrue : unknown ? Truth::kUnknown : Truth::kFalse;
  }

  template <class F>
  Result<Truth> pairs(const JsonPathNode& n, const Json& item, F holds_of) {
    Items left, right;
    for (std::size_t i = 0; i < 2; ++i) {
      BOP_LET(known, answered(operands(*n.args[i], item, i == 0 ? left : right)));
      if (!known) return Truth::kUnknown;
    }
    return combine(
        left, [&](const Json& a) { return combine(right, [&](const Json& b) { return holds_of(a, b); }); });
  }

  static Truth compared(std::string_view sign, const Json& a, const Json& b) {
    int order = 0;
    if (a.type != b.type) {
      if (a.type != Json::Type::kNull && b.type != Json::Type::kNull) return Truth::kUnknown;
      return of_bool(sign == "!=");
    }
    switch (a.type) {
      case Json::Type::kNull: break;
      case Json::Type::kBool: order = static_cast<int>(a.boolean) - static_cast<int>(b.boolean); break;
      case Json::Type::kNumber: order = Numeric::compare_stored(a.text, b.text); break;
      case Json::Type::kString: order = a.text.compare(b.text); break;
      default: return Truth::kUnknown;
    }
    return of_bool(sign == "=="   ? order == 0
                   : sign == "!=" ? order != 0
                   : sign == "<"  ? order < 0
                   : sign == "<=" ? order <= 0
                   : sign == ">"  ? order > 0
                                  : order >= 0);
  }

  const JsonPath& path_;
  const Json& root_;
  const Json& variables_;
  RegexCache& regexes_;
  FunctionContext& context_;
  const Json* current_ = nullptr;
  std::int64_t last_ = -1, objects_ = 0;
};

// nullopt: an error that the call wants silent.
Result<std::optional<Items>> items_of(Call& c, bool silent) {
  silent = silent || (c.size() > 3 && c[3].as_bool());
  BOP_LET(path, parse_jsonpath(c.text(1)));
  const Json root = parse_stored_json(c.text(0));
  const Json variables = c.size() > 2 ? parse_stored_json(c.text(2)) : Json::of(Json::Type::kObject);
  if (variables.type != Json::Type::kObject) {
    return std::unexpected(
        error(ErrorCode::kInvalidArgument, "\"vars\" argument is not an object")
            .detail("Jsonpath parameters should be encoded as key-value pairs of \"vars\" object."));
  }
  Items found;
  if (Status done = PathRun(path, root, variables, c.context).find(found); !done) {
    const ErrorCode code = done.error().code();
    const bool never_silent =
        code == ErrorCode::kUndefinedObject || code == ErrorCode::kInvalidRegularExpression;
    if (!silent || never_silent) return std::unexpected(done.error());
    return std::nullopt;
  }
  return found;
}

Returned exists(Call& c, bool silent) {
  BOP_LET(found, items_of(c, silent));
  return found ? bool_result(!found->empty()) : OwnedValue::null();
}

Returned match(Call& c, bool silent) {
  BOP_LET(found, items_of(c, silent));
  if (found && found->size() == 1 && (*found)[0].type == Json::Type::kBool)
    return bool_result((*found)[0].boolean);
  const bool null = found && found->size() == 1 && (*found)[0].type == Json::Type::kNull;
  const bool quiet = silent || (c.size() > 3 && c[3].as_bool());
  if (!found || null || quiet) return OwnedValue::null();
  return fail(ErrorCode::kDataException, "single boolean result is expected");
}

}  // namespace

void add_jsonpath_functions(Implementations& all) {
  all.push_back(scalar("jsonb_path_exists_opr", [](Call& c) { return exists(c, true); }));
  all.push_back(scalar("jsonb_path_match_opr", [](Call& c) { return match(c, true); }));
  for (const char* zone : {"", "_tz"}) {
    const auto key = [zone](std::string_view name) { return fmt::format("jsonb_path_{}{}", name, zone); };
    all.push_back(scalar(key("exists"), [](Call& c) { return exists(c, false); }));
    all.push_back(scalar(key("match"), [](Call& c) { return match(c, false); }));
    all.push_back(scalar(key("query_array"), [](Call& c) -> Returned {
      BOP_LET(found, items_of(c, false));
      Json array = Json::of(Json::Type::kArray);
      if (found) array.items = std::move(*found);
      return text_result(jsonb_text(array));
    }));
    all.push_back(scalar(key("query_first"), [](Call& c) -> Returned {
      BOP_LET(found, items_of(c, false));
      return found && !found->empty() ? text_result(jsonb_text(found->front())) : OwnedValue::null();
    }));
    all.push_back(rows(key("query"), [](Call& c) -> Result<RowSource> {
      std::optional<Items> found;
      if (std::ranges::none_of(c.args, &Value::is_null)) {
        BOP_LET(items, items_of(c, false));
        found = std::move(items);
      }
      return RowSource([items = found ? std::move(*found) : Items(),
                        i = std::size_t{0}](std::vector<OwnedValue>& row) mutable -> Result<bool> {
        if (i >= items.size()) return false;
        row.assign(1, OwnedValue::of_text(jsonb_text(items[i++])));
        return true;
      });
    }));
  }
}

}  // namespace bop
