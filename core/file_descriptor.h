#pragma once

#include <filesystem>
#include <string>
#include <utility>

namespace lathe {

/// An owned POSIX file descriptor, closed with its owner. Move-only.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  /// Takes `descriptor`; a negative one owns nothing.
  explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
  ~FileDescriptor() { reset(); }
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      reset();
      descriptor_ = other.release();
    }
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int get() const { return descriptor_; }
  bool valid() const { return descriptor_ >= 0; }
  /// Gives the descriptor to the caller, who closes it. Negative if there is none.
  int release() { return std::exchange(descriptor_, -1); }
  /// Closes it now, if there is one.
  void reset();

 private:
  int descriptor_ = -1;
};

/// Opens a file (a new one for all that the umask allows), closed on exec; a signal does not stop
/// it. Owns nothing, with errno set, if it cannot be opened.
FileDescriptor open_descriptor(const std::filesystem::path& path, int flags);

/// \throws DataError "PATH: cannot OPERATION: reason" always; `error` is the error number.
[[noreturn]] void fail_on_file(const std::filesystem::path& path, const std::string& operation,
                               int error);

}  // namespace lathe
