// to_json, json_build_object, json_build_array, row_to_json and their jsonb forms.
#include <optional>

#include "sql/functions/json_convert.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/numeric.hpp"
#include "sql/types/record.hpp"

namespace bop {
namespace {

Status append_array_as_json(Oid array, const Array& a, const CodecContext& context, std::size_t dimension,
                            std::size_t& at, std::string& out) {
  out += '[';
  if (!a.dimensions.empty()) {
    for (std::int32_t i = 0; i < a.dimensions[dimension].count; ++i) {
      if (i > 0) out += ',';
      if (dimension + 1 < a.dimensions.size())
        BOP_TRY(append_array_as_json(array, a, context, dimension + 1, at, out));
      else
        BOP_TRY(append_as_json(element_of(array), a.elements[at++], context, out));
    }
  }
  out += ']';
  return {};
}

Returned finish(std::string s, bool binary, Call& c) {
  if (binary) return parse_text(types::kJsonb, -1, s, c.codec());
  return OwnedValue::of_text(std::move(s));
}

Oid type_at(Call& c, std::size_t i) { return i < c.types.size() ? c.types[i] : types::kText; }

// The arguments of a VARIADIC "any" call with their types; an array given with VARIADIC is spread.
struct Argument {
  Oid type;
  OwnedValue value;
};
std::vector<Argument> spread(Call& c) {
  std::vector<Argument> r;
  for (std::size_t i = 0; i < c.size(); ++i) {
    if (c.variadic_array && i + 1 == c.size()) {
      Array a = parse_stored_array(type_at(c, i), c.text(i));
      for (OwnedValue& e : a.elements) r.push_back({element_of(type_at(c, i)), std::move(e)});
    } else {
      r.push_back({type_at(c, i), OwnedValue(c[i])});
    }
  }
  return r;
}

Returned build_array(Call& c, bool binary) {
  std::string s = "[";
  bool first = true;
  for (const Argument& a : spread(c)) {
    if (!first) s += ", ";
    first = false;
    BOP_TRY(append_as_json(a.type, a.value, c.codec(), s));
  }
  return finish(s + "]", binary, c);
}

Returned build_object(Call& c, bool binary) {
  const auto args = spread(c);
  if (args.size() % 2 != 0) {
    return std::unexpected(
        Error(ErrorCode::kInvalidArgument, "argument list must have even number of elements")
            .hint(fmt::format("The arguments of {} must consist of alternating keys and values.",
                              binary ? "jsonb_build_object()" : "json_build_object()")));
  }
  std::string s = "{";
  for (std::size_t i = 0; i < args.size(); i += 2) {
    if (args[i].value.is_null()) {
      if (binary) return fail(ErrorCode::kInvalidArgument, "argument {}: key must not be null", i + 1);
      return std::unexpected(error(ErrorCode::kNullNotAllowed, "null value not allowed for object key"));
    }
    if (i > 0) s += ", ";
    append_json_string(text_of(args[i].type, args[i].value, c.codec()), s);
    s += " : ";
    BOP_TRY(append_as_json(args[i + 1].type, args[i + 1].value, c.codec(), s));
  }
  return finish(s + "}", binary, c);
}

Returned to_json(Call& c, bool binary) {
  std::string s;
  BOP_TRY(append_as_json(type_at(c, 0), c[0], c.codec(), s));
  return finish(std::move(s), binary, c);
}

// json_object(text[]) of alternating keys and values, or of pairs; json_object(keys, values).
Returned object_of_texts(Call& c, bool binary) {
  std::vector<OwnedValue> keys, values;
  Array a = parse_stored_array(types::kTextArray, c.text(0));
  if (c.size() > 1) {
    Array b = parse_stored_array(types::kTextArray, c.text(1));
    if (a.dimensions.size() > 1 || b.dimensions.size() > 1)
      return fail(ErrorCode::kArraySubscriptError, "wrong number of array subscripts");
    if (a.elements.size() != b.elements.size())
      return fail(ErrorCode::kArraySubscriptError, "mismatched array dimensions");
    keys = std::move(a.elements);
    values = std::move(b.elements);
  } else {
    if (a.dimensions.size() > 2)
      return fail(ErrorCode::kArraySubscriptError, "wrong number of array subscripts");
    if (a.dimensions.size() == 2 && a.dimensions[1].count != 2)
      return fail(ErrorCode::kArraySubscriptError, "array must have two columns");
    if (a.elements.size() % 2 != 0)
      return fail(ErrorCode::kArraySubscriptError, "array must have even number of elements");
    for (std::size_t i = 0; i < a.elements.size(); ++i)
      (i % 2 == 0 ? keys : values).push_back(std::move(a.elements[i]));
  }
  std::string s = "{";
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].is_null()) return fail(ErrorCode::kNullNotAllowed, "null value not allowed for object key");
    if (i > 0) s += ", ";
    append_json_string(keys[i].bytes(), s);
    s += " : ";
    if (values[i].is_null())
      s += "null";
    else
      append_json_string(values[i].bytes(), s);
  }
  return finish(s + "}", binary, c);
}

