#include "core/file_descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/error.h"

namespace lathe {

void FileDescriptor::reset() {
  if (valid()) ::close(release());
}

FileDescriptor open_descriptor(const std::filesystem::path& path, int flags) {
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  } while (descriptor < 0 && errno == EINTR);
  return FileDescriptor(descriptor);
}

void fail_on_file(const std::filesystem::path& path, const std::string& operation, int error) {
  throw DataError(path.string() + ": cannot " + operation + ": " +
                  std::generic_category().message(error));
}

}  // namespace lathe
