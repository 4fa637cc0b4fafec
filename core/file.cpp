#include "core/file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/file_descriptor.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

/// Returns 0 or the error number.
int write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

void lock_waiting(int descriptor, const fs::path& path) {
  while (::flock(descriptor, LOCK_EX) != 0) {
    if (errno != EINTR) fail_on_file(path, "lock the file", errno);
  }
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Opens the one temporary file that belongs to `path`, locked. A leftover of a killed process is
/// used again, so that crashes do not pile up files; concurrent writers of one path wait for each
/// other.
FileDescriptor open_temporary(const fs::path& temporary) {
  while (true) {
    FileDescriptor descriptor = open_descriptor(temporary, O_WRONLY | O_CREAT | O_NOFOLLOW);
    if (!descriptor.valid()) fail_on_file(temporary, "create the file", errno);
    lock_waiting(descriptor.get(), temporary);
    // The previous owner may have renamed the file that was opened.
    struct stat opened = {};
    struct stat named = {};
    if (::fstat(descriptor.get(), &opened) == 0 && ::lstat(temporary.c_str(), &named) == 0 &&
        opened.st_ino == named.st_ino && opened.st_dev == named.st_dev) {
      return descriptor;
    }
  }
}

void synchronise_folder(const fs::path& folder) {
  const FileDescriptor descriptor = open_descriptor(folder, O_RDONLY | O_DIRECTORY);
  if (!descriptor.valid()) fail_on_file(folder, "open the folder", errno);
  // Some file systems cannot synchronise folders and say so with EINVAL.
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL)
    fail_on_file(folder, "fsync the folder", errno);
}

}  // namespace

void write_file_atomically(const fs::path& path, std::string_view bytes) {
  const fs::path folder = folder_of(path);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail_on_file(folder, "create the folder", error.value());
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw DataError(path.string() + ": not a regular file, expected a file or nothing");
  }
  const fs::path temporary = folder / ("." + path.filename().string() + ".tmp");
  const FileDescriptor descriptor = open_temporary(temporary);
  const auto abandon = [&](const std::string& operation, int reason) {
    ::unlink(temporary.c_str());
    fail_on_file(path, operation, reason);
  };
  if (::ftruncate(descriptor.get(), 0) != 0) abandon("write", errno);
  const int reason = write_all(descriptor.get(), bytes);
  if (reason != 0) abandon("write " + std::to_string(bytes.size()) + " bytes", reason);
  if (::fsync(descriptor.get()) != 0) abandon("fsync", errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) abandon("replace the file", errno);
  synchronise_folder(folder);
}

std::string read_file(const fs::path& path, uint64_t limit_bytes) {
  const FileDescriptor descriptor = open_descriptor(path, O_RDONLY);
  if (!descriptor.valid()) fail_on_file(path, "open for reading", errno);
  struct stat status = {};
  if (::fstat(descriptor.get(), &status) != 0) fail_on_file(path, "stat", errno);
  std::string bytes;
  if (S_ISREG(status.st_mode) && static_cast<uint64_t>(status.st_size) <= limit_bytes) {
    bytes.reserve(static_cast<size_t>(status.st_size));
  }
  // Reading to the end, rather than the size, also serves pipes and files of /proc.
  std::array<char, 1 << 16> buffer;
  while (true) {
    const ssize_t count = ::read(descriptor.get(), buffer.data(), buffer.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      fail_on_file(path, "read", errno);
    }
    if (count == 0) return bytes;
    bytes.append(buffer.data(), static_cast<size_t>(count));
    if (bytes.size() > limit_bytes) {
      throw DataError(path.string() + ": the file is too large, expected at most " +
                      std::to_string(limit_bytes) + " bytes");
    }
  }
}

void append_line(const fs::path& path, std::string_view line) {
  if (line.find('\n') != std::string_view::npos) {
    throw InvariantError("append_line: " + path.string() + ": the line holds a line break");
  }
  const FileDescriptor descriptor = open_descriptor(path, O_RDWR | O_CREAT | O_APPEND);
  if (!descriptor.valid()) fail_on_file(path, "open for appending", errno);
  // Without the lock the last byte could be that of a line that another process is writing.
  lock_waiting(descriptor.get(), path);
  std::string record;
  record.reserve(line.size() + 2);
  // A torn line of a killed process must not swallow this one.
  const off_t size = ::lseek(descriptor.get(), 0, SEEK_END);
  char last = '\n';
  if (size > 0 && ::pread(descriptor.get(), &last, 1, size - 1) == 1 && last != '\n') {
    record.push_back('\n');
  }
  record.append(line);
  record.push_back('\n');
  const ssize_t written = ::write(descriptor.get(), record.data(), record.size());
  if (written < 0) fail_on_file(path, "append " + std::to_string(record.size()) + " bytes", errno);
  if (static_cast<size_t>(written) != record.size()) {
    throw DataError(path.string() + ": cannot append " + std::to_string(record.size()) +
                    " bytes: only " + std::to_string(written) + " were written, the disk is full");
  }
}

FileLock::FileLock(const fs::path& path) {
  FileDescriptor descriptor = open_descriptor(path, O_RDWR | O_CREAT);
  if (!descriptor.valid()) fail_on_file(path, "open the lock", errno);
  while (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) fail_on_file(path, "lock", errno);
    std::array<char, 32> text = {};
    const ssize_t count = ::pread(descriptor.get(), text.data(), text.size() - 1, 0);
    std::string holder(text.data(), count > 0 ? static_cast<size_t>(count) : 0);
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    throw DataError(path.string() + ": locked by process " +
                    (holder.empty() ? std::string("(not yet named)") : holder) +
                    ", expected no other process to use it");
  }
  const std::string holder = std::to_string(::getpid()) + "\n";
  if (::ftruncate(descriptor.get(), 0) != 0) fail_on_file(path, "write the lock", errno);
  if (const int reason = write_all(descriptor.get(), holder))
    fail_on_file(path, "write the lock", reason);
  descriptor_ = std::move(descriptor);
}

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    throw InvariantError("sha256_hex: OpenSSL refuses SHA-256");
  }
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * size);
  for (unsigned int i = 0; i < size; ++i) {
    text.push_back(kDigits[digest[i] >> 4]);
    text.push_back(kDigits[digest[i] & 0xF]);
  }
  return text;
}

}  // namespace lathe
