// What holds the measuring core's clock away from one steady value: governors, limits, heat, power.
#include <algorithm>
#include <cstdio>
#include <string>

#include "device_agent/board/doctor_checks.h"
#include "device_agent/board/emulation.h"
#include "device_agent/board/energy_meter.h"
#include "device_agent/board/system_files.h"

namespace lathe::device {

namespace {

constexpr double kPiLimitC = 80.0;       // the firmware lowers the clock from here on
constexpr double kPi3PlusLimitC = 60.0;  // of a Raspberry Pi 3B+: from 1.4 to 1.2 GHz
constexpr double kOtherLimitC = 85.0;    // where a board does not say
constexpr double kMarginC = 10.0;

bool is_pi(const Patient& patient) { return patient.board.model.rfind("Raspberry Pi", 0) == 0; }

std::string gigahertz(int64_t khz) { return fixed(static_cast<double>(khz) / 1e6, 2) + " GHz"; }

/// The lowest temperature at which the kernel or the firmware slows the cores down.
double slowing_c(const Patient& patient, const std::string& zone) {
  double lowest = kOtherLimitC;
  if (is_pi(patient)) {
    const bool plus = patient.board.model.find("Pi 3 Model B Plus") != std::string::npos;
    lowest = plus ? kPi3PlusLimitC : kPiLimitC;
  }
  for (int trip = 0; trip < 16; ++trip) {
    const std::string name = zone + "/trip_point_" + std::to_string(trip);
    const auto limit = patient.number(name + "_temp");
    // Active trips start a fan, critical ones switch the board off.
    if (limit && *limit > 0 && patient.text(name + "_type").value_or("") == "passive")
      lowest = std::min(lowest, static_cast<double>(*limit) / 1e3);
  }
  return lowest;
}

}  // namespace

void check_emulation(Patient& patient) {
  if (patient.options.emulated || patient.board.emulated) {
    patient.add(Severity::Problem, "emulator",
                patient.board.emulated ? emulation_evidence(patient.options.root)
                                       : "the agent's option --emulated",
                "times mean nothing here, outputs are right", "measure on the board itself");
  }
  if (patient.board.virtual_machine) {
    patient.add(Severity::Warning, "virtual machine", shown("proc/cpuinfo", "flags ... hypervisor"),
                "neighbours on the host take time and cache, which is only partly visible as steal "
                "time",
                "prefer a board, or a host of its own with pinned virtual cores");
  }
}

void check_governor(Patient& patient) {
  const std::string file = patient.core_file("cpufreq/scaling_governor");
  const std::string governor = patient.text(file).value_or("");
  if (governor.empty() || governor == "performance") return;
  patient.add(Severity::Warning, "governor", shown(file, governor),
              "the clock follows the load, so a network runs slower after a pause than after work",
              "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor");
}

void check_clock_limits(Patient& patient) {
  const std::string limit_file = patient.core_file("cpufreq/scaling_max_freq");
  const auto limit = patient.number(limit_file);
  const auto highest = patient.number(patient.core_file("cpufreq/cpuinfo_max_freq"));
  if (limit && highest && *limit < *highest) {
    patient.add(Severity::Warning, "clock limit", shown(limit_file, std::to_string(*limit)),
                "the clock is held at " + gigahertz(*limit) + " of " + gigahertz(*highest) +
                    ": networks run slower than on other boards of this kind",
                "echo " + std::to_string(*highest) +
                    " | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq");
  }
  if (patient.exists(patient.core_file("cpufreq"))) return;
  patient.add(Severity::Note, "clock unknown", "/" + patient.core_file("cpufreq") + ": not there",
              "blocks that ran at a lower clock cannot be told from others",
              patient.board.virtual_machine
                  ? "the host hides it: look at its governor and boost there"
                  : "use a kernel with the board's cpufreq driver (the distribution's own)");
}

void check_boost(Patient& patient) {
  const char* effect = "the clock exceeds its lasting value until the chip is warm";
  const std::string boost = "sys/devices/system/cpu/cpufreq/boost";
  if (patient.number(boost).value_or(0) == 1) {
    patient.add(Severity::Warning, "boost", shown(boost, "1"), effect,
                "echo 0 | sudo tee /" + boost);
  }
  const std::string no_turbo = "sys/devices/system/cpu/intel_pstate/no_turbo";
  if (patient.number(no_turbo).value_or(1) == 0) {
    patient.add(Severity::Warning, "boost", shown(no_turbo, "0"), effect,
                "echo 1 | sudo tee /" + no_turbo);
  }
}

// Bits of the Raspberry Pi's firmware: 0 under-voltage, 1 clock capped, 2 throttled, 3 soft
// temperature limit; 16 to 19 the same since it was switched on.
void check_throttling(Patient& patient) {
  const int64_t bits = patient.board.throttle_bits;
  if (bits < 0) {
    if (is_pi(patient)) {
      patient.add(Severity::Note, "throttling unknown",
                  "/sys/devices/platform/soc/soc:firmware/get_throttled: not there",
                  "the firmware slows the cores without a word when it is hot or the voltage drops",
                  "use the kernel of Raspberry Pi OS, or look at `vcgencmd get_throttled`");
    }
    return;
  }
  char value[24];
  std::snprintf(value, sizeof value, "0x%llx", static_cast<unsigned long long>(bits));
  const std::string read =
      "/" + throttle_file(patient.options.root).lexically_relative(patient.options.root).string() +
      " = " + value;
  const char* supply =
      "use the power supply made for this board and a short cable; unplug what draws "
      "current from its USB ports";
  const char* cooling = "fit a heat sink or a fan, then restart the board to clear the bits";
  if ((bits & 0x1) != 0) {
    patient.add(Severity::Problem, "under-voltage now", read,
                "the firmware lowers the clock, down to half, whatever the governor says", supply);
  } else if ((bits & 0x10000) != 0) {
    patient.add(Severity::Warning, "under-voltage earlier", read,
                "it happened since the board was switched on and will under load: the clock drops",
                supply);
  }
  if ((bits & 0xE) != 0) {
    patient.add(
        Severity::Problem, "throttled now", read,
        "the firmware holds the clock down because of heat or voltage; scaling_cur_freq does "
        "not show it",
        "let the board cool before you measure: fit a heat sink or a fan");
  } else if ((bits & 0xE0000) != 0) {
    patient.add(Severity::Warning, "throttled earlier", read,
                "the firmware held the clock down since the board was switched on, and will again "
                "under lasting load",
                cooling);
  }
}

void check_temperature(Patient& patient) {
  for (int index = 0; index < 64; ++index) {
    const std::string zone = "sys/class/thermal/thermal_zone" + std::to_string(index);
    const auto value = patient.number(zone + "/temp");
    if (!value) continue;
    const double now_c = static_cast<double>(*value) / 1e3;
    const double limit_c = slowing_c(patient, zone);
    if (now_c < limit_c - kMarginC) continue;
    const bool hot = now_c >= limit_c;
    patient.add(hot ? Severity::Problem : Severity::Warning, "temperature",
                shown(zone + "/temp", std::to_string(*value)),
                fixed(now_c, 0) + " C, and from " + fixed(limit_c, 0) +
                    " C on the clock is lowered" + (hot ? "" : ": a longer measurement gets there"),
                "fit a heat sink or a fan, or let the board rest");
    return;
  }
}

void check_energy(Patient& patient) {
  if (!energy_sources(patient.options.root).empty()) return;
  const auto closed = closed_energy_files(patient.options.root);
  if (closed.empty()) return;
  const std::string file =
      "/" + closed.front().lexically_relative(patient.options.root).generic_string();
  patient.add(Severity::Note, "energy", file + " cannot be read by the agent",
              "the board has an energy sensor, but energy cannot be measured",
              "sudo chmod a+r " + file + "    # after every start; then restart the agent");
}

}  // namespace lathe::device
