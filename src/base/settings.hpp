// The settings of a node: one table, settings.def, and the layers that give each its value:
// default < TOML file < BOP_* environment < flags.
//
// A setting's name gives all its forms: data_dir, BOP_DATA_DIR, --data-dir. A value that cannot be read or is
// out of range is kConfigInvalid and names the value, where it came from and the limit; an unknown name is
// answered with the nearest known one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.hpp"

namespace bop {

enum class SettingId : std::uint8_t {
#define BOP_SETTING(name, type, standard, least, most, choices, context, sentence) k_##name,
#include "base/settings.def"
#undef BOP_SETTING
};
enum class SettingType : std::uint8_t { kText, kChoice, kInteger, kBytes, kMilliseconds, kBool };
enum class SettingContext : std::uint8_t { kBoot, kReload, kSession };
enum class SettingSource : std::uint8_t { kDefault, kFile, kEnvironment, kFlag };

struct SettingInfo {
  SettingId id;
  std::string_view name;
  SettingType type;
  std::string_view standard;  // the default, as it would be written
  std::int64_t least, most;   // of numbers
  std::string_view choices;   // of kChoice, separated by '|'
  SettingContext context;
  std::string_view sentence;
};
using SettingValue = std::variant<std::int64_t, bool, std::string>;

[[nodiscard]] std::span<const SettingInfo> all_settings() noexcept;
// `name` may be written with '-' for '_'; null if unknown.
[[nodiscard]] const SettingInfo* find_setting(std::string_view name) noexcept;
// The known name nearest to `name`, if there is one that could have been meant.
[[nodiscard]] std::optional<std::string_view> nearest_setting(std::string_view name);
// The value that `text` means; kConfigInvalid otherwise.
[[nodiscard]] Result<SettingValue> parse_setting(const SettingInfo& info, std::string_view text);
// As SHOW prints it: "64MB", "10s", "on", "5432".
[[nodiscard]] std::string show_setting(const SettingInfo& info, const SettingValue& value);
[[nodiscard]] std::string_view name_of(SettingType type) noexcept;
[[nodiscard]] std::string_view name_of(SettingContext context) noexcept;
[[nodiscard]] std::string_view name_of(SettingSource source) noexcept;
// "data_dir" -> "BOP_DATA_DIR", "--data-dir".
[[nodiscard]] std::string environment_name(const SettingInfo& info);
[[nodiscard]] std::string flag_name(const SettingInfo& info);
// docs/settings.md and the text of --help.
[[nodiscard]] std::string settings_markdown();
[[nodiscard]] std::string settings_help();

// A value for every setting. Copyable; not synchronised: a reload makes a new one.
class Settings {
 public:
  // All defaults.
  Settings();

  // `flags`: what follows the command, such as "--pg-port", "5433" or "--pg-port=5433"; a Bool needs no
  // value, and "--no-" before its name makes it false. `environment`: "NAME=value" lines, of which only BOP_*
  // count. Reads the file that `config` names, or bop.toml in data_dir if that exists.
  [[nodiscard]] static Result<Settings> load(std::span<const std::string> flags,
                                             std::span<const std::string> environment);
  // The environment of this process, for load.
  [[nodiscard]] static std::vector<std::string> process_environment();

  // Adds one layer; a later one wins.
  [[nodiscard]] Status read_toml(std::string_view text, std::string_view path);
  [[nodiscard]] Status read_environment(std::span<const std::string> environment);
  [[nodiscard]] Status read_flags(std::span<const std::string> flags);
  [[nodiscard]] Status set(const SettingInfo& info, std::string_view text, SettingSource source,
                           std::string_view where);
  // Takes over from `newer` what may change without a restart; returns the names of Boot settings that differ
  // and therefore wait for one.
  [[nodiscard]] std::vector<std::string_view> reload_from(const Settings& newer);

  [[nodiscard]] const SettingValue& value(SettingId id) const noexcept { return at(id).value; }
  [[nodiscard]] SettingSource source(SettingId id) const noexcept { return at(id).source; }
  [[nodiscard]] std::string shown(const SettingInfo& info) const {
    return show_setting(info, value(info.id));
  }
  // Variables BOP_* that are no setting but are spelt nearly like one: worth a warning.
  [[nodiscard]] const std::vector<std::string>& suspects() const noexcept { return suspects_; }

  // settings.pg_port(), settings.data_dir(), settings.trust_loopback(), one for each row of the table.
#define BOP_SETTING_Text const std::string&
#define BOP_SETTING_Choice const std::string&
#define BOP_SETTING_Integer std::int64_t
#define BOP_SETTING_Bytes std::int64_t
#define BOP_SETTING_Milliseconds std::int64_t
#define BOP_SETTING_Bool bool
#define BOP_SETTING(name, type, standard, least, most, choices, context, sentence)             \
  [[nodiscard]] BOP_SETTING_##type name() const noexcept {                                     \
    return *std::get_if<std::remove_cvref_t<BOP_SETTING_##type>>(&value(SettingId::k_##name)); \
  }
#include "base/settings.def"
#undef BOP_SETTING
#undef BOP_SETTING_Text
#undef BOP_SETTING_Choice
#undef BOP_SETTING_Integer
#undef BOP_SETTING_Bytes
#undef BOP_SETTING_Milliseconds
#undef BOP_SETTING_Bool

 private:
  struct Entry {
    SettingValue value;
    SettingSource source = SettingSource::kDefault;
  };
  static constexpr std::size_t kCount = 0
#define BOP_SETTING(name, type, standard, least, most, choices, context, sentence) +1
#include "base/settings.def"
#undef BOP_SETTING
      ;
  [[nodiscard]] const Entry& at(SettingId id) const noexcept {
    return entries_[static_cast<std::size_t>(id)];
  }

  std::array<Entry, kCount> entries_;
  std::vector<std::string> suspects_;
};

}  // namespace bop
