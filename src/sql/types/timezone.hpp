// Time zones from the system's tz database (TZif files under /usr/share/zoneinfo, RFC 8536) and POSIX TZ
// rules. A TimeZone is immutable, lives until the process ends and may be used from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bop {

class TimeZone {
 public:
  virtual ~TimeZone() = default;
  struct Local {
    std::int32_t offset_seconds;  // east of Greenwich
    bool is_dst;
    std::string_view abbreviation;
  };
  // What holds at an instant, in seconds since 1970-01-01 UTC.
  [[nodiscard]] virtual Local at(std::int64_t unix_seconds) const = 0;
  // The offset of a local wall clock time given as if it were UTC. In a gap the offset before it, in an
  // overlap standard time, as PostgreSQL decides.
  [[nodiscard]] std::int32_t offset_of_local(std::int64_t local_seconds) const;
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  // By name of the database (case-insensitive: "Europe/Berlin", "UTC"), POSIX rule ("EST5EDT"), or as the
  // setting TimeZone takes it ("+02", "-3.5" hours east). nullptr if there is none.
  static const TimeZone* find(std::string_view name);
  static const TimeZone* utc();
  // Offset in seconds east of a fixed abbreviation ("EST", "CEST", "Z"); false if unknown.
  static bool find_abbreviation(std::string_view abbreviation, std::int32_t& offset_seconds);

 protected:
  std::string name_;
};

}  // namespace bop
