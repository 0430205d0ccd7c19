// The commands of `bop` and their arguments.
#pragma once

namespace bop::cli {

// The exit code of the process. Never throws.
[[nodiscard]] int run(int argc, char** argv);

}  // namespace bop::cli
