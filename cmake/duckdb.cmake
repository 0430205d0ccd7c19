# duckdb::duckdb: the library and the headers of the same commit (pinned in deps/duckdb). BOP_DUCKDB_DIR is the folder
# that holds libduckdb.so and include/; scripts/setup passes it.

set(BOP_DUCKDB_DIR "" CACHE PATH "Folder of libduckdb.so and include/duckdb")
set(bop_duckdb_dir "${BOP_DUCKDB_DIR}")
if(NOT EXISTS "${bop_duckdb_dir}/libduckdb.so" OR NOT EXISTS "${bop_duckdb_dir}/include/duckdb/main/database.hpp")
  message(FATAL_ERROR "DuckDB was not found in '${bop_duckdb_dir}'; run scripts/setup, or pass -DBOP_DUCKDB_DIR=<folder "
                      "of libduckdb.so and include/>")
endif()
add_library(duckdb::duckdb SHARED IMPORTED)
set_target_properties(duckdb::duckdb PROPERTIES
  IMPORTED_LOCATION "${bop_duckdb_dir}/libduckdb.so"
  INTERFACE_INCLUDE_DIRECTORIES "${bop_duckdb_dir}/include"
  INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${bop_duckdb_dir}/include")
