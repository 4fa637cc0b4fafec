#include "cli/pipeline/saved_config.h"

#include <vector>

#include "cli/pipeline/baselines.h"
#include "cli/pipeline/run_identity.h"
#include "core/file.h"

namespace lathe::cli {
namespace {

/// Before the path of the file that a saved config was read from.
constexpr const char* kOrigin = "\n# read from ";

}  // namespace

std::string saved_config(const RunConfig& config) {
  std::string text = config.yaml + kOrigin + std::filesystem::absolute(config.file).string();
  std::vector<std::string> files = config.distil.teachers;
  files.insert(files.end(), config.baselines.begin(), config.baselines.end());
  for (const std::string& file : files) {
    if (is_baseline_file(file)) text += "\n# " + file + ": " + content_digest(file);
  }
  return text;
}

RunConfig read_saved_config(const std::filesystem::path& run) {
  const auto file = run / "config.yaml";
  const std::string text = read_file(file);
  std::filesystem::path original;
  if (const size_t found = text.find(kOrigin); found != std::string::npos) {
    const size_t begin = found + std::string(kOrigin).size();
    original = text.substr(begin, text.find('\n', begin) - begin);
  }
  const auto space = std::filesystem::absolute(run / "space.yaml");
  return read_run_config(file, {"space=" + space.string()}, run, original);
}

}  // namespace lathe::cli
