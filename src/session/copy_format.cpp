#include "session/copy_format.hpp"

#include <algorithm>
#include <cstring>

namespace bop::session {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool octal(char c) { return c >= '0' && c <= '7'; }

// Appends `raw` with its backslash escapes resolved.
void unescape_into(std::string_view raw, std::string& out) {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\' || i + 1 == raw.size()) {
      out.push_back(raw[i]);
      continue;
    }
    const char c = raw[++i];
    switch (c) {
      case 'b': out.push_back('\b'); break;
      case 'f': out.push_back('\f'); break;
      case 'n': out.push_back('\n'); break;
      case 'r': out.push_back('\r'); break;
      case 't': out.push_back('\t'); break;
      case 'v': out.push_back('\v'); break;
      case 'x': {
        if (i + 1 < raw.size() && hex_digit(raw[i + 1]) >= 0) {
          int value = hex_digit(raw[++i]);
          if (i + 1 < raw.size() && hex_digit(raw[i + 1]) >= 0) value = value * 16 + hex_digit(raw[++i]);
          out.push_back(static_cast<char>(value));
        } else {
          out.push_back('x');
        }
        break;
      }
      default:
        if (octal(c)) {
          int value = c - '0';
          for (int digit = 0; digit < 2 && i + 1 < raw.size() && octal(raw[i + 1]); ++digit) {
            value = value * 8 + (raw[++i] - '0');
          }
          out.push_back(static_cast<char>(value & 0xff));
        } else {
          out.push_back(c);
        }
    }
  }
}

void escape_into(std::string_view text, char delimiter, std::string& out) {
  for (const char c : text) {
    switch (c) {
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\v': out += "\\v"; break;
      case '\\': out += "\\\\"; break;
      default:
        if (c == delimiter) out.push_back('\\');
        out.push_back(c);
    }
  }
}

void quote_into(const CopyOptions& options, std::string_view text, std::string& out) {
  out.push_back(options.quote);
  for (const char c : text) {
    if (c == options.quote || c == options.escape) out.push_back(options.escape);
    out.push_back(c);
  }
  out.push_back(options.quote);
}

bool at(const std::vector<bool>& flags, std::size_t i) { return i < flags.size() && flags[i]; }

}  // namespace

CopyReader::CopyReader(CopyOptions options, std::size_t columns, RowSink sink)
    : options_(std::move(options)), columns_(columns), sink_(std::move(sink)) {}

Status CopyReader::feed(std::string_view bytes) {
  if (ended_) return {};  // bytes behind "\." are ignored, as PostgreSQL does
  pending_.append(bytes);
  std::size_t start = 0;
  std::size_t i = scanned_;
  while (i < pending_.size()) {
    const char c = pending_[i];
    if (options_.csv) {
      if (escaped_) {
        escaped_ = false;
        ++i;
        continue;
      }
      if (in_quotes_ && options_.escape != options_.quote && c == options_.escape) {
        escaped_ = true;
        ++i;
        continue;
      }
      if (c == options_.quote) {
        in_quotes_ = !in_quotes_;
        ++i;
        continue;
      }
      if (in_quotes_) {
        ++i;
        continue;
      }
    } else if (c == '\\') {
      if (i + 1 >= pending_.size()) break;  // what it protects is still to come
      const bool protects_line_end = pending_[i + 1] == '\n' || pending_[i + 1] == '\r';
      i += protects_line_end ? 2 : 1;
      if (!protects_line_end && pending_[i] == '\\') ++i;
      continue;
    }
    if (c != '\n' && c != '\r') {
      ++i;
      continue;
    }
    if (c == '\r' && line_end_ != LineEnd::kLf) {
      if (i + 1 >= pending_.size()) break;  // \r or \r\n: the next byte decides
      const bool pair = pending_[i + 1] == '\n';
      if (line_end_ == LineEnd::kUnknown) line_end_ = pair ? LineEnd::kCrLf : LineEnd::kCr;
      if ((line_end_ == LineEnd::kCrLf) != pair) {
        ++line_;
        return fail(ErrorCode::kBadCopyFormat, "{} carriage return found in {}",
                    options_.csv ? "unquoted" : "literal", options_.csv ? "CSV data" : "data");
      }
      const std::size_t end = i;
      i += pair ? 2 : 1;
      BOP_TRY(take_line(std::string_view(pending_).substr(start, end - start)));
    } else if (c == '\r') {
      ++line_;
      return fail(ErrorCode::kBadCopyFormat, "{} carriage return found in data",
                  options_.csv ? "unquoted" : "literal");
    } else {
      if (line_end_ == LineEnd::kUnknown) line_end_ = LineEnd::kLf;
      if (line_end_ != LineEnd::kLf) {
        ++line_;
        return fail(ErrorCode::kBadCopyFormat, "{} newline found in data",
                    options_.csv ? "unquoted" : "literal");
      }
      const std::size_t end = i++;
      BOP_TRY(take_line(std::string_view(pending_).substr(start, end - start)));
    }
    start = i;
    if (ended_) break;
  }
  pending_.erase(0, start);
  scanned_ = i - start;
  if (pending_.size() > kMaxCopyLineBytes) {
    return fail(ErrorCode::kProgramLimitExceeded, "line {} of the COPY data is longer than {} bytes",
                line_ + 1, kMaxCopyLineBytes);
  }
  return {};
}

