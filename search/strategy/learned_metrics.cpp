#include "search/strategy/learned_metrics.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/log.h"
#include "search/strategy/proposer.h"

namespace lathe::search {
namespace {

using nlohmann::json;

constexpr double kSmallestError = 1e-4;  // of accuracy, so that its logarithm exists

json to_json(const models::ModelReport& report) {
  return {{"model", report.model},         {"labels", report.labels},
          {"explained", report.explained}, {"mape", report.mape},
          {"spearman", report.spearman},   {"kendall", report.kendall},
          {"coverage", report.coverage},   {"weight", report.weight}};
}

models::ModelReport report_from(const json& from) {
  models::ModelReport report;
  report.model = from.at("model").get<std::string>();
  report.labels = from.at("labels").get<int64_t>();
  report.explained = from.at("explained").get<double>();
  report.mape = from.at("mape").get<double>();
  report.spearman = from.at("spearman").get<double>();
  report.kendall = from.at("kendall").get<double>();
  report.coverage = from.at("coverage").get<double>();
  report.weight = from.at("weight").get<double>();
  return report;
}

json to_json(const models::ModelSelector::State& state) {
  json reports = json::array();
  for (const models::ModelReport& report : state.reports) reports.push_back(to_json(report));
  return {{"gaussian_process", state.gaussian_process},
          {"weights", state.weights},
          {"reviewed", state.reviewed},
          {"calibration", state.calibration},
          {"on", state.on},
          {"reports", reports}};
}

models::ModelSelector::State state_from(const json& from) {
  models::ModelSelector::State state;
  state.gaussian_process = from.at("gaussian_process").get<models::GaussianProcess::Parameters>();
  state.weights = from.at("weights").get<std::vector<double>>();
  state.reviewed = from.at("reviewed").get<int64_t>();
  state.calibration = from.at("calibration").get<double>();
  state.on = from.at("on").get<bool>();
  for (const json& report : from.at("reports")) state.reports.push_back(report_from(report));
  return state;
}

}  // namespace

double to_learned(const Metric& metric, double value) {
  if (metric.kind == MetricKind::Accuracy) return std::log(std::max(kSmallestError, 1.0 - value));
  return std::log(std::max(value, 1e-9));
}

LearnedMetrics::LearnedMetrics(const SearchSpace& space, const Problem& problem, Proposer& proposer,
                               const std::map<std::string, models::PartCosts>& block_costs)
    : space_(space), proposer_(proposer) {
  for (const Metric& metric : problem.metrics()) {
    if (is_counted(metric.kind)) continue;
    metrics_.push_back(metric);
    const bool is_latency = metric.kind == MetricKind::Latency;
    const auto costs = is_latency ? block_costs.find(metric.device) : block_costs.end();
    models_.emplace_back(costs != block_costs.end() ? costs->second : models::PartCosts());
  }
  labels_.resize(metrics_.size());
}

size_t LearnedMetrics::position(const Metric& metric) const {
  const auto found = std::find(metrics_.begin(), metrics_.end(), metric);
  if (found == metrics_.end()) {
    throw InvariantError("LearnedMetrics: metric = " + to_string(metric) +
                         ", expected one that is learned");
  }
  return static_cast<size_t>(found - metrics_.begin());
}

models::Features model_features(const SearchSpace& space, const CountedCandidate& candidate) {
  models::Features features;
  const Architecture& architecture = candidate.candidate.architecture;
  features.choices = architecture.genes;
  const std::vector<bool> active = space.active(architecture);
  for (size_t gene = 0; gene < active.size(); ++gene) {
    if (!active[gene]) features.choices[gene] = models::kInactive;
  }
  for (const MetricKind kind : {MetricKind::Macs, MetricKind::Params}) {
    features.numbers.push_back(std::log1p(candidate.counted.at({kind, ""}).value));
  }
  features.numbers.insert(features.numbers.end(), candidate.features.begin(),
                          candidate.features.end());
  for (const CostPart& part : candidate.parts) {
    features.parts.push_back(
        {part.key, static_cast<double>(part.count), static_cast<double>(part.macs)});
  }
  return features;
}

void LearnedMetrics::fit(const std::vector<Evaluated>& history) {
  for (; seen_ < history.size(); ++seen_) {
    const Evaluated& evaluated = history[seen_];
    if (!evaluated.ok()) continue;
    samples_.push_back(
        model_features(space_, proposer_.remembered(evaluated.candidate.architecture)));
    for (size_t i = 0; i < metrics_.size(); ++i) {
      labels_[i].push_back(to_learned(metrics_[i], evaluated.metrics.at(metrics_[i]).value));
    }
  }
  for (size_t i = 0; i < metrics_.size(); ++i) {
    const bool first = models_[i].reports().empty();
    const bool was_on = models_[i].on();
    models_[i].fit(samples_, labels_[i]);
    if (models_[i].on() || (!first && !was_on)) continue;
    log::info("models of " + to_string(metrics_[i]) +
              " are switched off: they do not beat a constant");
  }
}

std::vector<std::vector<Belief>> LearnedMetrics::beliefs(
    const std::vector<models::Features>& samples) const {
  std::vector<std::vector<Belief>> result(samples.size());
  for (const models::ModelSelector& model : models_) {
    const std::vector<models::Prediction> predictions = model.predict(samples);
    for (size_t i = 0; i < samples.size(); ++i) {
      result[i].push_back({predictions[i].mean, predictions[i].deviation});
    }
  }
  return result;
}

std::vector<LearnedMetric> LearnedMetrics::reports() const {
  std::vector<LearnedMetric> result;
  for (size_t i = 0; i < metrics_.size(); ++i) {
    result.push_back({metrics_[i], models_[i].on(), models_[i].reports()});
  }
  return result;
}

std::string LearnedMetrics::save() const {
  json saved = json::object();
  for (size_t i = 0; i < metrics_.size(); ++i) {
    saved[to_string(metrics_[i])] = to_json(models_[i].state());
  }
  return saved.dump();
}

void LearnedMetrics::load(const std::string& text) {
  std::vector<models::ModelSelector::State> states;
  try {
    const json saved = json::parse(text);
    for (const Metric& metric : metrics_) states.push_back(state_from(saved.at(to_string(metric))));
    for (size_t i = 0; i < metrics_.size(); ++i) models_[i].set_state(states[i]);
  } catch (const json::exception& error) {
    throw DataError(std::string("saved models: ") + error.what());
  } catch (const InvariantError& error) {
    throw DataError(std::string("saved models: ") + error.what());
  }
}

}  // namespace lathe::search
