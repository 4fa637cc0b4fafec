#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/rng.h"
#include "network/cost.h"
#include "search/evaluation/evaluators.h"

namespace lathe::test {

/// A value in [0, 1) that depends on the architecture and `salt` only.
inline double hash_noise(const search::Architecture& architecture, const std::string& salt) {
  return static_cast<double>(stable_hash(salt + architecture.to_string()) >> 11) * 0x1p-53;
}

/// What runs on this machine right now: proves that accuracy and local measurements keep apart.
struct HostActivity {
  std::atomic<int> accuracy{0};
  std::atomic<int> measurements{0};
  std::atomic<int> overlaps{0};         ///< accuracy beside a measurement
  std::atomic<int> double_measured{0};  ///< two measurements at once
};

/// Accuracy that rises with the size of the network, with noise that depends on the architecture
/// alone. Counts every evaluation; may be told to fail or to run a hook before it answers.
class FakeAccuracy : public search::AccuracyEvaluator {
 public:
  explicit FakeAccuracy(HostActivity* activity = nullptr) : activity_(activity) {}

  std::vector<Result<search::AccuracyEstimate>> evaluate(
      const std::vector<search::Candidate>& candidates, Progress&) override {
    if (activity_ != nullptr) {
      ++activity_->accuracy;
      if (activity_->measurements > 0) ++activity_->overlaps;
    }
    std::vector<Result<search::AccuracyEstimate>> results;
    for (const search::Candidate& candidate : candidates) {
      if (hook) hook(candidate);
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        ++calls_[candidate.architecture.to_string()];
        batch_sizes.push_back(candidates.size());
      }
      results.push_back(value(candidate));
      if (parts.empty() || !results.back()) continue;
      const auto images = static_cast<double>(parts.back());
      results.back() =
          search::accuracy_estimate(std::llround(results.back()->top1 * images), parts.back());
    }
    if (activity_ != nullptr) {
      if (activity_->measurements > 0) ++activity_->overlaps;
      --activity_->accuracy;
    }
    return results;
  }

  /// Set for accuracies that can be had in parts: the ends, the last one all images.
  std::vector<int64_t> parts;
  std::vector<int64_t> part_ends() const override { return parts; }
  /// Without noise: the first n images hold n times the accuracy, rounded.
  std::vector<Result<search::AccuracyEstimate>> evaluate_part(
      const std::vector<search::Candidate>& candidates, const search::ImageRange& part,
      Progress& progress) override {
    std::vector<Result<search::AccuracyEstimate>> results = evaluate(candidates, progress);
    for (auto& result : results) {
      if (!result) continue;
      const auto correct = [&](int64_t images) {
        return std::llround(result->top1 * static_cast<double>(images));
      };
      result =
          search::accuracy_estimate(correct(part.end) - correct(part.begin), part.end - part.begin);
    }
    return results;
  }

  static search::AccuracyEstimate estimate(const search::Candidate& candidate) {
    const auto macs = static_cast<double>(network::cost(*candidate.network).macs);
    const double top1 = 0.95 - 0.8 / (1.0 + std::sqrt(macs / 1e3)) -
                        0.05 * hash_noise(candidate.architecture, "accuracy");
    return {std::max(0.0, top1), 0.005, 1000};
  }

  /// How often each architecture was evaluated.
  std::map<std::string, int> calls() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return calls_;
  }

  std::function<void(const search::Candidate&)> hook;
  std::function<Result<search::AccuracyEstimate>(const search::Candidate&)> value = estimate;
  std::vector<size_t> batch_sizes;

 private:
  HostActivity* activity_;
  std::mutex mutex_;
  std::map<std::string, int> calls_;
};

/// Latency that rises with the network's MACs, with noise that depends on the architecture alone.
class FakeLatency : public search::LatencyEvaluator {
 public:
  explicit FakeLatency(std::string device, bool shares_host = false,
                       HostActivity* activity = nullptr)
      : device_(std::move(device)), shares_host_(shares_host), activity_(activity) {}

  const std::string& device() const override { return device_; }
  const latency::MeasurementPlan& default_plan() const override { return plan_; }
  bool shares_host() const override { return shares_host_; }
  int boards() const override { return board_count; }
  int board_count = 1;

  std::future<Result<latency::LatencyEstimate>> measure(
      const search::Candidate& candidate, const latency::MeasurementPlan& plan) override {
    if (activity_ != nullptr && shares_host_) {
      if (activity_->accuracy > 0) ++activity_->overlaps;
      if (++activity_->measurements > 1) ++activity_->double_measured;
    }
    if (hook) hook(candidate);
    ++calls[candidate.architecture.to_string()];
    plans.push_back(plan);
    // Deferred: it ends when the controller asks for it.
    return std::async(std::launch::deferred, [this, candidate, plan] {
      if (activity_ != nullptr && shares_host_) --activity_->measurements;
      return by_plan(value(candidate), plan);
    });
  }

  /// The same value by any plan; a coarse one has a wider interval and takes a tenth of the time.
  Result<latency::LatencyEstimate> by_plan(Result<latency::LatencyEstimate> result,
                                           const latency::MeasurementPlan& plan) const {
    if (!result || plan.target_half_width <= plan_.target_half_width) return result;
    result->interval_ms = {0.96 * result->median_ms, 1.04 * result->median_ms, plan.level};
    result->wall_s *= 0.1;
    return result;
  }

  latency::LatencyEstimate estimate(const search::Candidate& candidate) const {
    const auto macs = static_cast<double>(network::cost(*candidate.network).macs);
    latency::LatencyEstimate estimate;
    estimate.median_ms =
        (0.1 + macs / 1e4) * (1.0 + 0.1 * hash_noise(candidate.architecture, device_));
    estimate.interval_ms = {0.99 * estimate.median_ms, 1.01 * estimate.median_ms, 0.95};
    estimate.p90_ms = estimate.p99_ms = 1.05 * estimate.median_ms;
    estimate.kept = 50;
    estimate.wall_s = 0.5;
    return estimate;
  }

  std::function<void(const search::Candidate&)> hook;
  std::function<Result<latency::LatencyEstimate>(const search::Candidate&)> value =
      [this](const search::Candidate& candidate) { return estimate(candidate); };
  std::map<std::string, int> calls;  ///< how often each architecture was measured
  std::vector<latency::MeasurementPlan> plans;

 private:
  std::string device_;
  bool shares_host_;
  HostActivity* activity_;
  latency::MeasurementPlan plan_;
};

}  // namespace lathe::test
