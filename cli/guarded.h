#pragma once

#include <functional>

namespace lathe::cli {

constexpr int kExitOk = 0;
constexpr int kExitOther = 1;
constexpr int kExitUsage = 2;
constexpr int kExitData = 3;
constexpr int kExitDevice = 4;

/// Runs a command and returns the program's exit code; what it throws is printed to standard error.
/// After a PeerError the program ends here.
int guarded(const std::function<void()>& command);

}  // namespace lathe::cli
