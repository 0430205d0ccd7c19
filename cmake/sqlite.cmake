# bop_sqlite: the SQLite amalgamation of the crate libsqlite3-sys (pinned in deps/), compiled with our options.
# BOP_SQLITE_DIR is the folder that holds sqlite3.c; scripts/setup passes it. Without it the newest copy of the pinned
# version in cargo's registry is used.

set(BOP_SQLITE_CRATE "libsqlite3-sys-0.39.1")
set(BOP_SQLITE_DIR "" CACHE PATH "Folder of sqlite3.c, from ${BOP_SQLITE_CRATE}")
set(bop_sqlite_dir "${BOP_SQLITE_DIR}")
if(NOT bop_sqlite_dir)
  if(DEFINED ENV{CARGO_HOME})
    set(bop_cargo_home "$ENV{CARGO_HOME}")
  else()
    set(bop_cargo_home "$ENV{HOME}/.cargo")
  endif()
  file(GLOB bop_sqlite_candidates "${bop_cargo_home}/registry/src/*/${BOP_SQLITE_CRATE}/sqlite3")
  if(bop_sqlite_candidates)
    list(GET bop_sqlite_candidates 0 bop_sqlite_dir)
  endif()
endif()
if(NOT EXISTS "${bop_sqlite_dir}/sqlite3.c")
  message(FATAL_ERROR "SQLite's amalgamation was not found; run scripts/setup, or pass -DBOP_SQLITE_DIR=<folder of "
                      "sqlite3.c from ${BOP_SQLITE_CRATE}>")
endif()

add_library(bop_sqlite STATIC "${bop_sqlite_dir}/sqlite3.c")
target_include_directories(bop_sqlite SYSTEM PUBLIC "${bop_sqlite_dir}")
target_compile_options(bop_sqlite PRIVATE -w "-ffile-prefix-map=${bop_sqlite_dir}=sqlite3")
# PUBLIC: sqlite3.h declares some functions only under these.
target_compile_definitions(bop_sqlite PUBLIC SQLITE_ENABLE_SNAPSHOT SQLITE_ENABLE_COLUMN_METADATA
                           SQLITE_ENABLE_STMT_SCANSTATUS)
target_compile_definitions(bop_sqlite PRIVATE
  SQLITE_THREADSAFE=2             # a connection is used by one thread at a time
  SQLITE_DEFAULT_MEMSTATUS=0      # no global mutex for memory statistics
  SQLITE_DQS=0                    # "x" is an identifier, never a string
  SQLITE_DEFAULT_FOREIGN_KEYS=0
  SQLITE_TEMP_STORE=1
  SQLITE_LIKE_DOESNT_MATCH_BLOBS
  SQLITE_USE_ALLOCA
  SQLITE_ENABLE_DBPAGE_VTAB
  SQLITE_ENABLE_DBSTAT_VTAB
  SQLITE_ENABLE_MATH_FUNCTIONS
  SQLITE_ENABLE_STAT4
  SQLITE_OMIT_DEPRECATED
  SQLITE_OMIT_SHARED_CACHE
  SQLITE_OMIT_LOAD_EXTENSION
  SQLITE_MAX_ATTACHED=10
  SQLITE_MAX_COLUMN=2000
  SQLITE_MAX_EXPR_DEPTH=10000
  SQLITE_MAX_FUNCTION_ARG=32767   # ARRAY[...] and coalesce(...) are calls
  SQLITE_MAX_LENGTH=1073741824    # 1 GiB, the limit of a PostgreSQL value
  SQLITE_MAX_VARIABLE_NUMBER=4194304)  # 65535 of the wire protocol and the statement's own constants
target_link_libraries(bop_sqlite PUBLIC Threads::Threads m)
