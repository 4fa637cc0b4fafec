#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace lathe::test {

/// Writes `inputs` as files NAME-0, NAME-1, ... into the folder that the environment's
/// LATHE_FUZZ_SEEDS names, if it does: the generated inputs of a test are where libFuzzer starts.
inline void keep_seeds(const std::string& name, const std::vector<std::string>& inputs) {
  const char* folder = std::getenv("LATHE_FUZZ_SEEDS");
  if (folder == nullptr) return;
  std::filesystem::create_directories(folder);
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::ofstream(std::filesystem::path(folder) / (name + "-" + std::to_string(i)),
                  std::ios::binary)
        << inputs[i];
  }
}

}  // namespace lathe::test
