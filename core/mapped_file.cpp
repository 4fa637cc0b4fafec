#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/file_descriptor.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

Mapping map_pages(const fs::path& path, int descriptor, size_t size, int protection) {
  void* address = ::mmap(nullptr, size, protection, MAP_SHARED, descriptor, 0);
  if (address == MAP_FAILED) fail_on_file(path, "map " + std::to_string(size) + " bytes", errno);
  return {address, size};
}

/// Whether the file that was opened is still the one of that name: the writer that was waited for
/// has renamed it.
bool still_named(int descriptor, const fs::path& path) {
  struct stat opened = {};
  struct stat named = {};
  return ::fstat(descriptor, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    address_ = std::exchange(other.address_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void Mapping::reset() {
  if (address_ != nullptr) ::munmap(address_, size_);
  address_ = nullptr;
  size_ = 0;
}

std::shared_ptr<const Mapping> map_file(const fs::path& path) {
  const FileDescriptor descriptor = open_descriptor(path, O_RDONLY);
  if (!descriptor.valid()) {
    if (errno == ENOENT || errno == ENOTDIR) return nullptr;
    fail_on_file(path, "open for reading", errno);
  }
  struct stat status = {};
  if (::fstat(descriptor.get(), &status) != 0) fail_on_file(path, "stat", errno);
  if (!S_ISREG(status.st_mode)) throw DataError(path.string() + ": not a regular file");
  if (status.st_size == 0) return nullptr;
  return std::make_shared<const Mapping>(
      map_pages(path, descriptor.get(), static_cast<size_t>(status.st_size), PROT_READ));
}

MappedFileWriter::MappedFileWriter(fs::path path) : path_(std::move(path)) {
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail_on_file(folder, "create the folder", error.value());
  temporary_ = folder / ("." + path_.filename().string() + ".tmp");
  while (true) {
    descriptor_ = open_descriptor(temporary_, O_RDWR | O_CREAT | O_NOFOLLOW);
    if (!descriptor_.valid()) fail_on_file(temporary_, "create the file", errno);
    while (::flock(descriptor_.get(), LOCK_EX) != 0) {
      if (errno != EINTR) fail_on_file(temporary_, "lock the file", errno);
    }
    if (still_named(descriptor_.get(), temporary_)) return;
  }
}

MappedFileWriter::~MappedFileWriter() {
  if (!committed_) ::unlink(temporary_.c_str());
}

uint8_t* MappedFileWriter::allocate(size_t size) {
  const std::string operation = "write " + std::to_string(size) + " bytes";
  mapping_.reset();
  if (::ftruncate(descriptor_.get(), 0) != 0) fail_on_file(path_, "write", errno);
  // Writing to pages of a file for which there is no room ends the process: the room is taken now.
  int error = 0;
  do {
    error = ::posix_fallocate(descriptor_.get(), 0, static_cast<off_t>(size));
  } while (error == EINTR);
  if (error != 0) fail_on_file(path_, operation, error);
  mapping_ = map_pages(path_, descriptor_.get(), size, PROT_READ | PROT_WRITE);
  return mapping_.data();
}

void MappedFileWriter::commit() {
  if (mapping_.data() != nullptr && ::msync(mapping_.data(), mapping_.size(), MS_SYNC) != 0) {
    fail_on_file(path_, "write " + std::to_string(mapping_.size()) + " bytes", errno);
  }
  if (::fsync(descriptor_.get()) != 0) fail_on_file(path_, "fsync", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    fail_on_file(path_, "replace the file", errno);
  committed_ = true;
  mapping_.reset();
}

}  // namespace lathe
