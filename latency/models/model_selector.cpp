#include "latency/models/model_selector.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "core/statistics.h"
#include "latency/models/additive_table.h"
#include "latency/models/boosted_trees.h"
#include "latency/models/ridge.h"

namespace lathe::models {
namespace {

using Predictions = std::vector<std::vector<Prediction>>;  // by model

constexpr double kGrowth = 1.25;  // of the labels between two reviews
constexpr int kShares = 40;       // of which weights are multiples
constexpr double kNormal90 = 1.6448536269514722;
constexpr double kSmallestCalibration = 0.5;
constexpr double kLargestCalibration = 3.0;

/// Returns weights, multiples of 1 / kShares, that make the mean absolute error of the average
/// small. Moduli, since latencies have outliers that squares would follow.
std::vector<double> stack(const Predictions& held_out, const std::vector<bool>& usable,
                          const std::vector<double>& labels) {
  std::vector<double> weights(held_out.size(), 0.0);
  std::vector<double> sums(labels.size(), 0.0);
  for (int share = 1; share <= kShares; ++share) {
    double best = -1.0;
    size_t chosen = held_out.size();
    for (size_t model = 0; model < held_out.size(); ++model) {
      if (!usable[model]) continue;
      double error = 0.0;
      for (size_t i = 0; i < labels.size(); ++i) {
        error += std::abs((sums[i] + held_out[model][i].mean) / share - labels[i]);
      }
      if (best >= 0.0 && error >= best) continue;
      best = error;
      chosen = model;
    }
    if (chosen == held_out.size()) return weights;
    weights[chosen] += 1.0 / kShares;
    for (size_t i = 0; i < labels.size(); ++i) sums[i] += held_out[chosen][i].mean;
  }
  return weights;
}

std::vector<double> moduli(const std::vector<Prediction>& predictions,
                           const std::vector<double>& labels) {
  std::vector<double> errors;
  for (size_t i = 0; i < labels.size(); ++i) {
    errors.push_back(std::abs(predictions[i].mean - labels[i]));
  }
  return errors;
}

/// True if `errors` are smaller than `others` by more than one standard error of the difference.
bool clearly_smaller(const std::vector<double>& errors, const std::vector<double>& others) {
  std::vector<double> gains;
  for (size_t i = 0; i < errors.size(); ++i) gains.push_back(others[i] - errors[i]);
  const double n = static_cast<double>(gains.size());
  return gains.size() > 1 && mean(gains) > standard_deviation(gains) / std::sqrt(n);
}

/// Fits again with a few more labels: a Gaussian process keeps its parameters until a review.
void refit(Regressor& model, const std::vector<Features>& samples,
           const std::vector<double>& labels) {
  if (auto* process = dynamic_cast<GaussianProcess*>(&model)) {
    process->refit(samples, labels);
  } else {
    model.fit(samples, labels);
  }
}

}  // namespace

std::vector<std::unique_ptr<Regressor>> make_models(const PartCosts& measured) {
  std::vector<std::unique_ptr<Regressor>> models;
  models.push_back(std::make_unique<GaussianProcess>());
  AdditiveTable::Options table;
  table.measured = measured;
  models.push_back(std::make_unique<AdditiveTable>(table));
  models.push_back(std::make_unique<Ridge>());
  Ridge::Options pairwise;
  pairwise.pairwise = true;
  models.push_back(std::make_unique<Ridge>(pairwise));
  models.push_back(std::make_unique<BoostedTrees>());
  return models;
}

ModelSelector::ModelSelector(const PartCosts& measured) : models_(make_models(measured)) {
  for (const auto& model : models_) {
    if (auto* found = dynamic_cast<GaussianProcess*>(model.get())) gaussian_process_ = found;
  }
}

ModelSelector::State ModelSelector::state() const {
  return {gaussian_process_->parameters(), weights_, reviewed_, calibration_, on_, reports_};
}

void ModelSelector::set_state(const State& state) {
  if (!state.weights.empty() && state.weights.size() != models_.size()) {
    throw InvariantError("ModelSelector: " + std::to_string(state.weights.size()) +
                         " weights, expected " + std::to_string(models_.size()));
  }
  gaussian_process_->set_parameters(state.gaussian_process);
  weights_ = state.weights;
  reviewed_ = state.reviewed;
  calibration_ = state.calibration;
  on_ = state.on;
  reports_ = state.reports;
  fitted_ = false;
}

/// The mixture's mean and deviation, calibrated.
std::vector<Prediction> ModelSelector::average(const Predictions& of_models) const {
  std::vector<Prediction> result;
  size_t size = 0;
  for (const auto& predictions : of_models) size = std::max(size, predictions.size());
  for (size_t i = 0; i < size; ++i) {
    double mean_i = 0.0;
    double square = 0.0;
    for (size_t model = 0; model < models_.size(); ++model) {
      if (weights_[model] == 0.0) continue;
      const Prediction& prediction = of_models[model][i];
      mean_i += weights_[model] * prediction.mean;
      square += weights_[model] *
                (prediction.deviation * prediction.deviation + prediction.mean * prediction.mean);
    }
    const double variance = std::max(0.0, square - mean_i * mean_i);
    result.push_back({mean_i, calibration_ * std::sqrt(variance)});
  }
  return result;
}

/// With few labels the best of many averages looks better than it is: the best single model stays
/// unless the average is clearly better.
void ModelSelector::prefer_one(const Predictions& held_out, const std::vector<bool>& usable,
                               const std::vector<double>& labels) {
  size_t best = models_.size();
  std::vector<double> smallest;
  for (size_t model = 0; model < models_.size(); ++model) {
    if (!usable[model]) continue;
    std::vector<double> errors = moduli(held_out[model], labels);
    if (best < models_.size() && mean(errors) >= mean(smallest)) continue;
    best = model;
    smallest = std::move(errors);
  }
  if (best == models_.size() || clearly_smaller(moduli(average(held_out), labels), smallest))
    return;
  std::fill(weights_.begin(), weights_.end(), 0.0);
  weights_[best] = 1.0;
}

void ModelSelector::review(const std::vector<double>& labels) {
  Predictions held_out;
  std::vector<bool> usable;
  std::vector<double> known;
  reports_.clear();
  for (const auto& model : models_) {
    HeldOut own = model->held_out();
    if (known.empty()) {
      for (const size_t i : own.samples) known.push_back(labels[i]);
    }
    reports_.push_back(assess(model->name(), own.predictions, known));
    usable.push_back(reports_.back().explained > 0.0);
    held_out.push_back(std::move(own.predictions));
  }
  weights_ = stack(held_out, usable, known);
  prefer_one(held_out, usable, known);
  for (size_t model = 0; model < models_.size(); ++model) {
    reports_[model].weight = weights_[model];
  }
  const bool any_usable = std::count(usable.begin(), usable.end(), true) > 0;
  calibration_ = 1.0;
  std::vector<Prediction> averaged = average(held_out);
  if (!any_usable) averaged.assign(known.size(), {mean(known), standard_deviation(known)});
  std::vector<double> errors;
  for (size_t i = 0; i < known.size(); ++i) {
    errors.push_back(std::abs(averaged[i].mean - known[i]) /
                     std::max(averaged[i].deviation, 1e-12));
  }
  calibration_ =
      std::clamp(quantile(errors, 0.9) / kNormal90, kSmallestCalibration, kLargestCalibration);
  for (Prediction& prediction : averaged) prediction.deviation *= calibration_;
  reports_.push_back(assess("average", averaged, known));
  on_ = any_usable && reports_.back().explained > 0.0;
  reports_.back().weight = on_ ? 1.0 : 0.0;
  reviewed_ = static_cast<int64_t>(labels.size());
}

void ModelSelector::fit(const std::vector<Features>& samples, const std::vector<double>& labels) {
  check_training_data("ModelSelector", samples, labels);
  const auto count = static_cast<int64_t>(labels.size());
  const bool due = weights_.empty() || count < reviewed_ ||
                   static_cast<double>(count) >= kGrowth * static_cast<double>(reviewed_);
  for (size_t model = 0; model < models_.size(); ++model) {
    if (due) {
      models_[model]->fit(samples, labels);
    } else if (weights_[model] > 0.0) {
      refit(*models_[model], samples, labels);
    }
  }
  if (due) review(labels);
  constant_ = {mean(labels), labels.size() > 1 ? standard_deviation(labels) : 1.0};
  fitted_ = true;
}

std::vector<Prediction> ModelSelector::predict(const std::vector<Features>& samples) const {
  if (!fitted_) {
    throw InvariantError("ModelSelector::predict: called before fit, expected a fitted model");
  }
  if (!on_) return std::vector<Prediction>(samples.size(), constant_);
  Predictions of_models(models_.size());
  for (size_t model = 0; model < models_.size(); ++model) {
    if (weights_[model] > 0.0) of_models[model] = models_[model]->predict(samples);
  }
  return average(of_models);
}

HeldOut ModelSelector::held_out() const {
  if (!fitted_) {
    throw InvariantError("ModelSelector::held_out: called before fit, expected a fitted model");
  }
  HeldOut result;
  Predictions of_models(models_.size());
  for (size_t model = 0; model < models_.size(); ++model) {
    if (weights_[model] == 0.0) continue;
    HeldOut own = models_[model]->held_out();
    result.samples = std::move(own.samples);
    of_models[model] = std::move(own.predictions);
  }
  result.predictions = average(of_models);
  return result;
}

}  // namespace lathe::models
