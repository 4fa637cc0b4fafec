#include "device_agent/board/board.h"

#include <doctest/doctest.h>

#include "core/file.h"
#include "device_agent/board/emulation.h"
#include "tests/device_agent/board/recorded_boards.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::device::testing;

TEST_CASE("a Raspberry Pi 4 is read from its tree") {
  test::TemporaryFolder folder;
  record_pi4(folder.path());
  const BoardInfo board = read_board(folder.path());
  CHECK(board.hostname == "pi4-a");
  CHECK(board.model == "Raspberry Pi 4 Model B Rev 1.4");
  CHECK(board.soc == "brcm,bcm2711");
  CHECK(board.kernel == "6.6.31+rpt-rpi-v8");
  CHECK(board.isa == "armv8");
  REQUIRE(board.clusters.size() == 1);
  CHECK(board.clusters[0].name == "Cortex-A72");
  CHECK(board.clusters[0].cores == std::vector<int>{0, 1, 2, 3});
  CHECK(board.clusters[0].min_hz == 600e6);
  CHECK(board.clusters[0].max_hz == 1800e6);
  CHECK(board.governor() == "ondemand");
  CHECK(board.memory_bytes == int64_t{3884360} * 1024);
  CHECK(board.available_memory_bytes == int64_t{3512345} * 1024);
  CHECK(board.temperature_c == doctest::Approx(47.225));
  CHECK(board.throttle_bits == 0x50000);
  CHECK_FALSE(board.virtual_machine);
  CHECK_FALSE(board.emulated);
}

TEST_CASE("a Raspberry Pi 5, a Pi 3 and a Cortex-A7 board are read from their trees") {
  test::TemporaryFolder folder;
  record_pi5(folder.path() / "pi5");
  const BoardInfo pi5 = read_board(folder.path() / "pi5");
  CHECK(pi5.soc == "brcm,bcm2712");
  CHECK(pi5.isa == "armv8.2 dotprod fp16");
  CHECK(pi5.clusters.at(0).name == "Cortex-A76");
  CHECK(pi5.governor() == "performance");
  CHECK(pi5.throttle_bits == 0);

  record_pi3(folder.path() / "pi3");
  const BoardInfo pi3 = read_board(folder.path() / "pi3");
  CHECK(pi3.isa == "armv7 neon");  // a 32-bit kernel on an ARMv8 core
  CHECK(pi3.clusters.at(0).name == "Cortex-A53");
  CHECK(pi3.clusters.at(0).max_hz == 1400e6);

  record_a7_board(folder.path() / "a7");
  const BoardInfo a7 = read_board(folder.path() / "a7");
  CHECK(a7.model == "Banana Pi M2 Zero");
  CHECK(a7.soc == "allwinner,sun8i-h3");
  CHECK(a7.isa == "armv7 neon");
  CHECK(a7.throttle_bits == -1);
  CHECK(a7.temperature_c == -1.0);
}

TEST_CASE("big and little cores are told apart") {
  test::TemporaryFolder folder;
  record_big_little(folder.path());
  const BoardInfo board = read_board(folder.path());
  REQUIRE(board.clusters.size() == 2);
  CHECK(board.clusters[0].name == "Cortex-A55");
  CHECK(board.clusters[1].name == "Cortex-A76");
  CHECK(board.clusters[1].cores == std::vector<int>{2, 3});
}

TEST_CASE("an empty tree leaves everything unknown") {
  test::TemporaryFolder folder;
  const BoardInfo board = read_board(folder.path());
  CHECK(board.model.empty());
  CHECK(board.isa.empty());
  REQUIRE(board.clusters.size() == 1);
  CHECK(board.clusters[0].cores == std::vector<int>{0});
  CHECK(board.memory_bytes == 0);
  CHECK(board.temperature_c == -1.0);
  CHECK(board.throttle_bits == -1);
  CHECK(board.fingerprint().size() == 16);
}

TEST_CASE("an emulated process is recognised by its name") {
  test::TemporaryFolder folder;
  write(folder.path() / "proc/self/comm", "qemu-aarch64\n");
  CHECK(read_board(folder.path()).emulated);
}

TEST_CASE("an emulated process is recognised by the program that the kernel runs in its place") {
  test::TemporaryFolder folder;
  const auto exe = folder.path() / "proc/thread-self/exe";
  std::string program = read_file("/proc/self/exe").substr(0, 4096);
  write(exe, program);
  CHECK(emulation_evidence(folder.path()).empty());
  program[18] = 2;  // SPARC
  program[19] = 0;
  write(exe, program);
  CHECK(emulation_evidence(folder.path())
            .rfind("/proc/thread-self/exe = a program for ELF machine 2, this one is for ", 0) ==
        0);
  CHECK(read_board(folder.path()).emulated);
  write(exe, std::string(4096, 'x'));
  CHECK(emulation_evidence(folder.path()).empty());
  CHECK(emulation_evidence("/").empty());  // the tests themselves
}

TEST_CASE("the fingerprint depends on hardware and kernel, not on the board's state") {
  test::TemporaryFolder folder;
  record_pi4(folder.path());
  const std::string before = read_board(folder.path()).fingerprint();
  write(folder.path() / "sys/class/thermal/thermal_zone0/temp", "80000\n");
  write(folder.path() / "proc/meminfo", "MemTotal: 3880000 kB\nMemAvailable: 100 kB\n");
  write(folder.path() / "proc/sys/kernel/hostname", "other\n");
  write(folder.path() / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n");
  for (int core = 0; core < 4; ++core) {
    write(folder.path() / ("sys/devices/system/cpu/cpu" + std::to_string(core)) / "cpufreq" /
              "scaling_governor",
          "performance\n");
  }
  CHECK(read_board(folder.path()).fingerprint() == before);
  write(folder.path() / "proc/sys/kernel/osrelease", "6.7.0\n");
  CHECK(read_board(folder.path()).fingerprint() != before);
}

TEST_CASE("the throttle bits are found whatever the firmware's node is called") {
  test::TemporaryFolder folder;
  record_pi5(folder.path());
  std::filesystem::remove(folder.path() / "sys/devices/platform/soc/soc:firmware/get_throttled");
  CHECK(read_board(folder.path()).throttle_bits == -1);
  write(folder.path() / "sys/bus/platform/drivers/raspberrypi-firmware/bind", "");
  write(folder.path() / "sys/bus/platform/drivers/raspberrypi-firmware/node/get_throttled",
        "e0008\n");
  CHECK(read_board(folder.path()).throttle_bits == 0xE0008);
}
