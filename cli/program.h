#pragma once

namespace lathe::cli {

/// Runs the program `lathe` and returns its exit code: 0 ok, 2 usage or config, 3 data, 4 device, 1
/// other.
int run_program(int argc, char** argv);

}  // namespace lathe::cli
