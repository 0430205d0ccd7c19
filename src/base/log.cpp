#include "base/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <memory>
#include <mutex>
#include <utility>

#include "base/json.hpp"
#include "base/metrics.hpp"
#include "base/time.hpp"

namespace bop {
namespace {

constexpr std::array<std::string_view, 4> kLevels{"debug", "info", "warning", "error"};
constexpr std::array<std::string_view, 4> kTextLevels{"DEBUG", "INFO ", "WARN ", "ERROR"};

// Never destroyed: threads and destructors of statics may log until the very end.
struct Output {
  std::atomic<LogLevel> level{LogLevel::kInfo};
  std::atomic<LogFormat> format{LogFormat::kText};
  spdlog::logger logger{"bop", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  std::mutex mutex;  // of sink
  std::function<void(std::string_view)> sink;

  Output() {
    logger.set_level(spdlog::level::trace);  // the level is checked before the line is made
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
    logger.set_error_handler([](const std::string&) {});
  }
};
Output& output() {
  static auto* const kOutput = new Output;
  return *kOutput;
}

bool needs_quotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u <= 0x20 || u >= 0x7f || c == '"' || c == '=' || c == '\\') return true;
  }
  return false;
}

void append_value(std::string& out, LogFormat format, const LogField::Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    if (format == LogFormat::kJson || needs_quotes(*text)) {
      append_json_text(out, *text);
    } else {
      out += *text;
    }
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    out += *flag ? "true" : "false";
  } else if (const auto* number = std::get_if<double>(&value)) {
    // JSON has no infinity and no NaN.
    out += std::isfinite(*number) ? fmt::format("{}", *number) : format == LogFormat::kJson ? "null" : "nan";
  } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    fmt::format_to(std::back_inserter(out), "{}", *whole);
  } else {
    fmt::format_to(std::back_inserter(out), "{}", std::get<std::uint64_t>(value));
  }
}

void append_time(std::string& out, std::int64_t wall_us, char separator, std::string_view zone) {
  const std::time_t seconds = wall_us / 1'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}.{:03}{}",
                 parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, separator, parts.tm_hour,
                 parts.tm_min, parts.tm_sec, wall_us / 1000 % 1000, zone);
}

// Control bytes of a message would break the line.
void append_plain(std::string& out, std::string_view text) {
  for (const char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
}

}  // namespace

std::string format_log_line(LogFormat format, LogLevel level, std::int64_t wall_us, std::string_view message,
                            LogFields fields) {
  std::string out;
  out.reserve(128);
  const auto number = static_cast<std::size_t>(level);
  if (format == LogFormat::kText) {
    append_time(out, wall_us, ' ', "");
    fmt::format_to(std::back_inserter(out), " {} ", kTextLevels[number]);
    append_plain(out, message);
    for (const LogField& field : fields) {
      out += ' ';
      append_plain(out, field.key());
      out += '=';
      append_value(out, format, field.value());
    }
    return out;
  }
  out += "{\"time\":\"";
  append_time(out, wall_us, 'T', "Z");
  fmt::format_to(std::back_inserter(out), "\",\"level\":\"{}\",\"message\":", kLevels[number]);
  append_json_text(out, message);
  for (const LogField& field : fields) {
    out += ',';
    append_json_text(out, field.key());
    out += ':';
    append_value(out, format, field.value());
  }
  out += '}';
  return out;
}

Status configure_log(std::string_view format, std::string_view level) {
  if (format != "text" && format != "json") {
    return fail(ErrorCode::kConfigInvalid, "log_format is \"{}\": it must be text or json", format);
  }
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    if (kLevels[i] != level) continue;
    output().format = format == "json" ? LogFormat::kJson : LogFormat::kText;
    output().level = static_cast<LogLevel>(i);
    return {};
  }
  return fail(ErrorCode::kConfigInvalid, "log_level is \"{}\": it must be debug, info, warning or error",
              level);
}

bool log_enabled(LogLevel level) noexcept { return level >= output().level.load(std::memory_order_relaxed); }

void log(LogLevel level, std::string_view message, LogFields fields) noexcept {
  if (level == LogLevel::kWarning) metrics().log_warnings_total.add();
  if (level == LogLevel::kError) metrics().log_errors_total.add();
  if (!log_enabled(level)) return;
  const std::string line = format_log_line(output().format, level, system_clock().wall_us(), message, fields);
  {
    const std::lock_guard guard(output().mutex);
    if (output().sink) return output().sink(line);
  }
  output().logger.log(spdlog::level::info, "{}", line);
  output().logger.flush();
}

void log_error(std::string_view message, const Error& error) noexcept {
  const std::string_view code = info(error.code()).name;
  if (error.fields().detail.empty()) {
    log(LogLevel::kError, message, {{"error", error.what()}, {"code", code}, {"sqlstate", error.sqlstate()}});
  } else {
    log(LogLevel::kError, message,
        {{"error", error.what()},
         {"code", code},
         {"sqlstate", error.sqlstate()},
         {"detail", error.fields().detail}});
  }
}

void redirect_log(std::function<void(std::string_view)> sink) {
  const std::lock_guard guard(output().mutex);
  output().sink = std::move(sink);
}

}  // namespace bop
