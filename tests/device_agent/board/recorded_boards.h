#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lathe::device::testing {

/// Writes a file with its folders.
void write(const std::filesystem::path& path, const std::string& text);

/// What a core did since it was switched on, in clock ticks.
struct CoreUse {
  long idle = 1000000;
  long user = 0, irq = 0, steal = 0;
};
/// Writes /proc/stat.
void record_stat(const std::filesystem::path& root, const std::vector<CoreUse>& cores);

// What these boards show below /proc and /sys, reduced to what the agent reads.
void record_pi3(const std::filesystem::path& root);  ///< 3B+, 32-bit kernel, warm, swaps
void record_pi4(const std::filesystem::path& root);  ///< had under-voltage and throttling before
void record_pi5(const std::filesystem::path& root);  ///< quiet, its last core is reserved
void record_a7_board(
    const std::filesystem::path& root);  ///< the agent runs as root, without rights
void record_big_little(const std::filesystem::path& root);  ///< two Cortex-A55 and two Cortex-A76

}  // namespace lathe::device::testing
