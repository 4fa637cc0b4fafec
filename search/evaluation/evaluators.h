#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "core/progress.h"
#include "core/result.h"
#include "latency/measurement/latency_estimate.h"
#include "network/digest.h"
#include "network/network.h"
#include "search/space/architecture.h"

namespace lathe::search {

/// Top-1 accuracy on a data split with its binomial standard error.
struct AccuracyEstimate {
  double top1 = 0.0;  ///< fraction 0..1
  double standard_error = 0.0;
  int64_t images = 0;
};
/// Returns the fraction of `correct` among `images` with its binomial standard error.
AccuracyEstimate accuracy_estimate(int64_t correct, int64_t images);

/// The images [begin, end) of a split.
struct ImageRange {
  int64_t begin = 0;
  int64_t end = 0;
  bool operator==(const ImageRange& o) const { return begin == o.begin && end == o.end; }
};

/// One architecture to be evaluated. `network` is null for spaces that are tables.
struct Candidate {
  int64_t index = 0;  ///< order of proposal; results are committed in this order
  Architecture architecture;
  std::shared_ptr<const network::Network> network;
  network::Digest computation;  ///< equal: same outputs
  network::Digest structure;    ///< equal: same latency
};

/// The first seam of the search: how accurate are these candidates on the search-validation split?
/// Implementations: the supernet, a table, fakes. Called from one thread at a time.
class AccuracyEvaluator {
 public:
  virtual ~AccuracyEvaluator() = default;
  /// Returns one result a candidate, in order. A candidate's value does not depend on the others.
  virtual std::vector<Result<AccuracyEstimate>> evaluate(const std::vector<Candidate>& candidates,
                                                         Progress& progress) = 0;

  /// The numbers of images after which an evaluation can be interrupted, increasing; the last one
  /// is the whole split. Empty: parts cannot be evaluated by themselves.
  virtual std::vector<int64_t> part_ends() const { return {}; }
  /// As evaluate(), on a part of the split: adjoining parts add up to the whole.
  /// \throws InvariantError if an end of `part` is neither 0 nor one of part_ends().
  virtual std::vector<Result<AccuracyEstimate>> evaluate_part(
      const std::vector<Candidate>& candidates, const ImageRange& part, Progress& progress);
};

/// The second seam: how fast is this candidate on one device class?
/// Implementations: the fleet, a table, fakes. Thread-safe.
class LatencyEvaluator {
 public:
  virtual ~LatencyEvaluator() = default;
  /// The device's name in the configuration ("pi4").
  virtual const std::string& device() const = 0;
  /// Starts a measurement and returns at once. The future always becomes ready: a lost board or
  /// deadline gives a Failure. `plan` overrides the device's default (the confirmation of a front
  /// is longer).
  virtual std::future<Result<latency::LatencyEstimate>> measure(
      const Candidate& candidate, const latency::MeasurementPlan& plan) = 0;
  /// The plan for candidates during search, as configured.
  virtual const latency::MeasurementPlan& default_plan() const = 0;
  /// True if the device shares this machine's cores, so that accuracy must not be computed
  /// meanwhile.
  virtual bool shares_host() const = 0;
  /// How many boards the class has: so many measurements can run at once.
  virtual int boards() const { return 1; }
};

}  // namespace lathe::search
