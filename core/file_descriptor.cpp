#include "core/file_descriptor.h"

#include <unistd.h>

namespace lathe {

void FileDescriptor::reset() {
  if (valid()) ::close(release());
}

}  // namespace lathe
