#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "network/digest.h"
#include "search/evaluation/evaluators.h"
#include "search/space/search_space.h"
#include "supernet/distributed/communicator.h"
#include "supernet/evaluate/recalibration.h"
#include "supernet/supernet.h"

namespace lathe::supernet {

/// Accuracy of subnets with inherited weights on the search-validation split. A population runs as
/// a forest: what candidates have in common is computed once a batch. Each candidate's batch norm
/// statistics are recalibrated, at its own resolution; its value is bit by bit that of evaluating
/// it alone. Accuracies are remembered until forget().
///
/// With a group of processes each evaluates a share of the networks: evaluate() and
/// evaluate_part() of rank 0 call on the others, who answer with help(). Values do not depend on
/// the number of processes. Not thread-safe.
class SubnetEvaluator : public search::AccuracyEvaluator {
 public:
  /// Asks the other processes of a group to call help() with this text.
  using CallForHelp = std::function<void(const std::string&)>;

  /// The references must outlive the evaluator. Neither split is the test split.
  SubnetEvaluator(const SharedWeights& weights, const Batches& calibration,
                  const Batches& validation, const EvaluationOptions& options, int threads)
      : weights_(weights),
        calibration_(calibration),
        validation_(validation),
        options_(options),
        threads_(threads) {}

  /// From now on the work is divided. `group` must outlive the evaluator; `call` is used by rank 0.
  void share(Communicator& group, CallForHelp call) {
    group_ = &group;
    call_ = std::move(call);
  }
  /// Evaluates this process's share of what rank 0 has called for.
  void help(const search::SearchSpace& space, const std::string& call);

  std::vector<Result<search::AccuracyEstimate>> evaluate(
      const std::vector<search::Candidate>& candidates, Progress& progress) override;

  /// The ends of the validation batches.
  std::vector<int64_t> part_ends() const override;
  /// Keeps the batch norm statistics of what it evaluates, so that they are computed once for all
  /// parts of a candidate.
  std::vector<Result<search::AccuracyEstimate>> evaluate_part(
      const std::vector<search::Candidate>& candidates, const search::ImageRange& part,
      Progress& progress) override;

  /// The same for networks, without looking at or adding to what is remembered, by this process
  /// alone.
  std::vector<search::AccuracyEstimate> evaluate_networks(
      const std::vector<const network::Network*>& networks, const BatchDone& done);
  /// The same, but every process of the group calls it with the same networks.
  std::vector<search::AccuracyEstimate> evaluate_together(
      const std::vector<const network::Network*>& networks);

  /// Drops what is remembered: the weights have changed.
  void forget() {
    known_.clear();
    moments_.clear();
  }

  /// How many batches evaluate_networks() reports for one forest.
  int64_t batches_per_forest() const;

 private:
  using Estimates =
      std::unordered_map<network::Digest, search::AccuracyEstimate, network::DigestHash>;
  /// What a pass is for: which batches, and whether further ones of the same networks will follow.
  struct Pass {
    BatchSpan batches;
    bool in_parts = false;
  };

  void evaluate_forest(const std::vector<const network::Network*>& networks, size_t begin,
                       size_t end, const Pass& pass,
                       std::vector<search::AccuracyEstimate>& estimates, const BatchDone& done);
  std::vector<search::AccuracyEstimate> evaluate_batches(
      const std::vector<const network::Network*>& networks, const Pass& pass,
      const BatchDone& done);
  /// Evaluates this process's share and gathers those of all.
  std::vector<search::AccuracyEstimate> evaluate_shared(
      const std::vector<const network::Network*>& networks, const Pass& pass,
      const BatchDone& done);
  bool is_shared() const { return group_ != nullptr && !group_->alone(); }
  std::vector<Result<search::AccuracyEstimate>> evaluate_new(
      const std::vector<search::Candidate>& candidates, const Pass& pass, Estimates& known,
      Progress& progress);
  std::map<size_t, ChannelMoments> moments_of(const Plan& plan, ParameterSource& parameters,
                                              bool keep, const BatchDone& done);
  BatchRanges validation_ranges() const { return {validation_.size(), options_.batch}; }

  const SharedWeights& weights_;
  const Batches& calibration_;
  const Batches& validation_;
  EvaluationOptions options_;
  int threads_;
  Communicator* group_ = nullptr;
  CallForHelp call_;
  Estimates known_;
  /// Of batch norm steps, by digest: of candidates that are evaluated in parts.
  std::unordered_map<network::Digest, ChannelMoments, network::DigestHash> moments_;
};

}  // namespace lathe::supernet
