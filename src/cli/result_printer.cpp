#include "cli/result_printer.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "sql/types/types.hpp"

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

std::string blanks(std::size_t count) { return std::string(count, ' '); }

}  // namespace

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
  for (const auto& cell : cells) held.push_back(cell ? std::string(*cell) : settings_.null_text);
}

void ResultPrinter::csv_row(const std::vector<std::optional<std::string_view>>& cells) {
  if (cells.empty()) return;
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
    line += json_text(columns_[i].name) + ": ";
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
      line += json_text(*cells[i]);
    }
  }
  put(out_, "{}}}", line);
}

void ResultPrinter::complete(std::string_view tag) {
  if (in_result_) {
    const bool expanded = settings_.expanded == Expanded::kOn && settings_.for_people();
    switch (settings_.format) {
      case OutputFormat::kAligned: expanded ? print_expanded() : print_table(); break;
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

void ResultPrinter::print_footers() {
  if (settings_.tuples_only) return;
  for (const std::string& line : footers_) put(out_, "{}\n", line);
}

// What is said of the result, or how many rows it has.
void ResultPrinter::print_end() {
  print_footers();
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
  for (const auto& cells : held_) {
    if (!cells.empty()) line([&](std::size_t i) { return cells[i]; }, cells.size());
  }
  print_end();
}

void ResultPrinter::print_expanded() {
  if (!title_.empty() && !settings_.tuples_only) put(out_, "{}\n", title_);
  if (settings_.format == OutputFormat::kUnaligned) {
    bool is_first = true;
    for (const auto& cells : held_) {
      if (!cells.empty() && !std::exchange(is_first, false)) put(out_, "\n");
      for (std::size_t i = 0; i < cells.size(); ++i)
        put(out_, "{}{}{}\n", columns_[i].name, settings_.separator, cells[i]);
    }
    if (!settings_.tuples_only && !footers_.empty()) put(out_, "\n");
    print_footers();
    return;
  }
  if (held_.empty() || columns_.empty()) {
    print_end();
    put(out_, "\n");
    return;
  }
  std::vector<CellText> names;
  std::size_t widest = 0;
  std::size_t values = 0;
  bool has_lines = false;
  for (const auto& column : columns_) widest = std::max(widest, names.emplace_back(column.name).width);
  for (const auto& cells : held_) {
    for (const std::string& cell : cells) {
      const CellText text(cell);
      values = std::max(values, text.width);
      has_lines = has_lines || text.lines.size() > 1;
    }
  }
  for (std::size_t record = 0; record < held_.size(); ++record) {
    if (!settings_.tuples_only || record > 0) print_record_rule(record + 1, widest, values);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const CellText value(held_[record][i]);
      for (std::size_t line = 0; line < std::max(names[i].lines.size(), value.lines.size()); ++line) {
        std::string out;
        if (line < names[i].lines.size()) {
          const CellText::Line& name = names[i].lines[line];
          out = name.text + blanks(widest - name.width) + (line + 1 < names[i].lines.size() ? '+' : ' ');
        } else {
          out = blanks(widest + 1);
        }
        out += '|';
        if (line < value.lines.size()) {
          out += ' ' + value.lines[line].text;
          if (line + 1 < value.lines.size()) out += blanks(values - value.lines[line].width) + '+';
        }
        put(out_, "{}\n", out);
      }
    }
  }
  if (!settings_.tuples_only && !footers_.empty()) put(out_, "\n");
  print_footers();
  put(out_, "\n");
}

// "-[ RECORD 1 ]-+---" as wide as names and values are; with tuples only without its words.
void ResultPrinter::print_record_rule(std::size_t record, std::size_t names, std::size_t values) {
  std::string rule = settings_.tuples_only ? "-" : fmt::format("-[ RECORD {} ]", record);
  while (rule.size() < names + 4 + values - 1) rule += rule.size() == names + 1 ? '+' : '-';
  put(out_, "{}\n", rule);
}

// One row of a table, in as many lines as its longest cell has.
void ResultPrinter::print_lines(const std::vector<CellText>& cells, const std::vector<std::size_t>& widths,
                                Align align) {
  const bool has_border = settings_.format == OutputFormat::kTable;
  std::size_t height = 0;
  for (const CellText& cell : cells) height = std::max(height, cell.lines.size());
  for (std::size_t line = 0; line < height; ++line) {
    std::string out;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const bool is_last = i + 1 == cells.size();
      // What stands behind a text at the end of a line is left out, but for the column's name.
      const bool fills = has_border || !is_last || align == Align::kCenter;
      const bool goes_on = line + 1 < cells[i].lines.size();
      out += i == 0 ? (has_border ? "| " : " ") : "| ";
      if (line < cells[i].lines.size()) {
        const CellText::Line& text = cells[i].lines[line];
        const std::size_t space = widths[i] - text.width;
        const bool right = align == Align::kByType && is_number(columns_[i].type);
        const std::size_t before = right ? space : align == Align::kCenter ? space / 2 : 0;
        out += blanks(before) + text.text;
        if (!right && (fills || goes_on)) out += blanks(space - before);
      } else if (fills) {
        out += blanks(widths[i]);
      }
      out += goes_on ? "+" : fills ? " " : "";
    }
    if (has_border) out += '|';
    put(out_, "{}\n", out);
  }
}

void ResultPrinter::print_table() {
  const bool has_border = settings_.format == OutputFormat::kTable;
  std::vector<CellText> names;
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = names.emplace_back(columns_[i].name).width;
    for (const auto& cells : held_) width = std::max(width, CellText(cells[i]).width);
    widths.push_back(width);
  }
  std::string rule;
  for (const std::size_t width : widths) rule += (rule.empty() ? "-" : "-+-") + std::string(width, '-');
  rule += rule.empty() ? "--" : "-";
  const std::size_t whole = rule.size() + (has_border ? 2 : 0);
  if (settings_.expanded == Expanded::kAuto && settings_.terminal_columns != 0 &&
      whole > settings_.terminal_columns)
    return print_expanded();
  if (!settings_.tuples_only && !title_.empty()) {
    const std::size_t own = display_width(title_);
    put(out_, "{}{}\n", blanks(!has_border && rule.size() > own ? (rule.size() - own) / 2 : 0), title_);
  }
  if (has_border) put(out_, "+{}+\n", rule);
  if (!settings_.tuples_only) {
    print_lines(names, widths, has_border ? Align::kLeft : Align::kCenter);
    put(out_, "{}\n", has_border ? "+" + rule + "+" : rule);
  }
  for (const auto& cells : held_) print_lines({cells.begin(), cells.end()}, widths, Align::kByType);
  if (has_border) {
    put(out_, "+{}+\n", rule);
    print_footers();
    return;
  }
  print_end();
  put(out_, "\n");
}

}  // namespace bop::cli
