#pragma once

#include <vector>

#include "cli/pipeline/baselines.h"
#include "cli/pipeline/exporter.h"
#include "cli/pipeline/run_config.h"
#include "cli/pipeline/run_folder.h"
#include "cli/report/run_summary.h"
#include "search/strategy/controller.h"

namespace lathe::cli {

/// What a run's summary is made from; references must outlive the call.
struct SummarySources {
  const RunConfig& config;
  const RunFolder& folder;
  const supernet::DataSummary& data;
  const std::vector<supernet::EpochRecord>& epochs;
  const std::vector<latency::AgentDescription>& agents;
  const search::SearchOutcome& outcome;
  const std::vector<ChosenNetwork>& chosen;
  const Exporter& exporter;
  const MeasuredBaselines& baselines;
};

/// Collects everything that report.html, the model cards and summary.json show.
report::RunSummary build_summary(const SummarySources& sources);

}  // namespace lathe::cli
