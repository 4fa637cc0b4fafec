#pragma once

#include <filesystem>
#include <string>

#include "cli/pipeline/run_config.h"

namespace lathe::cli {

/// Returns the config as a run folder keeps it: with where it was read from, and with digests of
/// the ONNX files that it names, so that it differs when one of them is replaced.
std::string saved_config(const RunConfig& config);

/// Reads the config that the folder `run` keeps. The folder holds its own copy of the space, so
/// that a moved run still opens. \throws ConfigError as read_run_config() does.
RunConfig read_saved_config(const std::filesystem::path& run);

}  // namespace lathe::cli
