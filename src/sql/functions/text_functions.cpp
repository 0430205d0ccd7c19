#include <algorithm>
#include <optional>

#include "base/memory_use.hpp"
#include "sql/functions/quote.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/bytes.hpp"

namespace bop {
namespace {

std::unexpected<Error> too_long() {
  return fail(ErrorCode::kProgramLimitExceeded, "requested length too large");
}

Implementation text_to_int(std::string key, std::int64_t (*f)(std::string_view)) {
  return scalar(std::move(key), [f](Call& c) { return int_result(f(c.text(0))); });
}
Implementation mapped(std::string key, std::string (*f)(std::string_view)) {
  return scalar(std::move(key), [f](Call& c) { return text_result(f(c.text(0))); });
}

std::string initcap(std::string_view s) {
  std::string r(s);
  bool inside = false;
  for (char& c : r) {
    c = inside ? ascii_lower(c) : ascii_upper(c);
    inside = is_alpha(c) || is_digit(c);
  }
  return r;
}

// substring(s from start for count): positions outside are cut, a negative count is an error.
Result<std::pair<std::size_t, std::size_t>> window(std::int64_t length, Call& c) {
  const std::int64_t start = c.integer(1);
  std::int64_t end = length + 1;
  if (c.size() > 2) {
    if (c.integer(2) < 0) return fail(ErrorCode::kSubstringError, "negative substring length not allowed");
    end = std::min(end, start + c.integer(2));
  }
  const std::int64_t from = std::clamp<std::int64_t>(start, 1, length + 1);
  return std::pair(static_cast<std::size_t>(from - 1), static_cast<std::size_t>(std::max(from, end) - 1));
}

Returned substring(Call& c) {
  const std::string_view s = c.text(0);
  BOP_LET(w, window(static_cast<std::int64_t>(utf8_count(s)), c));
  const std::size_t from = utf8_offset(s, w.first), to = utf8_offset(s, w.second);
  return OwnedValue::of_text(std::string(s.substr(from, to - from)));
}

Returned bytea_substring(Call& c) {
  const std::string_view s = c.text(0);
  BOP_LET(w, window(static_cast<std::int64_t>(s.size()), c));
  return OwnedValue::of_blob(std::string(s.substr(w.first, w.second - w.first)));
}

std::string trim(std::string_view s, std::string_view set, bool left, bool right) {
  const auto has = [set](std::string_view ch) {
    for (std::size_t i = 0; i < set.size(); i += utf8_length(set[i])) {
      if (set.substr(i, utf8_length(set[i])) == ch) return true;
    }
    return false;
  };
  while (left && !s.empty() && has(s.substr(0, utf8_length(s[0]))))
    s.remove_prefix(std::min(s.size(), utf8_length(s[0])));
  while (right && !s.empty()) {
    std::size_t at = s.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(s[at]) & 0xc0) == 0x80) --at;
    if (!has(s.substr(at))) break;
    s = s.substr(0, at);
  }
  return std::string(s);
}

Implementation trimming(std::string key, bool left, bool right) {
  return scalar(std::move(key), [left, right](Call& c) {
    return text_result(trim(c.text(0), c.size() > 1 ? c.text(1) : " ", left, right));
  });
}

Returned pad(Call& c, bool left) {
  const std::string_view s = c.text(0), fill = c.size() > 2 ? c.text(2) : " ";
  const auto want = static_cast<std::size_t>(std::max<std::int64_t>(0, c.integer(1)));
  if (want > most_value_bytes() / 4) return too_long();
  const std::size_t have = utf8_count(s);
  if (have >= want || fill.empty())
    return OwnedValue::of_text(std::string(s.substr(0, utf8_offset(s, want))));
  std::string padding;
  for (std::size_t n = want - have, at = 0; n > 0; --n) {
    const std::size_t length = utf8_length(fill[at]);
    padding += fill.substr(at, length);
    at = at + length >= fill.size() ? 0 : at + length;
  }
  return OwnedValue::of_text(left ? padding + std::string(s) : std::string(s) + padding);
}

