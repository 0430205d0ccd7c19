// parse_ident and unistr: text in the forms of SQL's grammar.
#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/bytes.hpp"

namespace bop {
namespace {

bool begins_identifier(char ch) {
  return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' ||
         static_cast<unsigned char>(ch) >= 0x80;
}
bool continues_identifier(char ch) { return begins_identifier(ch) || is_digit(ch) || ch == '$'; }

Returned parse_ident(Call& c) {
  const bool strict = c.size() < 2 || c[1].as_bool();
  const std::string_view whole = c.text(0);
  std::string_view s = whole;
  const auto bad = [&](std::string detail = {}) -> Returned {
    Error why = error(ErrorCode::kInvalidArgument, "string is not a valid identifier: \"{}\"", whole);
    if (!detail.empty()) why.mut().detail = std::move(detail);
    return std::unexpected(std::move(why));
  };
  const auto skip = [&] {
    while (!s.empty() && is_space(s[0])) s.remove_prefix(1);
  };
  std::vector<OwnedValue> parts;
  bool after_dot = false;
  skip();
  while (true) {
    std::string part;
    bool missing = true;
    if (s.starts_with('"')) {
      s.remove_prefix(1);
      bool closed = false;
      while (!s.empty()) {
        if (s[0] == '"' && s.size() > 1 && s[1] == '"') {
          s.remove_prefix(1);
        } else if (s[0] == '"') {
          closed = true;
          s.remove_prefix(1);
          break;
        }
        part += s[0];
        s.remove_prefix(1);
      }
      if (!closed) return bad("String has unclosed double quotes.");
      if (part.empty()) return bad("Quoted identifier must not be empty.");
      missing = false;
    } else if (!s.empty() && begins_identifier(s[0])) {
      while (!s.empty() && continues_identifier(s[0])) {
        part += ascii_lower(s[0]);
        s.remove_prefix(1);
      }
      missing = false;
    }
    if (missing) {
      if (s.starts_with('.')) return bad("No valid identifier before \".\".");
      return after_dot ? bad("No valid identifier after \".\".") : bad();
    }
    parts.push_back(OwnedValue::of_text(std::move(part)));
    skip();
    if (s.starts_with('.')) {
      after_dot = true;
      s.remove_prefix(1);
      skip();
    } else if (s.empty() || !strict) {
      break;
    } else {
      return bad();
    }
  }
  return text_result(stored_array(types::kTextArray, Array::of_vector(std::move(parts))));
}

void append_code_point(std::uint32_t code, std::string& out) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

// \XXXX, \+XXXXXX, \uXXXX, \UXXXXXXXX and \\.
Returned unistr(Call& c) {
  std::string_view s = c.text(0);
  std::string out;
  std::uint32_t high = 0;  // a surrogate that waits for its other half
  const auto bad_pair = []() -> Returned {
    return fail(ErrorCode::kSyntaxError, "invalid Unicode surrogate pair");
  };
  const auto digits = [&](std::size_t from, std::size_t count) -> std::optional<std::uint32_t> {
    if (s.size() < from + count) return std::nullopt;
    std::uint32_t value = 0;
    for (std::size_t i = from; i < from + count; ++i) {
      const char ch = ascii_lower(s[i]);
      const int digit = is_digit(ch) ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
      if (digit < 0) return std::nullopt;
      value = value * 16 + static_cast<std::uint32_t>(digit);
    }
    return value;
  };
  while (!s.empty()) {
    if (s[0] != '\\') {
      if (high != 0) return bad_pair();
      out += s[0];
      s.remove_prefix(1);
      continue;
    }
    if (s.size() > 1 && s[1] == '\\') {
      if (high != 0) return bad_pair();
      out += '\\';
      s.remove_prefix(2);
      continue;
    }
    struct Form {
      char mark;
      std::size_t skip, count;
    };
    constexpr Form kForms[] = {{0, 1, 4}, {'u', 2, 4}, {'+', 2, 6}, {'U', 2, 8}};
    std::optional<std::uint32_t> code;
    std::size_t length = 0;
    for (const Form& form : kForms) {
      if (code || (form.mark != 0 && (s.size() < 2 || s[1] != form.mark))) continue;
      code = digits(form.skip, form.count);
      length = form.skip + form.count;
    }
    if (!code) {
      return std::unexpected(
          error(ErrorCode::kSyntaxError, "invalid Unicode escape")
              .hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX."));
    }
    if (*code == 0 || *code > 0x10FFFF) {
      return fail(ErrorCode::kInvalidArgument, "invalid Unicode code point: {:04X}", *code);
    }
    const bool is_high = *code >= 0xD800 && *code <= 0xDBFF, is_low = *code >= 0xDC00 && *code <= 0xDFFF;
    if (is_low != (high != 0)) return bad_pair();
    if (is_high) {
      high = *code;
    } else {
      append_code_point(is_low ? 0x10000 + ((high & 0x3FF) << 10) + (*code & 0x3FF) : *code, out);
      high = 0;
    }
    s.remove_prefix(length);
  }
  if (high != 0) return bad_pair();
  return text_result(std::move(out));
}

}  // namespace

void add_identifier_functions(Implementations& all) {
  all.push_back(scalar("parse_ident", parse_ident));
  all.push_back(scalar("unistr", unistr));
}

}  // namespace bop
