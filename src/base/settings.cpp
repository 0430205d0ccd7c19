#include "base/settings.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <toml++/toml.h>

#include "base/assert.hpp"

namespace bop {
namespace {

std::string or_nearest(std::string_view name, bool as_flag) {
  const auto nearest = nearest_setting(name);
  if (!nearest) return "";
  return fmt::format(": did you mean {}?",
                     as_flag ? flag_name(*find_setting(*nearest)) : std::string(*nearest));
}

}  // namespace

Settings::Settings() {
  for (const SettingInfo& info : all_settings()) {
    auto value = parse_setting(info, info.standard);
    BOP_ASSERT(value.has_value());
    entries_[static_cast<std::size_t>(info.id)].value = std::move(*value);
  }
}

Status Settings::set(const SettingInfo& info, std::string_view text, SettingSource source,
                     std::string_view where) {
  auto value = parse_setting(info, text);
  if (!value) return fail(ErrorCode::kConfigInvalid, "{}: {}", where, value.error().what());
  entries_[static_cast<std::size_t>(info.id)] = {std::move(*value), source};
  return {};
}

Status Settings::read_toml(std::string_view text, std::string_view path) {
  toml::table parsed;
  try {
    parsed = toml::parse(text, path);
  } catch (const toml::parse_error& problem) {
    return fail(ErrorCode::kConfigInvalid, "{} line {}: {}", path, problem.source().begin.line,
                problem.description());
  }
  for (const auto& [key, node] : parsed) {
    const std::string where = fmt::format("{} line {}", path, key.source().begin.line);
    const SettingInfo* info = find_setting(key.str());
    if (info == nullptr) {
      return fail(ErrorCode::kConfigInvalid, "{}: there is no setting \"{}\"{}", where, key.str(),
                  or_nearest(key.str(), false));
    }
    std::string value;
    if (const auto* as_text = node.as_string()) {
      value = as_text->get();
    } else if (const auto* number = node.as_integer()) {
      value = fmt::format("{}", number->get());
    } else if (const auto* flag = node.as_boolean()) {
      value = flag->get() ? "true" : "false";
    } else {
      return fail(ErrorCode::kConfigInvalid, "{}: {} must be a string, a whole number or a boolean", where,
                  info->name);
    }
    BOP_TRY(set(*info, value, SettingSource::kFile, where));
  }
  return {};
}

Status Settings::read_environment(std::span<const std::string> environment) {
  for (const std::string_view line : environment) {
    const std::size_t equals = line.find('=');
    if (!line.starts_with("BOP_") || equals == std::string_view::npos) continue;
    std::string name(line.substr(4, equals - 4));
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const std::string where(line.substr(0, equals));
    if (const SettingInfo* info = find_setting(name)) {
      BOP_TRY(set(*info, line.substr(equals + 1), SettingSource::kEnvironment, where));
    } else if (const auto nearest = nearest_setting(name)) {
      suspects_.push_back(fmt::format("{} is no setting: did you mean {}?", where,
                                      environment_name(*find_setting(*nearest))));
    }
  }
  return {};
}

Status Settings::read_flags(std::span<const std::string> flags) {
  for (std::size_t i = 0; i < flags.size(); ++i) {
    const std::string_view flag = flags[i];
    if (!flag.starts_with("--")) {
      return fail(ErrorCode::kConfigInvalid, "\"{}\" is not a flag: settings are given as --name value",
                  flag);
    }
    std::string_view name = flag.substr(2);
    std::optional<std::string_view> value;
    if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    }
    const SettingInfo* info = find_setting(name);
    if (info == nullptr && name.starts_with("no-") && !value) {
      const SettingInfo* negated = find_setting(name.substr(3));
      if (negated != nullptr && negated->type == SettingType::kBool) {
        info = negated;
        value = "false";
      }
    }
    if (info == nullptr) {
      return fail(ErrorCode::kConfigInvalid, "there is no flag --{}{}", name, or_nearest(name, true));
    }
    if (!value && info->type == SettingType::kBool) {
      const bool follows = i + 1 < flags.size() && !flags[i + 1].starts_with("--");
      value = follows ? std::string_view(flags[++i]) : "true";
    } else if (!value) {
      if (i + 1 == flags.size()) return fail(ErrorCode::kConfigInvalid, "--{} needs a value", name);
      value = flags[++i];
    }
    BOP_TRY(set(*info, *value, SettingSource::kFlag, flag_name(*info)));
  }
  return {};
}

Result<Settings> Settings::load(std::span<const std::string> flags,
                                std::span<const std::string> environment) {
  // The upper layers say where the file is; they are read again over it.
  Settings upper;
  BOP_TRY(upper.read_environment(environment));
  BOP_TRY(upper.read_flags(flags));
  std::filesystem::path path = upper.config();
  bool must_exist = true;
  if (path.empty()) {
    path = std::filesystem::path(upper.data_dir()) / "bop.toml";
    must_exist = false;
  }
  Settings settings;
  std::error_code ignored;
  if (must_exist || std::filesystem::exists(path, ignored)) {
    std::ifstream file(path);
    std::stringstream text;
    if (!file || !(text << file.rdbuf())) {
      // An empty file sets the fail bit of the copy: that alone is no error.
      if (!file.is_open() || file.bad()) {
        return fail(ErrorCode::kConfigInvalid, "cannot read configuration file \"{}\": {}", path.string(),
                    std::strerror(errno));
      }
    }
    BOP_TRY(settings.read_toml(text.str(), path.string()));
  }
  BOP_TRY(settings.read_environment(environment));
  BOP_TRY(settings.read_flags(flags));
  return settings;
}

std::vector<std::string> Settings::process_environment() {
  std::vector<std::string> out;
  for (char** line = environ; line != nullptr && *line != nullptr; ++line) out.emplace_back(*line);
  return out;
}

std::vector<std::string_view> Settings::reload_from(const Settings& newer) {
  std::vector<std::string_view> waiting;
  for (const SettingInfo& info : all_settings()) {
    const std::size_t i = static_cast<std::size_t>(info.id);
    if (entries_[i].value == newer.entries_[i].value) continue;
    if (info.context == SettingContext::kBoot) {
      waiting.push_back(info.name);
    } else {
      entries_[i] = newer.entries_[i];
    }
  }
  return waiting;
}

}  // namespace bop