// left(s, n) and right(s, n): a negative n leaves out so many at the other end.
Returned part(Call& c, bool left) {
  const std::string_view s = c.text(0);
  const auto length = static_cast<std::int64_t>(utf8_count(s));
  std::int64_t n =
      c.integer(1) < 0 ? std::max<std::int64_t>(0, length + c.integer(1)) : std::min(length, c.integer(1));
  const std::size_t at = utf8_offset(s, static_cast<std::size_t>(left ? n : length - n));
  return OwnedValue::of_text(std::string(left ? s.substr(0, at) : s.substr(at)));
}

Returned repeat(Call& c) {
  const auto n = static_cast<std::size_t>(std::max<std::int64_t>(0, c.integer(1)));
  if (n != 0 && c.text(0).size() > most_value_bytes() / n) return too_long();
  std::string r;
  for (std::size_t i = 0; i < n && !c.text(0).empty(); ++i) r += c.text(0);
  return OwnedValue::of_text(std::move(r));
}

Returned replace(Call& c) {
  const std::string_view s = c.text(0), from = c.text(1), to = c.text(2);
  if (from.empty()) return OwnedValue(c[0]);
  std::string r;
  std::size_t at = 0;
  for (std::size_t hit = s.find(from); hit != s.npos; hit = s.find(from, at)) {
    r.append(s.substr(at, hit - at)).append(to);
    at = hit + from.size();
    if (r.size() > most_value_bytes()) return too_long();
  }
  return OwnedValue::of_text(r.append(s.substr(at)));
}

std::string reverse(std::string_view s) {
  std::string r;
  r.reserve(s.size());
  for (std::size_t end = s.size(); end > 0;) {
    std::size_t at = end - 1;
    while (at > 0 && (static_cast<unsigned char>(s[at]) & 0xc0) == 0x80) --at;
    r += s.substr(at, end - at);
    end = at;
  }
  return r;
}

Returned position(Call& c) {
  const std::size_t at = c.text(0).find(c.text(1));
  return int_result(
      at == std::string_view::npos ? 0 : static_cast<std::int64_t>(utf8_count(c.text(0).substr(0, at))) + 1);
}

Returned translate(Call& c) {
  const std::string_view s = c.text(0), from = c.text(1), to = c.text(2);
  std::string r;
  for (std::size_t i = 0; i < s.size(); i += utf8_length(s[i])) {
    const std::string_view ch = s.substr(i, utf8_length(s[i]));
    std::size_t f = 0, t = 0;
    bool found = false;
    while (f < from.size() && !found) {
      found = from.substr(f, utf8_length(from[f])) == ch;
      if (found) break;
      f += utf8_length(from[f]);
      if (t < to.size()) t += utf8_length(to[t]);
    }
    if (!found)
      r += ch;
    else if (t < to.size())
      r += to.substr(t, utf8_length(to[t]));
  }
  return text_result(std::move(r));
}

Returned split_part(Call& c) {
  const std::string_view s = c.text(0), by = c.text(1);
  std::int64_t n = c.integer(2);
  if (n == 0) return fail(ErrorCode::kInvalidArgument, "field position must not be zero");
  if (s.empty()) return text_result("");
  std::vector<std::string_view> parts;
  if (by.empty()) {
    parts.push_back(s);
  } else {
    std::size_t at = 0;
    for (std::size_t hit = s.find(by); hit != s.npos; hit = s.find(by, at)) {
      parts.push_back(s.substr(at, hit - at));
      at = hit + by.size();
    }
    parts.push_back(s.substr(at));
  }
  const auto count = static_cast<std::int64_t>(parts.size());
  if (n < 0) n += count + 1;
  return text_result(n >= 1 && n <= count ? std::string(parts[static_cast<std::size_t>(n - 1)])
                                          : std::string());
}

