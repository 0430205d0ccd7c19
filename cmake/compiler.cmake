# Compiler settings of all of our own code.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()

# Release keeps asserts: there is no NDEBUG. -g1 gives stack traces with lines at a tenth of the size of -g.
foreach(language C CXX)
  set(CMAKE_${language}_FLAGS_RELEASE "-O2 -g1")
endforeach()

file(RELATIVE_PATH bop_source_from_build "${PROJECT_BINARY_DIR}" "${PROJECT_SOURCE_DIR}")
add_compile_options(
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Werror>"
  # A designated initialiser that leaves the other members at their defaults is our style, not an omission.
  "$<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers>"
  # __FILE__ is written from the top of the tree (ccache may have made the path relative before the compiler sees it),
  # and the path of the build stays out of the objects, so that another checkout finds them in the compiler cache.
  "-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=" "-fmacro-prefix-map=${bop_source_from_build}/="
  "-fdebug-prefix-map=${PROJECT_BINARY_DIR}=.")

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # These four report code of the standard library inlined into ours (GCC bugs 105329, 105651, 107852 among others);
  # the sanitizer builds look for the real thing.
  add_compile_options(
    "$<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict;-Wno-maybe-uninitialized;-Wno-array-bounds;-Wno-stringop-overflow>")
endif()

set(BOP_SANITIZER "" CACHE STRING "Empty, address (with undefined behaviour) or thread")
set_property(CACHE BOP_SANITIZER PROPERTY STRINGS "" address thread)
if(BOP_SANITIZER STREQUAL "address")
  set(bop_sanitizer_flags -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(BOP_SANITIZER STREQUAL "thread")
  # GCC warns that it does not model atomic_thread_fence; headers of Boost.Asio contain one.
  set(bop_sanitizer_flags -fsanitize=thread)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wno-tsan>")
elseif(NOT BOP_SANITIZER STREQUAL "")
  message(FATAL_ERROR "BOP_SANITIZER is '${BOP_SANITIZER}': it may be empty, address or thread")
endif()
if(BOP_SANITIZER)
  add_compile_options(${bop_sanitizer_flags} -fno-omit-frame-pointer "$<$<COMPILE_LANGUAGE:CXX>:-D_GLIBCXX_ASSERTIONS>")
  add_link_options(${bop_sanitizer_flags})
  foreach(language C CXX)
    set(CMAKE_${language}_FLAGS_RELEASE "-O1 -g1")
  endforeach()
endif()

