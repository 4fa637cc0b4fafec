#pragma once

#include <string>

#include "cli/report/run_summary.h"

namespace lathe::report {

/// Returns what report.html's script reads, as JSON that is safe inside a script element (no '<',
/// '>' or
/// '&'): {"summary": as summary.json without candidates, "seed": text, "devices": [name],
/// "candidates": one list a column, rounded to 7 digits}. Internal.
/// \throws InvariantError naming the field if a number is not finite.
std::string page_data(const RunSummary& summary);

}  // namespace lathe::report
