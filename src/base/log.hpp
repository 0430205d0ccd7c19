// The log of the process: one line an event, a message and key=value fields, as text or JSON.
//
//   log_info("listening", {{"address", "::1"}, {"port", 5432}});
//
//   2026-01-01 00:00:00.000 INFO  listening address=::1 port=5432
//   {"time":"2026-01-01T00:00:00.000Z","level":"info","message":"listening","address":"::1","port":5432}
//
// The message is a constant and what varies is a field, so that lines can be counted. A line never contains a
// line break or a control byte, whatever the fields hold. Thread-safe; a line is written whole. Errors of
// writing the log are not errors of the node. spdlog does the writing; nothing else includes it.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.hpp"

namespace bop {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };
enum class LogFormat : std::uint8_t { kText, kJson };

// Refers to the strings it is given: used in the call, never kept.
class LogField {
 public:
  LogField(std::string_view key, std::string_view value) : key_(key), value_(value) {}
  LogField(std::string_view key, const std::string& value) : key_(key), value_(std::string_view(value)) {}
  LogField(std::string_view key, const char* value) : key_(key), value_(std::string_view(value)) {}
  LogField(std::string_view key, bool value) : key_(key), value_(value) {}
  LogField(std::string_view key, double value) : key_(key), value_(value) {}
  template <std::signed_integral T>
  LogField(std::string_view key, T value) : key_(key), value_(static_cast<std::int64_t>(value)) {}
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  LogField(std::string_view key, T value) : key_(key), value_(static_cast<std::uint64_t>(value)) {}

  using Value = std::variant<std::string_view, bool, double, std::int64_t, std::uint64_t>;
  [[nodiscard]] std::string_view key() const noexcept { return key_; }
  [[nodiscard]] const Value& value() const noexcept { return value_; }

 private:
  std::string_view key_;
  Value value_;
};
using LogFields = std::initializer_list<LogField>;

// To standard error; until the first call: text, info. Names as in settings.def.
[[nodiscard]] Status configure_log(std::string_view format, std::string_view level);
[[nodiscard]] bool log_enabled(LogLevel level) noexcept;
void log(LogLevel level, std::string_view message, LogFields fields = {}) noexcept;
inline void log_debug(std::string_view message, LogFields fields = {}) noexcept {
  if (log_enabled(LogLevel::kDebug)) log(LogLevel::kDebug, message, fields);
}
inline void log_info(std::string_view message, LogFields fields = {}) noexcept {
  log(LogLevel::kInfo, message, fields);
}
inline void log_warning(std::string_view message, LogFields fields = {}) noexcept {
  log(LogLevel::kWarning, message, fields);
}
inline void log_error(std::string_view message, LogFields fields = {}) noexcept {
  log(LogLevel::kError, message, fields);
}
// The fields of an error: what it says, its code and detail.
void log_error(std::string_view message, const Error& error) noexcept;

// One line without its line break; `wall_us` as Clock::wall_us.
[[nodiscard]] std::string format_log_line(LogFormat format, LogLevel level, std::int64_t wall_us,
                                          std::string_view message, LogFields fields);
// For tests: lines go to `sink` instead of standard error until it is replaced by an empty one.
void redirect_log(std::function<void(std::string_view)> sink);

}  // namespace bop
