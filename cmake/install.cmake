# What others can use: the log as a library, find_package(bop), target bop::aof.
#   cmake --install BUILD --component aof --prefix PREFIX

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(bop_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/bop")

# A target of ours and those of ours that it links.
function(bop_linked out target)
  set(found ${${out}} ${target})
  get_target_property(libraries ${target} LINK_LIBRARIES)
  foreach(library IN LISTS libraries)
    if(library MATCHES "^bop_" AND NOT library IN_LIST found)
      get_target_property(is_imported ${library} IMPORTED)
      if(NOT is_imported)
        bop_linked(found ${library})
      endif()
    endif()
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()
bop_linked(bop_package_targets bop_aof)

foreach(target IN LISTS bop_package_targets)
  string(REGEX REPLACE "^bop_" "" name ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
endforeach()
target_include_directories(bop_aof INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
target_compile_features(bop_aof INTERFACE cxx_std_23)
install(TARGETS ${bop_package_targets} EXPORT bop
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT aof)
install(FILES "${bop_rust_library}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT aof)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/bop" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT aof)
install(EXPORT bop NAMESPACE bop:: DESTINATION "${bop_package_dir}" FILE bopTargets.cmake COMPONENT aof)
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/bopConfig.cmake.in" bopConfig.cmake
  INSTALL_DESTINATION "${bop_package_dir}")
write_basic_package_version_file(bopConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/bopConfig.cmake" "${PROJECT_BINARY_DIR}/bopConfigVersion.cmake"
  DESTINATION "${bop_package_dir}" COMPONENT aof)
