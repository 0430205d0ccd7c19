#include "sql/types/array.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>

#include "sql/types/bytes.hpp"
#include "sql/types/types.hpp"

namespace bop {
namespace {

bool is_vector(Oid oid) { return oid == types::kInt2Vector || oid == types::kOidVector; }

class Parser {
 public:
  using Element = std::function<Result<OwnedValue>(std::string_view)>;
  Parser(std::string_view text, Element element) : s_(text), element_(std::move(element)) {}

  Result<Array> parse() {
    skip();
    std::vector<Array::Dimension> declared;
    if (!bounds(declared)) return std::unexpected(*std::move(error_));
    skip();
    if (peek() != '{') {
      malformed(declared.empty() ? "Array value must start with \"{\" or dimension information."
                                 : "Array contents must start with \"{\".");
      return std::unexpected(*std::move(error_));
    }
    if (!level(0)) return std::unexpected(*std::move(error_));
    skip();
    if (at_ < s_.size()) {
      malformed("Junk after closing right brace.");
      return std::unexpected(*std::move(error_));
    }
    Array a;
    a.elements = std::move(elements_);
    if (a.elements.empty()) {
      if (!declared.empty()) {
        malformed("Specified array dimensions do not match array contents.");
        return std::unexpected(*std::move(error_));
      }
      return a;
    }
    for (const int n : counts_) a.dimensions.push_back({1, n});
    if (!declared.empty()) {
      if (!std::ranges::equal(declared, a.dimensions, {}, &Array::Dimension::count,
                              &Array::Dimension::count)) {
        malformed("Specified array dimensions do not match array contents.");
        return std::unexpected(*std::move(error_));
      }
      a.dimensions = std::move(declared);
    }
    return a;
  }

 private:
  bool malformed(std::string detail) {
    error_ = error(ErrorCode::kInvalidTextRepresentation, "malformed array literal: \"{}\"", s_)
                 .detail(std::move(detail));
    return false;
  }
  bool too_many_dimensions() {
    error_ = error(ErrorCode::kProgramLimitExceeded,
                   "number of array dimensions ({}) exceeds the maximum allowed ({})",
                   kMaxArrayDimensions + 1, kMaxArrayDimensions);
    return false;
  }
  [[nodiscard]] char peek() const { return at_ < s_.size() ? s_[at_] : '\0'; }
  void skip() {
    while (at_ < s_.size() && is_space(s_[at_])) ++at_;
  }
  bool integer(std::int32_t& out) {
    std::size_t from = at_;
    if (peek() == '+') ++from, ++at_;
    const auto r = std::from_chars(s_.data() + from, s_.data() + s_.size(), out);
    if (r.ec != std::errc() || r.ptr == s_.data() + from) return false;
    at_ = static_cast<std::size_t>(r.ptr - s_.data());
    return true;
  }
  bool bounds(std::vector<Array::Dimension>& out) {
    while (peek() == '[') {
      ++at_;
      if (out.size() == kMaxArrayDimensions) return too_many_dimensions();
      std::int32_t lower = 1, upper = 0;
      if (!integer(lower)) return malformed("\"[\" must introduce explicitly-specified array dimensions.");
      if (peek() == ':') {
        ++at_;
        if (!integer(upper)) return malformed("Missing array dimension value.");
      } else {
        upper = lower;
        lower = 1;
      }
      if (peek() != ']') return malformed("Missing \"]\" after array dimensions.");
      ++at_;
      if (upper < lower) {
        error_ = Error(ErrorCode::kArraySubscriptError, "upper bound cannot be less than lower bound");
        return false;
      }
      if (static_cast<std::int64_t>(upper) - lower + 1 > kMaxArrayElements) {
        error_ = error(ErrorCode::kProgramLimitExceeded, "array size exceeds the maximum allowed ({})",
                       kMaxArrayElements);
        return false;
      }
      out.push_back({lower, upper - lower + 1});
      skip();
    }
    if (!out.empty()) {
      if (peek() != '=') return malformed("Missing \"=\" after array dimensions.");
      ++at_;
    }
    return true;
  }

