#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/file_descriptor.h"

namespace lathe {

/// Replaces the file at `path` by `bytes` so that a crash at any moment leaves the old or the new
/// content: temporary file in the same folder, fsync, rename, fsync of the folder. Missing parent
/// folders are made. \throws DataError naming the path and the system's reason (a full disk, a
/// read-only folder).
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// Returns the whole content. \throws DataError if it cannot be read or is larger than
/// `limit_bytes`.
std::string read_file(const std::filesystem::path& path, uint64_t limit_bytes = uint64_t{1} << 33);

/// Appends `line` and a newline with one write, so that a crash tears at most the last line.
/// \throws DataError naming the path and the reason.
void append_line(const std::filesystem::path& path, std::string_view line);

/// A lock on a file that lives as long as this object (flock): one lathe per run folder. Move-only.
class FileLock {
 public:
  /// \throws DataError naming the holder's process id if another process holds the lock.
  explicit FileLock(const std::filesystem::path& path);

 private:
  // The file stays: removing it would let two processes lock two files of one name.
  FileDescriptor descriptor_;
};

/// Returns the SHA-256 of `bytes` as 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view bytes);

}  // namespace lathe
