#include "cli/result_printer.hpp"

#include <algorithm>

#include "sql/types/types.hpp"
#include "wire/http/pages.hpp"

namespace bop::cli {

namespace {

bool is_number(Oid type) {
  switch (type) {
    case types::kInt2:
    case types::kInt4:
    case types::kInt8:
    case types::kOid:
    case types::kFloat4:
    case types::kFloat8:
    case types::kNumeric: return true;
    default: return false;
  }
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::size_t own = display_width(text);
  const std::string space(width > own ? width - own : 0, ' ');
  return right ? space + text : text + space;
}

std::string without_line_ends(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string csv_field(std::string_view text) {
  if (!text.empty() && text.find_first_of(",\"\n\r") == text.npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out += '"';
}

bool is_json_number(std::string_view text) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t begin = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - begin;
  };
  if (i < text.size() && text[i] == '-') ++i;
  const std::size_t whole = i;
  const std::size_t count = digits();
  if (count == 0 || (count > 1 && text[whole] == '0')) return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

void ResultPrinter::decorate(std::string title, std::vector<std::string> footers) {
  title_ = std::move(title);
  footers_ = std::move(footers);
}

void ResultPrinter::columns(const std::vector<wire::pg::ClientColumn>& columns) {
  in_result_ = true;
  rows_ = 0;
  columns_ = columns;
  held_.clear();
  if (settings_.format == OutputFormat::kCsv) {
    if (settings_.tuples_only) return;
    std::string line;
    for (const auto& column : columns_) line += (line.empty() ? "" : ",") + csv_field(column.name);
    put(out_, "{}\n", line);
  } else if (settings_.format == OutputFormat::kJson) {
    put(out_, "[");
  }
}

void ResultPrinter::row(const std::vector<std::optional<std::string_view>>& cells) {
  ++rows_;
  if (settings_.format == OutputFormat::kCsv) return csv_row(cells);
  if (settings_.format == OutputFormat::kJson) return json_row(cells);
  std::vector<std::string>& held = held_.emplace_back();
  for (const auto& cell : cells) held.push_back(cell ? without_line_ends(*cell) : settings_.null_text);
}

void ResultPrinter::csv_row(const std::vector<std::optional<std::string_view>>& cells) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += ',';
    // NULL is nothing, the empty text is "".
    if (cells[i]) {
      line += csv_field(*cells[i]);
    } else if (!settings_.null_text.empty()) {
      line += csv_field(settings_.null_text);
    }
  }
  put(out_, "{}\n", line);
}

void ResultPrinter::json_row(const std::vector<std::optional<std::string_view>>& cells) {
  std::string line = rows_ == 1 ? "\n  {" : ",\n  {";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += ", ";
    line += wire::http::json_string(columns_[i].name) + ": ";
    const Oid type = columns_[i].type;
    if (!cells[i]) {
      line += "null";
    } else if (is_number(type) && is_json_number(*cells[i])) {
      line += *cells[i];
    } else if (type == types::kBool) {
      line += *cells[i] == "t" ? "true" : "false";
    } else if (type == types::kJson || type == types::kJsonb) {
      line += *cells[i];
    } else {
      line += wire::http::json_string(*cells[i]);
    }
  }
  put(out_, "{}}}", line);
}

void ResultPrinter::complete(std::string_view tag) {
  if (in_result_) {
    const bool expanded = settings_.expanded && settings_.for_people();
    switch (settings_.format) {
      case OutputFormat::kAligned: expanded ? print_expanded() : print_aligned(); break;
      case OutputFormat::kUnaligned: expanded ? print_expanded() : print_unaligned(); break;
      case OutputFormat::kTable: expanded ? print_expanded() : print_table(); break;
      case OutputFormat::kCsv: break;
      case OutputFormat::kJson: put(out_, "{}]\n", rows_ == 0 ? "" : "\n"); break;
    }
  } else if (!tag.empty() && settings_.for_people() && !settings_.tuples_only && !settings_.quiet) {
    put(out_, "{}\n", tag);
  }
  in_result_ = false;
  held_.clear();
  title_.clear();
  footers_.clear();
}

void ResultPrinter::broken() {
  if (in_result_ && settings_.format == OutputFormat::kJson) put(out_, "\n]\n");
  in_result_ = false;
  held_.clear();
  title_.clear();
  footers_.clear();
}

