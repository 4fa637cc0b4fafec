#include "cli/pipeline/open_supernet.h"

#include "core/file.h"

namespace lathe::cli {

std::unique_ptr<supernet::Supernet> open_supernet(const RunConfig& config,
                                                  const std::filesystem::path& folder,
                                                  supernet::Group* group) {
  supernet::SupernetOptions options = config.supernet;
  if (!options.train.teacher.model.empty()) {
    const auto copy = folder / "teacher.onnx";
    if (!std::filesystem::exists(copy)) {
      write_file_atomically(copy, read_file(options.train.teacher.model));
    }
    options.train.teacher.model = copy;
    load_teacher(options);  // unless several processes read it before
  }
  return supernet::load_supernet_module().create(*config.space, options, folder, group);
}

}  // namespace lathe::cli
