#include "device_agent/board/doctor.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "core/error.h"
#include "tests/device_agent/board/recorded_boards.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::device::testing;

namespace {

constexpr int64_t kLimit = int64_t{512} << 20;

std::vector<Finding> examine(const std::filesystem::path& root) {
  return Doctor({root, {0, 1, 2, 3}, kLimit, false}).examine(false);
}

std::vector<std::string> topics(const std::vector<Finding>& findings) {
  std::vector<std::string> names;
  for (const Finding& finding : findings) names.push_back(finding.topic);
  return names;
}

const Finding* find(const std::vector<Finding>& findings, const std::string& topic) {
  const auto found = std::find_if(findings.begin(), findings.end(),
                                  [&](const Finding& finding) { return finding.topic == topic; });
  return found == findings.end() ? nullptr : &*found;
}

/// The finding called `topic` of a quiet Raspberry Pi 5 after `file` was set to `text`.
struct Changed {
  Changed(const char* file, const std::string& text) {
    record_pi5(folder.path());
    REQUIRE(examine(folder.path()).empty());
    write(folder.path() / file, text);
    findings = examine(folder.path());
  }
  const Finding& only(const std::string& topic) const {
    REQUIRE(topics(findings) == std::vector<std::string>{topic});
    return findings.front();
  }
  test::TemporaryFolder folder;
  std::vector<Finding> findings;
};

const std::string kCpu3 = "sys/devices/system/cpu/cpu3/";

}  // namespace

TEST_CASE("a quiet Raspberry Pi 5 has nothing to be mended") {
  test::TemporaryFolder folder;
  record_pi5(folder.path());
  CHECK(topics(examine(folder.path())) == std::vector<std::string>{});
}

TEST_CASE("a Raspberry Pi 4 tells of its governor and of what the firmware saw") {
  test::TemporaryFolder folder;
  record_pi4(folder.path());
  const std::vector<Finding> findings = examine(folder.path());
  CHECK(topics(findings) == std::vector<std::string>{"governor", "under-voltage earlier",
                                                     "throttled earlier", "no reserved core",
                                                     "real-time allowance"});
  CHECK(findings[0].severity == Severity::Warning);
  CHECK(findings[0].read == "/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor = ondemand");
  CHECK(findings[0].effect ==
        "the clock follows the load, so a network runs slower after a pause than after work");
  CHECK(findings[0].remedy ==
        "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor");
  CHECK(findings[1].read == "/sys/devices/platform/soc/soc:firmware/get_throttled = 0x50000");
  CHECK(findings[3].severity == Severity::Note);
  CHECK(findings[3].remedy.find("isolcpus=3") != std::string::npos);
}

TEST_CASE("a Raspberry Pi 3B+ is warm from 50 C on, because its firmware acts at 60") {
  test::TemporaryFolder folder;
  record_pi3(folder.path());
  const std::vector<Finding> findings = examine(folder.path());
  CHECK(topics(findings) == std::vector<std::string>{"governor", "temperature", "swap",
                                                     "no reserved core", "real-time allowance"});
  CHECK(findings[1].read == "/sys/class/thermal/thermal_zone0/temp = 53692");
  CHECK(findings[1].effect ==
        "54 C, and from 60 C on the clock is lowered: a longer measurement gets there");
  CHECK(findings[2].read == "/proc/meminfo, SwapTotal - SwapFree = 37000 kB");
}

TEST_CASE("a Cortex-A7 board without a sensor tells of memory and of missing rights") {
  test::TemporaryFolder folder;
  record_a7_board(folder.path());
  const std::vector<Finding> findings = examine(folder.path());
  CHECK(topics(findings) == std::vector<std::string>{"governor", "memory limit",
                                                     "no real-time priority", "no reserved core",
                                                     "runs as root"});
  CHECK(findings[1].read == "/proc/meminfo, MemAvailable = 400000 kB");
  CHECK(findings[1].remedy == "lathe-agent --memory-limit 327MB");  // 0.8 * 400000 KiB
}

