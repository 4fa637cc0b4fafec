#include "core/file_descriptor.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <type_traits>

namespace lathe {
namespace {

static_assert(!std::is_copy_constructible_v<FileDescriptor>);
static_assert(!std::is_copy_assignable_v<FileDescriptor>);

/// Tells when the writing end of a pipe is closed, whatever number it has.
class Pipe {
 public:
  Pipe() {
    std::array<int, 2> ends = {-1, -1};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
    reading = FileDescriptor(ends[0]);
    writing = FileDescriptor(ends[1]);
  }
  /// An empty pipe reads 0 bytes once nobody can write to it, and fails with EAGAIN before.
  bool writing_end_is_closed() const {
    char byte = 0;
    return ::read(reading.get(), &byte, 1) == 0;
  }

  FileDescriptor reading;
  FileDescriptor writing;
};

TEST_CASE("FileDescriptor closes what it owns at its end") {
  Pipe pipe;
  {
    const FileDescriptor owner = std::move(pipe.writing);
    CHECK(owner.valid());
    CHECK_FALSE(pipe.writing.valid());
    CHECK_FALSE(pipe.writing_end_is_closed());
  }
  CHECK(pipe.writing_end_is_closed());
}

TEST_CASE("FileDescriptor closes what it owned when it is given another") {
  Pipe first;
  Pipe second;
  first.writing = std::move(second.writing);
  CHECK(first.writing_end_is_closed());
  CHECK_FALSE(second.writing_end_is_closed());
  FileDescriptor& itself = first.writing;
  first.writing = std::move(itself);
  CHECK_FALSE(second.writing_end_is_closed());
  first.writing.reset();
  CHECK(second.writing_end_is_closed());
  CHECK_FALSE(first.writing.valid());
}

TEST_CASE("FileDescriptor::release leaves the descriptor open for the caller") {
  Pipe pipe;
  const int released = pipe.writing.release();
  CHECK_FALSE(pipe.writing.valid());
  CHECK(pipe.writing.release() == -1);
  pipe.writing.reset();
  CHECK_FALSE(pipe.writing_end_is_closed());
  CHECK(::close(released) == 0);
  CHECK(pipe.writing_end_is_closed());
}

TEST_CASE("FileDescriptor of a failed call owns nothing") {
  const FileDescriptor none(::open("/nowhere/at all", O_RDONLY | O_CLOEXEC));
  CHECK_FALSE(none.valid());
  CHECK_FALSE(FileDescriptor().valid());
}

}  // namespace
}  // namespace lathe
