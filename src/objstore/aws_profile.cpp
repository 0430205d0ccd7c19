#include "objstore/aws_profile.hpp"

#include <algorithm>
#include <map>

namespace bop::objstore {
namespace {

using Section = std::map<std::string, std::string, std::less<>>;

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// The last of several values of a key counts, as with AWS's tools.
std::optional<Section> section_of(std::string_view file, std::string_view name, bool is_config) {
  std::optional<Section> out;
  bool inside = false;
  while (!file.empty()) {
    const std::size_t end = file.find('\n');
    const std::string_view line = file.substr(0, end);
    file.remove_prefix(end == std::string_view::npos ? file.size() : end + 1);
    if (line.empty() || line[0] == '#' || line[0] == ';' || line[0] == ' ' || line[0] == '\t') continue;
    if (line[0] == '[') {
      std::string_view header = line.substr(1, std::min(line.find(']'), line.size()) - 1);
      header = trimmed(header);
      if (is_config && header.starts_with("profile ")) {
        header = trimmed(header.substr(8));
      } else if (is_config && header != "default") {
        header = {};
      }
      inside = !header.empty() && header == name;
      if (inside && !out) out.emplace();
      continue;
    }
    const std::size_t equals = line.find('=');
    if (!inside || equals == std::string_view::npos) continue;
    (*out)[std::string(trimmed(line.substr(0, equals)))] = trimmed(line.substr(equals + 1));
  }
  return out;
}

}  // namespace

Result<std::optional<AwsProfile>> find_aws_profile(std::string_view credentials, std::string_view config,
                                                   std::string_view name) {
  if (credentials.size() > kMostProfileBytes || config.size() > kMostProfileBytes) {
    return fail(ErrorCode::kConfigInvalid, "a file of AWS profiles is longer than 1 MiB");
  }
  const auto from_credentials = section_of(credentials, name, false);
  const auto from_config = section_of(config, name, true);
  if (!from_credentials && !from_config) return std::optional<AwsProfile>();
  // The file of credentials counts before the other.
  const auto value = [&](std::string_view key) -> std::string {
    for (const auto* section : {&from_credentials, &from_config}) {
      if (!*section) continue;
      if (const auto found = (*section)->find(key); found != (*section)->end()) return found->second;
    }
    return {};
  };
  AwsProfile out{.access_key_id = value("aws_access_key_id"),
                 .secret_access_key = value("aws_secret_access_key"),
                 .session_token = value("aws_session_token"),
                 .region = value("region"),
                 .endpoint = value("endpoint_url")};
  if (out.access_key_id.empty() != out.secret_access_key.empty()) {
    return fail(ErrorCode::kConfigInvalid,
                "the AWS profile has only one of aws_access_key_id and aws_secret_access_key: it needs both");
  }
  if (out.access_key_id.empty()) {
    for (const char* key : {"role_arn", "sso_session", "sso_start_url", "credential_process"}) {
      if (value(key).empty()) continue;
      return fail(
          ErrorCode::kConfigInvalid,
          "the AWS profile gets its credentials by {}, which is not supported; give keys in the environment "
          "or the role of an instance",
          key);
    }
  }
  return std::optional(std::move(out));
}

}  // namespace bop::objstore
