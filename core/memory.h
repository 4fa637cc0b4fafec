#pragma once

#include <cstdint>
#include <filesystem>

namespace lathe {

/// Returns how much memory this process can still take, in bytes: what the kernel says is available,
/// or what the control group's limit leaves where that is less. `root` stands for "/" in tests.
/// \throws DataError if /proc/meminfo cannot be read.
int64_t available_memory_bytes(const std::filesystem::path& root = "/");

}  // namespace lathe
