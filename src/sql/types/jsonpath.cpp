#include "sql/types/jsonpath.hpp"

#include <array>
#include <charconv>

#include "sql/types/bytes.hpp"
#include "sql/types/json.hpp"
#include "sql/types/numeric.hpp"

namespace bop {
namespace {

using Kind = JsonPathNode::Kind;

constexpr std::string_view kSpecial = "?%$.[]{}()|&!=<>@#,*:-+/\"'\\";
constexpr int kMaxDepth = 500;
constexpr int kMaxAccessors = 1000;  // behind each other: they are followed by recursion

struct Token {
  enum class Kind : std::uint8_t { kEnd, kSign, kWord, kString, kNumber, kVariable };
  Kind kind = Kind::kEnd;
  std::string text;
  std::string_view raw;
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text), whole_(text) {}

  Result<Token> next() {
    skip();
    const std::string_view begin = rest_;
    Token token;
    if (rest_.empty()) return token;
    const char c = rest_[0];
    if (c == '"') {
      token.kind = Token::Kind::kString;
      BOP_LET(text, quoted());
      token.text = std::move(text);
    } else if (c == '$' && rest_.size() > 1 && (rest_[1] == '"' || is_word(rest_[1]))) {
      rest_.remove_prefix(1);
      token.kind = Token::Kind::kVariable;
      if (rest_[0] == '"') {
        BOP_LET(text, quoted());
        token.text = std::move(text);
      } else {
        token.text = word();
      }
    } else if (is_digit(c) || (c == '.' && rest_.size() > 1 && is_digit(rest_[1]))) {
      token.kind = Token::Kind::kNumber;
      token.text = number();
    } else if (kSpecial.find(c) != kSpecial.npos) {
      token.kind = Token::Kind::kSign;
      constexpr std::array<std::string_view, 9> kPairs{"==", "!=", "<>", "<=", ">=", "&&", "||", "**", ""};
      token.text = std::string(1, c);
      for (const std::string_view pair : kPairs) {
        if (!pair.empty() && rest_.starts_with(pair)) token.text = pair;
      }
      rest_.remove_prefix(token.text.size());
    } else {
      token.kind = Token::Kind::kWord;
      token.text = word();
    }
    token.raw = begin.substr(0, begin.size() - rest_.size());
    return token;
  }
  std::unexpected<Error> syntax_error(std::string_view at) const {
    if (at.empty()) return fail(ErrorCode::kSyntaxError, "syntax error at end of jsonpath input");
    return fail(ErrorCode::kSyntaxError, "syntax error at or near \"{}\" of jsonpath input", at);
  }

 private:
  static bool is_word(char c) { return !is_space(c) && kSpecial.find(c) == kSpecial.npos; }
  void skip() {
    while (!rest_.empty()) {
      if (is_space(rest_[0])) {
        rest_.remove_prefix(1);
      } else if (rest_.starts_with("/*")) {
        const std::size_t end = rest_.find("*/", 2);
        rest_.remove_prefix(end == rest_.npos ? rest_.size() : end + 2);
      } else {
        return;
      }
    }
  }
  std::string word() {
    std::size_t n = 0;
    while (n < rest_.size() && is_word(rest_[n])) ++n;
    std::string text(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return text;
  }
  std::string number() {
    std::size_t n = 0;
    const auto digits = [&] {
      while (n < rest_.size() && is_digit(rest_[n])) ++n;
    };
    digits();
    if (n < rest_.size() && rest_[n] == '.' && !rest_.substr(n).starts_with("..")) {
      ++n;
      digits();
    }
    if (n < rest_.size() && (rest_[n] == 'e' || rest_[n] == 'E')) {
      std::size_t exponent = n + 1;
      if (exponent < rest_.size() && (rest_[exponent] == '+' || rest_[exponent] == '-')) ++exponent;
      if (exponent < rest_.size() && is_digit(rest_[exponent])) {
        n = exponent;
        digits();
      }
    }
    std::string text(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return text;
  }
  // A string of JSON, read as one.
  Result<std::string> quoted() {
    std::size_t n = 1;
    while (n < rest_.size() && rest_[n] != '"') n += rest_[n] == '\\' ? 2 : 1;
    if (n >= rest_.size()) return syntax_error(rest_);
    BOP_LET(value, parse_json(rest_.substr(0, n + 1), false));
    rest_.remove_prefix(n + 1);
    return value.text;
  }

  std::string_view rest_, whole_;
};

JsonPathRef node(Kind kind, std::string text = {}) {
  auto made = std::make_unique<JsonPathNode>();
  made->kind = kind;
  made->text = std::move(text);
  return made;
}
JsonPathRef node(Kind kind, std::string text, JsonPathRef a, JsonPathRef b = nullptr) {
  JsonPathRef made = node(kind, std::move(text));
  made->args.push_back(std::move(a));
  if (b != nullptr) made->args.push_back(std::move(b));
  return made;
}

bool is_predicate(const JsonPathNode& n) { return n.next == nullptr && n.kind >= Kind::kCompare; }

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text), whole_(text) {}

