#include "device_agent/board/processor.h"

#include <cstdlib>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "device_agent/board/system_files.h"

namespace lathe::device {

namespace {

using Fields = std::map<std::string, std::vector<std::string>>;

std::string first(const Fields& fields, const std::string& name) {
  const auto found = fields.find(name);
  return found == fields.end() ? "" : found->second.front();
}

std::set<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  std::set<std::string> result;
  for (std::string word; stream >> word;) result.insert(word);
  return result;
}

const char* arm_core_name(long part) {
  static const std::map<long, const char*> names{
      {0xc05, "Cortex-A5"},   {0xc07, "Cortex-A7"},   {0xc08, "Cortex-A8"},
      {0xc09, "Cortex-A9"},   {0xc0f, "Cortex-A15"},  {0xd03, "Cortex-A53"},
      {0xd04, "Cortex-A35"},  {0xd05, "Cortex-A55"},  {0xd07, "Cortex-A57"},
      {0xd08, "Cortex-A72"},  {0xd09, "Cortex-A73"},  {0xd0a, "Cortex-A75"},
      {0xd0b, "Cortex-A76"},  {0xd0c, "Neoverse-N1"}, {0xd0d, "Cortex-A77"},
      {0xd40, "Neoverse-V1"}, {0xd41, "Cortex-A78"},  {0xd44, "Cortex-X1"},
      {0xd46, "Cortex-A510"}, {0xd47, "Cortex-A710"}, {0xd49, "Neoverse-N2"},
      {0xd4f, "Neoverse-V2"}};
  const auto found = names.find(part);
  return found == names.end() ? "" : found->second;
}

std::string x86_isa(const std::set<std::string>& flags) {
  const std::vector<std::pair<const char*, const char*>> levels{{"avx512_vnni", "avx512_vnni"},
                                                                {"avx512f", "avx512"},
                                                                {"avx_vnni", "avx_vnni"},
                                                                {"avx2", "avx2"},
                                                                {"avx", "avx"},
                                                                {"sse4_1", "sse4.1"}};
  for (const auto& [flag, name] : levels) {
    if (flags.count(flag) > 0) return std::string("x86_64 ") + name;
  }
  return "x86_64";
}

std::string arm_isa(const std::set<std::string>& features, long architecture) {
  if (architecture < 8) return features.count("neon") > 0 ? "armv7 neon" : "armv7";
  const bool dot = features.count("asimddp") > 0;
  const bool half = features.count("asimdhp") > 0;
  std::string isa = dot || half ? "armv8.2" : "armv8";
  if (dot) isa += " dotprod";
  if (half) isa += " fp16";
  if (features.count("i8mm") > 0) isa += " i8mm";
  if (features.count("sve") > 0) isa += " sve";
  return isa;
}

}  // namespace

std::string Processor::core_name(int core) const {
  const auto found = core_names.find(core);
  return found == core_names.end() ? "" : found->second;
}

Processor read_processor(const std::filesystem::path& root) {
  const Fields fields = read_fields(root / "proc/cpuinfo");
  Processor processor;
  const auto numbers = fields.find("processor");
  processor.cores = numbers == fields.end() ? 0 : static_cast<int>(numbers->second.size());
  processor.name = first(fields, "model name");
  const std::set<std::string> flags = words(first(fields, "flags"));
  if (!flags.empty()) {
    processor.isa = x86_isa(flags);
    processor.hypervisor = flags.count("hypervisor") > 0;
    return processor;
  }
  const long architecture = std::strtol(first(fields, "CPU architecture").c_str(), nullptr, 10);
  if (architecture > 0) processor.isa = arm_isa(words(first(fields, "Features")), architecture);
  const auto parts = fields.find("CPU part");
  if (parts == fields.end()) return processor;
  for (size_t core = 0; core < parts->second.size(); ++core) {
    const std::string name = arm_core_name(std::strtol(parts->second[core].c_str(), nullptr, 16));
    processor.core_names[static_cast<int>(core)] = name;
    if (!name.empty() && (processor.name.empty() || processor.name.rfind("ARM", 0) == 0))
      processor.name = name;
  }
  return processor;
}

}  // namespace lathe::device
