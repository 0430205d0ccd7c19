#include "sql/types/json.hpp"

#include <algorithm>
#include <optional>

#include "sql/types/bytes.hpp"
#include "sql/types/numeric.hpp"

namespace bop {
namespace {

class Parser {
 public:
  Parser(std::string_view text, bool normalise) : s_(text), normalise_(normalise) {}

  Result<Json> parse() {
    Json root;
    skip();
    if (!value(root, 0)) return std::unexpected(*std::move(error_));
    skip();
    if (at_ < s_.size()) {
      expected("end of input");
      return std::unexpected(*std::move(error_));
    }
    return root;
  }

 private:
  void skip() {
    while (at_ < s_.size() && (s_[at_] == ' ' || s_[at_] == '\t' || s_[at_] == '\n' || s_[at_] == '\r'))
      ++at_;
  }
  // The token at the place of the fault, as PostgreSQL's lexer would have cut it.
  [[nodiscard]] std::size_t token_end() const {
    if (at_ >= s_.size()) return at_;
    const auto wordy = [](char c) {
      return is_alpha(c) || is_digit(c) || c == '_' || (static_cast<unsigned char>(c) & 0x80) != 0;
    };
    std::size_t e = at_;
    if (s_[at_] == '"') {
      for (++e; e < s_.size() && s_[e] != '"'; ++e) e += s_[e] == '\\' ? 1 : 0;
      return std::min(e + 1, s_.size());
    }
    if (is_digit(s_[at_]) || s_[at_] == '-') {
      for (++e; e < s_.size() && (wordy(s_[e]) || s_[e] == '.' || s_[e] == '+' || s_[e] == '-'); ++e) {
      }
      return e;
    }
    if (!wordy(s_[at_])) return at_ + 1;
    while (e < s_.size() && wordy(s_[e])) ++e;
    return e;
  }
  bool fault(std::string detail, std::size_t end, ErrorCode code = ErrorCode::kInvalidTextRepresentation,
             std::string_view what = "invalid input syntax for type json") {
    std::size_t line_start = 0, line = 1;
    for (std::size_t i = 0; i < std::min(end, s_.size()); ++i) {
      if (s_[i] == '\n') line_start = i + 1, ++line;
    }
    std::size_t start = line_start;
    while (end - start >= 50) start += utf8_length(s_[start]);
    if (start - line_start <= 3) start = line_start;
    const bool more = end < s_.size() && s_[end] != '\n' && s_[end] != '\r';
    error_ = Error(code, std::string(what))
                 .detail(std::move(detail))
                 .context(fmt::format("JSON data, line {}: {}{}{}", line, start > line_start ? "..." : "",
                                      s_.substr(start, end - start), more ? "..." : ""));
    return false;
  }
  bool expected(std::string_view what) {
    if (at_ >= s_.size()) return fault("The input string ended unexpectedly.", s_.size());
    const std::size_t end = token_end();
    const std::string_view token = s_.substr(at_, end - at_);
    const bool good_token = std::string_view("{}[],:").find(token[0]) != std::string_view::npos ||
                            token[0] == '"' || is_digit(token[0]) || token == "true" || token == "false" ||
                            token == "null";
    if (!good_token) return fault(fmt::format("Token \"{}\" is invalid.", token), end);
    return fault(fmt::format("Expected {}, but found \"{}\".", what, token), end);
  }

