# For an agent that brings its libraries along: what the distribution has as archives is linked from them, which
# leaves out what the agent does not use and leaves the dynamic loader nothing to relocate.
set(CMAKE_FIND_LIBRARY_SUFFIXES .a .so)
add_compile_options(-ffunction-sections -fdata-sections)
add_link_options(-static-libstdc++ -static-libgcc -Wl,--gc-sections,--as-needed)

find_library(LATHE_RE2_ARCHIVE re2 REQUIRED)
mark_as_advanced(LATHE_RE2_ARCHIVE)
# gRPC's own search would find the shared one.
add_library(re2::re2 UNKNOWN IMPORTED)
set_target_properties(re2::re2 PROPERTIES IMPORTED_LOCATION "${LATHE_RE2_ARCHIVE}")

# lathe_prefer_static(TARGET...): imported shared libraries become the archives beside them, and so do those
# that they link. A library without an archive stays shared.
function(lathe_prefer_static)
  foreach(target IN LISTS ARGN)
    if(NOT TARGET ${target})
      continue()
    endif()
    get_target_property(done ${target} LATHE_PREFERS_STATIC)
    if(done)
      continue()
    endif()
    set_target_properties(${target} PROPERTIES LATHE_PREFERS_STATIC TRUE)
    foreach(property IMPORTED_LOCATION IMPORTED_LOCATION_NONE IMPORTED_LOCATION_RELEASE)
      get_target_property(location ${target} ${property})
      string(REGEX REPLACE "\\.so[0-9.]*$" ".a" archive "${location}")
      if(EXISTS "${archive}")
        set_target_properties(${target} PROPERTIES ${property} "${archive}")
      endif()
    endforeach()
    get_target_property(links ${target} INTERFACE_LINK_LIBRARIES)
    if(links)
      lathe_prefer_static(${links})
    endif()
  endforeach()
endfunction()

# Defines onnx_proto: ONNX's messages, generated from the .proto file that its headers come with. The
# distribution has them as a shared library only, which would bring a second protobuf along.
function(lathe_add_onnx_messages)
  find_package(Protobuf REQUIRED)
  find_program(LATHE_PROTOC protoc REQUIRED DOC "Protocol compiler of the build machine")
  find_path(LATHE_ONNX_INCLUDE_DIR onnx/onnx.proto REQUIRED)
  mark_as_advanced(LATHE_ONNX_INCLUDE_DIR)
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/onnx/onnx.pb")
  add_custom_command(
    OUTPUT "${generated}.cc" "${generated}.h"
    COMMAND "${LATHE_PROTOC}" --proto_path "${LATHE_ONNX_INCLUDE_DIR}" --cpp_out "${CMAKE_CURRENT_BINARY_DIR}"
            onnx/onnx.proto
    DEPENDS "${LATHE_ONNX_INCLUDE_DIR}/onnx/onnx.proto"
    COMMENT "Generating code from onnx.proto"
    VERBATIM)
  add_library(onnx_proto STATIC "${generated}.cc" "${generated}.h")
  target_compile_features(onnx_proto PUBLIC cxx_std_17)
  target_compile_options(onnx_proto PRIVATE -w)
  target_compile_definitions(onnx_proto PUBLIC ONNX_NAMESPACE=onnx)
  target_include_directories(onnx_proto SYSTEM PUBLIC "${CMAKE_CURRENT_BINARY_DIR}" "${LATHE_ONNX_INCLUDE_DIR}")
  target_link_libraries(onnx_proto PUBLIC protobuf::libprotobuf)
endfunction()
