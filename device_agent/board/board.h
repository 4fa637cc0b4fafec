#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lathe::device {

/// Cores of one kind, which share frequency limits and governor.
struct CoreCluster {
  std::vector<int> cores;
  std::string name;         ///< "Cortex-A72"; empty: unknown
  std::string governor;     ///< empty: unknown
  double min_hz = 0.0;      ///< 0: unknown
  double max_hz = 0.0;      ///< 0: unknown
  int64_t capacity = 1024;  ///< the kernel's relative measure of speed
};

/// What this board is. Value type.
struct BoardInfo {
  std::string hostname;
  std::string model;                  ///< "Raspberry Pi 4 Model B Rev 1.4"
  std::string soc;                    ///< "brcm,bcm2711", or the processor's name
  std::string kernel;                 ///< release
  std::string isa;                    ///< "armv8.2 dotprod fp16", "x86_64 avx512_vnni"
  std::vector<CoreCluster> clusters;  ///< fastest last
  int64_t memory_bytes = 0;
  int64_t available_memory_bytes = 0;
  double temperature_c = -1.0;  ///< hottest zone; -1: unknown
  int64_t throttle_bits = -1;   ///< Raspberry Pi get_throttled; -1: not that kind of board
  bool virtual_machine = false;
  bool emulated = false;  ///< runs under a user-mode emulator: timing means nothing

  /// Governor of the fastest cluster; empty: unknown.
  std::string governor() const;
  /// 16 hexadecimal digits: equal for equal hardware (model, SoC, ISA, cores, frequencies, memory)
  /// and kernel release, whatever the state of the board.
  std::string fingerprint() const;
};

/// Reads /proc and /sys below `root`; what a board does not have stays unknown. Never throws for
/// missing files.
BoardInfo read_board(const std::filesystem::path& root);

}  // namespace lathe::device
