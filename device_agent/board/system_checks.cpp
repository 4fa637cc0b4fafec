// What else runs on the measuring core, and what the agent may do about it.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string>

#include "core/progress.h"
#include "device_agent/board/doctor_checks.h"
#include "device_agent/board/system_files.h"

namespace lathe::device {

namespace {

constexpr double kBusyShare = 0.02;
constexpr double kSiblingShare = 0.05;
constexpr double kIrqShare = 0.01;
constexpr double kStealShare = 0.005;
constexpr uint64_t kSysNice = uint64_t{1} << 23;  // CAP_SYS_NICE

std::string percent(double share) { return fixed(100.0 * share, 1) + " %"; }

/// "/proc/stat, cpu3: 12.5 % in interrupts in the last 1.2 s"
std::string counted(const std::string& core, double part, const char* what, double total) {
  const double seconds = total / static_cast<double>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  return "/proc/stat, cpu" + core + ": " + percent(part / total) + " " + what + " in the last " +
         format_duration(seconds);
}

/// The first of "name value1 value2" in a file of the kernel's lines; empty if it is not there.
std::string field(const Patient& patient, const std::string& file, const std::string& name) {
  const auto fields = read_fields(patient.options.root / file);
  const auto found = fields.find(name);
  return found == fields.end() ? "" : found->second.front();
}

int64_t kilobytes(const Patient& patient, const std::string& name) {
  return std::strtoll(field(patient, "proc/meminfo", name).c_str(), nullptr, 10);
}

/// Whether the agent may give its workers real-time priority.
bool may_be_real_time(const Patient& patient) {
  const uint64_t rights =
      std::strtoull(field(patient, "proc/self/status", "CapEff").c_str(), nullptr, 16);
  if ((rights & kSysNice) != 0) return true;
  std::istringstream limits(patient.text("proc/self/limits").value_or(""));
  const std::string name = "Max realtime priority";
  for (std::string line; std::getline(limits, line);) {
    if (line.rfind(name, 0) == 0) return std::atoi(line.c_str() + name.size()) > 0;
  }
  return false;
}

}  // namespace

void check_shared_core(Patient& patient) {
  const std::string file = patient.core_file("topology/thread_siblings_list");
  std::vector<int> siblings = parse_core_list(patient.text(file).value_or(""));
  siblings.erase(std::remove(siblings.begin(), siblings.end(), patient.core), siblings.end());
  if (siblings.empty()) return;
  double busiest = 0.0;
  for (const int sibling : siblings) {
    const auto found = patient.passed.find(sibling);
    if (found != patient.passed.end())
      busiest = std::max(busiest, found->second.busy / found->second.total);
  }
  const bool busy = busiest > kSiblingShare;
  patient.add(busy ? Severity::Problem : Severity::Warning, "hardware threads",
              shown(file, patient.text(file).value_or("")) +
                  (busy ? ", the other one " + percent(busiest) + " busy" : ""),
              "two hardware threads share one core: work on the other one slows a network by up to "
              "half, and no counter of the measuring core shows it",
              "echo off | sudo tee /sys/devices/system/cpu/smt/control");
}

void check_busy_core(Patient& patient) {
  const auto found = patient.passed.find(patient.core);
  if (found == patient.passed.end()) return;
  const CoreTicks& ticks = found->second;
  const std::string core = std::to_string(patient.core);
  if (ticks.steal / ticks.total > kStealShare) {
    patient.add(
        Severity::Warning, "steal", counted(core, ticks.steal, "stolen by the host", ticks.total),
        "the host runs other machines on this core meanwhile: blocks are thrown away, and the "
        "cache is cold afterwards",
        "measure on a board, or on a host that pins this machine's cores");
  }
  if (ticks.irq / ticks.total > kIrqShare) {
    patient.add(
        Severity::Warning, "interrupts", counted(core, ticks.irq, "in interrupts", ticks.total),
        "interrupts stop a network in the middle: blocks are thrown away",
        "stop irqbalance; move them: echo 0 | sudo tee /proc/irq/*/smp_affinity_list; prefer "
        "a wired network");
  }
  if (!patient.measuring && ticks.busy / ticks.total > kBusyShare) {
    patient.add(
        Severity::Warning, "busy core",
        counted(core, ticks.busy, "busy without a measurement", ticks.total),
        "other programs run on the measuring core: blocks are thrown away, measurements take "
        "longer",
        "ps -eo psr,pcpu,comm --sort=-pcpu | awk '$1 == " + core +
            "' | head    # names them; stop them or bind them elsewhere with taskset");
  }
}

void check_load(Patient& patient) {
  const std::string load = patient.text("proc/loadavg").value_or("0");
  const double one_minute = std::strtod(load.c_str(), nullptr);
  if (one_minute <= 0.5) return;
  // The agent's own measurements of the last minute count, too.
  patient.add(patient.measuring ? Severity::Note : Severity::Warning, "load",
              shown("proc/loadavg", load.substr(0, load.find(' '))),
              "other programs share memory bandwidth and the last cache, which no counter shows",
              "stop them: a desktop (sudo systemctl set-default multi-user.target), updates (sudo "
              "systemctl stop apt-daily.timer apt-daily-upgrade.timer), builds");
}

void check_reserved_core(Patient& patient) {
  if (patient.options.usable_cores.size() < 2) {
    patient.add(Severity::Warning, "one core",
                std::to_string(patient.options.usable_cores.size()) + " usable core",
                "the agent itself runs on the core that it measures",
                "give the agent a second core (CPUAffinity= of its unit, or the machine's)");
    return;
  }
  const std::string file = "sys/devices/system/cpu/isolated";
  const std::string isolated = patient.text(file).value_or("");
  const std::vector<int> cores = parse_core_list(isolated);
  if (std::find(cores.begin(), cores.end(), patient.core) != cores.end()) return;
  const std::string core = std::to_string(patient.core);
  patient.add(
      Severity::Note, "no reserved core", shown(file, isolated.empty() ? "(none)" : isolated),
      "the kernel puts other programs on core " + core +
          " whenever the worker pauses; with real-time priority they rarely disturb",
      "add isolcpus=" + core +
          " to the kernel's command line (/boot/firmware/cmdline.txt on a Raspberry Pi) and "
          "restart; the agent then measures there");
}

void check_memory(Patient& patient) {
  const int64_t swapped = kilobytes(patient, "SwapTotal") - kilobytes(patient, "SwapFree");
  if (swapped > 1024) {
    patient.add(
        Severity::Warning, "swap",
        "/proc/meminfo, SwapTotal - SwapFree = " + std::to_string(swapped) + " kB",
        "memory is short: pages of a network may be fetched from the card in the middle of a "
        "block",
        "sudo swapoff -a    # lasting: sudo systemctl disable --now dphys-swapfile");
  }
  const int64_t limit = patient.options.memory_limit_bytes;
  const int64_t available = patient.board.available_memory_bytes;
  if (available <= 0 || limit <= available) return;
  patient.add(Severity::Warning, "memory limit",
              "/proc/meminfo, MemAvailable = " + std::to_string(available / 1024) + " kB",
              "a network may take " + format_bytes(static_cast<double>(limit)) +
                  ", more than there is: the kernel would end the agent or other programs",
              "lathe-agent --memory-limit " + std::to_string(available * 8 / 10 / 1000000) + "MB");
}

void check_kernel(Patient& patient) {
  char* minor = nullptr;
  const long major = std::strtol(patient.board.kernel.c_str(), &minor, 10);
  const long second = *minor == '.' ? std::strtol(minor + 1, nullptr, 10) : 0;
  if (major > 0 && (major < 5 || (major == 5 && second < 10))) {
    patient.add(
        Severity::Note, "old kernel", shown("proc/sys/kernel/osrelease", patient.board.kernel),
        "schedulers and clock drivers of ARM boards were mended since 5.10; results of another "
        "kernel do not compare",
        "update the board's system");
  }
  const std::string file = "proc/sys/kernel/sched_rt_runtime_us";
  const auto allowance = patient.number(file);
  if (!allowance || *allowance < 0 || *allowance >= 1000000 || !may_be_real_time(patient)) return;
  patient.add(Severity::Note, "real-time allowance", shown(file, std::to_string(*allowance)),
              "a worker that computes for a second without pause is stopped for " +
                  fixed(1e-3 * static_cast<double>(1000000 - *allowance), 0) +
                  " ms: such blocks are thrown away",
              "echo -1 | sudo tee /" + file + "    # a board that does nothing else");
}

void check_rights(Patient& patient) {
  if (patient.exists("proc/self/limits") && !may_be_real_time(patient)) {
    patient.add(
        Severity::Warning, "no real-time priority",
        "/proc/self/limits, Max realtime priority = 0, and no CAP_SYS_NICE",
        "other programs interrupt the worker on its core",
        "start the agent by its systemd unit (LimitRTPRIO=), or: sudo setcap cap_sys_nice+ep "
        "/usr/local/bin/lathe-agent");
  }
  std::istringstream users(field(patient, "proc/self/status", "Uid"));
  int real = -1;
  int effective = -1;
  users >> real >> effective;
  if (effective != 0) return;
  patient.add(Severity::Note, "runs as root", "/proc/self/status, Uid = 0",
              "nothing, but a fault in the reading of a network's file would be the whole board's",
              "start the agent by its systemd unit, which uses the account lathe");
}

void check_quota(Patient& patient) {
  std::string group = patient.text("proc/self/cgroup").value_or("");
  const size_t begin = group.find("0::/");
  if (begin == std::string::npos) return;
  group = group.substr(begin + 4, group.find('\n', begin) - begin - 4);
  const std::string file = "sys/fs/cgroup/" + (group.empty() ? "" : group + "/") + "cpu.max";
  const std::string quota = patient.text(file).value_or("max");
  if (quota.rfind("max", 0) == 0) return;
  patient.add(Severity::Problem, "quota", shown(file, quota),
              "the kernel stops the agent's processes when their share of each period is used up",
              "remove CPUQuota= from the unit, or --cpus from the container");
}

}  // namespace lathe::device
