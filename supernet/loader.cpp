#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "supernet/module_entry.h"
#include "supernet/supernet.h"

namespace lathe::supernet {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFileName = "liblathe_supernet.so";

std::vector<fs::path> candidates() {
  if (const char* named = std::getenv("LATHE_SUPERNET_MODULE"); named != nullptr && *named != '\0')
    return {named};
  std::error_code ignored;
  const fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  return {folder / kFileName, folder.parent_path() / "lib" / kFileName,
          folder.parent_path() / "lib" / "lathe" / kFileName};
}

/// LibTorch's OpenMP threads spin for milliseconds when they wait; on cores shared with anything
/// else (an agent, a build) that makes training ten times slower. libgomp reads its environment
/// once, when it is loaded: with the module. A value that the user set is kept.
void shorten_spinning() { setenv("GOMP_SPINCOUNT", "1000", /*overwrite=*/0); }

SupernetModule& load() {
  shorten_spinning();
  const std::vector<fs::path> tried = candidates();
  for (const fs::path& path : tried) {
    std::error_code ignored;
    if (!fs::exists(path, ignored)) continue;
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw Error(path.string() + ": cannot be loaded: " + dlerror());
    void* symbol = dlsym(library, kModuleEntryName);
    if (symbol == nullptr)
      throw Error(path.string() + ": has no " + kModuleEntryName + ", expected lathe's module");
    ModuleEntry entry = nullptr;
    static_assert(sizeof entry == sizeof symbol);
    std::memcpy(&entry, &symbol, sizeof entry);
    return entry();
  }
  throw Error("supernet module: " + std::string(kFileName) + " is not at " +
              join(tried, ", ", [](const fs::path& path) { return path.string(); }) +
              "; build the target lathe_supernet_module or set LATHE_SUPERNET_MODULE");
}

}  // namespace

SupernetModule& load_supernet_module() {
  static std::mutex mutex;
  static SupernetModule* module = nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  if (module == nullptr) module = &load();
  return *module;
}

}  // namespace lathe::supernet
