#pragma once

#include <cstdint>
#include <string>

namespace lathe::cli {

/// This machine as the report names it.
struct HostMachine {
  int64_t usable_cores = 0;
  std::string cpu_model;  ///< "unknown" where the kernel does not say
  int64_t memory_bytes = 0;
};
HostMachine host_machine();

}  // namespace lathe::cli
