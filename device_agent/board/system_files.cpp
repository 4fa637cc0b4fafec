#include "device_agent/board/system_files.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>

namespace lathe::device {

namespace {

constexpr size_t kLimit = size_t{1} << 20;
constexpr int kMaxCores = 4096;

std::string trimmed(const std::string& text) {
  const auto space = [](char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0';
  };
  size_t begin = 0;
  size_t end = text.size();
  while (begin < end && space(text[begin])) ++begin;
  while (end > begin && space(text[end - 1])) --end;
  return text.substr(begin, end - begin);
}

}  // namespace

std::optional<std::string> read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text;
  std::array<char, 4096> piece{};
  while (text.size() < kLimit && (file.read(piece.data(), piece.size()), file.gcount() > 0)) {
    text.append(piece.data(), static_cast<size_t>(file.gcount()));
  }
  if (file.bad()) return std::nullopt;
  return trimmed(text);
}

std::optional<int64_t> read_number(const std::filesystem::path& path) {
  const std::optional<std::string> text = read_text(path);
  if (!text || text->empty()) return std::nullopt;
  char* end = nullptr;
  const bool hex = text->rfind("0x", 0) == 0;
  const long long value = std::strtoll(text->c_str(), &end, hex ? 16 : 10);
  if (end == text->c_str() || *end != '\0') return std::nullopt;
  return value;
}

std::map<std::string, std::vector<std::string>> read_fields(const std::filesystem::path& path) {
  std::map<std::string, std::vector<std::string>> fields;
  std::istringstream lines(read_text(path).value_or(""));
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    if (colon != std::string::npos)
      fields[trimmed(line.substr(0, colon))].push_back(trimmed(line.substr(colon + 1)));
  }
  return fields;
}

// The firmware's node has another name from one generation of boards to the next; its driver's
// folder names it.
std::filesystem::path throttle_file(const std::filesystem::path& root) {
  std::error_code error;
  const auto usual = root / "sys/devices/platform/soc/soc:firmware/get_throttled";
  if (std::filesystem::exists(usual, error)) return usual;
  const auto driver = root / "sys/bus/platform/drivers/raspberrypi-firmware";
  for (const auto& device : std::filesystem::directory_iterator(driver, error)) {
    const auto file = device.path() / "get_throttled";
    if (std::filesystem::exists(file, error)) return file;
  }
  return {};
}

std::vector<int> parse_core_list(const std::string& text) {
  std::vector<int> cores;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    char* end = nullptr;
    const long first = std::strtol(part.c_str(), &end, 10);
    if (end == part.c_str()) continue;
    const long last = *end == '-' ? std::strtol(end + 1, nullptr, 10) : first;
    for (long core = std::max(0L, first); core <= std::min<long>(last, kMaxCores); ++core) {
      cores.push_back(static_cast<int>(core));
    }
  }
  return cores;
}

}  // namespace lathe::device
