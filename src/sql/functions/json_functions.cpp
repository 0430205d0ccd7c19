// Operators and functions that read json and jsonb.
#include <algorithm>
#include <charconv>

#include "sql/functions/jsonpath_functions.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/json.hpp"

namespace bop {
namespace {

// A part of a document as a value: json keeps its bytes, jsonb its canonical text.
OwnedValue part(const Json& j, bool binary) {
  return OwnedValue::of_text(binary ? jsonb_text(j) : std::string(j.raw));
}
OwnedValue part_text(const Json& j, bool binary) {
  if (j.type == Json::Type::kNull) return OwnedValue::null();
  if (j.type == Json::Type::kString) return OwnedValue::of_text(j.text);
  return part(j, binary);
}

const Json* step(const Json* j, std::string_view key) {
  if (j->type == Json::Type::kObject) return j->find(key);
  if (j->type != Json::Type::kArray) return nullptr;
  std::int64_t i = 0;
  const auto r = std::from_chars(key.data(), key.data() + key.size(), i);
  return r.ec == std::errc() && r.ptr == key.data() + key.size() ? j->at(i) : nullptr;
}

std::vector<OwnedValue> path_of(std::string_view stored) {
  return parse_stored_array(types::kTextArray, stored).elements;
}

Implementation field(std::string key, bool binary, bool as_text, bool by_index) {
  return scalar(std::move(key), [=](Call& c) -> Returned {
    const Json j = parse_stored_json(c.text(0));
    const Json* found = nullptr;
    if (by_index)
      found = j.type == Json::Type::kArray ? j.at(c.integer(1)) : nullptr;
    else if (j.type == Json::Type::kObject)
      found = j.find(c.text(1));
    if (found == nullptr) return OwnedValue::null();
    return as_text ? part_text(*found, binary) : part(*found, binary);
  });
}

Implementation path(std::string key, bool binary, bool as_text) {
  return scalar(std::move(key), [=](Call& c) -> Returned {
    const Json j = parse_stored_json(c.text(0));
    const Json* at = &j;
    // The function gets its path as single arguments, the operator as an array.
    std::vector<OwnedValue> keys;
    if (c.kernel.is_operator)
      keys = path_of(c.text(1));
    else
      for (std::size_t i = 1; i < c.size(); ++i) keys.emplace_back(c[i]);
    for (const OwnedValue& k : keys) {
      if (k.is_null()) return OwnedValue::null();
      at = step(at, k.bytes());
      if (at == nullptr) return OwnedValue::null();
    }
    return as_text ? part_text(*at, binary) : part(*at, binary);
  });
}

bool contains(const Json& a, const Json& b) {
  if (a.type != b.type) return false;
  if (a.type == Json::Type::kObject) {
    return std::ranges::all_of(b.members, [&](const auto& m) {
      const Json* v = a.find(m.first);
      return v != nullptr && contains(*v, m.second);
    });
  }
  if (a.type == Json::Type::kArray) {
    return std::ranges::all_of(b.items, [&](const Json& x) {
      return std::ranges::any_of(a.items, [&](const Json& y) { return contains(y, x); });
    });
  }
  return compare_json(a, b) == 0;
}

// At the top, an array also contains a bare scalar.
bool contains_at_top(const Json& a, const Json& b) {
  if (a.type == Json::Type::kArray && b.is_scalar()) {
    return std::ranges::any_of(a.items, [&](const Json& y) { return contains(y, b); });
  }
  return contains(a, b);
}

bool has_key(const Json& j, std::string_view key) {
  if (j.type == Json::Type::kObject) return j.find(key) != nullptr;
  if (j.type == Json::Type::kString) return j.text == key;
  return j.type == Json::Type::kArray && std::ranges::any_of(j.items, [key](const Json& i) {
           return i.type == Json::Type::kString && i.text == key;
         });
}

Implementation has_keys(std::string key, bool all_of_them) {
  return scalar(std::move(key), [all_of_them](Call& c) -> Returned {
    const Json j = parse_stored_json(c.text(0));
    for (const OwnedValue& k : path_of(c.text(1))) {
      if (!k.is_null() && has_key(j, k.bytes()) != all_of_them) return OwnedValue::of_bool(!all_of_them);
    }
    return OwnedValue::of_bool(all_of_them);
  });
}

std::string_view type_name(const Json& j) {
  switch (j.type) {
    case Json::Type::kNull: return "null";
    case Json::Type::kBool: return "boolean";
    case Json::Type::kNumber: return "number";
    case Json::Type::kString: return "string";
    case Json::Type::kArray: return "array";
    case Json::Type::kObject: return "object";
  }
  return "";
}

Returned array_length(Call& c) {
  const Json j = parse_stored_json(c.text(0));
  if (j.type == Json::Type::kArray) return OwnedValue::of_int(static_cast<std::int64_t>(j.items.size()));
  return fail(ErrorCode::kInvalidArgument, "cannot get array length of {}",
              j.is_scalar() ? "a scalar" : "a non-array");
}

Json concatenate(Json a, Json b) {
  using Type = Json::Type;
  if (a.type == Type::kObject && b.type == Type::kObject) {
    for (auto& m : b.members) a.members.push_back(std::move(m));
    normalise(a);
    return a;
  }
  Json r = Json::of(Type::kArray);
  for (Json* j : {&a, &b}) {
    if (j->type == Type::kArray)
      std::ranges::move(j->items, std::back_inserter(r.items));
    else
      r.items.push_back(std::move(*j));
  }
  return r;
}

Returned concat(Call& c) {
  return text_result(jsonb_text(concatenate(parse_stored_json(c.text(0)), parse_stored_json(c.text(1)))));
}

Returned delete_keys(Call& c, bool many) {
  Json j = parse_stored_json(c.text(0));
  if (j.is_scalar()) return fail(ErrorCode::kInvalidArgument, "cannot delete from scalar");
  std::vector<std::string> keys;
  if (many) {
    for (const OwnedValue& k : path_of(c.text(1))) {
      if (!k.is_null()) keys.push_back(k.bytes());
    }
  } else {
    keys.emplace_back(c.text(1));
  }
  const auto hit = [&](const std::string& s) { return std::ranges::find(keys, s) != keys.end(); };
  std::erase_if(j.members, [&](const auto& m) { return hit(m.first); });
  std::erase_if(j.items, [&](const Json& i) { return i.type == Json::Type::kString && hit(i.text); });
  return text_result(jsonb_text(j));
}

Returned delete_index(Call& c) {
  Json j = parse_stored_json(c.text(0));
  if (j.is_scalar()) return fail(ErrorCode::kInvalidArgument, "cannot delete from scalar");
  if (j.type == Json::Type::kObject)
    return fail(ErrorCode::kInvalidArgument, "cannot delete from object using integer index");
  const auto n = static_cast<std::int64_t>(j.items.size());
  const std::int64_t i = c.integer(1) < 0 ? c.integer(1) + n : c.integer(1);
  if (i >= 0 && i < n) j.items.erase(j.items.begin() + i);
  return text_result(jsonb_text(j));
}

enum class Change : std::uint8_t { kSet, kInsertBefore, kInsertAfter, kDelete };

// Walks `path` and changes what it names. `create` adds what is missing at the last step.
Status change(Json& j, std::span<const OwnedValue> keys, std::size_t depth, Change how, bool create,
              const Json* value) {
  if (keys[depth].is_null())
    return fail(ErrorCode::kNullNotAllowed, "path element at position {} is null", depth + 1);
  const std::string& key = keys[depth].bytes();
  const bool last = depth + 1 == keys.size();
  if (j.type == Json::Type::kObject) {
    const auto it = std::ranges::find(j.members, key, [](const auto& m) { return m.first; });
    if (it == j.members.end()) {
      if (last && create && how != Change::kDelete) {
        j.members.emplace_back(key, *value);
        normalise(j);
      }
      return {};
    }
    if (!last) return change(it->second, keys, depth + 1, how, create, value);
    if (how == Change::kDelete)
      j.members.erase(it);
    else if (how == Change::kSet)
      it->second = *value;
    else
      return std::unexpected(Error(ErrorCode::kInvalidArgument, "cannot replace existing key")
                                 .hint("Try using the function jsonb_set to replace key value."));
    return {};
  }
  if (j.type != Json::Type::kArray) return {};
  std::int64_t i = 0;
  const auto r = std::from_chars(key.data(), key.data() + key.size(), i);
  if (r.ec != std::errc() || r.ptr != key.data() + key.size()) {
    return fail(ErrorCode::kInvalidTextRepresentation,
                "path element at position {} is not an integer: \"{}\"", depth + 1, key);
  }
  const auto n = static_cast<std::int64_t>(j.items.size());
  const bool negative = i < 0;
  if (negative) i += n;
  if (!last)
    return i >= 0 && i < n ? change(j.items[static_cast<std::size_t>(i)], keys, depth + 1, how, create, value)
                           : Status();
  if (i < 0 || i >= n) {
    if (how == Change::kDelete || (how == Change::kSet && !create)) return {};
    j.items.insert(i < 0 ? j.items.begin() : j.items.end(), *value);
    return {};
  }
  const auto at = j.items.begin() + i;
  switch (how) {
    case Change::kSet: *at = *value; break;
    case Change::kDelete: j.items.erase(at); break;
    case Change::kInsertBefore: j.items.insert(at, *value); break;
    case Change::kInsertAfter: j.items.insert(at + 1, *value); break;
  }
  return {};
}

Returned changed(Call& c, Change how, const Json* value, bool create) {
  Json j = parse_stored_json(c.text(0));
  if (j.is_scalar())
    return fail(ErrorCode::kInvalidArgument, "cannot {} path in scalar",
                how == Change::kDelete ? "delete" : "set");
  const auto keys = path_of(c.text(1));
  if (keys.empty()) return OwnedValue(c[0]);
  BOP_TRY(change(j, keys, 0, how, create, value));
  return text_result(jsonb_text(j));
}

Returned set(Call& c) {
  const Json value = parse_stored_json(c.text(2));
  return changed(c, Change::kSet, &value, c.size() < 4 || c[3].as_bool());
}

// What an SQL NULL as the new value means is said by the last argument.
Returned set_lax(Call& c) {
  const bool missing = c[0].is_null() || c[1].is_null() || (c.size() > 3 && c[3].is_null());
  if (missing) return OwnedValue::null();
  const std::string_view treatment = c.size() < 5 ? "use_json_null" : c[4].is_null() ? "" : c.text(4);
  constexpr std::string_view kTreatments[] = {"raise_exception", "use_json_null", "delete_key",
                                              "return_target"};
  if (std::ranges::find(kTreatments, treatment) == std::end(kTreatments)) {
    return fail(ErrorCode::kInvalidArgument,
                "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or "
                "\"raise_exception\"");
  }
  if (!c[2].is_null()) return set(c);
  if (treatment == "return_target") return OwnedValue(c[0]);
  if (treatment == "delete_key") return changed(c, Change::kDelete, nullptr, false);
  if (treatment == "raise_exception") {
    return std::unexpected(
        error(ErrorCode::kNullNotAllowed, "JSON value must not be null")
            .detail("Exception was raised because null_value_treatment is \"raise_exception\".")
            .hint("To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is "
                  "not passed."));
  }
  const Json null = Json::of(Json::Type::kNull);
  return changed(c, Change::kSet, &null, c.size() < 4 || c[3].as_bool());
}

Returned insert(Call& c) {
  const Json value = parse_stored_json(c.text(2));
  return changed(c, c.size() > 3 && c[3].as_bool() ? Change::kInsertAfter : Change::kInsertBefore, &value,
                 true);
}

void strip(Json& j) {
  std::erase_if(j.members, [](const auto& m) { return m.second.type == Json::Type::kNull; });
  for (auto& m : j.members) strip(m.second);
  for (Json& i : j.items) strip(i);
}

void pretty(const Json& j, std::size_t depth, std::string& out) {
  const auto line = [&out](std::size_t d) {
    out += '\n';
    out.append(d * 4, ' ');
  };
  if (j.is_scalar()) return append_json(j, out);
  const bool object = j.type == Json::Type::kObject;
  const std::size_t n = object ? j.members.size() : j.items.size();
  out += object ? '{' : '[';
  for (std::size_t i = 0; i < n; ++i) {
    if (i > 0) out += ',';
    line(depth + 1);
    if (object) {
      append_json_string(j.members[i].first, out);
      out += ": ";
    }
    pretty(object ? j.members[i].second : j.items[i], depth + 1, out);
  }
  line(depth);
  out += object ? '}' : ']';
}

using Cells = std::vector<std::vector<OwnedValue>>;
RowSource source(Cells cells) {
  return
      [cells = std::move(cells), i = std::size_t{0}](std::vector<OwnedValue>& row) mutable -> Result<bool> {
        if (i >= cells.size()) return false;
        row = std::move(cells[i++]);
        return true;
      };
}

Implementation elements(std::string key, bool binary, bool as_text) {
  return rows(std::move(key), [=](Call& c) -> Result<RowSource> {
    const Json j = parse_stored_json(c.text(0));
    if (j.type != Json::Type::kArray) {
      const bool object = j.type == Json::Type::kObject;
      if (binary)
        return fail(ErrorCode::kInvalidArgument, "cannot extract elements from {}",
                    object ? "an object" : "a scalar");
      return fail(ErrorCode::kInvalidArgument, "cannot call {} on a {}", c.kernel.name,
                  object ? "non-array" : "scalar");
    }
    Cells cells;
    for (const Json& i : j.items) cells.push_back({as_text ? part_text(i, binary) : part(i, binary)});
    return source(std::move(cells));
  });
}

Implementation each(std::string key, bool binary, bool as_text, bool keys_only) {
  return rows(std::move(key), [=](Call& c) -> Result<RowSource> {
    const Json j = parse_stored_json(c.text(0));
    if (j.type != Json::Type::kObject) {
      const bool array = j.type == Json::Type::kArray;
      if (keys_only)
        return fail(ErrorCode::kInvalidArgument, "cannot call {} on {}", c.kernel.name,
                    array ? "an array" : "a scalar");
      if (binary) return fail(ErrorCode::kInvalidArgument, "cannot call {} on a non-object", c.kernel.name);
      return fail(ErrorCode::kInvalidArgument, "cannot deconstruct {}",
                  array ? "an array as an object" : "a scalar");
    }
    Cells cells;
    for (const auto& [name, v] : j.members) {
      auto& row = cells.emplace_back();
      row.push_back(OwnedValue::of_text(name));
      if (!keys_only) row.push_back(as_text ? part_text(v, binary) : part(v, binary));
    }
    return source(std::move(cells));
  });
}

}  // namespace

void add_json_functions(Implementations& all) {
  add_jsonpath_functions(all);
  for (const bool binary : {false, true}) {
    const std::string p = binary ? "jsonb_" : "json_";
    all.push_back(field(p + "object_field", binary, false, false));
    all.push_back(field(p + "object_field_text", binary, true, false));
    all.push_back(field(p + "array_element", binary, false, true));
    all.push_back(field(p + "array_element_text", binary, true, true));
    all.push_back(path(p + "extract_path", binary, false));
    all.push_back(path(p + "extract_path_text", binary, true));
    all.push_back(scalar(p + "typeof", [](Call& c) {
      return text_result(std::string(type_name(parse_stored_json(c.text(0)))));
    }));
    all.push_back(scalar(p + "array_length", array_length));
    all.push_back(scalar(p + "strip_nulls", [binary](Call& c) {
      Json j = parse_stored_json(c.text(0));
      strip(j);
      std::string s = jsonb_text(j);
      if (!binary) {  // json's form has no blanks
        std::string tight;
        bool quoted = false;
        for (std::size_t i = 0; i < s.size(); ++i) {
          if (s[i] == '"' && (i == 0 || s[i - 1] != '\\')) quoted = !quoted;
          if (s[i] != ' ' || quoted) tight += s[i];
        }
        s = std::move(tight);
      }
      return text_result(std::move(s));
    }));
    all.push_back(elements(p + "array_elements", binary, false));
    all.push_back(elements(p + "array_elements_text", binary, true));
    all.push_back(each(p + "each", binary, false, false));
    all.push_back(each(p + "each_text", binary, true, false));
    all.push_back(each(p + "object_keys", binary, false, true));
  }
  all.push_back(scalar("jsonb_contains", [](Call& c) {
    return bool_result(contains_at_top(parse_stored_json(c.text(0)), parse_stored_json(c.text(1))));
  }));
  all.push_back(scalar("jsonb_contained", [](Call& c) {
    return bool_result(contains_at_top(parse_stored_json(c.text(1)), parse_stored_json(c.text(0))));
  }));
  all.push_back(scalar(
      "jsonb_exists", [](Call& c) { return bool_result(has_key(parse_stored_json(c.text(0)), c.text(1))); }));
  all.push_back(has_keys("jsonb_exists_any", false));
  all.push_back(has_keys("jsonb_exists_all", true));
  all.push_back(scalar("jsonb_concat", concat));
  all.push_back(scalar("jsonb_delete", [](Call& c) { return delete_keys(c, false); }));
  all.push_back(scalar("jsonb_delete_array", [](Call& c) { return delete_keys(c, true); }));
  all.push_back(scalar("jsonb_delete_idx", delete_index));
  all.push_back(
      scalar("jsonb_delete_path", [](Call& c) { return changed(c, Change::kDelete, nullptr, false); }));
  all.push_back(scalar("jsonb_set", set));
  all.push_back(scalar("jsonb_set_lax", set_lax));
  all.push_back(scalar("jsonb_insert", insert));
  all.push_back(scalar("jsonb_pretty", [](Call& c) {
    std::string s;
    pretty(parse_stored_json(c.text(0)), 0, s);
    return text_result(std::move(s));
  }));
}

}  // namespace bop
