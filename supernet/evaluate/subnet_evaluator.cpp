#include "supernet/evaluate/subnet_evaluator.h"

#include <algorithm>
#include <numeric>

#include "supernet/evaluate/shares.h"
#include "supernet/executor/compute.h"

namespace lathe::supernet {

namespace {

/// About 30 MB: the statistics of some hundreds of networks.
constexpr size_t kMostMoments = 20'000;

}  // namespace

int64_t SubnetEvaluator::batches_per_forest() const {
  const int64_t calibration = std::min(options_.calibration_images, calibration_.size());
  return BatchRanges(calibration, options_.batch).count + validation_ranges().count;
}

std::map<size_t, ChannelMoments> SubnetEvaluator::moments_of(const Plan& plan,
                                                             ParameterSource& parameters, bool keep,
                                                             const BatchDone& done) {
  std::map<size_t, ChannelMoments> moments;
  bool complete = true;
  for (size_t s = 0; keep && complete && s < plan.steps.size(); ++s) {
    if (!std::holds_alternative<network::BatchNorm>(plan.steps[s].op)) continue;
    const auto kept = moments_.find(plan.steps[s].digest);
    complete = kept != moments_.end();
    if (complete) moments.emplace(s, kept->second);
  }
  if (keep && complete) {
    // What is at hand counts as done, so that a pass has as many batches as it announced.
    const int64_t images = std::min(options_.calibration_images, calibration_.size());
    for (int64_t b = 0; b < BatchRanges(images, options_.batch).count; ++b) done();
    return moments;
  }
  moments = recalibrate(plan, parameters, calibration_, options_.calibration_images, options_.batch,
                        options_.memory_bytes, done);
  if (!keep) return moments;
  if (moments_.size() + moments.size() > kMostMoments) moments_.clear();
  for (const auto& [s, of_step] : moments) moments_.emplace(plan.steps[s].digest, of_step);
  return moments;
}

void SubnetEvaluator::evaluate_forest(const std::vector<const network::Network*>& networks,
                                      size_t begin, size_t end, const Pass& pass,
                                      std::vector<search::AccuracyEstimate>& estimates,
                                      const BatchDone& done) {
  const std::vector<const network::Network*> part(
      networks.begin() + static_cast<std::ptrdiff_t>(begin),
      networks.begin() + static_cast<std::ptrdiff_t>(end));
  const Plan plan = make_forest(part);
  const int64_t largest_batch = 2 * options_.batch - 1;  // see BatchRanges
  if (part.size() > 1 && plan.peak_bytes(largest_batch) > options_.memory_bytes) {
    const size_t middle = begin + part.size() / 2;
    evaluate_forest(networks, begin, middle, pass, estimates, done);
    evaluate_forest(networks, middle, end, pass, estimates, done);
    return;
  }
  FrozenSlices parameters(weights_);
  RecalibratedBatchNorm policy(moments_of(plan, parameters, pass.in_parts, done));
  const BatchRanges ranges = validation_ranges();
  const std::vector<int64_t> correct = count_correct(plan, parameters, policy, validation_, ranges,
                                                     pass.batches, options_.memory_bytes, done);
  const int64_t images = ranges.begin(pass.batches.end) - ranges.begin(pass.batches.begin);
  for (size_t n = 0; n < part.size(); ++n) {
    estimates[begin + n] = search::accuracy_estimate(correct[n], images);
  }
}

std::vector<search::AccuracyEstimate> SubnetEvaluator::evaluate_batches(
    const std::vector<const network::Network*>& networks, const Pass& pass, const BatchDone& done) {
  const ComputeScope compute(threads_);
  std::vector<search::AccuracyEstimate> estimates(networks.size());
  if (!networks.empty()) evaluate_forest(networks, 0, networks.size(), pass, estimates, done);
  return estimates;
}

std::vector<search::AccuracyEstimate> SubnetEvaluator::evaluate_shared(
    const std::vector<const network::Network*>& networks, const Pass& pass, const BatchDone& done) {
  const std::vector<size_t> ends = share_ends(networks, group_->size());
  const auto rank = static_cast<size_t>(group_->rank());
  const auto begin = networks.begin() + static_cast<std::ptrdiff_t>(rank == 0 ? 0 : ends[rank - 1]);
  const auto end = networks.begin() + static_cast<std::ptrdiff_t>(ends[rank]);
  return join_shares(group_->gather(to_bytes(evaluate_batches({begin, end}, pass, done)),
                                    "the accuracies of a population"));
}

void SubnetEvaluator::help(const search::SearchSpace& space, const std::string& text) {
  const WorkCall call = parse_work_call(text);
  std::vector<network::Network> lowered;
  lowered.reserve(call.architectures.size());
  for (const auto& architecture : call.architectures) lowered.push_back(space.lower(architecture));
  std::vector<const network::Network*> networks;
  for (const network::Network& network : lowered) networks.push_back(&network);
  evaluate_shared(networks, {call.batches, call.in_parts}, [] {});
}

std::vector<search::AccuracyEstimate> SubnetEvaluator::evaluate_together(
    const std::vector<const network::Network*>& networks) {
  const Pass pass = {{0, validation_ranges().count}};
  return is_shared() ? evaluate_shared(networks, pass, [] {})
                     : evaluate_batches(networks, pass, [] {});
}

std::vector<search::AccuracyEstimate> SubnetEvaluator::evaluate_networks(
    const std::vector<const network::Network*>& networks, const BatchDone& done) {
  return evaluate_batches(networks, {{0, validation_ranges().count}}, done);
}

std::vector<int64_t> SubnetEvaluator::part_ends() const {
  const BatchRanges ranges = validation_ranges();
  std::vector<int64_t> ends;
  for (int64_t b = 1; b <= ranges.count; ++b) ends.push_back(ranges.begin(b));
  return ends;
}

std::vector<Result<search::AccuracyEstimate>> SubnetEvaluator::evaluate_part(
    const std::vector<search::Candidate>& candidates, const search::ImageRange& part,
    Progress& progress) {
  const BatchRanges ranges = validation_ranges();
  const auto batch_at = [&](int64_t image) {
    for (int64_t b = 0; b <= ranges.count; ++b) {
      if (ranges.begin(b) == image) return b;
    }
    throw InvariantError("SubnetEvaluator::evaluate_part: image = " + std::to_string(image) +
                         ", expected the beginning of a batch");
  };
  Estimates known;
  return evaluate_new(candidates, {{batch_at(part.begin), batch_at(part.end)}, true}, known,
                      progress);
}

std::vector<Result<search::AccuracyEstimate>> SubnetEvaluator::evaluate(
    const std::vector<search::Candidate>& candidates, Progress& progress) {
  return evaluate_new(candidates, {{0, validation_ranges().count}}, known_, progress);
}

std::vector<Result<search::AccuracyEstimate>> SubnetEvaluator::evaluate_new(
    const std::vector<search::Candidate>& candidates, const Pass& pass, Estimates& known,
    Progress& progress) {
  // Networks not seen before, each once, neighbours sharing prefixes so that halving a forest keeps
  // them together.
  std::map<std::vector<network::Digest>, const search::Candidate*> fresh;
  std::vector<network::Digest> results(candidates.size());
  for (size_t c = 0; c < candidates.size(); ++c) {
    if (!candidates[c].network) continue;
    const network::Network& network = *candidates[c].network;
    auto digests = network::node_digests(network, network::DigestKind::Computation);
    results[c] = digests[static_cast<size_t>(network.output())];
    if (known.count(results[c]) == 0) fresh.emplace(std::move(digests), &candidates[c]);
  }
  std::vector<const network::Network*> networks;
  WorkCall call{pass.batches, pass.in_parts, {}};
  for (const auto& [digests, candidate] : fresh) {
    networks.push_back(candidate->network.get());
    call.architectures.push_back(candidate->architecture);
  }
  if (!networks.empty()) {
    int64_t done = 0;
    const int64_t fewer = validation_ranges().count - (pass.batches.end - pass.batches.begin);
    progress.begin("accuracy of " + std::to_string(networks.size()) + " networks",
                   batches_per_forest() - fewer, "batch");
    const auto count = [&] { progress.update(++done, ""); };
    if (is_shared()) call_(to_string(call));
    const auto estimates = is_shared() ? evaluate_shared(networks, pass, count)
                                       : evaluate_batches(networks, pass, count);
    progress.end();
    size_t n = 0;
    for (const auto& [digests, candidate] : fresh) {
      known[digests[static_cast<size_t>(candidate->network->output())]] = estimates[n++];
    }
  }
  std::vector<Result<search::AccuracyEstimate>> values;
  values.reserve(candidates.size());
  for (size_t c = 0; c < candidates.size(); ++c) {
    if (candidates[c].network) {
      values.emplace_back(known.at(results[c]));
    } else {
      values.emplace_back(
          Failure{FailureKind::Unsupported, "candidate " + std::to_string(candidates[c].index) +
                                                ": it has no network, expected one to run"});
    }
  }
  return values;
}

}  // namespace lathe::supernet
