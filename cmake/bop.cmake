# The three words in which every folder of BOP describes itself to CMake:
#
#   bop_layer(<layer> SOURCES a.cpp b.cpp [DEPENDS <lower layer>...] [LIBRARIES <target>...] [PRIVATE_LIBRARIES <target>...])
#       One library of a layer, target bop_<layer> ('/' becomes '_'). Without SOURCES it is headers only.
#       DEPENDS names layers, and only lower ones: anything else stops the configuration.
#
#   bop_test(<name> SOURCES x_test.cpp [DEPENDS <layer>...] [LIBRARIES <target>...]
#            [LABELS unit] [TIMEOUT 120] [SANITIZE | SANITIZE_ADDRESS] [SERIAL])
#       A GoogleTest program <name>_tests ('/' becomes '_'); each of its tests is one ctest of that label (default
#       `unit`) and of the label <name>. SANITIZE: the test is also built and run under the address, undefined
#       behaviour and thread sanitizers. SANITIZE_ADDRESS: without the thread sanitizer, for what has no threads of its
#       own. SERIAL: its tests run while nothing else does. A test that reads files of the tree (golden files) finds the
#       top in the environment variable BOP_SOURCE_DIR.
#
#   bop_program(<target> SOURCES main.cpp [DEPENDS <layer>...] [LIBRARIES <target>...])
#       An executable, written to the top of the build directory.
#
# Includes are written from src/ (tests also from tests/). Targets of other projects, found in dependencies.cmake:
#   bop_sqlite bop_libmdbx bop_pg_query fmt::fmt spdlog::spdlog tomlplusplus::tomlplusplus CLI11::CLI11 simdjson::simdjson
#   Boost::headers OpenSSL::SSL OpenSSL::Crypto PkgConfig::uring PkgConfig::pcre2 Threads::Threads;
#   for tests: GTest::gtest GTest::gmock

set(BOP_LAYERS "")
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/layers.txt" bop_layer_lines REGEX "^[^#]")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/layers.txt")
set(bop_step 0)
foreach(line IN LISTS bop_layer_lines)
  string(REGEX MATCHALL "[^ ]+" names "${line}")
  foreach(name IN LISTS names)
    list(APPEND BOP_LAYERS "${name}")
    set("BOP_STEP_${name}" ${bop_step})
  endforeach()
  math(EXPR bop_step "${bop_step} + 1")
endforeach()

function(bop_target_name out layer)
  string(REPLACE "/" "_" name "${layer}")
  set(${out} "${name}" PARENT_SCOPE)
endfunction()

# The targets of layers, each of which must exist by now.
function(bop_layer_targets out)
  set(targets "")
  foreach(layer IN LISTS ARGN)
    if(NOT layer IN_LIST BOP_LAYERS)
      message(FATAL_ERROR "'${layer}' is not a layer of cmake/layers.txt")
    endif()
    bop_target_name(name "${layer}")
    if(NOT TARGET bop_${name})
      message(FATAL_ERROR "layer '${layer}' is needed in ${CMAKE_CURRENT_SOURCE_DIR} but src/${layer}/CMakeLists.txt "
                          "does not make it")
    endif()
    list(APPEND targets bop_${name})
  endforeach()
  set(${out} "${targets}" PARENT_SCOPE)
endfunction()

function(bop_layer layer)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS;LIBRARIES;PRIVATE_LIBRARIES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "bop_layer(${layer}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT layer IN_LIST BOP_LAYERS)
    message(FATAL_ERROR "'${layer}' is not a layer of cmake/layers.txt")
  endif()
  foreach(lower IN LISTS arg_DEPENDS)
    if(NOT DEFINED "BOP_STEP_${lower}" OR NOT BOP_STEP_${lower} LESS BOP_STEP_${layer})
      message(FATAL_ERROR "layer '${layer}' may depend only on layers above its line in cmake/layers.txt, "
                          "not on '${lower}'")
    endif()
  endforeach()
  bop_target_name(name "${layer}")
  bop_layer_targets(lower_targets ${arg_DEPENDS})
  if(arg_SOURCES)
    add_library(bop_${name} STATIC ${arg_SOURCES})
    set(scope PUBLIC)
    target_link_libraries(bop_${name} PRIVATE ${arg_PRIVATE_LIBRARIES})
  else()
    add_library(bop_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(bop_${name} ${scope} "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>")
  target_link_libraries(bop_${name} ${scope} ${lower_targets} ${arg_LIBRARIES})
endfunction()

function(bop_program target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS;LIBRARIES")
  bop_layer_targets(layer_targets ${arg_DEPENDS})
  add_executable(${target} ${arg_SOURCES})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(${target} PRIVATE ${layer_targets} ${arg_LIBRARIES} Threads::Threads)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}")
endfunction()

function(bop_test test)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SANITIZE;SANITIZE_ADDRESS;SERIAL" "TIMEOUT" "SOURCES;DEPENDS;LIBRARIES;LABELS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "bop_test(${test}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(BOP_SANITIZER AND NOT arg_SANITIZE AND NOT (arg_SANITIZE_ADDRESS AND BOP_SANITIZER STREQUAL "address"))
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(BOP_SANITIZER)
    math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * 5")
  endif()
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  bop_target_name(name "${test}")
  bop_layer_targets(layer_targets ${arg_DEPENDS})
  add_executable(${name}_tests ${arg_SOURCES})
  target_include_directories(${name}_tests PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${name}_tests PRIVATE ${layer_targets} ${arg_LIBRARIES} GTest::gtest_main GTest::gmock
                                              Threads::Threads)
  set_property(GLOBAL APPEND PROPERTY BOP_TEST_TARGETS ${name}_tests)
  list(APPEND arg_LABELS "${test}")
  list(REMOVE_DUPLICATES arg_LABELS)
  set(properties "TIMEOUT ${arg_TIMEOUT} LABELS \"${arg_LABELS}\" ENVIRONMENT \"BOP_SOURCE_DIR=${PROJECT_SOURCE_DIR}\"")
  if(arg_SERIAL)
    string(APPEND properties " RUN_SERIAL TRUE")
  endif()
  gtest_discover_tests(${name}_tests TEST_PREFIX "${test}."
    DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    NO_PRETTY_VALUES)
  # gtest_discover_tests would take a list of labels apart, so that ctest sets the properties itself.
  set(properties_file "${CMAKE_CURRENT_BINARY_DIR}/${name}_properties.cmake")
  file(CONFIGURE OUTPUT "${properties_file}" @ONLY CONTENT [[
foreach(test IN LISTS @name@_tests_TESTS)
  set_tests_properties("${test}" PROPERTIES @properties@)
endforeach()
]])
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${properties_file}")
endfunction()
