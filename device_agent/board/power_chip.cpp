#include "device_agent/board/power_chip.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sstream>

#include "core/file_descriptor.h"
#include "device_agent/board/system_files.h"

namespace lathe::device {

namespace {

constexpr uint32_t kTextBytes = 1024;
constexpr uint32_t kGetCommandResult = 0x00030080;
constexpr uint32_t kAnswered = 0x80000000;

/// One property with its tag, as the firmware reads and overwrites it.
struct CommandMessage {
  uint32_t bytes = sizeof(CommandMessage);
  uint32_t state = 0;  ///< a request
  uint32_t tag = kGetCommandResult;
  uint32_t value_bytes = kTextBytes;
  uint32_t value_state = 0;
  uint32_t error = 0;
  char text[kTextBytes] = {};
  uint32_t end = 0;
};

// Of the kernel's driver; the number is built from the size of a pointer.
constexpr unsigned long kMailboxProperty = _IOWR(100, 0, char*);

/// The number between "=" and the unit of "VDD_CORE_A current(7)=0.77318A".
std::optional<double> value_in(const std::string& line) {
  const size_t equals = line.find('=');
  if (equals == std::string::npos) return std::nullopt;
  const char* const begin = line.c_str() + equals + 1;
  char* end = nullptr;
  const double value = std::strtod(begin, &end);
  if (end == begin || !(value >= 0.0 && value < 1000.0)) return std::nullopt;
  return value;
}

}  // namespace

std::optional<double> power_of_rails_w(const std::string& answer) {
  std::map<std::string, double> currents, voltages;
  std::istringstream lines(answer);
  for (std::string line; std::getline(lines, line);) {
    std::string name;
    std::istringstream(line) >> name;
    const std::optional<double> value = value_in(line);
    if (!value || name.size() < 3 || name[name.size() - 2] != '_') continue;
    const std::string rail = name.substr(0, name.size() - 2);
    if (name.back() == 'A') currents[rail] = *value;
    if (name.back() == 'V') voltages[rail] = *value;
  }
  std::optional<double> power;
  for (const auto& [rail, current] : currents) {
    const auto voltage = voltages.find(rail);
    if (voltage != voltages.end()) power = power.value_or(0.0) + current * voltage->second;
  }
  return power;
}

std::optional<std::string> ask_firmware(const std::filesystem::path& device,
                                        const std::string& command) {
  struct stat status {};
  if (::stat(device.c_str(), &status) != 0) return std::nullopt;
  if (S_ISREG(status.st_mode)) return read_text(device);
  const FileDescriptor mailbox(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
  CommandMessage message;
  if (!mailbox.valid() || command.size() >= kTextBytes) return std::nullopt;
  std::memcpy(message.text, command.c_str(), command.size() + 1);
  if (::ioctl(mailbox.get(), kMailboxProperty, &message) < 0) return std::nullopt;
  if (message.state != kAnswered || message.error != 0) return std::nullopt;
  message.text[kTextBytes - 1] = '\0';
  return std::string(message.text);
}

}  // namespace lathe::device
