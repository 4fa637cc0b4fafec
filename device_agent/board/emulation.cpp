#include "device_agent/board/emulation.h"

#include <elf.h>
#include <link.h>

#include <fstream>

#include "device_agent/board/system_files.h"

// The linker's name for this program's own header.
extern "C" const ElfW(Ehdr) __ehdr_start  // NOLINT(bugprone-reserved-identifier)
    __attribute__((visibility("hidden")));

namespace lathe::device {

namespace {

// Of the program at `path`; EM_NONE if it is none. Both forms of the header begin alike.
Elf32_Half machine_of(const std::filesystem::path& path) {
  Elf32_Ehdr header{};
  std::ifstream file(path, std::ios::binary);
  const std::string magic(ELFMAG, SELFMAG);
  if (!file.read(reinterpret_cast<char*>(&header), sizeof header)) return EM_NONE;
  if (magic.compare(0, SELFMAG, reinterpret_cast<const char*>(header.e_ident), SELFMAG) != 0)
    return EM_NONE;
  return header.e_machine;
}

}  // namespace

std::string emulation_evidence(const std::filesystem::path& root) {
  const std::string name = read_text(root / "proc/self/comm").value_or("");
  if (name.rfind("qemu-", 0) == 0) return "/proc/self/comm = " + name;
  // Emulators answer for /proc/self/exe themselves, with the program that they run.
  const Elf32_Half kernels = machine_of(root / "proc/thread-self/exe");
  const Elf32_Half own = __ehdr_start.e_machine;
  if (kernels == EM_NONE || kernels == own) return "";
  return "/proc/thread-self/exe = a program for ELF machine " + std::to_string(kernels) +
         ", this one is for " + std::to_string(own);
}

}  // namespace lathe::device
