# A package found in one folder serves every folder: static libraries hand their private packages on to programs.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL TRUE)

# lathe_library(NAME SOURCES a.cpp ... [PUBLIC targets] [PRIVATE targets])
#   A static library `lathe_NAME` with the alias `lathe::NAME`; headers are included from the root.
function(lathe_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;PUBLIC;PRIVATE")
  add_library(lathe_${name} STATIC ${arg_SOURCES})
  add_library(lathe::${name} ALIAS lathe_${name})
  target_include_directories(lathe_${name} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_link_libraries(lathe_${name} PUBLIC ${arg_PUBLIC} PRIVATE lathe::compile_options ${arg_PRIVATE})
  set_target_properties(lathe_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
endfunction()

# unit_tests: builds every program of a test with the label unit, and what those need.
if(LATHE_BUILD_TESTS)
  add_custom_target(unit_tests)
  # Compiled once: doctest's implementation takes seconds.
  add_library(lathe_doctest_main OBJECT "${PROJECT_SOURCE_DIR}/tests/support/doctest_main.cpp")
  target_link_libraries(lathe_doctest_main PRIVATE lathe::compile_options)
endif()

# lathe_test(NAME SOURCES a_test.cpp ... LIBRARIES targets [LABELS unit|integration|slow] [TIMEOUT s] [SERIAL])
#   A doctest program `NAME_test`, one ctest entry a program. Sources are relative to the caller.
#   The program fails when it runs no case at all (tests/support/doctest_main.cpp).
#   SERIAL: never runs beside another test (it measures time or starts servers that do).
function(lathe_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL" "TIMEOUT" "SOURCES;LIBRARIES;LABELS")
  add_executable(${name}_test ${arg_SOURCES})
  target_include_directories(${name}_test PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name}_test PRIVATE lathe_doctest_main ${arg_LIBRARIES} lathe::compile_options)
  target_compile_definitions(${name}_test
                             PRIVATE LATHE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" LATHE_BINARY_DIR="${PROJECT_BINARY_DIR}")
  add_test(NAME ${name} COMMAND ${name}_test)
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT})
  if("unit" IN_LIST arg_LABELS)
    add_dependencies(unit_tests ${name}_test)
  endif()
  if(arg_SERIAL)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()