  // One brace level. All leaves must be at one depth and all siblings of one size.
  bool level(std::size_t depth) {
    if (depth == kMaxArrayDimensions) return too_many_dimensions();
    ++at_;
    int n = 0;
    bool comma = false;
    while (true) {
      skip();
      if (at_ >= s_.size()) return malformed("Unexpected end of input.");
      const char c = peek();
      if (c == '}') {
        if (comma) return malformed("Unexpected \"}\" character.");
        ++at_;
        break;
      }
      if (c == ',') return malformed("Unexpected \",\" character.");
      if (c == '{') {
        if (leaf_depth_ && *leaf_depth_ <= depth) return malformed("Unexpected \"{\" character.");
        if (!level(depth + 1)) return false;
      } else {
        if (leaf_depth_ && *leaf_depth_ != depth) {
          return malformed("Unexpected array element.");
        }
        leaf_depth_ = depth;
        if (!leaf()) return false;
      }
      ++n;
      skip();
      comma = peek() == ',';
      if (comma)
        ++at_;
      else if (at_ < s_.size() && peek() != '}')
        return malformed(peek() == '{' ? "Unexpected \"{\" character." : "Unexpected array element.");
    }
    if (counts_.size() <= depth) counts_.resize(depth + 1, -1);
    if (counts_[depth] >= 0 && counts_[depth] != n) {
      return malformed("Multidimensional arrays must have sub-arrays with matching dimensions.");
    }
    counts_[depth] = n;
    return true;
  }

  bool leaf() {
    std::string text;
    bool quoted = false, escaped = false;
    std::size_t solid = 0;  // length without trailing blanks
    if (peek() == '"') {
      quoted = true;
      for (++at_;; ++at_) {
        if (at_ >= s_.size()) return malformed("Unexpected end of input.");
        if (peek() == '"') break;
        if (peek() == '\\' && ++at_ >= s_.size()) return malformed("Unexpected end of input.");
        text += peek();
      }
      ++at_;
      skip();
      if (at_ < s_.size() && peek() != ',' && peek() != '}')
        return malformed("Incorrectly quoted array element.");
    } else {
      for (; at_ < s_.size() && peek() != ',' && peek() != '}'; ++at_) {
        if (peek() == '"') return malformed("Incorrectly quoted array element.");
        if (peek() == '{') return malformed("Unexpected \"{\" character.");
        if (peek() == '\\') {
          escaped = true;
          if (++at_ >= s_.size()) return malformed("Unexpected end of input.");
          text += peek();
          solid = text.size();
          continue;
        }
        text += peek();
        if (!is_space(peek())) solid = text.size();
      }
      if (at_ >= s_.size()) return malformed("Unexpected end of input.");
      text.resize(solid);
    }
    if (!quoted && !escaped && lower_ascii(text) == "null") {
      elements_.emplace_back();
      return true;
    }
    auto v = element_(text);
    if (!v) {
      error_ = std::move(v).error();
      return false;
    }
    elements_.push_back(*std::move(v));
    return true;
  }

