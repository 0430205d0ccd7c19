// to_char of numbers and to_number: patterns of digits ("FM9,990.00", "S000", "999PR").
#include <cctype>

#include <fmt/format.h>

#include "sql/functions/registry.hpp"
#include "sql/types/bytes.hpp"
#include "sql/types/float.hpp"
#include "sql/types/numeric.hpp"

namespace bop {
namespace {

struct Place {
  // 9 0 . , m(inus at this place) s(ign at this place) p(lus at this place) t(H) T(H upper) l(iteral)
  // L(currency)
  char kind;
  char literal = 0;
};

struct NumberPattern {
  std::vector<Place> places;
  int before = 0, after = 0;  // digits around the point
  int first_zero = -1;        // place before the point from which zeros are written
  int last_zero = 0;          // how many digits behind the point are written whatever they are
  bool fill = true, point = false, brackets = false;
  char sign = 0;  // 0 in front, 'S' anchored in front with plus, 'E' at the end, 'P' placed by the pattern
};

Result<NumberPattern> pattern_of(std::string_view in) {
  NumberPattern p;
  const auto starts = [&](std::string_view word) {
    if (in.size() < word.size()) return false;
    for (std::size_t i = 0; i < word.size(); ++i) {
      if (std::toupper(static_cast<unsigned char>(in[i])) != word[i]) return false;
    }
    return true;
  };
  while (!in.empty()) {
    std::size_t used = 2;
    if (starts("FM"))
      p.fill = false;
    else if (starts("MI"))
      p.places.push_back({'m'}), p.sign = 'P';
    else if (starts("SG"))
      p.places.push_back({'s'}), p.sign = 'P';
    else if (starts("PL"))
      p.places.push_back({'p'});
    else if (starts("SP"))
      ;  // spelled numbers, which PostgreSQL accepts and does not write
    else if (starts("PR"))
      p.brackets = true;
    else if (starts("TH"))
      p.places.push_back({in[0] == 'T' ? 'T' : 't'});
    else if (starts("RN") || starts("EEEE")) {
      return fail(ErrorCode::kNotImplemented, "the number format \"{}\" is not implemented",
                  in.substr(0, starts("RN") ? 2 : 4));
    } else {
      used = 1;
      const char c = static_cast<char>(std::toupper(static_cast<unsigned char>(in[0])));
      if (c == 'V') return fail(ErrorCode::kNotImplemented, "the number format \"V\" is not implemented");
      if (c == '9' || c == '0') {
        if (p.brackets) return fail(ErrorCode::kSyntaxError, "\"{}\" must be ahead of \"PR\"", c);
        if (p.point) {
          ++p.after;
          if (c == '0') p.last_zero = p.after;
        } else {
          if (c == '0' && p.first_zero < 0) p.first_zero = p.before;
          ++p.before;
        }
        p.places.push_back({c});
      } else if (c == '.' || c == 'D') {
        if (p.point) return fail(ErrorCode::kSyntaxError, "multiple decimal points");
        p.point = true;
        p.places.push_back({'.'});
      } else if (c == ',' || c == 'G') {
        p.places.push_back({','});
      } else if (c == 'B' || c == 'C') {
        // Words of the pattern that ask for nothing PostgreSQL would write.
      } else if (c == 'L') {
        p.places.push_back({'L'});
      } else if (c == 'S') {
        if (p.sign != 0) return fail(ErrorCode::kSyntaxError, "cannot use \"S\" twice");
        p.sign = p.before + p.after == 0 && !p.point ? 'S' : 'E';
      } else if (in[0] == '"') {
        while (used < in.size() && in[used] != '"') p.places.push_back({'l', in[used++]});
        used = std::min(used + 1, in.size());
      } else {
        p.places.push_back({'l', in[0]});
      }
    }
    in.remove_prefix(used);
  }
  return p;
}

std::string_view ordinal_of(std::string_view digits) {
  const char last = digits.empty() ? '0' : digits.back();
  if (digits.size() > 1 && digits[digits.size() - 2] == '1') return "th";
  return last == '1' ? "st" : last == '2' ? "nd" : last == '3' ? "rd" : "th";
}

Returned write_number(const Numeric& value, std::string_view text) {
  BOP_LET(p, pattern_of(text));
  std::string whole, fraction;
  bool negative = false, overflow = false;
  if (value.is_finite()) {
    const Numeric rounded = value.rounded(p.after).with_scale(p.after);
    negative = rounded.sign() < 0;
    const std::string digits = rounded.absolute().to_text();
    const std::size_t point = std::min(digits.find('.'), digits.size());
    whole = digits.substr(0, point);
    if (point < digits.size()) fraction = digits.substr(point + 1);
  } else {
    negative = value.sign() < 0;
    overflow = true;
  }
  const std::string number = whole;
  if (whole == "0") whole.clear();
  const int missing = p.before - static_cast<int>(whole.size());
  if (overflow || missing < 0) {
    overflow = true;
    whole.assign(static_cast<std::size_t>(p.before), '#');
    fraction.assign(static_cast<std::size_t>(p.after), '#');
  }
  // Without filling, zeros at the end of the fraction go unless the pattern asks for them.
  std::size_t kept = fraction.size();
  if (!p.fill && !overflow) {
    while (kept > static_cast<std::size_t>(p.last_zero) && fraction[kept - 1] == '0') --kept;
  }
  const int skipped = p.before - static_cast<int>(whole.size());
  const bool lone_zero = whole.empty() && p.before > 0 && (p.after == 0 || (!p.fill && kept == 0));
  std::string out;
  bool begun = false;
  const auto begin = [&] {
    if (begun) return;
    begun = true;
    if (p.brackets)
      out += negative ? "<" : p.fill ? " " : "";
    else if (p.sign == 'S')
      out += negative ? '-' : '+';
    else if (p.sign == 0)
      out += negative ? "-" : p.fill ? " " : "";
  };
  int at = 0;
  std::size_t behind = 0;
  bool in_fraction = false;
  for (const Place& place : p.places) {
    switch (place.kind) {
      case '9':
      case '0':
        if (in_fraction) {
          if (behind < kept) out += fraction[behind];
          ++behind;
          break;
        }
        if (at >= skipped) {
          begin();
          out += whole[static_cast<std::size_t>(at - skipped)];
        } else if ((p.first_zero >= 0 && at >= p.first_zero) || (lone_zero && at + 1 == p.before)) {
          begin();
          out += '0';
        } else if (p.fill) {
          out += ' ';
        }
        ++at;
        break;
      case '.':
        begin();
        in_fraction = true;
        out += '.';
        break;
      case ',':
        if (begun && at > 0)
          out += ',';
        else if (p.fill)
          out += ' ';
        break;
      case 'm':
        if (negative)
          out += '-';
        else if (p.fill)
          out += ' ';
        break;
      case 's': out += negative ? '-' : '+'; break;
      case 'p':
        if (!negative)
          out += '+';
        else if (p.fill)
          out += ' ';
        break;
      case 'L':
        if (p.fill) out += ' ';
        break;
      case 't':
      case 'T':
        if (!negative && !overflow && p.after == 0) {
          for (const char ch : ordinal_of(number)) {
            out += place.kind == 'T' ? static_cast<char>(std::toupper(static_cast<unsigned char>(ch))) : ch;
          }
        }
        break;
      default: out += place.literal;
    }
  }
  if (p.brackets) out += negative ? ">" : p.fill ? " " : "";
  if (p.sign == 'E') out += negative ? '-' : '+';
  return text_result(std::move(out));
}

Returned to_number(Call& c) {
  if (c.text(1).empty()) return OwnedValue::null();
  BOP_LET(p, pattern_of(c.text(1)));
  std::string digits;
  bool negative = false, point = false;
  int before = 0, after = 0;
  for (const char ch : c.text(0)) {
    if (std::isdigit(static_cast<unsigned char>(ch)) != 0) {
      int& count = point ? after : before;
      if (count >= (point ? p.after : p.before)) {
        if (!point && p.point) continue;
        break;
      }
      ++count;
      digits += ch;
    } else if (ch == '.' && p.point && !point) {
      point = true;
      digits += '.';
    } else if (ch == '-' || (ch == '<' && p.brackets)) {
      negative = true;
    }
  }
  if (before + after == 0) {
    return fail(ErrorCode::kInvalidTextRepresentation, "invalid input syntax for type numeric: \"{}\"",
                c.text(0).empty() ? " " : c.text(0));
  }
  BOP_LET(n, Numeric::parse((negative ? "-" : "") + digits));
  return text_result((after > 0 || p.after == 0 ? n : n.with_scale(0)).to_text());
}

}  // namespace

void add_number_formats(Implementations& all) {
  const auto add = [&all](std::string key, Numeric (*number)(const Value&)) {
    all.push_back(scalar(std::move(key), [number](Call& c) -> Returned {
      if (c.text(1).empty()) return text_result("");
      return write_number(number(c[0]), c.text(1));
    }));
  };
  add("numeric_to_char", [](const Value& v) { return Numeric::parse_stored(v.bytes); });
  add("int4_to_char", [](const Value& v) { return Numeric::of_int(v.integer); });
  add("int8_to_char", [](const Value& v) { return Numeric::of_int(v.integer); });
  add("float8_to_char", [](const Value& v) { return Numeric::of_double(float_of(v)); });
  add("float4_to_char", [](const Value& v) { return Numeric::of_float(static_cast<float>(float_of(v))); });
  all.push_back(scalar("numeric_to_number", to_number));
}

}  // namespace bop