TEST_CASE("each thing that disturbs a quiet board is found alone") {
  SUBCASE("under-voltage and throttling now") {
    const Changed changed("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n");
    CHECK(topics(changed.findings) ==
          std::vector<std::string>{"under-voltage now", "throttled now"});
    CHECK(changed.findings[0].severity == Severity::Problem);
    CHECK(changed.findings[0].read ==
          "/sys/devices/platform/soc/soc:firmware/get_throttled = 0x50005");
  }
  SUBCASE("the soft temperature limit of a 3B+") {
    const Changed changed("sys/devices/platform/soc/soc:firmware/get_throttled", "80008\n");
    CHECK(changed.only("throttled now").severity == Severity::Problem);
  }
  SUBCASE("a limit of the clock") {
    const Changed changed((kCpu3 + "cpufreq/scaling_max_freq").c_str(), "1500000\n");
    CHECK(changed.only("clock limit").effect ==
          "the clock is held at 1.50 GHz of 2.40 GHz: networks run slower than on other boards of "
          "this kind");
  }
  SUBCASE("boost") {
    CHECK(Changed("sys/devices/system/cpu/cpufreq/boost", "1\n").only("boost").remedy ==
          "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost");
    CHECK(Changed("sys/devices/system/cpu/intel_pstate/no_turbo", "0\n").only("boost").remedy ==
          "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo");
  }
  SUBCASE("heat") {
    const Changed changed("sys/class/thermal/thermal_zone0/temp", "81000\n");
    CHECK(changed.only("temperature").severity == Severity::Problem);
    CHECK(changed.only("temperature").effect == "81 C, and from 80 C on the clock is lowered");
  }
  SUBCASE("a lower limit that the kernel names; a fan's is none") {
    test::TemporaryFolder folder;
    record_pi5(folder.path());
    const auto zone = folder.path() / "sys/class/thermal/thermal_zone0";
    write(zone / "trip_point_0_temp", "45000\n");
    write(zone / "trip_point_0_type", "active\n");
    CHECK(examine(folder.path()).empty());  // 41 C
    write(zone / "trip_point_1_temp", "50000\n");
    write(zone / "trip_point_1_type", "passive\n");
    CHECK(topics(examine(folder.path())) == std::vector<std::string>{"temperature"});
  }
  SUBCASE("a hardware thread beside the measuring one") {
    const Changed changed((kCpu3 + "topology/thread_siblings_list").c_str(), "1,3\n");
    CHECK(changed.only("hardware threads").severity == Severity::Warning);
  }
  SUBCASE("load") {
    const Changed changed("proc/loadavg", "1.26 0.90 0.50 2/212 1234\n");
    CHECK(changed.only("load").read == "/proc/loadavg = 1.26");
  }
  SUBCASE("an old kernel") {
    CHECK(Changed("proc/sys/kernel/osrelease", "4.19.66-v7+\n").only("old kernel").read ==
          "/proc/sys/kernel/osrelease = 4.19.66-v7+");
    CHECK(Changed("proc/sys/kernel/osrelease", "5.10.1\n").findings.empty());
  }
  SUBCASE("a share of the processor") {
    const Changed changed("sys/fs/cgroup/system.slice/lathe-agent.service/cpu.max",
                          "50000 100000\n");
    CHECK(changed.only("quota").read ==
          "/sys/fs/cgroup/system.slice/lathe-agent.service/cpu.max = 50000 100000");
  }
  SUBCASE("rights by a limit instead of a capability") {
    const Changed changed("proc/self/status", "Uid:\t997\t997\t997\t997\nCapEff:\t0\n");
    CHECK(changed.only("no real-time priority").severity == Severity::Warning);
    write(changed.folder.path() / "proc/self/limits", "Max realtime priority     99    99\n");
    CHECK(examine(changed.folder.path()).empty());
  }
  SUBCASE("a virtual machine that hides its clock") {
    const Changed changed("proc/cpuinfo", "processor : 0\nflags : fpu avx2 hypervisor\n");
    CHECK(topics(changed.findings) == std::vector<std::string>{"virtual machine"});
    std::filesystem::remove_all(changed.folder.path() / (kCpu3 + "cpufreq"));
    const auto findings = examine(changed.folder.path());
    REQUIRE(find(findings, "clock unknown") != nullptr);
    CHECK(find(findings, "clock unknown")->read ==
          "/sys/devices/system/cpu/cpu3/cpufreq: not there");
  }
  SUBCASE("a firmware that keeps its bits to itself") {
    test::TemporaryFolder folder;
    record_pi5(folder.path());
    std::filesystem::remove(folder.path() / "sys/devices/platform/soc/soc:firmware/get_throttled");
    CHECK(topics(examine(folder.path())) == std::vector<std::string>{"throttling unknown"});
  }
  SUBCASE("an emulator") {
    CHECK(Changed("proc/self/comm", "qemu-aarch64\n").only("emulator").read ==
          "/proc/self/comm = qemu-aarch64");
  }
}

