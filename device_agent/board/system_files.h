#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lathe::device {

/// Returns the file's text without trailing newline and NUL characters, at most 1 MiB; empty
/// optional if it cannot be read.
std::optional<std::string> read_text(const std::filesystem::path& path);

/// Returns the whole number in a file in base 10, or 16 with a leading 0x.
std::optional<int64_t> read_number(const std::filesystem::path& path);

/// Reads "name : value" lines; a name that repeats keeps all its values in order.
std::map<std::string, std::vector<std::string>> read_fields(const std::filesystem::path& path);

/// Returns where the Raspberry Pi's firmware tells of throttling; empty if this is not such a board
/// or its kernel does not pass it on.
std::filesystem::path throttle_file(const std::filesystem::path& root);

/// Reads a list of cores such as "0-3,5". Malformed parts are left out.
std::vector<int> parse_core_list(const std::string& text);

}  // namespace lathe::device
