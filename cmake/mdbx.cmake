# bop_libmdbx: libmdbx's amalgamation from the crate mdbx-sys (pinned in deps/), compiled with our options.
# BOP_MDBX_DIR is the folder that holds mdbx.c; scripts/setup passes it. Without it the newest copy of the pinned version
# in cargo's registry is used.

set(BOP_MDBX_CRATE "mdbx-sys-14.4.0")
set(BOP_MDBX_DIR "" CACHE PATH "Folder of mdbx.c, from ${BOP_MDBX_CRATE}")
set(bop_mdbx_dir "${BOP_MDBX_DIR}")
if(NOT bop_mdbx_dir)
  if(DEFINED ENV{CARGO_HOME})
    set(bop_cargo_home "$ENV{CARGO_HOME}")
  else()
    set(bop_cargo_home "$ENV{HOME}/.cargo")
  endif()
  file(GLOB bop_mdbx_candidates "${bop_cargo_home}/registry/src/*/${BOP_MDBX_CRATE}/libmdbx")
  if(bop_mdbx_candidates)
    list(GET bop_mdbx_candidates 0 bop_mdbx_dir)
  endif()
endif()
if(NOT EXISTS "${bop_mdbx_dir}/mdbx.c")
  message(FATAL_ERROR "libmdbx's amalgamation was not found; run scripts/setup, or pass -DBOP_MDBX_DIR=<folder of "
                      "mdbx.c from ${BOP_MDBX_CRATE}>")
endif()

add_library(bop_libmdbx STATIC "${bop_mdbx_dir}/mdbx.c")
target_include_directories(bop_libmdbx SYSTEM PUBLIC "$<BUILD_INTERFACE:${bop_mdbx_dir}>")
target_compile_options(bop_libmdbx PRIVATE -w -fvisibility=hidden -ffunction-sections
                                           "-ffile-prefix-map=${bop_mdbx_dir}=libmdbx")
target_compile_definitions(bop_libmdbx PRIVATE
  NDEBUG                     # its asserts end the process; a damaged file has to be an error (MDBX_VALIDATION)
  MDBX_ENV_CHECKPID=1        # a child after fork() is refused
  MDBX_TXN_CHECKOWNER=1
  MDBX_BUILD_FLAGS="bop"     # not the paths of this machine
  MDBX_BUILD_TIMESTAMP="unknown")
if(BOP_SANITIZER STREQUAL "address")
  # It reads unaligned numbers where the processor may, and its pages with their own types.
  target_compile_options(bop_libmdbx PRIVATE -fno-sanitize=undefined)
endif()
target_link_libraries(bop_libmdbx PUBLIC Threads::Threads)
