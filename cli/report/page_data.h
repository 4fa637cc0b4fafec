#pragma once

#include <string>

#include "cli/report/ranking.h"
#include "cli/report/run_summary.h"

namespace lathe::report {

/// Returns what report.html's script reads, as JSON that is safe inside a script element (no '<',
/// '>' or
/// '&'): {"summary": as summary.json without candidates, "seed": text, "devices": [name],
/// "candidates": one list a column, rounded to 7 digits, "ranking": as ranking.json or
/// null, "ranking_advice": text}.
/// Internal. \throws InvariantError naming the field if a number is not finite.
std::string page_data(const RunSummary& summary, const Ranking* ranking);

}  // namespace lathe::report
