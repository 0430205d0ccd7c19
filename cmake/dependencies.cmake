# Everything that is not ours, found in one place; docs/dependencies.md says why each is here and which version.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(simdjson REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(Boost 1.74 REQUIRED)
pkg_check_modules(uring REQUIRED IMPORTED_TARGET liburing)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(protobuf_c REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
find_path(BOP_XXHASH_INCLUDE xxhash.h REQUIRED)

# CLI11 is headers only and its Debian package has no CMake file.
find_path(BOP_CLI11_INCLUDE CLI/CLI.hpp REQUIRED)
if(NOT TARGET CLI11::CLI11)
  add_library(CLI11::CLI11 INTERFACE IMPORTED)
  target_include_directories(CLI11::CLI11 INTERFACE "${BOP_CLI11_INCLUDE}")
endif()

# libpg_query has neither a CMake nor a pkg-config file.
find_path(BOP_PG_QUERY_INCLUDE pg_query.h REQUIRED)
find_library(BOP_PG_QUERY_LIBRARY pg_query REQUIRED)
add_library(bop_pg_query INTERFACE)
target_include_directories(bop_pg_query SYSTEM INTERFACE "${BOP_PG_QUERY_INCLUDE}")
target_link_libraries(bop_pg_query INTERFACE "${BOP_PG_QUERY_LIBRARY}" PkgConfig::protobuf_c)

include(sqlite)
include(duckdb)
include(rust)
include(mdbx)

if(BOP_TESTS)
  find_package(GTest REQUIRED)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  include(GoogleTest)
endif()
