#include "supernet/data/dataset.h"

#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "supernet/data/dataset_kinds.h"
#include "supernet/data/image_cache.h"

namespace lathe::supernet {

void check_classes(const ImageSet& set, const DatasetInfo& info, const std::string& where) {
  const std::vector<int64_t> counts = images_per_class(set, info.classes);
  for (size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] == 0) {
      throw DataError(where + ": class " + std::to_string(c) + " (" + info.class_names[c] +
                      ") has no image, expected at least 1");
    }
  }
}

std::string size_text(int64_t height, int64_t width) {
  return std::to_string(height) + " x " + std::to_string(width);
}

std::filesystem::path dataset_folder(const DataOptions& options,
                                     const std::vector<std::filesystem::path>& places,
                                     const std::string& obtained) {
  const auto tried = options.path.empty() ? places : std::vector{options.path};
  for (const std::filesystem::path& place : tried) {
    if (std::filesystem::is_directory(place)) return place;
  }
  const std::string none = tried.size() == 1 ? " is not a folder; " : " are no folders; ";
  throw DataError("data set " + options.dataset + ": " +
                  join(tried, " and ", [](const auto& place) { return place.string(); }) + none +
                  obtained);
}

std::vector<std::filesystem::path> usual_folders(const std::string& dataset) {
  return {std::filesystem::path("/usr/share/datasets") / dataset,
          default_cache_folder("data.path") / "datasets" / dataset};
}

std::string file_identity(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) throw DataError(path.string() + ": " + error.message());
  const auto time = std::filesystem::last_write_time(path, error).time_since_epoch().count();
  if (error) throw DataError(path.string() + ": " + error.message());
  return path.string() + " " + std::to_string(size) + " " + std::to_string(time) + "\n";
}

std::filesystem::path image_cache_folder(const DataOptions& options) {
  return options.cache.empty() ? default_cache_folder("data.cache") : options.cache;
}

std::unique_ptr<Dataset> open_dataset(const DataOptions& options) {
  for (const auto open : {open_idx, open_cifar, open_files}) {
    if (auto dataset = open(options)) return dataset;
  }
  throw ConfigError("/data/dataset = " + options.dataset + ", expected one of " +
                    join(dataset_names(), ", "));
}

}  // namespace lathe::supernet