  Result<JsonPath> parse() {
    BOP_TRY(advance());
    JsonPath path;
    if (is_word("strict") || is_word("lax")) {
      path.lax = is_word("lax");
      BOP_TRY(advance());
    }
    if (token_.kind == Token::Kind::kEnd) {
      return fail(ErrorCode::kInvalidTextRepresentation, "invalid input syntax for type {}: \"{}\"",
                  "jsonpath", whole_);
    }
    BOP_LET(root, any());
    path.root = std::move(root);
    if (token_.kind != Token::Kind::kEnd) return lexer_.syntax_error(token_.raw);
    return path;
  }

 private:
  using Parsed = Result<JsonPathRef>;

  [[nodiscard]] bool is_sign(std::string_view s) const {
    return token_.kind == Token::Kind::kSign && token_.text == s;
  }
  [[nodiscard]] bool is_word(std::string_view s) const {
    return token_.kind == Token::Kind::kWord && lower_ascii(token_.text) == s;
  }
  Status advance() {
    BOP_LET(token, lexer_.next());
    token_ = std::move(token);
    return {};
  }
  Status expect(std::string_view sign) {
    if (!is_sign(sign)) return lexer_.syntax_error(token_.raw);
    return advance();
  }

  // a || b, over a && b, over comparisons, over sums.
  Parsed any() {
    if (++depth_ > kMaxDepth) return fail(ErrorCode::kStatementTooComplex, "a jsonpath is nested too deeply");
    BOP_LET(left, conjunction());
    while (is_sign("||")) {
      BOP_TRY(advance());
      BOP_LET(right, conjunction());
      left = node(Kind::kOr, "||", std::move(left), std::move(right));
    }
    --depth_;
    return left;
  }
  Parsed conjunction() {
    BOP_LET(left, condition());
    while (is_sign("&&")) {
      BOP_TRY(advance());
      BOP_LET(right, condition());
      left = node(Kind::kAnd, "&&", std::move(left), std::move(right));
    }
    return left;
  }
  Parsed condition() {
    if (is_sign("!")) {
      BOP_TRY(advance());
      BOP_LET(inner, condition());
      return node(Kind::kNot, {}, std::move(inner));
    }
    if (is_word("exists")) {
      BOP_TRY(advance());
      BOP_TRY(expect("("));
      BOP_LET(inner, sum());
      BOP_TRY(expect(")"));
      return node(Kind::kExists, {}, std::move(inner));
    }
    BOP_LET(left, sum());
    constexpr std::array<std::string_view, 7> kSigns{"==", "!=", "<>", "<", "<=", ">", ">="};
    for (const std::string_view sign : kSigns) {
      if (!is_sign(sign)) continue;
      BOP_TRY(advance());
      BOP_LET(right, sum());
      return node(Kind::kCompare, sign == "<>" ? "!=" : std::string(sign), std::move(left), std::move(right));
    }
    if (is_word("is")) {
      BOP_TRY(advance());
      if (!is_word("unknown")) return lexer_.syntax_error(token_.raw);
      BOP_TRY(advance());
      return node(Kind::kIsUnknown, {}, std::move(left));
    }
    if (is_word("starts")) {
      BOP_TRY(advance());
      if (!is_word("with")) return lexer_.syntax_error(token_.raw);
      BOP_TRY(advance());
      if (token_.kind != Token::Kind::kString && token_.kind != Token::Kind::kVariable)
        return lexer_.syntax_error(token_.raw);
      JsonPathRef initial =
          node(token_.kind == Token::Kind::kString ? Kind::kString : Kind::kVariable, token_.text);
      BOP_TRY(advance());
      return node(Kind::kStartsWith, {}, std::move(left), std::move(initial));
    }
    if (is_word("like_regex")) return like_regex(std::move(left));
    return left;
  }
  Parsed like_regex(JsonPathRef left) {
    BOP_TRY(advance());
    if (token_.kind != Token::Kind::kString) return lexer_.syntax_error(token_.raw);
    JsonPathRef made = node(Kind::kLikeRegex, token_.text, std::move(left));
    BOP_TRY(advance());
    if (is_word("flag")) {
      BOP_TRY(advance());
      if (token_.kind != Token::Kind::kString) return lexer_.syntax_error(token_.raw);
      made->flags = token_.text;
      for (const char flag : made->flags) {
        if (std::string_view("ismxq").find(flag) == std::string_view::npos) {
          return std::unexpected(
              error(ErrorCode::kSyntaxError, "invalid input syntax for type {}", "jsonpath")
                  .detail(fmt::format("unrecognized flag character \"{}\" in LIKE_REGEX predicate",
                                      std::string(1, flag))));
        }
      }
      BOP_TRY(advance());
    }
    return made;
  }
  Parsed sum() {
    BOP_LET(left, product());
    while (is_sign("+") || is_sign("-")) {
      std::string sign = token_.text;
      BOP_TRY(advance());
      BOP_LET(right, product());
      left = node(Kind::kBinary, std::move(sign), std::move(left), std::move(right));
    }
    return left;
  }
  Parsed product() {
    BOP_LET(left, unary());
    while (is_sign("*") || is_sign("/") || is_sign("%")) {
      std::string sign = token_.text;
      BOP_TRY(advance());
      BOP_LET(right, unary());
      left = node(Kind::kBinary, std::move(sign), std::move(left), std::move(right));
    }
    return left;
  }
  Parsed unary() {
    if (is_sign("+") || is_sign("-")) {
      std::string sign = token_.text;
      BOP_TRY(advance());
      BOP_LET(operand, unary());
      if (operand->kind == Kind::kNumber && operand->next == nullptr) {  // one literal
        if (sign == "-") operand->text = Numeric::parse_stored(operand->text).negated().to_text();
        return operand;
      }
      return node(Kind::kUnary, std::move(sign), std::move(operand));
    }
    return path();
  }
  Parsed path() {
    BOP_LET(first, primary());
    JsonPathNode* end = first.get();
    while (end->next != nullptr) end = end->next.get();
    for (int accessors = 0;; ++accessors) {
      BOP_LET(accessor, accessor_behind());
      if (accessor == nullptr) return first;
      if (accessors == kMaxAccessors)
        return fail(ErrorCode::kStatementTooComplex,
                    "a jsonpath has more than {} accessors behind each other", kMaxAccessors);
      end->next = std::move(accessor);
      end = end->next.get();
    }
  }
  Parsed primary() {
    JsonPathRef made;
    switch (token_.kind) {
      case Token::Kind::kString: made = node(Kind::kString, token_.text); break;
      case Token::Kind::kVariable: made = node(Kind::kVariable, token_.text); break;
      case Token::Kind::kNumber: {
        BOP_LET(number, Numeric::parse(token_.text));
        made = node(Kind::kNumber, number.to_text());
        break;
      }
      case Token::Kind::kWord: {
        if (is_word("null")) {
          made = node(Kind::kNull);
        } else if (is_word("true") || is_word("false")) {
          made = node(Kind::kBool);
          made->flag = is_word("true");
        } else if (is_word("last")) {
          if (subscripts_ == 0) {
            return fail(ErrorCode::kSyntaxError, "LAST is allowed only in array subscripts");
          }
          made = node(Kind::kLast);
        }
        break;
      }
      case Token::Kind::kSign:
        if (token_.text == "$") {
          made = node(Kind::kRoot);
        } else if (token_.text == "@") {
          if (filters_ == 0) return fail(ErrorCode::kSyntaxError, "@ is not allowed in root expressions");
          made = node(Kind::kCurrent);
        } else if (token_.text == "(") {
          BOP_TRY(advance());
          BOP_LET(inner, any());
          BOP_TRY(expect(")"));
          return inner;
        }
        break;
      default: break;
    }
    if (made == nullptr) return lexer_.syntax_error(token_.raw);
    BOP_TRY(advance());
    return made;
  }
  // nullptr: there is none.
  Parsed accessor_behind() {
    if (is_sign("[")) return subscript();
    if (is_sign("?")) {
      BOP_TRY(advance());
      BOP_TRY(expect("("));
      ++filters_;
      BOP_LET(inner, any());
      --filters_;
      if (!is_predicate(*inner)) return lexer_.syntax_error(token_.raw);
      BOP_TRY(expect(")"));
      return node(Kind::kFilter, {}, std::move(inner));
    }
    if (!is_sign(".")) return JsonPathRef();
    BOP_TRY(advance());
    if (is_sign("*")) {
      BOP_TRY(advance());
      return node(Kind::kAnyKey);
    }
    if (is_sign("**")) return any_depth();
    if (token_.kind != Token::Kind::kWord && token_.kind != Token::Kind::kString)
      return lexer_.syntax_error(token_.raw);
    const Token key = token_;
    BOP_TRY(advance());
    if (key.kind == Token::Kind::kWord && is_sign("(")) return method(key);
    return node(Kind::kKey, key.text);
  }
  Parsed method(const Token& name) {
    constexpr std::array<std::string_view, 8> kMethods{"type",    "size",   "abs",      "floor",
                                                       "ceiling", "double", "keyvalue", "datetime"};
    BOP_TRY(advance());
    const std::string word = lower_ascii(name.text);
    for (const std::string_view known : kMethods) {
      if (word != known) continue;
      if (word == "datetime") {
        return fail(ErrorCode::kNotImplemented, "jsonpath item method .datetime() is not implemented");
      }
      BOP_TRY(expect(")"));
      return node(Kind::kMethod, word);
    }
    return lexer_.syntax_error(name.raw);
  }
  Parsed any_depth() {
    BOP_TRY(advance());
    JsonPathRef made = node(Kind::kAnyDepth);
    made->last = -1;
    if (!is_sign("{")) return made;
    BOP_TRY(advance());
    const auto level = [&](std::int64_t& out) -> Status {
      if (is_word("last")) {
        out = -1;
      } else {
        const auto r = std::from_chars(token_.text.data(), token_.text.data() + token_.text.size(), out);
        if (token_.kind != Token::Kind::kNumber || r.ec != std::errc() ||
            r.ptr != token_.text.data() + token_.text.size())
          return lexer_.syntax_error(token_.raw);
      }
      return advance();
    };
    BOP_TRY(level(made->first));
    made->last = made->first;
    if (is_word("to")) {
      BOP_TRY(advance());
      BOP_TRY(level(made->last));
    }
    BOP_TRY(expect("}"));
    return made;
  }
  Parsed subscript() {
    BOP_TRY(advance());
    if (is_sign("*")) {
      BOP_TRY(advance());
      BOP_TRY(expect("]"));
      return node(Kind::kAnyItem);
    }
    JsonPathRef made = node(Kind::kIndex);
    ++subscripts_;
    while (true) {
      BOP_LET(from, sum());
      made->args.push_back(std::move(from));
      made->args.push_back(nullptr);
      if (is_word("to")) {
        BOP_TRY(advance());
        BOP_LET(to, sum());
        made->args.back() = std::move(to);
      }
      if (!is_sign(",")) break;
      BOP_TRY(advance());
    }
    --subscripts_;
    BOP_TRY(expect("]"));
    return made;
  }

