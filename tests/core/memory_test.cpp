#include "core/memory.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/file.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;

TEST_CASE("Available memory is the kernel's figure or what the control group leaves of its limit") {
  test::TemporaryFolder folder;
  const auto write = [&](const char* name, const std::string& text) {
    std::filesystem::create_directories((folder / name).parent_path());
    write_file_atomically(folder / name, text);
  };
  write("proc/meminfo", "MemTotal:  4000 kB\nMemFree: 10 kB\nMemAvailable:   3000 kB\nBuffers: 1 kB\n");
  CHECK(available_memory_bytes(folder.path()) == 3'072'000);
  write("sys/fs/cgroup/memory.max", "max\n");
  write("sys/fs/cgroup/memory.current", "500000\n");
  CHECK(available_memory_bytes(folder.path()) == 3'072'000);
  write("sys/fs/cgroup/memory.max", "1500000\n");
  CHECK(available_memory_bytes(folder.path()) == 1'000'000);
  write("sys/fs/cgroup/memory.current", "1600000\n");
  CHECK(available_memory_bytes(folder.path()) == 0);
  CHECK(available_memory_bytes() > 1'000'000);
}

TEST_CASE("A meminfo without the figure is an error") {
  test::TemporaryFolder folder;
  std::filesystem::create_directories(folder / "proc");
  write_file_atomically(folder / "proc/meminfo", "MemTotal: 4000 kB\n");
  CHECK(test::message_of<DataError>([&] { available_memory_bytes(folder.path()); }) ==
        (folder / "proc/meminfo").string() + ": has no MemAvailable");
}
