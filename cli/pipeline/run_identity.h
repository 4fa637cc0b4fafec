#pragma once

#include <filesystem>
#include <string>

namespace lathe {
class ConfigDocument;
}  // namespace lathe

namespace lathe::cli {

struct RunConfig;

/// Returns what may not change once the run has started, a line a setting. The export may change
/// and boards may come and go in a run; the data, the space and the training may not. (What is
/// searched for is guarded by the search's own journal.)
std::string run_identity(const RunConfig& config, const ConfigDocument& document);

/// Tells files of one name apart: "sha256 " and 16 digits, or "missing".
std::string content_digest(const std::filesystem::path& file);

}  // namespace lathe::cli
