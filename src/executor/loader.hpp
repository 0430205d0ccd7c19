// Finds and loads the module of the second executor, once, when a statement first needs it.
#pragma once

#include <memory>

#include "executor/engine.hpp"

namespace bop::executor {

// The file beside the program, or in ../lib/bop.
inline constexpr char kModuleName[] = "bop_duckdb.so";

// kNotImplemented: there is no module, or it is not of this program.
[[nodiscard]] Result<std::unique_ptr<Engine>> load_engine(const EngineOptions& options);

}  // namespace bop::executor
