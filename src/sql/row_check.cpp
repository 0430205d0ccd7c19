#include "sql/row_check.hpp"

#include <charconv>

#include <fmt/format.h>

namespace bop::sql {

namespace {

void put(std::string& out, std::string_view field) { out += fmt::format("{}:{}", field.size(), field); }

std::string_view take(std::string_view& text) {
  std::size_t length = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (problem != std::errc() || end == text.data() + text.size() || *end != ':') {
    text = {};
    return {};
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  const std::string_view field = text.substr(0, length);
  text.remove_prefix(field.size());
  return field;
}

std::int64_t take_number(std::string_view& text) {
  const std::string_view field = take(text);
  std::int64_t n = 0;
  std::from_chars(field.data(), field.data() + field.size(), n);
  return n;
}

}  // namespace

std::string RowCheck::encode() const {
  std::string out;
  put(out, relation);
  put(out, whole_row ? "1" : "0");
  put(out, std::to_string(columns.size()));
  for (const Column& column : columns) {
    put(out, column.name);
    put(out, std::to_string(column.type));
    put(out, std::to_string(column.typmod));
    put(out, column.not_null ? "1" : "0");
  }
  for (const std::string& check : checks) {
    put(out, check);
  }
  return out;
}

RowCheck RowCheck::decode(std::string_view text) {
  RowCheck out;
  out.relation = take(text);
  out.whole_row = take(text) == "1";
  const auto count = static_cast<std::size_t>(take_number(text));
  for (std::size_t i = 0; i < count && !text.empty(); ++i) {
    Column column;
    column.name = take(text);
    column.type = static_cast<Oid>(take_number(text));
    column.typmod = static_cast<std::int32_t>(take_number(text));
    column.not_null = take(text) == "1";
    out.columns.push_back(std::move(column));
  }
  while (!text.empty()) {
    out.checks.emplace_back(take(text));
  }
  return out;
}

}  // namespace bop::sql
