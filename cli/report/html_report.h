#pragma once

#include <string>

#include "cli/report/ranking.h"
#include "cli/report/run_summary.h"

namespace lathe::report {

/// Returns report.html: one self-contained page (no network access, no external file) that shows
/// the chosen networks, an interactive Pareto plot, training and search curves, the measurement's
/// conditions, how well the supernet ranks (with `ranking`, when it has a result), and how to
/// repeat the run. Every text of the summary is escaped: names and configs
/// cannot inject markup or script. \throws InvariantError naming the field if a number is not
/// finite.
std::string html_report(const RunSummary& summary, const Ranking* ranking = nullptr);

}  // namespace lathe::report