Status append_record_as_json(const Record& record, const CodecContext& context, bool pretty,
                             std::string& out) {
  out += '{';
  for (std::size_t i = 0; i < record.size(); ++i) {
    if (i > 0) out += pretty ? ",\n " : ",";
    append_json_string(record[i].name, out);
    out += ':';
    const OwnedValue value = padded(record[i].type, record[i].typmod, record[i].value);
    BOP_TRY(append_as_json(record[i].type, value, context, out));
  }
  out += '}';
  return {};
}

// row_to_json(record, pretty): line feeds between the fields.
Returned row_to_json(Call& c) {
  std::string out;
  BOP_TRY(
      append_record_as_json(parse_stored_record(c.text(0)), c.codec(), c.size() > 1 && c[1].as_bool(), out));
  return text_result(std::move(out));
}

}  // namespace

Status append_as_json(Oid type, const Value& v, const CodecContext& context, std::string& out) {
  if (v.is_null()) {
    out += "null";
    return {};
  }
  if (is_true_array(type) || type == types::kInt2Vector || type == types::kOidVector) {
    std::size_t at = 0;
    return append_array_as_json(type, parse_stored_array(type, v.bytes), context, 0, at, out);
  }
  switch (type) {
    case types::kRecord: return append_record_as_json(parse_stored_record(v.bytes), context, false, out);
    case types::kBool: out += v.as_bool() ? "true" : "false"; return {};
    case types::kJson:
    case types::kJsonb: out += v.bytes; return {};
    case types::kInt2:
    case types::kInt4:
    case types::kInt8:
    case types::kFloat4:
    case types::kFloat8:
    case types::kNumeric: {
      std::string s;
      encode_text(type, -1, v, context, s);
      if (s.find_first_of("NI") == s.npos)
        out += s;
      else
        append_json_string(s, out);
      return {};
    }
    case types::kDate:
    case types::kTimestamp:
    case types::kTimestamptz: {
      CodecContext iso = context;
      iso.date_style = DateStyle::kIso;
      std::string s;
      encode_text(type, -1, v, iso, s);
      if (const std::size_t space = s.find(' ');
          type != types::kDate && space != s.npos && s.find("infinity") == s.npos)
        s[space] = 'T';
      // JSON wants minutes in the zone; PostgreSQL writes them always here.
      if (type == types::kTimestamptz && s.find("infinity") == s.npos &&
          s.find(':', s.find_last_of("+-")) == s.npos)
        s += ":00";
      append_json_string(s, out);
      return {};
    }
    default: break;
  }
  std::string s;
  encode_text(type, -1, v, context, s);
  append_json_string(s, out);
  return {};
}

void add_json_building(Implementations& all) {
  for (const char* k : {"row_to_json", "row_to_json_pretty"}) all.push_back(scalar(k, row_to_json));
  all.push_back(scalar("to_json", [](Call& c) { return to_json(c, false); }));
  all.push_back(scalar("to_jsonb", [](Call& c) { return to_json(c, true); }));
  all.push_back(scalar("array_to_json", [](Call& c) { return to_json(c, false); }));
  all.push_back(scalar("json_build_array", [](Call& c) { return build_array(c, false); }));
  all.push_back(scalar("jsonb_build_array", [](Call& c) { return build_array(c, true); }));
  all.push_back(scalar("json_build_object", [](Call& c) { return build_object(c, false); }));
  all.push_back(scalar("jsonb_build_object", [](Call& c) { return build_object(c, true); }));
  all.push_back(scalar("json_build_array_noargs", [](Call&) { return text_result("[]"); }));
  all.push_back(scalar("jsonb_build_array_noargs", [](Call&) { return text_result("[]"); }));
  all.push_back(scalar("json_build_object_noargs", [](Call&) { return text_result("{}"); }));
  all.push_back(scalar("jsonb_build_object_noargs", [](Call&) { return text_result("{}"); }));
  for (const char* k : {"json_object", "json_object_two_arg"})
    all.push_back(scalar(k, [](Call& c) { return object_of_texts(c, false); }));
  for (const char* k : {"jsonb_object", "jsonb_object_two_arg"})
    all.push_back(scalar(k, [](Call& c) { return object_of_texts(c, true); }));
}

}  // namespace bop
