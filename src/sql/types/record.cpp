#include "sql/types/record.hpp"

#include <fmt/format.h>

#include <charconv>

#include "sql/types/bytes.hpp"
#include "sql/types/scalar.hpp"
#include "sql/types/types.hpp"
#include "sql/types/user_types.hpp"

namespace bop {

namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  [[nodiscard]] bool done() const noexcept { return rest_.empty(); }
  std::int64_t number(char end) {
    std::int64_t n = 0;
    const auto [at, problem] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), n);
    rest_.remove_prefix(static_cast<std::size_t>(at - rest_.data()));
    if (!rest_.empty() && rest_.front() == end) rest_.remove_prefix(1);
    return n;
  }
  std::string_view bytes(std::size_t length) {
    const std::string_view out = rest_.substr(0, length);
    rest_.remove_prefix(out.size());
    return out;
  }

 private:
  std::string_view rest_;
};

std::string unhex(std::string_view digits) {
  const auto nibble = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string out;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    out += static_cast<char>(nibble(digits[i]) * 16 + nibble(digits[i + 1]));
  }
  return out;
}

RecordField read_field(Reader& in) {
  RecordField field;
  field.type = static_cast<Oid>(in.number(','));
  field.typmod = static_cast<std::int32_t>(in.number(','));
  field.name = in.bytes(static_cast<std::size_t>(in.number(':')));
  const std::string_view kind = in.bytes(1);
  if (kind.empty() || kind == "n") return field;
  const std::string_view value = in.bytes(static_cast<std::size_t>(in.number(':')));
  if (kind == "t") {
    field.value = OwnedValue::of_text(std::string(value));
  } else if (kind == "b") {
    field.value = OwnedValue::of_blob(unhex(value));
  } else if (kind == "i") {
    std::int64_t n = 0;
    std::from_chars(value.data(), value.data() + value.size(), n);
    field.value = OwnedValue::of_int(n);
  } else {
    double r = 0;
    std::from_chars(value.data(), value.data() + value.size(), r);
    field.value = OwnedValue::of_real(r);
  }
  return field;
}

bool needs_quotes(std::string_view text) {
  return text.empty() || text.find_first_of("\"\\(), \t\n\r\v\f") != std::string_view::npos;
}

}  // namespace

std::string record_field_head(std::string_view name, Oid type, std::int32_t typmod) {
  return fmt::format("{},{},{}:{}", type, typmod, name.size(), name);
}

void append_record_value(const Value& v, std::string& out) {
  std::string text;
  char kind = 't';
  switch (v.kind) {
    case Value::Kind::kNull: out += 'n'; return;
    case Value::Kind::kInt:
      kind = 'i';
      text = std::to_string(v.integer);
      break;
    case Value::Kind::kReal:
      kind = 'r';
      text = fmt::format("{}", v.real);
      break;
    case Value::Kind::kText: text = v.bytes; break;
    case Value::Kind::kBlob:
      kind = 'b';
      encode_hex(v.bytes, text);
      break;
  }
  out += fmt::format("{}{}:{}", kind, text.size(), text);
}

Record parse_stored_record(std::string_view stored) {
  Record out;
  for (Reader in(stored); !in.done();) out.push_back(read_field(in));
  return out;
}

void append_record(const Record& record, const CodecContext& context, std::string& out) {
  out += '(';
  for (std::size_t i = 0; i < record.size(); ++i) {
    if (i > 0) out += ',';
    const RecordField& field = record[i];
    if (field.value.is_null()) continue;
    std::string text;
    encode_text(field.type, field.typmod, field.value, context, text);
    if (!needs_quotes(text)) {
      out += text;
      continue;
    }
    out += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') out += c;
      out += c;
    }
    out += '"';
  }
  out += ')';
}

void append_record_binary(const Record& record, const CodecContext& context, std::string& out) {
  put_be(out, static_cast<std::int32_t>(record.size()));
  for (const RecordField& field : record) {
    const Oid sent = base_type(field.type);
    put_be(out, static_cast<std::int32_t>(sent));
    if (field.value.is_null()) {
      put_be(out, std::int32_t{-1});
      continue;
    }
    std::string bytes;
    encode_binary(field.type, field.typmod, field.value, context, bytes);
    put_be(out, static_cast<std::int32_t>(bytes.size()));
    out += bytes;
  }
}

int compare_records(std::string_view a, std::string_view b) noexcept {
  Reader left(a), right(b);
  while (!left.done() && !right.done()) {
    const RecordField x = read_field(left);
    const RecordField y = read_field(right);
    if (x.value.is_null() != y.value.is_null()) return x.value.is_null() ? 1 : -1;
    if (x.value.is_null()) continue;
    if (const int order = compare(x.type, x.value, y.value); order != 0) return order;
  }
  return left.done() == right.done() ? 0 : left.done() ? -1 : 1;
}

}  // namespace bop
