#include "cli/run_section.h"

namespace lathe::cli {

RunSection read_run_section(ConfigSection section, const std::filesystem::path& config,
                            const std::filesystem::path& folder) {
  RunSection run;
  run.name = section.text("name", config.stem().string());
  if (run.name.empty() || run.name.find('/') != std::string::npos || run.name[0] == '.') {
    section.fault("name", "a name that can be a folder");
  }
  run.seed = static_cast<uint64_t>(section.integer("seed", 1, {0, INT64_MAX}));
  run.threads = static_cast<int>(section.integer("threads", 0, {0, 1024}));
  const std::string of_config = section.text("folder", "");
  run.folder = of_config.empty() ? "runs/" + run.name : of_config;
  if (!folder.empty()) run.folder = folder;
  run.measurements = section.text("measurements", "");
  section.finish();
  return run;
}

std::filesystem::path beside(const std::filesystem::path& config,
                             const std::filesystem::path& path) {
  return path.is_absolute() ? path : config.parent_path() / path;
}

}  // namespace lathe::cli
