#include "cli/time_reader.hpp"

#include <charconv>
#include <chrono>
#include <system_error>

namespace bop::cli {

namespace {

class TimeReader {
 public:
  explicit TimeReader(std::string_view text) : rest_(text) {}
  bool number(int digits, int least, int most, int& out) {
    if (rest_.size() < static_cast<std::size_t>(digits)) return false;
    const auto [end, bad] = std::from_chars(rest_.data(), rest_.data() + digits, out);
    if (bad != std::errc() || end != rest_.data() + digits || out < least || out > most) return false;
    rest_.remove_prefix(static_cast<std::size_t>(digits));
    return true;
  }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Of a second, in microseconds; more digits than six are cut off.
  bool fraction(std::int64_t& out) {
    std::int64_t unit = 100'000;
    std::size_t digits = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits, unit /= 10) {
      out += unit * (rest_[digits] - '0');
    }
    rest_.remove_prefix(digits);
    return digits > 0;
  }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace

std::optional<std::int64_t> parse_time(std::string_view text) {
  TimeReader in(text);
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  if (!in.number(4, 1970, 9999, year) || !in.take('-') || !in.number(2, 1, 12, month) || !in.take('-') ||
      !in.number(2, 1, 31, day)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date(std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  if (!date.ok() || !(in.take(' ') || in.take('T')) || !in.number(2, 0, 23, hour) || !in.take(':') ||
      !in.number(2, 0, 59, minute)) {
    return std::nullopt;
  }
  if (in.take(':') && !in.number(2, 0, 60, second)) return std::nullopt;
  std::int64_t us = 0;
  if (in.take('.') && !in.fraction(us)) return std::nullopt;
  (void)in.take(' ');
  int zone_minutes = 0;
  if (!in.take('Z') && !in.at_end()) {
    const bool east = in.take('+');
    int hours = 0;
    int minutes = 0;
    if ((!east && !in.take('-')) || !in.number(2, 0, 15, hours)) return std::nullopt;
    const bool colon = in.take(':');
    if ((colon || !in.at_end()) && !in.number(2, 0, 59, minutes)) return std::nullopt;
    zone_minutes = (hours * 60 + minutes) * (east ? 1 : -1);
  }
  if (!in.at_end()) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch();
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(
      days + std::chrono::hours(hour) + std::chrono::minutes(minute - zone_minutes) +
      std::chrono::seconds(second));
  return whole.count() + us;
}

}  // namespace bop::cli