  bool value(Json& out, int depth) {
    if (depth > kMaxJsonDepth) {
      error_ = Error(ErrorCode::kStatementTooComplex, "stack depth limit exceeded")
                   .detail(fmt::format("JSON may be nested {} levels deep.", kMaxJsonDepth));
      return false;
    }
    const std::size_t from = at_;
    if (at_ >= s_.size()) return expected("JSON value");
    bool ok = false;
    switch (s_[at_]) {
      case '{': ok = object(out, depth); break;
      case '[': ok = array(out, depth); break;
      case '"':
        out.type = Json::Type::kString;
        ok = string(out.text);
        break;
      case '-':
      case '0':
      case '1':
      case '2':
      case '3':
      case '4':
      case '5':
      case '6':
      case '7':
      case '8':
      case '9': ok = number(out); break;
      default: ok = literal(out); break;
    }
    out.raw = s_.substr(from, at_ - from);
    return ok;
  }
  bool literal(Json& out) {
    const std::string_view token = s_.substr(at_, token_end() - at_);
    if (token == "null")
      out.type = Json::Type::kNull;
    else if (token == "true" || token == "false")
      out = Json::of_bool(token == "true");
    else
      return expected("JSON value");
    at_ += token.size();
    return true;
  }
  bool number(Json& out) {
    const std::size_t from = at_, end = token_end();
    const auto bad = [&] {
      return fault(fmt::format("Token \"{}\" is invalid.", s_.substr(from, end - from)), end);
    };
    std::size_t i = at_ + (s_[at_] == '-' ? 1 : 0);
    const auto digits = [&] {
      const std::size_t begin = i;
      while (i < s_.size() && is_digit(s_[i])) ++i;
      return i > begin;
    };
    if (i < s_.size() && s_[i] == '0')
      ++i;
    else if (!digits())
      return bad();
    if (i < s_.size() && s_[i] == '.') {
      ++i;
      if (!digits()) return bad();
    }
    if (i < s_.size() && (s_[i] == 'e' || s_[i] == 'E')) {
      ++i;
      if (i < s_.size() && (s_[i] == '+' || s_[i] == '-')) ++i;
      if (!digits()) return bad();
    }
    if (i != end) return bad();
    out.type = Json::Type::kNumber;
    at_ = end;
    if (!normalise_) {
      out.text = s_.substr(from, end - from);
      return true;
    }
    auto n = Numeric::parse(s_.substr(from, end - from));
    if (!n) {
      error_ = std::move(n).error();
      return false;
    }
    out.text = n->to_text();
    return true;
  }
  bool hex4(std::uint32_t& out) {
    out = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = at_ < s_.size() ? ascii_lower(s_[at_]) : '\0';
      if (!is_digit(c) && !(c >= 'a' && c <= 'f')) {
        return fault("\"\\u\" must be followed by four hexadecimal digits.", std::min(at_ + 1, s_.size()));
      }
      out = out * 16 + static_cast<std::uint32_t>(is_digit(c) ? c - '0' : c - 'a' + 10);
      ++at_;
    }
    return true;
  }
  bool string(std::string& out) {
    const std::size_t from = at_++;
    std::uint32_t high = 0;
    while (true) {
      if (at_ >= s_.size()) {
        return fault(fmt::format("Token \"{}\" is invalid.", s_.substr(from)), s_.size());
      }
      const char c = s_[at_];
      if (high != 0 && !(c == '\\' && at_ + 1 < s_.size() && s_[at_ + 1] == 'u')) {
        return fault("Unicode low surrogate must follow a high surrogate.", at_);
      }
      if (c == '"') break;
      if (static_cast<unsigned char>(c) < 0x20) {
        return fault(fmt::format("Character with value 0x{:02x} must be escaped.", static_cast<unsigned>(c)),
                     at_);
      }
      ++at_;
      if (c != '\\') {
        out += c;
        continue;
      }
      if (at_ >= s_.size()) return fault(fmt::format("Token \"{}\" is invalid.", s_.substr(from)), s_.size());
      const char e = s_[at_++];
      switch (e) {
        case '"':
        case '\\':
        case '/': out += e; break;
        case 'b': out += '\b'; break;
        case 'f': out += '\f'; break;
        case 'n': out += '\n'; break;
        case 'r': out += '\r'; break;
        case 't': out += '\t'; break;
        case 'u': {
          std::uint32_t u = 0;
          if (!hex4(u)) return false;
          if (u >= 0xd800 && u < 0xdc00) {
            if (high != 0) return fault("Unicode high surrogate must not follow a high surrogate.", at_);
            high = u;
          } else if (u >= 0xdc00 && u < 0xe000) {
            if (high == 0) return fault("Unicode low surrogate must follow a high surrogate.", at_);
            append_utf8(out, 0x10000 + ((high & 0x3ff) << 10) + (u & 0x3ff));
            high = 0;
          } else if (high != 0) {
            return fault("Unicode low surrogate must follow a high surrogate.", at_);
          } else if (u == 0) {
            if (normalise_) {
              return fault("\\u0000 cannot be converted to text.", at_, ErrorCode::kUntranslatableCharacter,
                           "unsupported Unicode escape sequence");
            }
            out += '\0';
          } else {
            append_utf8(out, u);
          }
          break;
        }
        default: {
          std::size_t end = at_ - 1 + utf8_length(e);
          return fault(fmt::format("Escape sequence \"\\{}\" is invalid.", s_.substr(at_ - 1, end - at_ + 1)),
                       end);
        }
      }
    }
    ++at_;
    return true;
  }
  bool array(Json& out, int depth) {
    out.type = Json::Type::kArray;
    ++at_;
    skip();
    if (at_ < s_.size() && s_[at_] == ']') {
      ++at_;
      return true;
    }
    while (true) {
      skip();
      if (!value(out.items.emplace_back(), depth + 1)) return false;
      skip();
      if (at_ < s_.size() && s_[at_] == ',') {
        ++at_;
        continue;
      }
      if (at_ < s_.size() && s_[at_] == ']') break;
      return expected("\",\" or \"]\"");
    }
    ++at_;
    return true;
  }
  bool object(Json& out, int depth) {
    out.type = Json::Type::kObject;
    ++at_;
    skip();
    if (at_ < s_.size() && s_[at_] == '}') {
      ++at_;
      return true;
    }
    for (bool first = true;; first = false) {
      skip();
      if (at_ >= s_.size() || s_[at_] != '"') return expected(first ? "string or \"}\"" : "string");
      auto& member = out.members.emplace_back();
      if (!string(member.first)) return false;
      skip();
      if (at_ >= s_.size() || s_[at_] != ':') return expected("\":\"");
      ++at_;
      skip();
      if (!value(member.second, depth + 1)) return false;
      skip();
      if (at_ < s_.size() && s_[at_] == ',') {
        ++at_;
        continue;
      }
      if (at_ < s_.size() && s_[at_] == '}') break;
      return expected("\",\" or \"}\"");
    }
    ++at_;
    if (normalise_) normalise(out);
    return true;
  }