  std::string_view s_;
  Element element_;
  std::size_t at_ = 0;
  std::optional<std::size_t> leaf_depth_;
  std::vector<int> counts_;
  std::vector<OwnedValue> elements_;
  std::optional<Error> error_;
};

bool needs_quotes(std::string_view s) {
  if (s.empty() || (s.size() == 4 && lower_ascii(s) == "null")) return true;
  return std::ranges::any_of(
      s, [](char c) { return c == '"' || c == '\\' || c == '{' || c == '}' || c == ',' || is_space(c); });
}

Result<Array> parse_vector(Oid vector, std::string_view text, const CodecContext& context) {
  std::vector<OwnedValue> items;
  const Oid element = element_of(vector);
  for (std::string_view rest = trim_space(text); !rest.empty(); rest = trim_space(rest)) {
    std::size_t end = 0;
    while (end < rest.size() && !is_space(rest[end])) ++end;
    BOP_LET(v, parse_text(element, -1, rest.substr(0, end), context));
    items.push_back(std::move(v));
    rest.remove_prefix(end);
  }
  return Array::of_vector(std::move(items), 0);
}

void append_elements(Oid array, Oid element, const Array& a, const CodecContext& context, std::string& out) {
  if (is_vector(array)) {
    for (std::size_t i = 0; i < a.elements.size(); ++i) {
      if (i > 0) out += ' ';
      encode_text(element, -1, a.elements[i], context, out);
    }
    return;
  }
  if (a.elements.empty()) {
    out += "{}";
    return;
  }
  if (std::ranges::any_of(a.dimensions, [](const auto& d) { return d.lower != 1; })) {
    for (const auto& d : a.dimensions) out += fmt::format("[{}:{}]", d.lower, d.lower + d.count - 1);
    out += '=';
  }
  std::string text;
  const std::size_t n = a.dimensions.size();
  std::vector<std::int64_t> span(n, 1);  // elements inside one item of the dimension
  for (std::size_t d = n - 1; d-- > 0;) span[d] = span[d + 1] * a.dimensions[d + 1].count;
  for (std::size_t i = 0; i < a.elements.size(); ++i) {
    if (i > 0) {
      std::size_t closed = 0;
      for (std::size_t d = 0; d + 1 < n; ++d) closed += static_cast<std::int64_t>(i) % span[d] == 0;
      out.append(closed, '}');
      out += ',';
      out.append(closed, '{');
    } else {
      out.append(n, '{');
    }
    if (a.elements[i].is_null()) {
      out += "NULL";
      continue;
    }
    text.clear();
    encode_text(element, -1, a.elements[i], context, text);
    if (!needs_quotes(text)) {
      out += text;
      continue;
    }
    out += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  out.append(n, '}');
}

}  // namespace

const CodecContext& storage_context() noexcept {
  static const CodecContext context;
  return context;
}

Result<Array> parse_array(Oid array, std::int32_t typmod, std::string_view text,
                          const CodecContext& context) {
  if (is_vector(array)) return parse_vector(array, text, context);
  const Oid element = element_of(array);
  return Parser(text, [&](std::string_view s) { return parse_text(element, typmod, s, context); }).parse();
}

Array parse_stored_array(Oid array, std::string_view stored) {
  if (is_vector(array)) return parse_vector(array, stored, storage_context()).value_or(Array());
  const Oid element = stored_element(element_of(array));
  return Parser(stored, [&](std::string_view s) { return parse_text(element, -1, s, storage_context()); })
      .parse()
      .value_or(Array());
}

std::string stored_array(Oid array, const Array& a) {
  std::string s;
  append_elements(array, stored_element(element_of(array)), a, storage_context(), s);
  return s;
}

void append_array(Oid array, const Array& a, const CodecContext& context, std::string& out) {
  append_elements(array, element_of(array), a, context, out);
}

Result<Array> parse_array_binary(Oid array, std::int32_t typmod, std::string_view in,
                                 const CodecContext& context) {
  const auto dims = take_be<std::int32_t>(in);
  const auto flags = take_be<std::int32_t>(in);
  const auto element = take_be<std::uint32_t>(in);
  if (!element) return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
  if (*dims < 0 || *dims > static_cast<std::int32_t>(kMaxArrayDimensions)) {
    return *dims < 0
               ? fail(ErrorCode::kInvalidBinaryRepresentation, "invalid number of dimensions: {}", *dims)
               : fail(ErrorCode::kProgramLimitExceeded,
                      "number of array dimensions ({}) exceeds the maximum allowed ({})", *dims,
                      kMaxArrayDimensions);
  }
  if (*flags != 0 && *flags != 1) return fail(ErrorCode::kInvalidBinaryRepresentation, "invalid array flags");
  const Oid wanted = element_of(array);
  if (*element != wanted) {
    const TypeInfo* found = find_type(*element);
    return fail(ErrorCode::kDatatypeMismatch,
                "binary data has array element type {} ({}) instead of expected {} ({})", *element,
                found == nullptr ? "???" : found->sql_name, wanted, format_type(wanted));
  }
  Array a;
  std::int64_t total = *dims == 0 ? 0 : 1;
  for (std::int32_t d = 0; d < *dims; ++d) {
    const auto count = take_be<std::int32_t>(in);
    const auto lower = take_be<std::int32_t>(in);
    if (!lower) return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
    if (*count < 0)
      return fail(ErrorCode::kInvalidBinaryRepresentation, "array size exceeds the maximum allowed ({})",
                  kMaxArrayElements);
    if (static_cast<std::int64_t>(*lower) + *count - 1 > INT32_MAX) {
      return fail(ErrorCode::kNumericOutOfRange, "array lower bound is too large: {}", *lower);
    }
    a.dimensions.push_back({*lower, *count});
    total *= *count;
    if (total > kMaxArrayElements) {
      return fail(ErrorCode::kProgramLimitExceeded, "array size exceeds the maximum allowed ({})",
                  kMaxArrayElements);
    }
  }
  if (total == 0) a.dimensions.clear();
  for (std::int64_t i = 0; i < total; ++i) {
    const auto length = take_be<std::int32_t>(in);
    if (!length || (*length >= 0 && static_cast<std::size_t>(*length) > in.size())) {
      return fail(ErrorCode::kInvalidBinaryRepresentation, "insufficient data left in message");
    }
    if (*length < 0) {
      a.elements.emplace_back();
      continue;
    }
    BOP_LET(v, parse_binary(wanted, typmod, in.substr(0, static_cast<std::size_t>(*length)), context));
    in.remove_prefix(static_cast<std::size_t>(*length));
    a.elements.push_back(std::move(v));
  }
  if (!in.empty()) return fail(ErrorCode::kInvalidBinaryRepresentation, "incorrect binary data format");
  return a;
}

void append_array_binary(Oid array, const Array& a, const CodecContext& context, std::string& out) {
  const Oid element = element_of(array);
  put_be<std::int32_t>(out, static_cast<std::int32_t>(a.dimensions.size()));
  put_be<std::int32_t>(out, std::ranges::any_of(a.elements, &OwnedValue::is_null) ? 1 : 0);
  put_be<std::uint32_t>(out, element);
  for (const auto& d : a.dimensions) {
    put_be<std::int32_t>(out, d.count);
    put_be<std::int32_t>(out, d.lower);
  }
  std::string bytes;
  for (const OwnedValue& v : a.elements) {
    if (v.is_null()) {
      put_be<std::int32_t>(out, -1);
      continue;
    }
    bytes.clear();
    encode_binary(element, -1, v, context, bytes);
    put_be<std::int32_t>(out, static_cast<std::int32_t>(bytes.size()));
    out += bytes;
  }
}

int compare_arrays(Oid array, std::string_view x, std::string_view y) noexcept {
  if (x == y) return 0;
  const Oid element = stored_element(element_of(array));
  const Array a = parse_stored_array(array, x), b = parse_stored_array(array, y);
  if (is_vector(array) && a.elements.size() != b.elements.size())
    return a.elements.size() < b.elements.size() ? -1 : 1;
  for (std::size_t i = 0; i < std::min(a.elements.size(), b.elements.size()); ++i) {
    const OwnedValue &u = a.elements[i], &v = b.elements[i];
    if (u.is_null() || v.is_null()) {  // NULL elements are equal to each other and above all others
      if (u.is_null() != v.is_null()) return u.is_null() ? 1 : -1;
      continue;
    }
    if (const int c = compare(element, u, v); c != 0) return c;
  }
  if (a.elements.size() != b.elements.size()) return a.elements.size() < b.elements.size() ? -1 : 1;
  if (a.dimensions.size() != b.dimensions.size()) return a.dimensions.size() < b.dimensions.size() ? -1 : 1;
  for (std::size_t d = 0; d < a.dimensions.size(); ++d) {
    if (a.dimensions[d].count != b.dimensions[d].count)
      return a.dimensions[d].count < b.dimensions[d].count ? -1 : 1;
    if (a.dimensions[d].lower != b.dimensions[d].lower)
      return a.dimensions[d].lower < b.dimensions[d].lower ? -1 : 1;
  }
  return 0;
}

}  // namespace bop
