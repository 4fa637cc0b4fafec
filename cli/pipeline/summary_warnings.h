#pragma once

#include <string>
#include <vector>

#include "cli/report/run_summary.h"

namespace lathe::cli {

/// What a reader of the finished run should know before trusting it, a sentence each: where int8
/// does not pay, networks that break a constraint, boards whose confirmed latencies are not clean.
std::vector<std::string> summary_warnings(const report::RunSummary& summary);

}  // namespace lathe::cli
