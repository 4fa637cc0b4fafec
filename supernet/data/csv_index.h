#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lathe::supernet {

/// One line of an index file.
struct IndexEntry {
  std::filesystem::path file;  ///< relative to the index's folder, or absolute
  std::string label;
  int64_t line = 0;  ///< from 1
};

/// Reads a CSV file with the header `file,label`; values with commas or quotes are quoted as in
/// RFC 4180. Empty lines are skipped.
/// \throws DataError with file and line if it is not of that form, names a file twice or is empty.
std::vector<IndexEntry> read_csv_index(const std::filesystem::path& path);

}  // namespace lathe::supernet
