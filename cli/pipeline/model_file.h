#pragma once

#include <filesystem>
#include <string>

#include "network/network.h"
#include "search/space/search_space.h"

namespace lathe::cli {

/// Reads an ONNX file that takes the images of a space and tells its classes apart; its resolution
/// may be another. `role` says what it is to be, in errors: "a teacher". \throws DataError naming
/// the file and what cannot be read; ConfigError if it is quantised or does not fit the space.
network::Model read_model_of_space(const std::filesystem::path& file,
                                   const search::SearchSpace& space, const std::string& role);

}  // namespace lathe::cli
