#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/report/ranking.h"
#include "cli/report/run_summary.h"

namespace lathe::support {

struct SampleOptions {
  int64_t candidates = 400;
  std::vector<std::string> devices = {"local"};
  int64_t front = 9;           ///< networks at most
  bool confirmed = true;       ///< fresh latencies and test accuracy are there
  double feasible_ms = 1.2;    ///< bound on the first device's latency; 0: no candidate is feasible
  double failure_rate = 0.02;  ///< of candidates
  bool scaling = false;        ///< compound_scaling's family, with every kind of row
  bool racing = false;   ///< about a third of the candidates were stopped early, none of the front
  bool learned = false;  ///< models of accuracy and every latency; the last one is switched off
  bool compressed = false;  ///< the first network of the front in int8, too, and the latter's steps
  uint64_t seed = 7;
};

/// Returns a run that looks like a real one: accuracy saturates with cost, latency is noisy,
/// devices disagree. Deterministic.
report::RunSummary sample_summary(const SampleOptions& options = {});

/// Returns a study of four subnets with round numbers; the two largest change their order.
report::Ranking sample_ranking();

}  // namespace lathe::support
