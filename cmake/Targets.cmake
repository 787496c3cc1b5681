# How every target of lifescope is made: one function per kind, so that warnings, sanitizers,
# include root and precompiled header are said once.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_SOURCE_DIR}/cmake/ccache.sh)
endif()
find_program(LLD NAMES ld.lld ld.lld-14)
if(LLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND EXISTS "/usr/bin/ld.lld")
  add_link_options(-fuse-ld=lld)
endif()

add_library(lifescope_flags INTERFACE)
target_include_directories(lifescope_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(lifescope_flags INTERFACE -Wall -Wextra -Werror)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(lifescope_flags INTERFACE -Wthread-safety)
endif()
if(LIFESCOPE_SANITIZE)
  add_compile_options(-fsanitize=${LIFESCOPE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${LIFESCOPE_SANITIZE})
endif()

# A library of the service or gRPC tier (no LibTorch header is parsed in it).
function(lifescope_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC lifescope_flags ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
endfunction()

# A library that parses LibTorch headers: it shares one precompiled <ATen/ATen.h>.
function(lifescope_torch_library name)
  lifescope_library(${name} ${ARGN})
  target_link_libraries(${name} PUBLIC lifescope_torch)
  target_precompile_headers(${name} REUSE_FROM lifescope_torch_pch)
endfunction()

# A GoogleTest binary, run by ctest under `label`. TORCH: it parses LibTorch headers.
function(lifescope_test name)
  cmake_parse_arguments(ARG "TORCH" "LABEL;TIMEOUT" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE lifescope_flags ${ARG_LINK} GTest::gmock GTest::gtest_main)
  if(ARG_TORCH)
    target_link_libraries(${name} PRIVATE lifescope_torch)
    target_precompile_headers(${name} REUSE_FROM lifescope_torch_pch)
    # As the precompiled header was compiled (executables have -fPIE).
    target_compile_options(${name} PRIVATE -fPIC)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "OMP_WAIT_POLICY=PASSIVE;LIFESCOPE_SOURCE_DIR=${CMAKE_SOURCE_DIR};LIFESCOPE_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
endfunction()