Status CopyReader::finish() {
  if (ended_) return {};
  if (in_quotes_) {
    ++line_;
    return fail(ErrorCode::kBadCopyFormat, "unterminated CSV quoted field");
  }
  if (!pending_.empty()) {
    std::string last;
    last.swap(pending_);
    if (last.back() == '\r') last.pop_back();
    BOP_TRY(take_line(last));
  }
  ended_ = true;
  return {};
}

Status CopyReader::take_line(std::string_view raw) {
  ++line_;
  line_text_.assign(raw.substr(0, kCopyTextShown + 1));
  if (raw == "\\.") {
    ended_ = true;
    return {};
  }
  BOP_TRY(options_.csv ? split_csv(raw) : split_text(raw));
  if (options_.header && line_ == 1) return check_header();
  if (fields_.size() > columns_)
    return fail(ErrorCode::kBadCopyFormat, "extra data after last expected column");
  return sink_(fields_);
}

Status CopyReader::check_header() {
  if (!options_.header_match) return {};
  if (fields_.size() != header_names_.size()) {
    return fail(ErrorCode::kBadCopyFormat, "wrong number of fields in header line: got {}, expected {}",
                fields_.size(), header_names_.size());
  }
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    if (fields_[i] != header_names_[i]) {
      return fail(ErrorCode::kBadCopyFormat,
                  "column name mismatch in header line field {}: got \"{}\", expected \"{}\"", i + 1,
                  fields_[i].value_or("null"), header_names_[i]);
    }
  }
  return {};
}

Status CopyReader::split_text(std::string_view raw) {
  fields_.clear();
  places_.clear();
  unescaped_.clear();
  unescaped_.reserve(raw.size());
  if (columns_ == 0 && raw.empty()) return {};
  std::size_t start = 0;
  constexpr std::size_t kNull = ~std::size_t{0};
  for (std::size_t i = 0;; ++i) {
    if (i < raw.size() && raw[i] == '\\') {
      ++i;
      continue;
    }
    if (i < raw.size() && raw[i] != options_.delimiter) continue;
    const std::string_view field = raw.substr(start, std::min(i, raw.size()) - start);
    if (field == options_.null_text) {
      places_.emplace_back(kNull, 0);
    } else {
      const std::size_t begin = unescaped_.size();
      unescape_into(field, unescaped_);
      places_.emplace_back(begin, unescaped_.size() - begin);
    }
    if (i >= raw.size()) break;
    start = i + 1;
  }
  for (const auto& [begin, length] : places_) {
    fields_.push_back(begin == kNull ? CopyField{}
                                     : CopyField(std::string_view(unescaped_).substr(begin, length)));
  }
  return {};
}

Status CopyReader::split_csv(std::string_view raw) {
  fields_.clear();
  places_.clear();
  unescaped_.clear();
  unescaped_.reserve(raw.size());
  std::vector<bool> nulls;
  std::size_t i = 0;
  for (;;) {
    const std::size_t begin = unescaped_.size();
    bool quoted = false;
    bool inside = false;
    for (; i < raw.size(); ++i) {
      const char c = raw[i];
      if (inside) {
        if (c == options_.escape && i + 1 < raw.size() &&
            (raw[i + 1] == options_.quote || raw[i + 1] == options_.escape)) {
          unescaped_.push_back(raw[++i]);
        } else if (c == options_.quote) {
          inside = false;
        } else {
          unescaped_.push_back(c);
        }
      } else if (c == options_.delimiter) {
        break;
      } else if (c == options_.quote) {
        inside = true;
        quoted = true;
      } else {
        unescaped_.push_back(c);
      }
    }
    const std::size_t column = places_.size();
    places_.emplace_back(begin, unescaped_.size() - begin);
    const bool matches = std::string_view(unescaped_).substr(begin) == options_.null_text;
    nulls.push_back(matches &&
                    (quoted ? at(options_.force_null, column) : !at(options_.force_not_null, column)));
    if (i >= raw.size()) break;
    ++i;  // the delimiter
  }
  for (std::size_t k = 0; k < places_.size(); ++k) {
    fields_.push_back(
        nulls[k] ? CopyField{}
                 : CopyField(std::string_view(unescaped_).substr(places_[k].first, places_[k].second)));
  }
  return {};
}

void write_copy_row(const CopyOptions& options, std::span<const CopyField> fields, std::string& out) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) out.push_back(options.delimiter);
    if (!fields[i]) {
      out += options.null_text;
    } else if (!options.csv) {
      escape_into(*fields[i], options.delimiter, out);
    } else {
      const std::string_view text = *fields[i];
      const bool special = text.find_first_of("\r\n") != text.npos ||
                           text.find(options.delimiter) != text.npos ||
                           text.find(options.quote) != text.npos || text.find(options.escape) != text.npos;
      const bool lone_end = fields.size() == 1 && text == "\\.";
      if (special || lone_end || text == options.null_text || at(options.force_quote, i)) {
        quote_into(options, text, out);
      } else {
        out += text;
      }
    }
  }
  out.push_back('\n');
}

void write_copy_header(const CopyOptions& options, std::span<const std::string> names, std::string& out) {
  std::vector<CopyField> fields(names.begin(), names.end());
  CopyOptions plain = options;
  plain.force_quote.clear();
  write_copy_row(plain, fields, out);
}

}  // namespace bop::session
