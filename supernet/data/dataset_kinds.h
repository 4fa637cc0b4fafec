#pragma once

// Private to supernet/data: the kinds of data sets, one file each, and what they share.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "supernet/data/dataset.h"
#include "supernet/data/image_set.h"

namespace lathe::supernet {

/// Null unless the options name a data set of that kind (open_cifar: cifar10, cifar100; open_idx:
/// fashion_mnist, mnist; open_files: folder, csv).
std::unique_ptr<Dataset> open_idx(const DataOptions& options);
std::unique_ptr<Dataset> open_cifar(const DataOptions& options);
std::unique_ptr<Dataset> open_files(const DataOptions& options);

/// Returns the folder of the data: data.path, or the first of `places` that is one.
/// \throws DataError naming them and `obtained`, how to get the data.
std::filesystem::path dataset_folder(const DataOptions& options,
                                     const std::vector<std::filesystem::path>& places,
                                     const std::string& obtained);

/// Where `lathe data fetch` and packages put a data set, in the order of looking.
std::vector<std::filesystem::path> usual_folders(const std::string& dataset);

/// Name, size and time of a file, a line: what changes when its content does.
/// \throws DataError naming it if it is not there.
std::string file_identity(const std::filesystem::path& path);

/// Returns the folder of decoded images: data.cache or the default.
std::filesystem::path image_cache_folder(const DataOptions& options);

/// \throws DataError naming the first class of `set` that has no image.
void check_classes(const ImageSet& set, const DatasetInfo& info, const std::string& where);

/// "32 x 24": height and width.
std::string size_text(int64_t height, int64_t width);

}  // namespace lathe::supernet