TEST_CASE("the doctor counts what the cores do between two looks") {
  test::TemporaryFolder folder;
  record_pi5(folder.path());
  write(folder.path() / (kCpu3 + "topology/thread_siblings_list"), "2-3\n");
  Doctor doctor({folder.path(), {0, 1, 2, 3}, kLimit, false});
  const long second = 100;  // ticks
  CHECK(topics(doctor.examine(false)) == std::vector<std::string>{"hardware threads"});

  const CoreUse start;
  CoreUse idle = start;
  idle.idle += second;
  CoreUse busy = start;  // 10 % busy, of that 3 % in interrupts; 2 % stolen
  busy.idle += 88;
  busy.user += 7;
  busy.irq += 3;
  busy.steal += 2;
  record_stat(folder.path(), {idle, idle, busy, busy});
  const auto findings = doctor.examine(false);
  CHECK(topics(findings) ==
        std::vector<std::string>{"hardware threads", "steal", "interrupts", "busy core"});
  CHECK(findings[0].severity == Severity::Problem);
  CHECK(findings[0].read ==
        "/sys/devices/system/cpu/cpu3/topology/thread_siblings_list = 2-3, the other one 10.0 % "
        "busy");
  CHECK(findings[1].read == "/proc/stat, cpu3: 2.0 % stolen by the host in the last 1 s");
  CHECK(findings[2].read == "/proc/stat, cpu3: 3.0 % in interrupts in the last 1 s");
  CHECK(findings[3].read == "/proc/stat, cpu3: 10.0 % busy without a measurement in the last 1 s");

  SUBCASE("a look that follows at once has nothing to count") {
    CHECK(topics(doctor.examine(false)) == std::vector<std::string>{"hardware threads"});
  }
  SUBCASE("a measurement may keep its core busy") {
    busy.idle += 10;
    busy.user += 90;
    idle.idle += second;
    record_stat(folder.path(), {idle, idle, idle, busy});
    CHECK(topics(doctor.examine(true)) == std::vector<std::string>{"hardware threads"});
  }
}

TEST_CASE("one usable core is the agent's own disturbance") {
  test::TemporaryFolder folder;
  record_pi5(folder.path());
  const auto findings = Doctor({folder.path(), {3}, kLimit, false}).examine(false);
  CHECK(topics(findings) == std::vector<std::string>{"one core"});
  CHECK_THROWS_WITH_AS(Doctor({folder.path(), {}, kLimit, false}),
                       "Doctor: the list of usable cores is empty, expected the measuring core",
                       InvariantError);
}

TEST_CASE("an empty tree frightens nobody") {
  test::TemporaryFolder folder;
  CHECK(topics(examine(folder.path())) ==
        std::vector<std::string>{"clock unknown", "no reserved core"});
}
