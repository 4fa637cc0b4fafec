#pragma once

#include <string>

#include "cli/report/run_summary.h"

namespace lathe::report {

/// Returns the model card of `network`, which is of `summary.front`, as Markdown: intended use,
/// data, accuracy with standard error, latency with interval and conditions, preprocessing,
/// classes, files, parity, limits.
std::string model_card(const RunSummary& summary, const FrontNetwork& network);

}  // namespace lathe::report
