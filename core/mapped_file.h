#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

#include "core/file_descriptor.h"

namespace lathe {

/// Pages of a file in memory, until this object goes. Move-only.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* address, size_t size) : address_(address), size_(size) {}
  ~Mapping() { reset(); }
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  uint8_t* data() const { return static_cast<uint8_t*>(address_); }
  size_t size() const { return size_; }
  void reset();

 private:
  void* address_ = nullptr;
  size_t size_ = 0;
};

/// Maps the whole file for reading: pages are read when they are touched, and shared with every
/// process that maps it. Null if there is no such file or it is empty.
/// \throws DataError naming the path and the system's reason.
std::shared_ptr<const Mapping> map_file(const std::filesystem::path& path);

/// Makes a file of a known size through its pages, and puts it in its place at the end: a crash at
/// any moment leaves the old content or the new. Concurrent writers of one path wait for each
/// other. Not thread-safe, except that several threads may write through data().
class MappedFileWriter {
 public:
  /// Waits for another writer of `path`. Missing parent folders are made.
  /// \throws DataError naming the path and the reason (a read-only folder).
  explicit MappedFileWriter(std::filesystem::path path);
  /// What was not committed is removed.
  ~MappedFileWriter();
  MappedFileWriter(const MappedFileWriter&) = delete;
  MappedFileWriter& operator=(const MappedFileWriter&) = delete;

  /// Reserves `size` zero bytes on the disk and returns them.
  /// \throws DataError naming the path, the size and the reason (a full disk).
  uint8_t* allocate(size_t size);
  /// Writes everything to the disk and gives the file its name. \throws DataError as above.
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  FileDescriptor descriptor_;
  Mapping mapping_;
  bool committed_ = false;
};

}  // namespace lathe