  Lexer lexer_;
  std::string_view whole_;
  Token token_;
  int depth_ = 0, subscripts_ = 0, filters_ = 0;
};

int priority(const JsonPathNode& n) {
  switch (n.kind) {
    case Kind::kOr: return 0;
    case Kind::kAnd: return 1;
    case Kind::kCompare:
    case Kind::kStartsWith: return 2;
    case Kind::kBinary: return n.text == "+" || n.text == "-" ? 3 : 4;
    case Kind::kUnary: return 5;
    default: return 6;
  }
}

void print(const JsonPathNode& n, std::string& out, bool in_key, bool brackets);

void print_two(const JsonPathNode& n, std::string_view sign, std::string& out, bool brackets) {
  if (brackets) out += '(';
  print(*n.args[0], out, false, priority(*n.args[0]) <= priority(n));
  out += fmt::format(" {} ", sign);
  print(*n.args[1], out, false, priority(*n.args[1]) <= priority(n));
  if (brackets) out += ')';
}

void print_index(const JsonPathNode& n, std::string& out) {
  out += '[';
  for (std::size_t i = 0; i < n.args.size(); i += 2) {
    if (i > 0) out += ',';
    print(*n.args[i], out, false, false);
    if (n.args[i + 1] == nullptr) continue;
    out += " to ";
    print(*n.args[i + 1], out, false, false);
  }
  out += ']';
}

void print_depth(const JsonPathNode& n, std::string& out) {
  out += "**";
  if (n.first == 0 && n.last == -1) return;
  const auto level = [](std::int64_t l) { return l < 0 ? std::string("last") : std::to_string(l); };
  out += n.first == n.last ? fmt::format("{{{}}}", level(n.first))
                           : fmt::format("{{{} to {}}}", level(n.first), level(n.last));
}

void print(const JsonPathNode& n, std::string& out, bool in_key, bool brackets) {
  const auto within = [&](std::string_view before, std::string_view after) {
    out += before;
    print(*n.args[0], out, false, false);
    out += after;
  };
  // A number, or an expression, with something behind it stands in brackets.
  const bool wraps = n.next != nullptr && (n.kind == Kind::kNumber || n.kind >= Kind::kUnary);
  if (wraps && n.kind == Kind::kNumber) out += '(';
  const bool inner = brackets || (wraps && n.kind != Kind::kNumber);
  switch (n.kind) {
    case Kind::kNull: out += "null"; break;
    case Kind::kBool: out += n.flag ? "true" : "false"; break;
    case Kind::kNumber: out += n.text; break;
    case Kind::kString: append_json_string(n.text, out); break;
    case Kind::kVariable:
      out += '$';
      append_json_string(n.text, out);
      break;
    case Kind::kRoot: out += '$'; break;
    case Kind::kCurrent: out += '@'; break;
    case Kind::kLast: out += "last"; break;
    case Kind::kKey:
      if (in_key) out += '.';
      append_json_string(n.text, out);
      break;
    case Kind::kAnyKey: out += in_key ? ".*" : "*"; break;
    case Kind::kAnyItem: out += "[*]"; break;
    case Kind::kIndex: print_index(n, out); break;
    case Kind::kAnyDepth:
      if (in_key) out += '.';
      print_depth(n, out);
      break;
    case Kind::kFilter: within("?(", ")"); break;
    case Kind::kMethod: out += fmt::format(".{}()", n.text); break;
    case Kind::kUnary:
      if (inner) out += '(';
      out += n.text;
      print(*n.args[0], out, false, priority(*n.args[0]) <= priority(n));
      if (inner) out += ')';
      break;
    case Kind::kBinary:
    case Kind::kCompare: print_two(n, n.text, out, inner); break;
    case Kind::kAnd: print_two(n, "&&", out, inner); break;
    case Kind::kOr: print_two(n, "||", out, inner); break;
    case Kind::kNot: within("!(", ")"); break;
    case Kind::kExists: within("exists (", ")"); break;
    case Kind::kIsUnknown: within("(", ") is unknown"); break;
    case Kind::kStartsWith: print_two(n, "starts with", out, inner); break;
    case Kind::kLikeRegex:
      if (inner) out += '(';
      print(*n.args[0], out, false, priority(*n.args[0]) <= priority(n));
      out += " like_regex ";
      append_json_string(n.text, out);
      if (!n.flags.empty()) out += fmt::format(" flag \"{}\"", n.flags);
      if (inner) out += ')';
      break;
  }
  if (wraps && n.kind == Kind::kNumber) out += ')';
  if (n.next != nullptr) print(*n.next, out, true, true);
}

}  // namespace

Result<JsonPath> parse_jsonpath(std::string_view text) { return Parser(text).parse(); }

std::string jsonpath_text(const JsonPath& path) {
  std::string out = path.lax ? "" : "strict ";
  print(*path.root, out, false, true);
  return out;
}

}  // namespace bop
