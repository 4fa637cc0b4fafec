#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace lathe::device {

/// What /proc/cpuinfo tells of the processor.
struct Processor {
  std::string name;  ///< "AMD EPYC 9654", "Cortex-A76"
  std::string isa;   ///< family and the extensions that choose kernels
  int cores = 0;
  bool hypervisor = false;
  std::map<int, std::string> core_names;  ///< of ARM cores by number
  std::string core_name(int core) const;
};

/// Reads proc/cpuinfo below `root`: x86, ARMv7 and ARMv8 forms.
Processor read_processor(const std::filesystem::path& root);

}  // namespace lathe::device
