#include "core/file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

#include "core/error.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using test::message_of;
using test::TemporaryFolder;

/// Runs `body` in a forked process, which it never leaves.
template <typename Body>
pid_t fork_and_run(Body body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child != 0) return child;
  try {
    body();
  } catch (...) {
    ::_exit(101);
  }
  ::_exit(0);
}

int wait_for(pid_t child) {
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

/// A pipe on which a child says that it is ready.
struct Pipe {
  std::array<int, 2> ends = {-1, -1};
  Pipe() { REQUIRE(::pipe(ends.data()) == 0); }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  void signal() const { (void)!::write(ends[1], "x", 1); }
  void wait() const {
    char byte = 0;
    REQUIRE(::read(ends[0], &byte, 1) == 1);
  }
};

size_t files_in(const fs::path& folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder)) ++count;
  return count;
}

TEST_CASE("write_file_atomically writes, replaces and makes missing folders") {
  const TemporaryFolder folder;
  const fs::path path = folder / "a/b/c.bin";
  const std::string bytes("\0\xff\n binary", 10);
  write_file_atomically(path, bytes);
  CHECK(read_file(path) == bytes);
  write_file_atomically(path, "");
  CHECK(read_file(path).empty());
  CHECK(files_in(path.parent_path()) == 1);
}

TEST_CASE("kill -9 in the middle of writing leaves the old or the new content") {
  const TemporaryFolder folder;
  const fs::path path = folder / "state.json";
  const std::string a(300000, 'a');
  const std::string b(200000, 'b');
  write_file_atomically(path, a);
  for (int round = 0; round < 40; ++round) {
    const Pipe pipe;
    const pid_t child = fork_and_run([&] {
      pipe.signal();
      while (true) {
        write_file_atomically(path, b);
        write_file_atomically(path, a);
      }
    });
    pipe.wait();
    // The moment of the kill varies with the work done here instead of with a sleep.
    for (int i = 0; i < round * 3; ++i) (void)sha256_hex(a);
    ::kill(child, SIGKILL);
    const int status = wait_for(child);
    REQUIRE(WIFSIGNALED(status));
    const std::string content = read_file(path);
    REQUIRE((content == a || content == b));
  }
  // The one temporary file of killed writers is used again and does not pile up.
  CHECK(files_in(folder.path()) <= 2);
  write_file_atomically(path, "end");
  CHECK(files_in(folder.path()) == 1);
  CHECK(read_file(path) == "end");
}

TEST_CASE("concurrent writers of one path leave one whole content") {
  const TemporaryFolder folder;
  const fs::path path = folder / "shared";
  std::array<pid_t, 3> children = {};
  for (size_t i = 0; i < children.size(); ++i) {
    children[i] = fork_and_run([&] {
      const std::string content(50000 + 1000 * i, static_cast<char>('a' + i));
      for (int round = 0; round < 30; ++round) write_file_atomically(path, content);
    });
  }
  for (const pid_t child : children) CHECK(wait_for(child) == 0);
  const std::string content = read_file(path);
  REQUIRE_FALSE(content.empty());
  const size_t i = static_cast<size_t>(content[0] - 'a');
  CHECK(content == std::string(50000 + 1000 * i, content[0]));
}

