# Where they are installed: ccache keeps what was compiled before, mold links faster.
find_program(LATHE_CCACHE ccache)
if(LATHE_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  # pch_defines, time_macros: without them ccache does not keep what uses precompiled headers.
  set(lathe_launcher "${CMAKE_COMMAND}" -E env "CCACHE_SLOPPINESS=pch_defines,time_macros" "${LATHE_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER ${lathe_launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${lathe_launcher})
endif()

# lathe::compile_options: the language level, warnings and sanitizers of every target of the project.
add_library(lathe_compile_options INTERFACE)
add_library(lathe::compile_options ALIAS lathe_compile_options)

target_compile_features(lathe_compile_options INTERFACE cxx_std_17)
target_compile_options(
  lathe_compile_options
  INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor
            $<$<BOOL:${LATHE_WERROR}>:-Werror>)

find_program(LATHE_MOLD mold)
if(LATHE_MOLD AND NOT CMAKE_CROSSCOMPILING)
  target_link_options(lathe_compile_options INTERFACE -fuse-ld=mold)
endif()

if(LATHE_SANITIZE)
  list(JOIN LATHE_SANITIZE "," lathe_sanitizers)
  target_compile_options(lathe_compile_options INTERFACE -fsanitize=${lathe_sanitizers}
                                                         -fno-omit-frame-pointer
                                                         -fno-sanitize-recover=all)
  target_link_options(lathe_compile_options INTERFACE -fsanitize=${lathe_sanitizers})
endif()
