# bop_object_store: the crate object_store behind a C ABI (rust/), a static library that cargo builds.
#
# BOP_CARGO and BOP_CARGO_TARGET come from scripts/environment.sh: cargo, and a folder outside of the checkout that is
# kept from one build to the next and shared by all checkouts and presets (there are no sanitizers in it). Without them
# cargo is looked for, and the build folder is used.

set(BOP_CARGO "" CACHE FILEPATH "cargo, 1.85 or later")
set(BOP_CARGO_TARGET "${PROJECT_BINARY_DIR}/cargo" CACHE PATH "Folder in which cargo builds")
set(bop_cargo "${BOP_CARGO}")
if(NOT bop_cargo)
  find_program(BOP_CARGO_FOUND cargo HINTS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin" REQUIRED)
  set(bop_cargo "${BOP_CARGO_FOUND}")
endif()

set(bop_rust_library "${PROJECT_BINARY_DIR}/libbop_object_store.a")
file(GLOB bop_rust_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/rust/src/*.rs")
add_custom_command(
  OUTPUT "${bop_rust_library}"
  COMMAND "${PROJECT_SOURCE_DIR}/scripts/cargo_build" "${bop_cargo}" "${PROJECT_SOURCE_DIR}/rust" "${BOP_CARGO_TARGET}"
          "${bop_rust_library}"
  DEPENDS ${bop_rust_sources} "${PROJECT_SOURCE_DIR}/rust/Cargo.toml" "${PROJECT_SOURCE_DIR}/rust/Cargo.lock"
          "${PROJECT_SOURCE_DIR}/scripts/cargo_build"
  COMMENT "Building rust/ with cargo"
  USES_TERMINAL
  VERBATIM)
add_custom_target(bop_rust DEPENDS "${bop_rust_library}")
add_library(bop_object_store STATIC IMPORTED GLOBAL)
set_target_properties(bop_object_store PROPERTIES
  IMPORTED_LOCATION "${bop_rust_library}"
  INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/rust"
  INTERFACE_LINK_LIBRARIES "Threads::Threads;dl;m")
add_dependencies(bop_object_store bop_rust)