Returned chr(Call& c) {
  const std::int64_t n = c.integer(0);
  if (n == 0) return fail(ErrorCode::kProgramLimitExceeded, "null character not permitted");
  if (n < 0) return fail(ErrorCode::kProgramLimitExceeded, "character number must be positive");
  if (n > 0x10ffff)
    return fail(ErrorCode::kProgramLimitExceeded, "requested character too large for encoding: {}", n);
  if (n >= 0xd800 && n < 0xe000)
    return fail(ErrorCode::kProgramLimitExceeded, "requested character not valid for encoding: {}", n);
  std::string r;
  append_utf8(r, static_cast<std::uint32_t>(n));
  return text_result(std::move(r));
}

// Every argument of a variadic "any" as text, NULLs as nullptr-like; VARIADIC array gives its elements.
std::vector<std::optional<std::string>> variadic_texts(Call& c, std::size_t from) {
  std::vector<std::optional<std::string>> r;
  for (std::size_t i = from; i < c.size(); ++i) {
    const Oid type = i < c.types.size() ? c.types[i] : types::kText;
    if (c.variadic_array && i + 1 == c.size()) {
      if (c[i].is_null()) continue;
      const Array a = parse_stored_array(type, c.text(i));
      for (const OwnedValue& e : a.elements) {
        r.push_back(e.is_null() ? std::nullopt : std::optional(text_of(element_of(type), e, c.codec())));
      }
    } else {
      r.push_back(c[i].is_null() ? std::nullopt : std::optional(text_of(type, c[i], c.codec())));
    }
  }
  return r;
}

Returned concat_with(Call& c, std::string_view separator, std::size_t from) {
  std::string r;
  bool first = true;
  for (const auto& s : variadic_texts(c, from)) {
    if (!s) continue;
    if (!first) r += separator;
    r += *s;
    first = false;
  }
  return text_result(std::move(r));
}

Returned format(Call& c) {
  if (c[0].is_null()) return OwnedValue::null();
  const std::string_view f = c.text(0);
  const auto args = variadic_texts(c, 1);
  const auto bad = [](std::string text) {
    return std::unexpected(Error(ErrorCode::kInvalidArgument, std::move(text)));
  };
  std::string out;
  std::size_t next = 0;
  for (std::size_t i = 0; i < f.size(); ++i) {
    if (f[i] != '%') {
      out += f[i];
      continue;
    }
    const auto more = [&] { return ++i < f.size(); };
    const auto ended = [] {
      return Error(ErrorCode::kInvalidArgument, "unterminated format() type specifier")
          .hint("For a single \"%\" use \"%%\".");
    };
    if (!more()) return std::unexpected(ended());
    if (f[i] == '%') {
      out += '%';
      continue;
    }
    const auto number = [&]() -> std::int64_t {
      std::int64_t n = 0;
      for (; i < f.size() && is_digit(f[i]); ++i)
        n = std::min<std::int64_t>(n * 10 + (f[i] - '0'), INT32_MAX);
      return n;
    };
    std::int64_t position = 0, width = 0;
    bool left = false;
    if (is_digit(f[i])) {
      const std::int64_t n = number();
      if (i < f.size() && f[i] == '$') {
        if (n == 0) return bad("format specifies argument 0, but arguments are numbered from 1");
        position = n;
        if (!more()) return std::unexpected(ended());
      } else {
        width = n;
      }
    }
    if (width == 0) {
      while (i < f.size() && f[i] == '-') {
        left = true;
        if (!more()) return std::unexpected(ended());
      }
      if (i < f.size() && f[i] == '*') {
        if (!more()) return std::unexpected(ended());
        std::size_t source = next;
        if (i < f.size() && is_digit(f[i])) {
          source = static_cast<std::size_t>(number()) - 1;
          if (i >= f.size() || f[i] != '$') return bad("width argument position must be ended by \"$\"");
          if (!more()) return std::unexpected(ended());
        } else {
          ++next;
        }
        if (source >= args.size()) return bad("too few arguments for format()");
        width = args[source] ? std::strtoll(args[source]->c_str(), nullptr, 10) : 0;
        if (width < 0) left = true, width = -width;
      } else if (i < f.size() && is_digit(f[i])) {
        width = number();
      }
    }
    if (i >= f.size()) return std::unexpected(ended());
    const char kind = f[i];
    if (kind != 's' && kind != 'I' && kind != 'L') {
      return std::unexpected(error(ErrorCode::kInvalidArgument, "unrecognized format() type specifier \"{}\"",
                                   f.substr(i, utf8_length(kind)))
                                 .hint("For a single \"%\" use \"%%\"."));
    }
    const std::size_t index = position > 0 ? static_cast<std::size_t>(position - 1) : next;
    if (index >= args.size()) return bad("too few arguments for format()");
    next = index + 1;
    std::string piece;
    if (!args[index]) {
      if (kind == 'I')
        return fail(ErrorCode::kNullNotAllowed, "null values cannot be formatted as an SQL identifier");
      if (kind == 'L') piece = "NULL";
    } else {
      piece = kind == 'I'   ? quote_identifier(*args[index])
              : kind == 'L' ? quote_literal(*args[index])
                            : *args[index];
    }
    const auto have = static_cast<std::int64_t>(utf8_count(piece));
    if (width > static_cast<std::int64_t>(most_value_bytes()) / 4) return too_long();
    if (have < width) piece.insert(left ? piece.size() : 0, static_cast<std::size_t>(width - have), ' ');
    out += piece;
  }
  return text_result(std::move(out));
}

