#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace lathe::study {

/// Puts the members of `entries` into the JSON object in the file `path` in place of those of the
/// same names, and keeps its others: several studies share one file, one after another.
/// \throws DataError if the file is not a JSON object or cannot be written.
void merge_results(const std::filesystem::path& path, const nlohmann::json& entries);

/// Returns the JSON object in the file, empty if there is no file. \throws DataError.
nlohmann::json read_results(const std::filesystem::path& path);

}  // namespace lathe::study
