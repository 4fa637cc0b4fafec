#include "core/mapped_file.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "core/error.h"
#include "core/file.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using test::message_of;

namespace {

void write(const std::filesystem::path& path, const std::string& text) {
  MappedFileWriter writer(path);
  std::memcpy(writer.allocate(text.size()), text.data(), text.size());
  writer.commit();
}

}  // namespace

TEST_CASE("A mapped file is written whole and read back through its pages") {
  const test::TemporaryFolder folder;
  const auto path = folder / "a/b/file";
  CHECK(map_file(path) == nullptr);
  write(path, "hello");
  CHECK(read_file(path) == "hello");
  const auto mapping = map_file(path);
  REQUIRE(mapping);
  CHECK(std::string(mapping->data(), mapping->data() + mapping->size()) == "hello");
  // Another content has other pages.
  write(path, "good bye");
  CHECK(std::string(mapping->data(), mapping->data() + mapping->size()) == "hello");
  CHECK(read_file(path) == "good bye");
  write_file_atomically(folder / "empty", "");
  CHECK(map_file(folder / "empty") == nullptr);
}

TEST_CASE("What is not committed leaves the old content and nothing else") {
  const test::TemporaryFolder folder;
  write(folder / "file", "old");
  {
    MappedFileWriter writer(folder / "file");
    std::memcpy(writer.allocate(4), "half", 4);
  }
  CHECK(read_file(folder / "file") == "old");
  CHECK_FALSE(std::filesystem::exists(folder / ".file.tmp"));
}

TEST_CASE("Room on the disk is taken before it is written to") {
  const test::TemporaryFolder folder;
  const auto path = folder / "file";
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {4096, 4096};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(3);
    const std::string message = message_of<DataError>([&] { write(path, std::string(5000, 'x')); });
    ::_exit(message == path.string() + ": cannot write 5000 bytes: File too large" ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("Mapping tells what cannot be mapped or made") {
  const test::TemporaryFolder folder;
  CHECK(message_of<DataError>([&] { map_file(folder.path()); }) ==
        folder.path().string() + ": not a regular file");
  write_file_atomically(folder / "file", "x");
  CHECK(message_of<DataError>([&] { MappedFileWriter(folder / "file/below"); }) ==
        (folder / "file").string() + ": cannot create the folder: Not a directory");
}
