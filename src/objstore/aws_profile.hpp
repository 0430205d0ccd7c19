// The profiles of AWS's tools: ~/.aws/credentials and ~/.aws/config, INI files.
//
//   [name]            of credentials; [profile name], and [default], of config
//   key = value       '#' and ';' begin a comment at the start of a line; what is indented belongs to the key
//                     above and is passed over
//
// Only keys written down are taken. A profile that gets its credentials elsewhere (role_arn, sso_*,
// credential_process) is refused by name.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace bop::objstore {

inline constexpr std::size_t kMostProfileBytes = 1U << 20U;  // of one file

struct AwsProfile {
  std::string access_key_id, secret_access_key, session_token, region, endpoint;
};

// Of the contents of both files, either may be empty; nullopt when none of them knows the profile.
[[nodiscard]] Result<std::optional<AwsProfile>> find_aws_profile(std::string_view credentials,
                                                                 std::string_view config,
                                                                 std::string_view name);

}  // namespace bop::objstore
