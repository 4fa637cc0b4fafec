#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace lathe::device {

/// Returns the power in W that the answer to the firmware's command `pmic_read_adc` shows: the sum
/// over all rails of current times voltage. Nothing if it shows no rail with both.
std::optional<double> power_of_rails_w(const std::string& answer);

/// Returns the answer of a Raspberry Pi's firmware to a command of vcgencmd, through the property
/// interface of its mailbox, `device` = /dev/vcio, which needs the right to read only; nothing if
/// it cannot be asked. A regular file is a recorded answer.
std::optional<std::string> ask_firmware(const std::filesystem::path& device,
                                        const std::string& command);

}  // namespace lathe::device