TEST_CASE("a file that cannot grow is told with its path and reason, and the old content stays") {
  const TemporaryFolder folder;
  const fs::path path = folder / "limited";
  write_file_atomically(path, "old");
  const pid_t child = fork_and_run([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {4096, 4096};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(3);
    const std::string message =
        message_of<DataError>([&] { write_file_atomically(path, std::string(10000, 'x')); });
    ::_exit(message == path.string() + ": cannot write 10000 bytes: File too large" ? 0 : 1);
  });
  const int status = wait_for(child);
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(read_file(path) == "old");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("a full disk is told with its path and reason") {
  CHECK(message_of<DataError>([] { append_line("/dev/full", "{}"); }) ==
        "/dev/full: cannot append 3 bytes: No space left on device");
}

TEST_CASE("write_file_atomically never replaces what is not a regular file") {
  CHECK(message_of<DataError>([] { write_file_atomically("/dev/null", "x"); }) ==
        "/dev/null: not a regular file, expected a file or nothing");
  const TemporaryFolder folder;
  fs::create_directory(folder / "sub");
  CHECK(message_of<DataError>([&] { write_file_atomically(folder / "sub", "x"); }) ==
        (folder / "sub").string() + ": not a regular file, expected a file or nothing");
  write_file_atomically(folder / "plain", "x");
  CHECK(message_of<DataError>([&] { write_file_atomically(folder / "plain/inner/y", "x"); }) ==
        (folder / "plain/inner").string() + ": cannot create the folder: Not a directory");
}

TEST_CASE("an unwritable folder is told with its path") {
  // Root may write everywhere but here.
  CHECK(message_of<DataError>([] { write_file_atomically("/proc/lathe.json", "x"); }) ==
        "/proc/.lathe.json.tmp: cannot create the file: No such file or directory");
}

TEST_CASE("read_file refuses what is missing or larger than its limit") {
  const TemporaryFolder folder;
  const fs::path path = folder / "ten";
  write_file_atomically(path, "0123456789");
  CHECK(read_file(path, 10) == "0123456789");
  CHECK(message_of<DataError>([&] { read_file(path, 9); }) ==
        path.string() + ": the file is too large, expected at most 9 bytes");
  CHECK(message_of<DataError>([&] { read_file("/dev/zero", 100000); }) ==
        "/dev/zero: the file is too large, expected at most 100000 bytes");
  CHECK(message_of<DataError>([&] { read_file(folder / "none"); }) ==
        (folder / "none").string() + ": cannot open for reading: No such file or directory");
  // A file whose size is not known beforehand.
  CHECK_FALSE(read_file("/proc/self/status").empty());
}

TEST_CASE("append_line adds whole lines and does not glue to a torn one") {
  const TemporaryFolder folder;
  const fs::path path = folder / "journal";
  append_line(path, "one");
  append_line(path, "");
  CHECK(read_file(path) == "one\n\n");
  write_file_atomically(path, "one\n{\"torn");
  append_line(path, "two");
  CHECK(read_file(path) == "one\n{\"torn\ntwo\n");
  CHECK(message_of<InvariantError>([&] { append_line(path, "a\nb"); }) ==
        "append_line: " + path.string() + ": the line holds a line break");
}

TEST_CASE("concurrent append_line calls do not mix their lines") {
  const TemporaryFolder folder;
  const fs::path path = folder / "journal";
  std::array<pid_t, 3> children = {};
  for (size_t i = 0; i < children.size(); ++i) {
    children[i] = fork_and_run([&] {
      const std::string line(200, static_cast<char>('a' + i));
      for (int round = 0; round < 200; ++round) append_line(path, line);
    });
  }
  for (const pid_t child : children) CHECK(wait_for(child) == 0);
  const std::string content = read_file(path);
  REQUIRE(content.size() == 3 * 200 * 201);
  for (size_t line = 0; line < 600; ++line) {
    const char first = content[line * 201];
    REQUIRE(content.substr(line * 201, 201) == std::string(200, first) + "\n");
  }
}

TEST_CASE("FileLock names the process that holds it and ends with it") {
  const TemporaryFolder folder;
  const fs::path path = folder / "lock";
  const Pipe ready;
  const pid_t child = fork_and_run([&] {
    const FileLock lock(path);
    ready.signal();
    while (true) ::pause();
  });
  ready.wait();
  CHECK(message_of<DataError>([&] { const FileLock lock(path); }) ==
        path.string() + ": locked by process " + std::to_string(child) +
            ", expected no other process to use it");
  ::kill(child, SIGKILL);
  wait_for(child);
  CHECK_NOTHROW(FileLock{path});
}

TEST_CASE("FileLock moves, and is free when its last owner goes") {
  const TemporaryFolder folder;
  const fs::path path = folder / "lock";
  {
    FileLock first(path);
    FileLock second(std::move(first));
    FileLock third(folder / "other");
    third = std::move(second);
    CHECK_THROWS_AS(FileLock{path}, DataError);
  }
  CHECK_NOTHROW(FileLock{path});
  CHECK(message_of<DataError>([&] { FileLock lock(folder / "no/lock"); }) ==
        (folder / "no/lock").string() + ": cannot open the lock: No such file or directory");
}

TEST_CASE("sha256_hex gives the digests of FIPS 180-4") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace lathe