  std::string_view s_;
  bool normalise_;
  std::size_t at_ = 0;
  std::optional<Error> error_;
};

bool key_before(std::string_view a, std::string_view b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

int sign(int v) { return (v > 0) - (v < 0); }

}  // namespace

const Json* Json::find(std::string_view key) const {
  for (auto it = members.rbegin(); it != members.rend(); ++it) {
    if (it->first == key) return &it->second;
  }
  return nullptr;
}

const Json* Json::at(std::int64_t index) const {
  const auto n = static_cast<std::int64_t>(items.size());
  if (index < 0) index += n;
  return index >= 0 && index < n ? &items[static_cast<std::size_t>(index)] : nullptr;
}

Result<Json> parse_json(std::string_view text, bool normalised) { return Parser(text, normalised).parse(); }

Json parse_stored_json(std::string_view text) {
  auto j = Parser(text, false).parse();
  return j ? *std::move(j) : Json();
}

void normalise(Json& o) {
  std::ranges::stable_sort(o.members, key_before, [](const auto& m) -> std::string_view { return m.first; });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < o.members.size(); ++i) {
    if (kept > 0 && o.members[kept - 1].first == o.members[i].first) --kept;
    if (kept != i) o.members[kept] = std::move(o.members[i]);
    ++kept;
  }
  o.members.resize(kept);
}

void append_json_string(std::string_view s, std::string& out) {
  out += '"';
  for (const char c : s) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20)
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else
          out += c;
    }
  }
  out += '"';
}

void append_json(const Json& j, std::string& out) {
  switch (j.type) {
    case Json::Type::kNull: out += "null"; return;
    case Json::Type::kBool: out += j.boolean ? "true" : "false"; return;
    case Json::Type::kNumber: out += j.text; return;
    case Json::Type::kString: append_json_string(j.text, out); return;
    case Json::Type::kArray: {
      out += '[';
      for (std::size_t i = 0; i < j.items.size(); ++i) {
        if (i > 0) out += ", ";
        append_json(j.items[i], out);
      }
      out += ']';
      return;
    }
    case Json::Type::kObject: {
      out += '{';
      for (std::size_t i = 0; i < j.members.size(); ++i) {
        if (i > 0) out += ", ";
        append_json_string(j.members[i].first, out);
        out += ": ";
        append_json(j.members[i].second, out);
      }
      out += '}';
      return;
    }
  }
}

std::string jsonb_text(const Json& j) {
  std::string s;
  append_json(j, s);
  return s;
}

int compare_json(const Json& a, const Json& b) noexcept {
  using Type = Json::Type;
  // PostgreSQL's oldest quirk here, kept for its indexes: an empty array sorts before everything.
  const auto empty_array = [](const Json& j) { return j.type == Type::kArray && j.items.empty(); };
  if (empty_array(a) || empty_array(b))
    return static_cast<int>(empty_array(b)) - static_cast<int>(empty_array(a));
  if (a.type != b.type) return a.type < b.type ? -1 : 1;
  switch (a.type) {
    case Type::kNull: return 0;
    case Type::kBool: return static_cast<int>(a.boolean) - static_cast<int>(b.boolean);
    case Type::kString: return sign(a.text.compare(b.text));
    case Type::kNumber: return Numeric::compare_stored(a.text, b.text);
    case Type::kArray:
      if (a.items.size() != b.items.size()) return a.items.size() < b.items.size() ? -1 : 1;
      for (std::size_t i = 0; i < a.items.size(); ++i) {
        if (const int c = compare_json(a.items[i], b.items[i]); c != 0) return c;
      }
      return 0;
    case Type::kObject:
      if (a.members.size() != b.members.size()) return a.members.size() < b.members.size() ? -1 : 1;
      for (std::size_t i = 0; i < a.members.size(); ++i) {
        if (const int c = a.members[i].first.compare(b.members[i].first); c != 0) return sign(c);
        if (const int c = compare_json(a.members[i].second, b.members[i].second); c != 0) return c;
      }
      return 0;
  }
  return 0;
}

}  // namespace bop
