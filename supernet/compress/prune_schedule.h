#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "supernet/compress/prune_options.h"
#include "supernet/compress/prune_rounds.h"
#include "supernet/supernet.h"

namespace lathe::supernet {

enum class PruneEnd {
  Target,     ///< the target is reached
  Floor,      ///< one more round would lose too much accuracy; it was taken back
  Rounds,     ///< all rounds are done (without a target)
  Exhausted,  ///< every layer is at its least width
  Stopped,    ///< the caller stopped it; calling again continues
};
const char* to_string(PruneEnd end);
PruneEnd prune_end_from_string(const std::string& name);

struct PruneOutcome {
  ExtractedModel pruned;           ///< of the last round that is kept
  std::vector<PruneRound> rounds;  ///< round 0 is the network before; all are kept
  PruneEnd end = PruneEnd::Target;
};

/// Prunes a trained network in rounds: score the channels, remove the least important ones until
/// the metric is where the round should bring it, fine-tune, recalibrate, measure on the validation
/// split. The rounds' goals lie at equal ratios between the network's value and the target; without
/// a target every round removes a tenth of the MACs. The number of channels is found by bisection
/// over the removal order: counted metrics cost nothing, a latency one measurement a step, of which
/// the interval's upper end counts. Deterministic, and a run that continues after a kill gives what
/// an uninterrupted one gives, measurements aside. Not thread-safe.
class PruneSchedule {
 public:
  /// `latency` measures the target's device; null where the target is none. `supernet` and
  /// `latency` must outlive the schedule. \throws ConfigError if the options ask for nothing or for
  /// another device.
  PruneSchedule(Supernet& supernet, PruneOptions options, search::LatencyEvaluator* latency,
                uint64_t seed);

  /// Prunes `model`; fine-tuning distils from `teacher` where one is given. Finished rounds are
  /// kept in `folder`. `stop` is asked before every round. \throws DataError if the folder holds
  /// rounds of another model, teacher or options; ConfigError if the criterion judges no layer
  /// (batch norm scales where there are none); DeviceError if a network cannot be measured.
  PruneOutcome run(const network::Model& model, const network::Model* teacher,
                   const std::filesystem::path& folder, Progress& progress,
                   const std::function<bool()>& stop);

 private:
  /// A network with fewer channels and what the target's metric says of it.
  struct Cut {
    network::Model model;
    search::MetricValue value;
    bool reaches_goal = false;
  };

  std::string identity(const network::Model& model, const network::Model* teacher) const;
  search::MetricValue measure(const network::Network& network);
  double goal_of(int64_t round, double before) const;
  std::optional<Cut> cut(const network::Model& model, double goal, int64_t round);
  ExtractedModel tuned(const network::Model& model, const network::Model* teacher, int64_t round,
                       Progress& progress);
  void start(const network::Model& model, const network::Model* teacher, PruneRounds& rounds,
             Progress& progress);
  /// Does the next round. Returns why the pruning ends with it, or nothing.
  std::optional<PruneEnd> go_on(PruneRounds& rounds, const network::Model* teacher,
                                Progress& progress);

  Supernet& supernet_;
  PruneOptions options_;
  PruneTarget target_;
  search::LatencyEvaluator* latency_;
  uint64_t seed_;
};

}  // namespace lathe::supernet
