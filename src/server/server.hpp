// A node: settings in, clients served, a signal ends it.
#pragma once

#include <functional>
#include <string>

#include "base/error.hpp"
#include "base/settings.hpp"

namespace bop::server {

inline constexpr std::string_view kVersion = "0.1.0";

// Runs until SIGTERM or SIGINT; prints the `ready:` line to stdout. Returns when everything is stopped:
// success, or the one sentence that says why the node could not start or stop in order. A second signal ends
// open statements at once. On SIGHUP `read_again` gives the settings as they are now; those that may change
// take effect.
[[nodiscard]] Status serve(Settings settings, std::function<Result<Settings>()> read_again);

}  // namespace bop::server
