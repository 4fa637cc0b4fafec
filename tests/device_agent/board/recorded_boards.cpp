#include "tests/device_agent/board/recorded_boards.h"

#include <fstream>
#include <sstream>
#include <vector>

namespace lathe::device::testing {

namespace fs = std::filesystem;

namespace {

const std::string kNul(1, '\0');

struct Recorded {
  std::string hostname, kernel, model, board, soc;
  std::string part;      ///< of every core
  std::string features;  ///< of /proc/cpuinfo
  int architecture = 8;
  int cores = 4;
  std::string governor = "performance";
  long min_khz = 0, max_khz = 0;
  long memory_kb = 0, available_kb = 0;
  long swapped_kb = 0;
  std::string isolated = "";         ///< cores
  std::string rights = "0800000";    ///< CapEff of the agent: CAP_SYS_NICE from its unit
  int user = 997;                    ///< of the agent
  std::string allowance = "950000";  ///< of real-time programs
};

// What the agent is to the kernel, and what the kernel lets it do.
void record_agent(const fs::path& root, const Recorded& board) {
  std::ostringstream status;
  status << "Name:\tlathe-agent\nUid:\t" << board.user << "\t" << board.user << "\t" << board.user
         << "\t" << board.user << "\nCapEff:\t0000000000" << board.rights << "\n";
  write(root / "proc/self/status", status.str());
  write(root / "proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max realtime priority     0                    0                    \n");
  write(root / "proc/self/cgroup", "0::/system.slice/lathe-agent.service\n");
  write(root / "sys/fs/cgroup/system.slice/lathe-agent.service/cpu.max", "max 100000\n");
  write(root / "proc/sys/kernel/sched_rt_runtime_us", board.allowance + "\n");
  write(root / "sys/devices/system/cpu/isolated", board.isolated + "\n");
}

void record(const fs::path& root, const Recorded& board) {
  write(root / "proc/sys/kernel/hostname", board.hostname + "\n");
  write(root / "proc/sys/kernel/osrelease", board.kernel + "\n");
  write(root / "proc/device-tree/model", board.model + kNul);
  write(root / "proc/device-tree/compatible", board.board + kNul + board.soc + kNul);
  write(root / "proc/loadavg", "0.08 0.03 0.01 1/212 1234\n");
  write(root / "proc/self/comm", "lathe-agent\n");
  std::ostringstream memory;
  memory << "MemTotal:        " << board.memory_kb
         << " kB\nMemFree:  1 kB\nMemAvailable:    " << board.available_kb
         << " kB\nSwapTotal:  102396 kB\nSwapFree:  " << 102396 - board.swapped_kb << " kB\n";
  write(root / "proc/meminfo", memory.str());
  std::ostringstream cpuinfo;
  for (int core = 0; core < board.cores; ++core) {
    cpuinfo << "processor\t: " << core << "\nBogoMIPS\t: 108.00\nFeatures\t: " << board.features
            << "\nCPU implementer\t: 0x41\nCPU architecture: " << board.architecture
            << "\nCPU variant\t: 0x0\nCPU part\t: " << board.part << "\nCPU revision\t: 3\n\n";
    const fs::path cpu = root / ("sys/devices/system/cpu/cpu" + std::to_string(core));
    write(cpu / "cpufreq/scaling_governor", board.governor + "\n");
    write(cpu / "cpufreq/scaling_max_freq", std::to_string(board.max_khz) + "\n");
    write(cpu / "topology/thread_siblings_list", std::to_string(core) + "\n");
    write(cpu / "cpufreq/cpuinfo_min_freq", std::to_string(board.min_khz) + "\n");
    write(cpu / "cpufreq/cpuinfo_max_freq", std::to_string(board.max_khz) + "\n");
  }
  write(root / "proc/cpuinfo", cpuinfo.str());
  record_stat(root, std::vector<CoreUse>(static_cast<size_t>(board.cores)));
  record_agent(root, board);
  write(root / "sys/devices/system/cpu/online", "0-" + std::to_string(board.cores - 1) + "\n");
}

}  // namespace

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

void record_stat(const fs::path& root, const std::vector<CoreUse>& cores) {
  std::ostringstream stat;
  stat << "cpu  1 2 3 4 5 6 7 8 0 0\n";
  for (size_t core = 0; core < cores.size(); ++core) {
    const CoreUse& use = cores[core];
    stat << "cpu" << core << " " << use.user << " 0 0 " << use.idle << " 0 " << use.irq << " 0 "
         << use.steal << " 0 0\n";
  }
  write(root / "proc/stat", stat.str());
}

void record_pi3(const fs::path& root) {
  Recorded board{"pi3",
                 "6.6.31+rpt-rpi-v7",
                 "Raspberry Pi 3 Model B Plus Rev 1.3",
                 "raspberrypi,3-model-b-plus",
                 "brcm,bcm2837",
                 "0xd03",
                 "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt"};
  board.architecture = 7;
  board.governor = "ondemand";
  board.min_khz = 600000;
  board.max_khz = 1400000;
  board.memory_kb = 930000;
  board.available_kb = 700000;
  board.swapped_kb = 37000;
  record(root, board);
  write(root / "sys/class/thermal/thermal_zone0/temp", "53692\n");
  write(root / "sys/devices/platform/soc/soc:firmware/get_throttled", "0\n");
}

void record_pi4(const fs::path& root) {
  Recorded board{"pi4-a",
                 "6.6.31+rpt-rpi-v8",
                 "Raspberry Pi 4 Model B Rev 1.4",
                 "raspberrypi,4-model-b",
                 "brcm,bcm2711",
                 "0xd08",
                 "fp asimd evtstrm crc32 cpuid"};
  board.governor = "ondemand";
  board.min_khz = 600000;
  board.max_khz = 1800000;
  board.memory_kb = 3884360;
  board.available_kb = 3512345;
  record(root, board);
  write(root / "sys/class/thermal/thermal_zone0/temp", "47225\n");
  write(root / "sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n");
}

void record_pi5(const fs::path& root) {
  Recorded board{"pi5",
                 "6.6.31+rpt-rpi-2712",
                 "Raspberry Pi 5 Model B Rev 1.0",
                 "raspberrypi,5-model-b",
                 "brcm,bcm2712",
                 "0xd0b",
                 "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm "
                 "lrcpc dcpop asimddp"};
  board.isolated = "3";
  board.allowance = "-1";
  board.min_khz = 1500000;
  board.max_khz = 2400000;
  board.memory_kb = 8245000;
  board.available_kb = 7700000;
  record(root, board);
  write(root / "sys/class/thermal/thermal_zone0/temp", "41350\n");
  write(root / "sys/devices/platform/soc/soc:firmware/get_throttled", "0\n");
}

void record_a7_board(const fs::path& root) {
  Recorded board{"bpi",
                 "6.1.0-armmp",
                 "Banana Pi M2 Zero",
                 "sinovoip,bpi-m2-zero",
                 "allwinner,sun8i-h3",
                 "0xc07",
                 "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae"};
  board.architecture = 7;
  board.governor = "schedutil";
  board.min_khz = 480000;
  board.max_khz = 1200000;
  board.memory_kb = 500000;
  board.available_kb = 400000;
  board.rights = "0000000";
  board.user = 0;
  record(root, board);
}

void record_big_little(const fs::path& root) {
  Recorded board{"rock",
                 "6.1.43",
                 "Radxa ROCK 5B",
                 "radxa,rock-5b",
                 "rockchip,rk3588",
                 "0xd05",
                 "fp asimd asimdhp asimddp"};
  board.min_khz = 408000;
  board.max_khz = 1800000;
  board.memory_kb = 8000000;
  board.available_kb = 7000000;
  record(root, board);
  std::ostringstream cpuinfo;
  for (int core = 0; core < 4; ++core) {
    const bool big = core >= 2;
    cpuinfo << "processor\t: " << core << "\nFeatures\t: " << board.features
            << "\nCPU architecture: 8\nCPU part\t: " << (big ? "0xd0b" : "0xd05") << "\n\n";
    const fs::path cpu = root / ("sys/devices/system/cpu/cpu" + std::to_string(core));
    write(cpu / "cpu_capacity", big ? "1024\n" : "414\n");
    if (big) write(cpu / "cpufreq/cpuinfo_max_freq", "2400000\n");
  }
  write(root / "proc/cpuinfo", cpuinfo.str());
}

}  // namespace lathe::device::testing
