#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "supernet/data/image_set.h"

namespace lathe::supernet {

/// The dimensions in the header of an IDX file of unsigned bytes, plain or gzip, for example
/// {60000, 28, 28}. Only the header is read. \throws DataError naming the file if it is missing or
/// no such file.
std::vector<int64_t> read_idx_dimensions(const std::filesystem::path& path);

/// Reads an IDX file of unsigned bytes (plain or gzip) with `dimensions.size()` expected
/// dimensions. \throws DataError naming the file, and the index of the first element that is
/// missing or too much.
std::vector<uint8_t> read_idx(const std::filesystem::path& path, size_t rank,
                              std::vector<int64_t>& dimensions);

/// Reads grey images [N, H, W] and their labels [N].
/// \throws DataError naming the file and index if the counts differ or a label is not below
/// `classes`.
ImageSet read_idx_images(const std::filesystem::path& images, const std::filesystem::path& labels,
                         int64_t classes);

}  // namespace lathe::supernet
