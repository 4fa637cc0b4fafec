#pragma once

namespace lathe::supernet {

class SupernetModule;

/// The one symbol that liblathe_supernet.so offers. Loader and module come from the same build.
using ModuleEntry = SupernetModule& (*)();
inline constexpr const char* kModuleEntryName = "lathe_supernet_module_v1";

}  // namespace lathe::supernet
