#pragma once

#include <filesystem>
#include <string>

namespace lathe::device {

/// Returns what shows that this process runs under a user-mode emulator, as "FILE = VALUE"; an empty
/// string if nothing does. Reads two files below `root`: the process's name, which is the emulator's
/// unless the kernel was told to start it unseen (binfmt_misc), and the program that the kernel
/// really runs, which then is one for another processor. Never throws.
std::string emulation_evidence(const std::filesystem::path& root);

}  // namespace lathe::device
