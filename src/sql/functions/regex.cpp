#include "sql/functions/regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "sql/types/bytes.hpp"

namespace bop {
namespace {

constexpr std::uint32_t kMatchLimit = 5'000'000;
constexpr std::uint32_t kHeapLimitKiB = 64 * 1024;
constexpr std::size_t kMaxPattern = 1 << 20;

std::unexpected<Error> invalid(std::string_view why) {
  return fail(ErrorCode::kInvalidRegularExpression, "invalid regular expression: {}", why);
}

// Rewrites what differs between PostgreSQL's AREs and Perl's expressions.
std::string translate(std::string_view p) {
  std::string out;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const char c = p[i];
    if (c == '\\' && i + 1 < p.size()) {
      const char e = p[++i];
      switch (e) {
        case 'm': out += "\\b(?=\\w)"; break;
        case 'M': out += "\\b(?<=\\w)"; break;
        case 'y': out += "\\b"; break;
        case 'Y': out += "\\B"; break;
        case 'Z': out += "\\z"; break;
        case 'B': out += "\\\\"; break;
        default: out += '\\'; out += e;
      }
      continue;
    }
    if (p.substr(i).starts_with("[[:<:]]")) {
      out += "\\b(?=\\w)";
      i += 6;
    } else if (p.substr(i).starts_with("[[:>:]]")) {
      out += "\\b(?<=\\w)";
      i += 6;
    } else if (c == '[') {
      // A bracket expression as it stands; only a '[' that opens no class is a plain character to POSIX.
      std::size_t j = i + 1;
      out += '[';
      if (j < p.size() && p[j] == '^') out += p[j++];
      if (j < p.size() && p[j] == ']') out += "\\]", ++j;
      while (j < p.size() && p[j] != ']') {
        if (p[j] == '[' && j + 1 < p.size() && (p[j + 1] == ':' || p[j + 1] == '.' || p[j + 1] == '=')) {
          const char kind = p[j + 1];
          const std::string close = std::string(1, kind) + "]";
          const std::size_t end = p.find(close, j + 2);
          if (end == p.npos) break;
          const std::string_view name = p.substr(j + 2, end - j - 2);
          if (kind == ':')
            out += fmt::format("[:{}:]", name);
          else if (name.size() == 1 && !is_alpha(name[0]) && !is_digit(name[0]))
            out += fmt::format("\\{}", name);
          else
            out += name;
          j = end + 2;
          continue;
        }
        if (p[j] == '[') out += '\\';
        if (p[j] == '\\' && j + 1 < p.size()) out += p[j++];
        out += p[j++];
      }
      if (j < p.size()) out += ']';
      i = j;
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

Result<RegexOptions> parse_regex_flags(std::string_view flags) {
  RegexOptions o;
  for (std::size_t i = 0; i < flags.size(); ++i) {
    switch (flags[i]) {
      case 'g': o.global = true; break;
      case 'i': o.ignore_case = true; break;
      case 'c': o.ignore_case = false; break;
      case 'm':
      case 'n': o.newline_stops_dot = o.newline_anchors = true; break;
      case 'p':
        o.newline_stops_dot = true;
        o.newline_anchors = false;
        break;
      case 's': o.newline_stops_dot = o.newline_anchors = false; break;
      case 'w':
        o.newline_anchors = true;
        o.newline_stops_dot = false;
        break;
      case 't': o.extended = false; break;
      case 'x': o.extended = true; break;
      case 'q': o.literal = true; break;
      case 'e':
      case 'b': break;
      default:
        return fail(ErrorCode::kInvalidArgument, "invalid regular expression option: \"{}\"",
                    flags.substr(i, utf8_length(flags[i])));
    }
  }
  return o;
}

Result<std::shared_ptr<const Regex>> Regex::compile(std::string_view pattern, const RegexOptions& given) {
  if (pattern.size() > kMaxPattern)
    return fail(ErrorCode::kInvalidRegularExpression,
                "invalid regular expression: regular expression is too complex");
  RegexOptions o = given;
  if (pattern.starts_with("***=")) {
    o.literal = true;
    pattern.remove_prefix(4);
  } else if (pattern.starts_with("***:")) {
    pattern.remove_prefix(4);
  }
  if (!o.literal && pattern.starts_with("(?") && pattern.size() > 2 && is_alpha(pattern[2])) {
    const std::size_t close = pattern.find(')');
    if (close != pattern.npos) {
      const std::string_view letters = pattern.substr(2, close - 2);
      auto embedded = parse_regex_flags(letters);
      if (!embedded || embedded->global) return invalid("invalid embedded option");
      for (const char c : letters) {
        if (c == 'i') o.ignore_case = true;
        if (c == 'c') o.ignore_case = false;
        if (c == 'q') o.literal = true;
        if (c == 'x') o.extended = true;
        if (std::string_view("mnpsw").find(c) != std::string_view::npos) {
          o.newline_stops_dot = embedded->newline_stops_dot;
          o.newline_anchors = embedded->newline_anchors;
        }
      }
      pattern.remove_prefix(close + 1);
    }
  }
  std::uint32_t flags = PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
  if (o.ignore_case) flags |= PCRE2_CASELESS;
  if (!o.newline_stops_dot) flags |= PCRE2_DOTALL;
  if (o.newline_anchors) flags |= PCRE2_MULTILINE;
  if (o.extended && !o.literal) flags |= PCRE2_EXTENDED;
  if (o.literal) flags = (flags & (PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_CASELESS)) | PCRE2_LITERAL;
  const std::string translated = o.literal ? std::string(pattern) : translate(pattern);
  int code = 0;
  PCRE2_SIZE offset = 0;
  auto* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), flags,
                                 &code, &offset, nullptr);
  if (compiled == nullptr) {
    switch (code) {
      case PCRE2_ERROR_MISSING_CLOSING_PARENTHESIS:
      case PCRE2_ERROR_UNMATCHED_CLOSING_PARENTHESIS: return invalid("parentheses () not balanced");
      case PCRE2_ERROR_MISSING_SQUARE_BRACKET: return invalid("brackets [] not balanced");
      case PCRE2_ERROR_QUANTIFIER_INVALID: return invalid("quantifier operand invalid");
      case PCRE2_ERROR_QUANTIFIER_OUT_OF_ORDER:
      case PCRE2_ERROR_QUANTIFIER_TOO_BIG: return invalid("invalid repetition count(s)");
      case PCRE2_ERROR_CLASS_RANGE_ORDER: return invalid("invalid character range");
      case PCRE2_ERROR_UNKNOWN_POSIX_CLASS: return invalid("invalid character class");
      case PCRE2_ERROR_END_BACKSLASH: return invalid("invalid escape \\ sequence");
      case PCRE2_ERROR_BAD_SUBPATTERN_REFERENCE: return invalid("invalid backreference number");
      default: {
        PCRE2_UCHAR message[160];
        pcre2_get_error_message(code, message, sizeof message);
        return invalid(reinterpret_cast<const char*>(message));
      }
    }
  }
  auto regex = std::shared_ptr<Regex>(new Regex);
  regex->code_ = compiled;
  std::uint32_t groups = 0;
  pcre2_pattern_info(compiled, PCRE2_INFO_CAPTURECOUNT, &groups);
  regex->group_count_ = groups;
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
  return regex;
}

Regex::~Regex() { pcre2_code_free(static_cast<pcre2_code*>(code_)); }

Result<bool> Regex::find(std::string_view text, std::size_t from, Match& out) const {
  auto* code = static_cast<pcre2_code*>(code_);
  struct Workspace {
    pcre2_match_context* context = pcre2_match_context_create(nullptr);
    Workspace() {
      pcre2_set_match_limit(context, kMatchLimit);
      pcre2_set_heap_limit(context, kHeapLimitKiB);
    }
    ~Workspace() { pcre2_match_context_free(context); }
  };
  thread_local const Workspace workspace;
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free);
  const int n = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                            PCRE2_NO_UTF_CHECK, data.get(), workspace.context);
  if (n == PCRE2_ERROR_NOMATCH) return false;
  if (n < 0)
    return fail(ErrorCode::kInvalidRegularExpression,
                "regular expression failed: regular expression is too complex");
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data.get());
  out.groups.assign(group_count_ + 1, {0, 0, false});
  for (int i = 0; i < n; ++i) {
    const bool set = offsets[2 * i] != PCRE2_UNSET;
    if (set) out.groups[static_cast<std::size_t>(i)] = {offsets[2 * i], offsets[2 * i + 1], true};
  }
  return true;
}

Result<std::shared_ptr<const Regex>> RegexCache::get(std::string_view pattern, const RegexOptions& o) {
  std::string key(pattern);
  key += '\0';
  for (const bool b : {o.ignore_case, o.newline_stops_dot, o.newline_anchors, o.extended, o.literal})
    key += b ? '1' : '0';
  if (const auto it = cache_.find(key); it != cache_.end()) {
    order_.splice(order_.begin(), order_, it->second.second);
    return it->second.first;
  }
  BOP_LET(regex, Regex::compile(pattern, o));
  if (cache_.size() >= kCapacity) {
    cache_.erase(order_.back());
    order_.pop_back();
  }
  order_.push_front(key);
  cache_.emplace(key, std::pair(regex, order_.begin()));
  return regex;
}

}  // namespace bop