Returned overlay(Call& c) {
  const std::string_view s = c.text(0), by = c.text(1);
  const std::int64_t start = c.integer(2),
                     length = c.size() > 3 ? c.integer(3) : static_cast<std::int64_t>(utf8_count(by));
  if (start <= 0) return fail(ErrorCode::kSubstringError, "negative substring length not allowed");
  const std::size_t from = utf8_offset(s, static_cast<std::size_t>(start - 1));
  const std::int64_t rest = start + length - 1;
  const std::size_t to = rest <= 0 ? 0 : utf8_offset(s, static_cast<std::size_t>(rest));
  return text_result(std::string(s.substr(0, from)) + std::string(by) + std::string(s.substr(to)));
}

Returned any_to_text_pair(Call& c) {
  const auto piece = [&c](std::size_t i) {
    const Oid type = i < c.types.size() ? c.types[i] : types::kText;
    // A cast to text, which writes booleans and masks whole, not the type's output.
    if (type == types::kInet) return std::string(c.text(i));
    return type == types::kBool ? std::string(c[i].as_bool() ? "true" : "false")
                                : text_of(type, c[i], c.codec());
  };
  return text_result(piece(0) + piece(1));
}

}  // namespace

void add_text_functions(Implementations& all) {
  const auto characters = [](std::string_view s) { return static_cast<std::int64_t>(utf8_count(s)); };
  const auto octets = [](std::string_view s) { return static_cast<std::int64_t>(s.size()); };
  all.push_back(text_to_int("textlen", characters));
  all.push_back(text_to_int("bpcharlen", characters));
  all.push_back(text_to_int("textoctetlen", octets));
  all.push_back(text_to_int("bpcharoctetlen", octets));
  all.push_back(text_to_int("byteaoctetlen", octets));
  all.push_back(text_to_int("bit_length(text)",
                            [](std::string_view s) { return static_cast<std::int64_t>(s.size()) * 8; }));
  all.push_back(text_to_int("bit_length(bytea)",
                            [](std::string_view s) { return static_cast<std::int64_t>(s.size()) * 8; }));
  all.push_back(text_to_int("ascii", [](std::string_view s) {
    std::size_t at = 0;
    return s.empty() ? std::int64_t{0} : static_cast<std::int64_t>(next_code_point(s, at));
  }));
  all.push_back(scalar("chr", chr));
  all.push_back(mapped("lower", lower_ascii));
  all.push_back(mapped("upper", [](std::string_view s) {
    std::string r(s);
    for (char& ch : r) ch = ascii_upper(ch);
    return r;
  }));
  all.push_back(mapped("initcap", initcap));
  all.push_back(mapped("text_reverse", reverse));
  all.push_back(scalar("text_substr", substring));
  all.push_back(scalar("text_substr_no_len", substring));
  all.push_back(scalar("bytea_substr", bytea_substring));
  all.push_back(scalar("bytea_substr_no_len", bytea_substring));
  all.push_back(trimming("btrim", true, true));
  all.push_back(trimming("btrim1", true, true));
  all.push_back(trimming("ltrim", true, false));
  all.push_back(trimming("ltrim1", true, false));
  all.push_back(trimming("rtrim", false, true));
  all.push_back(trimming("rtrim1", false, true));
  all.push_back(scalar("lpad", [](Call& c) { return pad(c, true); }));
  all.push_back(scalar("rpad", [](Call& c) { return pad(c, false); }));
  all.push_back(scalar("lpad(text, integer)", [](Call& c) { return pad(c, true); }));
  all.push_back(scalar("rpad(text, integer)", [](Call& c) { return pad(c, false); }));
  all.push_back(scalar("text_left", [](Call& c) { return part(c, true); }));
  all.push_back(scalar("text_right", [](Call& c) { return part(c, false); }));
  all.push_back(scalar("repeat", repeat));
  all.push_back(scalar("replace_text", replace));
  all.push_back(scalar("textpos", position));
  all.push_back(scalar("byteapos", [](Call& c) {
    const std::size_t at = c.text(0).find(c.text(1));
    return int_result(at == std::string_view::npos ? 0 : static_cast<std::int64_t>(at) + 1);
  }));
  all.push_back(scalar("translate", translate));
  all.push_back(scalar("split_part", split_part));
  all.push_back(native("textcat", "({0} || {1})"));
  all.push_back(scalar("byteacat", [](Call& c) -> Returned {
    return OwnedValue::of_blob(std::string(c.text(0)) + std::string(c.text(1)));
  }));
  all.push_back(scalar("textanycat(text, anynonarray)", any_to_text_pair));
  all.push_back(scalar("anytextcat(anynonarray, text)", any_to_text_pair));
  all.push_back(scalar("text_concat", [](Call& c) { return concat_with(c, "", 0); }));
  all.push_back(scalar("text_concat_ws", [](Call& c) -> Returned {
    if (c[0].is_null()) return OwnedValue::null();
    return concat_with(c, c.text(0), 1);
  }));
  const auto count_nulls = [](Call& c, bool nulls) -> Returned {
    std::int64_t n = 0;
    if (c.variadic_array) {
      if (c[0].is_null()) return OwnedValue::null();
      for (const OwnedValue& e : parse_stored_array(c.types[0], c.text(0)).elements)
        n += e.is_null() == nulls ? 1 : 0;
    } else {
      for (const Value& v : c.args) n += v.is_null() == nulls ? 1 : 0;
    }
    return int_result(n);
  };
  all.push_back(scalar("pg_num_nulls", [count_nulls](Call& c) { return count_nulls(c, true); }));
  all.push_back(scalar("pg_num_nonnulls", [count_nulls](Call& c) { return count_nulls(c, false); }));
  all.push_back(scalar("text_format", format));
  all.push_back(scalar("text_format_nv", format));
  all.push_back(scalar("textoverlay", overlay));
  all.push_back(scalar("textoverlay_no_len", overlay));
  all.push_back(
      scalar("text_starts_with", [](Call& c) { return bool_result(c.text(0).starts_with(c.text(1))); }));
  all.push_back(mapped("quote_ident", [](std::string_view s) { return quote_identifier(s); }));
  all.push_back(mapped("quote_literal", [](std::string_view s) { return quote_literal(s); }));
  all.push_back(scalar("quote_nullable", [](Call& c) {
    return text_result(c[0].is_null() ? "NULL" : quote_literal(c.text(0)));
  }));
  const auto quote_any = [](Call& c) {
    if (c[0].is_null()) return text_result("NULL");
    return text_result(quote_literal(text_of(c.types.empty() ? types::kText : c.types[0], c[0], c.codec())));
  };
  all.push_back(scalar("quote_literal(anyelement)", quote_any));
  all.push_back(scalar("quote_nullable(anyelement)", quote_any));
  all.push_back(native("text_larger", "max({0}, {1})"));
  all.push_back(native("text_smaller", "min({0}, {1})"));
}

}  // namespace bop
