// What no statement should meet, for tests: while the file that BOP_TEST_ENGINE_FAULT names is there, the
// next scan removes it and fails as DuckDB's own code would, inside one of DuckDB's threads.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <duckdb/common/exception.hpp>

namespace bop::executor {

inline void provoke_fault() {
  static const char* const file = std::getenv("BOP_TEST_ENGINE_FAULT");
  if (file == nullptr || ::unlink(file) != 0) return;
  throw duckdb::InternalException("a fault that a test asked for");
}

}  // namespace bop::executor