// What is said of the result, or how many rows it has.
void ResultPrinter::print_end() {
  for (const std::string& line : footers_) put(out_, "{}\n", line);
  if (footers_.empty() && settings_.footer && !settings_.tuples_only)
    put(out_, "({} {})\n", rows_, rows_ == 1 ? "row" : "rows");
}

void ResultPrinter::print_unaligned() {
  if (!title_.empty() && !settings_.tuples_only) put(out_, "{}\n", title_);
  const auto line = [&](const auto& text_of, std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += (i > 0 ? settings_.separator : "") + text_of(i);
    put(out_, "{}\n", out);
  };
  if (!settings_.tuples_only) line([&](std::size_t i) { return columns_[i].name; }, columns_.size());
  for (const auto& cells : held_) line([&](std::size_t i) { return cells[i]; }, cells.size());
  print_end();
}

void ResultPrinter::print_expanded() {
  const bool aligned = settings_.format != OutputFormat::kUnaligned;
  std::size_t widest = 0;
  std::size_t values = 0;
  for (const auto& column : columns_) widest = std::max(widest, display_width(column.name));
  for (const auto& cells : held_) {
    for (const std::string& cell : cells) values = std::max(values, display_width(cell));
  }
  if (!title_.empty() && !settings_.tuples_only) put(out_, "{}\n", title_);
  if (held_.empty() && !settings_.tuples_only && settings_.footer) put(out_, "(0 rows)\n");
  for (std::size_t record = 0; record < held_.size(); ++record) {
    if (aligned && !settings_.tuples_only) {
      std::string rule = fmt::format("-[ RECORD {} ]", record + 1);
      const std::size_t whole = widest + 3 + values;
      while (rule.size() < whole) rule += rule.size() == widest + 1 ? '+' : '-';
      put(out_, "{}\n", rule);
    } else if (record > 0) {
      put(out_, "\n");
    }
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string& name = columns_[i].name;
      if (aligned) {
        put(out_, "{} | {}\n", padded(name, widest, false), held_[record][i]);
      } else {
        put(out_, "{}{}{}\n", name, settings_.separator, held_[record][i]);
      }
    }
  }
  for (const std::string& line : footers_) put(out_, "{}\n", line);
  if (aligned) put(out_, "\n");
}

void ResultPrinter::print_aligned() {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = display_width(columns_[i].name);
    for (const auto& cells : held_) width = std::max(width, display_width(cells[i]));
    widths.push_back(width);
  }
  std::string head, rule;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const std::size_t space = widths[i] - display_width(columns_[i].name);
    head += (i > 0 ? "|" : "") + std::string(1 + space / 2, ' ') + columns_[i].name +
            std::string(1 + space - space / 2, ' ');
    rule += (i > 0 ? "+" : "") + std::string(widths[i] + 2, '-');
  }
  if (!settings_.tuples_only) {
    if (!title_.empty()) {
      const std::size_t own = display_width(title_);
      put(out_, "{}{}\n", std::string(rule.size() > own ? (rule.size() - own) / 2 : 0, ' '), title_);
    }
    put(out_, "{}\n{}\n", head, rule);
  }
  for (const auto& cells : held_) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const bool right = is_number(columns_[i].type);
      const bool last = i + 1 == cells.size();
      line += (i > 0 ? "| " : " ") +
              (last && !right ? cells[i] : padded(cells[i], widths[i], right) + (last ? "" : " "));
    }
    put(out_, "{}\n", line);
  }
  print_end();
  put(out_, "\n");
}

void ResultPrinter::print_table() {
  std::string rule = "+";
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = display_width(columns_[i].name);
    for (const auto& cells : held_) width = std::max(width, display_width(cells[i]));
    widths.push_back(width);
    rule += std::string(width + 2, '-') + "+";
  }
  const auto line = [&](const auto& text_of, bool head) {
    std::string out = "|";
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      out += " " + padded(text_of(i), widths[i], !head && is_number(columns_[i].type)) + " |";
    }
    put(out_, "{}\n", out);
  };
  if (!title_.empty() && !settings_.tuples_only) put(out_, "{}\n", title_);
  put(out_, "{}\n", rule);
  if (!settings_.tuples_only) {
    line([&](std::size_t i) { return columns_[i].name; }, true);
    put(out_, "{}\n", rule);
  }
  for (const auto& cells : held_) line([&](std::size_t i) { return cells[i]; }, false);
  put(out_, "{}\n", rule);
  for (const std::string& footer : footers_) put(out_, "{}\n", footer);
}

}  // namespace bop::cli
