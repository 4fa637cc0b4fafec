#include "search/evaluation/candidate.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/log.h"
#include "core/rng.h"
#include "network/cost.h"
#include "network/passes.h"
#include "search/space/cell_space.h"

namespace lathe::search {
namespace {

MetricValue exact(int64_t count) {
  const auto value = static_cast<double>(count);
  return {value, value, value};
}

/// Stands for the network of a table's architecture, which has none.
network::Digest genotype_digest(const Architecture& canonical) {
  const std::string text = canonical.to_string();
  network::Digest digest;
  digest.words = {stable_hash("genotype " + text), stable_hash("again " + text)};
  return digest;
}

/// Cells: a part is an operation, wherever it stands in the cell. The counts themselves are the
/// numbers for models.
void add_parts(const CellSpace& cells, CountedCandidate& result) {
  const std::vector<int64_t> work = cells.work(result.candidate.architecture);
  for (size_t i = 0; i < work.size(); ++i) {
    const int64_t macs = i + 1 < work.size() ? cells.operation_macs(i) : 0;
    if (work[i] > 0) result.parts.push_back({i, work[i], macs});
    result.features.push_back(static_cast<double>(work[i]));
  }
}

void add_parts(const network::Network& deployed, CountedCandidate& result) {
  std::map<uint64_t, CostPart> parts;
  for (const network::Block& block : network::structural_blocks(deployed)) {
    const uint64_t key = block.structure.words[0];
    ++parts.emplace(key, CostPart{key, 0, block.macs}).first->second.count;
  }
  for (const auto& [key, part] : parts) result.parts.push_back(part);
  double written = 0.0;  // values: what memory traffic follows
  for (const network::Node& node : deployed.nodes()) {
    written += static_cast<double>(network::element_count(node.shape));
  }
  result.features = {std::log1p(written), std::log1p(static_cast<double>(deployed.nodes().size()))};
}

std::string infeasible_line(const SearchSpace& space, const Constraint& constraint,
                            const char* extreme, double value) {
  return to_string(constraint) + ": the " + extreme + " network of " + space.name() + " has " +
         format_metric(constraint.metric, value) + "; " +
         (constraint.at_most ? "raise the bound or give the space smaller choices"
                             : "lower the bound or give the space larger choices");
}

}  // namespace

AccuracyEstimate accuracy_estimate(int64_t correct, int64_t images) {
  AccuracyEstimate estimate;
  const auto count = static_cast<double>(images);
  estimate.images = images;
  estimate.top1 = static_cast<double>(correct) / count;
  estimate.standard_error = std::sqrt(estimate.top1 * (1.0 - estimate.top1) / count);
  return estimate;
}

std::vector<Result<AccuracyEstimate>> AccuracyEvaluator::evaluate_part(
    const std::vector<Candidate>& /*candidates*/, const ImageRange& part, Progress& /*progress*/) {
  throw InvariantError("AccuracyEvaluator::evaluate_part: images = [" + std::to_string(part.begin) +
                       ", " + std::to_string(part.end) + "), expected the whole split only");
}

namespace {

Metrics counted_metrics(const network::Cost& cost) {
  return {{{MetricKind::Macs, ""}, exact(cost.macs)},
          {{MetricKind::Params, ""}, exact(cost.params)},
          {{MetricKind::PeakMemory, ""}, exact(cost.peak_activation_bytes)},
          {{MetricKind::ModelSize, ""}, exact(cost.model_bytes)}};
}

}  // namespace

Metrics counted_metrics(const network::Network& network) {
  return counted_metrics(network::cost(network));
}

bool has_networks(const SearchSpace& space) {
  return dynamic_cast<const CellSpace*>(&space) == nullptr;
}

CountedCandidate make_candidate(const SearchSpace& space, const Architecture& architecture,
                                int64_t index) {
  CountedCandidate result;
  Candidate& candidate = result.candidate;
  candidate.index = index;
  candidate.architecture = space.canonical(architecture);
  if (const auto* cells = dynamic_cast<const CellSpace*>(&space)) {
    candidate.computation = candidate.structure = genotype_digest(candidate.architecture);
    result.counted = {{{MetricKind::Macs, ""}, exact(cells->macs(candidate.architecture))},
                      {{MetricKind::Params, ""}, exact(cells->params(candidate.architecture))}};
    add_parts(*cells, result);
    return result;
  }
  auto lowered = std::make_shared<network::Network>(space.lower(candidate.architecture));
  candidate.computation = network::digest(*lowered, network::DigestKind::Computation);
  const network::Network deployed = network::deploy(*lowered);
  candidate.structure = network::digest(deployed, network::DigestKind::Structure);
  add_parts(deployed, result);
  result.counted = counted_metrics(network::cost(*lowered, deployed));
  candidate.network = std::move(lowered);
  return result;
}

MetricValue latency_value(const latency::LatencyEstimate& estimate) {
  return {estimate.median_ms, std::min(estimate.interval_ms.low, estimate.median_ms),
          std::max(estimate.interval_ms.high, estimate.median_ms)};
}

MetricValue energy_value(const latency::EnergyEstimate& estimate) {
  return {estimate.mean_mj, std::min(estimate.interval_mj.low, estimate.mean_mj),
          std::max(estimate.interval_mj.high, estimate.mean_mj)};
}

void set_measured(Metrics& metrics, const std::string& device,
                  const latency::LatencyEstimate& estimate) {
  metrics[{MetricKind::Latency, device}] = latency_value(estimate);
  if (estimate.energy) metrics[{MetricKind::Energy, device}] = energy_value(*estimate.energy);
}

MetricValue accuracy_value(const AccuracyEstimate& estimate) {
  constexpr double kNormal95 = 1.959963984540054;
  const double half = kNormal95 * estimate.standard_error;
  return {estimate.top1, std::max(0.0, estimate.top1 - half), std::min(1.0, estimate.top1 + half)};
}

/// The smallest network is so by its MACs, and a measured one says something of the others alone.
constexpr double kMeasuredSlack = 1.5;

/// Whether a counted bound is met by a network near `extreme` or by one of many random ones:
/// smallest and largest are so by their MACs, and other metrics have other extremes.
bool is_met_by_some(const SearchSpace& space, const Constraint& constraint,
                    const Architecture& extreme) {
  constexpr int kSamples = 200;
  const auto met_by = [&](const Architecture& architecture) {
    const Metrics counted = make_candidate(space, space.canonical(architecture), 0).counted;
    return constraint.satisfied(counted.at(constraint.metric).value);
  };
  for (size_t gene = 0; gene < extreme.genes.size(); ++gene) {
    for (size_t option = 0; option < space.genes()[gene].options.size(); ++option) {
      Architecture near = extreme;
      near.genes[gene] = static_cast<uint16_t>(option);
      if (met_by(near)) return true;
    }
  }
  Rng rng(1);
  for (int i = 0; i < kSamples; ++i) {
    if (met_by(space.sample(rng))) return true;
  }
  return false;
}

void check_feasible(const SearchSpace& space, const std::vector<Constraint>& constraints,
                    const Metrics& measured_smallest) {
  Metrics smallest = make_candidate(space, space.smallest(), 0).counted;
  smallest.insert(measured_smallest.begin(), measured_smallest.end());
  const Metrics largest = make_candidate(space, space.largest(), 0).counted;
  std::string lines;
  for (const Constraint& constraint : constraints) {
    const Metrics& extreme = constraint.at_most ? smallest : largest;
    const auto known = extreme.find(constraint.metric);
    if (known == extreme.end()) continue;
    // The optimistic end: refuse only what cannot be met.
    const double best = constraint.at_most ? known->second.low : known->second.high;
    if (constraint.satisfied(best)) continue;
    if (is_counted(constraint.metric.kind)) {
      const Architecture at = constraint.at_most ? space.smallest() : space.largest();
      if (is_met_by_some(space, constraint, at)) continue;
    } else if (constraint.satisfied(constraint.at_most ? best / kMeasuredSlack
                                                       : best * kMeasuredSlack)) {
      log::warning("the " + std::string(constraint.at_most ? "smallest" : "largest") +
                       " network does not meet a bound; others may",
                   {{"bound", to_string(constraint)}});
      continue;
    }
    if (!lines.empty()) lines += "\n";
    lines += infeasible_line(space, constraint, constraint.at_most ? "smallest" : "largest",
                             known->second.value);
  }
  if (!lines.empty()) throw ConfigError(lines);
}

}  // namespace lathe::search
