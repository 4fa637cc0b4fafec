#include "cli/training/training_config.h"

#include "cli/run_section.h"
#include "core/config.h"

namespace lathe::cli {

TrainingConfig read_training_config(const std::filesystem::path& file,
                                    const std::vector<std::string>& overrides,
                                    const std::filesystem::path& folder) {
  ConfigDocument document = ConfigDocument::read_file(file, overrides);
  ConfigSection root = document.root();
  TrainingConfig config;
  const RunSection run = read_run_section(root.section("run"), file, folder);
  config.name = run.name;
  config.folder = run.folder;
  config.supernet.seed = run.seed;
  config.supernet.threads = run.threads;
  config.supernet.data = supernet::read_data_options(root.section("data"));
  ConfigSection section = root.section("supernet");
  supernet::read_supernet_options(section, config.supernet);
  if (!config.supernet.train.teacher.model.empty()) {
    section.fault("teacher",
                  "no model in a lathe that was built for training alone: it reads no ONNX");
  }
  if (root.has("accuracy")) root.fault("accuracy", "none to train: accuracies are a table's");
  const std::filesystem::path space = beside(file, root.text("space", std::nullopt));
  document.throw_if_faults();
  config.space = search::read_search_space(space);
  return config;
}

}  // namespace lathe::cli
