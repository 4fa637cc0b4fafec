#pragma once

#include <string>

#include "cli/report/run_summary.h"

namespace lathe::report {

/// Returns the final front as an aligned text table for a terminal, at most 100 columns wide: one
/// block of rows a device, confirmed latency where there is one, else the searched one marked with
/// '~'. Control characters in names are shown as '?'. Ends with a newline.
std::string front_table(const RunSummary& summary);

}  // namespace lathe::report
