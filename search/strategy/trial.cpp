#include "search/strategy/trial.h"

#include <algorithm>
#include <utility>

namespace lathe::search {

Trial::Trial(CountedCandidate counted, const TrialRules& rules)
    : counted_(std::move(counted)), rules_(&rules), stages_(&rules.at_once) {}

void Trial::race(Rivals rivals) {
  const std::vector<Constraint>& constraints = rules_->problem->constraints;
  const bool bounded = std::any_of(constraints.begin(), constraints.end(),
                                   [](const auto& c) { return !is_counted(c.metric.kind); });
  if (!bounded && rivals->empty()) return;
  rivals_ = std::move(rivals);
  stages_ = &rules_->race;
}

void Trial::add_parts(const AccuracyEstimate& sum, int64_t parts) {
  sum_ = sum;
  parts_ = parts;
  if (sum.images >= rules_->images) accuracy_ = sum;
}

void Trial::add_coarse(const std::string& device, latency::LatencyEstimate estimate) {
  coarse_.emplace(device, std::move(estimate));
}

void Trial::add_latency(const std::string& device, Result<latency::LatencyEstimate> result) {
  latencies_.emplace(device, std::move(result));
}

bool Trial::failed() const {
  return (accuracy_ && !accuracy_->ok()) ||
         std::any_of(latencies_.begin(), latencies_.end(),
                     [](const auto& entry) { return !entry.second.ok(); });
}

bool Trial::complete() const {
  return (!rules_->accuracy || accuracy_) && latencies_.size() == rules_->devices.size();
}

bool Trial::is_in(const RaceStage& stage, size_t position) const {
  const bool accuracy =
      stage.accuracy == RaceStage::Accuracy::None || accuracy_ ||
      (stage.accuracy == RaceStage::Accuracy::Part && parts_ > static_cast<int64_t>(position));
  if (!accuracy || stage.latency == RaceStage::Latency::None) return accuracy;
  return std::all_of(rules_->devices.begin(), rules_->devices.end(), [&](const auto* device) {
    if (latencies_.count(device->device()) != 0) return true;
    return stage.latency == RaceStage::Latency::Coarse && coarse_.count(device->device()) != 0;
  });
}

bool Trial::decided() const {
  Metrics bounds = counted_.counted;
  if (rules_->accuracy) {
    const double top1 = accuracy_ ? accuracy_->value().top1 : 0.0;
    bounds[{MetricKind::Accuracy, ""}] =
        accuracy_ ? MetricValue{top1, top1, top1} : final_accuracy(*sum_, rules_->images);
  }
  for (const LatencyEvaluator* device : rules_->devices) {
    const latency::LatencyEstimate& coarse = coarse_.at(device->device());
    bounds[{MetricKind::Latency, device->device()}] = final_latency(coarse, device->default_plan());
    if (coarse.energy) bounds[{MetricKind::Energy, device->device()}] = final_energy(coarse);
  }
  return is_decided(*rules_->problem, bounds, *rivals_);
}

void Trial::go_on(EvaluationQueue& queue) {
  while (!done_ && is_in((*stages_)[stage_], stage_)) {
    const bool last = stage_ + 1 == stages_->size();
    done_ = failed() || last || decided();
    if (done_) return;
    ++stage_;
    enqueued_ = false;
  }
  if (!enqueued_) enqueue(queue);
  enqueued_ = true;
}

void Trial::enqueue(EvaluationQueue& queue) {
  const RaceStage& stage = (*stages_)[stage_];
  if (stage.accuracy == RaceStage::Accuracy::Whole && !accuracy_) {
    queue.add_accuracy(counted_.candidate);
  }
  if (stage.accuracy == RaceStage::Accuracy::Part && parts_ == static_cast<int64_t>(stage_) &&
      !accuracy_) {
    queue.add_accuracy(counted_.candidate, stage.images);
  }
  if (stage.latency == RaceStage::Latency::None) return;
  const bool coarse = stage.latency == RaceStage::Latency::Coarse;
  for (const LatencyEvaluator* device : rules_->devices) {
    const std::string& name = device->device();
    if (latencies_.count(name) != 0 || (coarse && coarse_.count(name) != 0)) continue;
    if (coarse) {
      queue.add_measurement(counted_.candidate, name, coarse_plan(device->default_plan()));
    } else {
      queue.add_measurement(counted_.candidate, name);
    }
  }
}

Evaluated Trial::assemble() && {
  Evaluated evaluated;
  evaluated.candidate = std::move(counted_.candidate);
  evaluated.candidate.network.reset();
  evaluated.metrics = std::move(counted_.counted);
  evaluated.screened = !failed() && !complete();
  const auto fail = [&](const Failure& failure, const std::string& on) {
    if (evaluated.failure) return;
    evaluated.failure = failure;
    evaluated.failed_on = on;
  };
  if (accuracy_ && !*accuracy_) fail(accuracy_->failure(), "accuracy");
  evaluated.accuracy = accuracy_ && *accuracy_ ? accuracy_->value() : sum_;
  if (evaluated.accuracy) {
    evaluated.metrics[{MetricKind::Accuracy, ""}] = accuracy_value(*evaluated.accuracy);
  }
  const auto measured = [&](const std::string& device, latency::LatencyEstimate estimate) {
    evaluated.board_s[device] += estimate.reused ? 0.0 : estimate.wall_s;
    set_measured(evaluated.metrics, device, estimate);
    evaluated.latencies[device] = std::move(estimate);
  };
  for (auto& [device, estimate] : coarse_) measured(device, std::move(estimate));
  for (auto& [device, result] : latencies_) {
    if (result) {
      measured(device, std::move(result).value());
    } else {
      fail(result.failure(), "latency@" + device);
    }
  }
  return evaluated;
}

}  // namespace lathe::search
