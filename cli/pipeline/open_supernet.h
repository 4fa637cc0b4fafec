#pragma once

#include <filesystem>
#include <memory>

#include "cli/pipeline/run_config.h"
#include "supernet/supernet.h"

namespace lathe::cli {

/// Opens the supernet of the run in `folder`. Its teacher, if it has one, is copied to
/// `teacher.onnx` there, so that the folder suffices to open it again. `group`: see
/// SupernetModule::create. \throws ConfigError,
/// DataError as SupernetModule::create.
std::unique_ptr<supernet::Supernet> open_supernet(const RunConfig& config,
                                                  const std::filesystem::path& folder,
                                                  supernet::Group* group = nullptr);

}  // namespace lathe::cli
