#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lathe {

struct ProgramResult {
  int exit_code = 0;   ///< -N where signal N ended it
  std::string output;  ///< standard output and error
};

/// Runs a program to its end, without a shell: command[0] is looked for on PATH, `folder` is its
/// working folder, its input is empty.
/// \throws DataError naming the program and the system's reason if it cannot be started.
ProgramResult run_program(const std::vector<std::string>& command,
                          const std::filesystem::path& folder);

}  // namespace lathe
