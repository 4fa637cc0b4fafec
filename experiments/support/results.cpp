#include "experiments/support/results.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/file.h"

namespace lathe::study {

nlohmann::json read_results(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return nlohmann::json::object();
  nlohmann::json results = nlohmann::json::parse(read_file(path), nullptr, false);
  if (!results.is_object()) {
    throw DataError(path.string() + ": not a JSON object, expected results of these studies");
  }
  return results;
}

void merge_results(const std::filesystem::path& path, const nlohmann::json& entries) {
  nlohmann::json results = read_results(path);
  results.update(entries);
  write_file_atomically(path, results.dump(1) + "\n");
}

}  // namespace lathe::study
