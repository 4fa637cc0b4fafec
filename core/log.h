#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace lathe::log {

enum class Level { Debug, Info, Warning, Error };

/// Structured fields of a line, as name and JSON-ready text.
using Fields = std::vector<std::pair<std::string, std::string>>;

/// Sends lines at or above `level` to standard error (one line each, coloured on a terminal).
/// Until this is called nothing is written: libraries do not print. Thread-safe.
void to_stderr(Level level);
/// Also appends every line as a JSON object {"time","level","message",...} to `path`.
/// \throws DataError if it cannot be opened.
void to_json_lines(const std::filesystem::path& path);

void debug(const std::string& message, const Fields& fields = {});
void info(const std::string& message, const Fields& fields = {});
void warning(const std::string& message, const Fields& fields = {});
void error(const std::string& message, const Fields& fields = {});

}  // namespace lathe::log
