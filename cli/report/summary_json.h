#pragma once

#include <filesystem>
#include <string>

#include "cli/report/run_summary.h"

namespace lathe::report {

/// Version of summary.json's names and units (docs/summary.md). A change that a reader could
/// misunderstand raises it.
inline constexpr int kSummaryFormatVersion = 1;

/// Returns the summary as indented JSON, every field present; read back exactly by
/// summary_from_json. Bytes that are not UTF-8 become U+FFFD. \throws InvariantError naming the
/// field if a number is not finite.
std::string summary_to_json(const RunSummary& summary);

/// Reads what summary_to_json wrote; `name` stands for the path in messages. Unknown fields are
/// ignored. \throws DataError naming the field: `runs/a/summary.json: /front/0/macs = "x", expected
/// an integer`.
RunSummary summary_from_json(const std::string& text, const std::string& name);

/// Writes `path` atomically. \throws InvariantError as above, DataError if it cannot be written.
void write_summary(const std::filesystem::path& path, const RunSummary& summary);

/// \throws DataError as above, or if the file cannot be read.
RunSummary read_summary(const std::filesystem::path& path);

}  // namespace lathe::report
