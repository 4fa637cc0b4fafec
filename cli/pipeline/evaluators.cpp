#include "cli/pipeline/evaluators.h"

#include <limits>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "latency/store/measurement_store.h"
#include "search/evaluation/candidate.h"

namespace lathe::cli {
namespace {

constexpr double kDescribeTimeoutS = 10.0;

/// Returns a line that refuses `constraint`, or nothing if an entry of the table meets it.
std::string refusal(const search::Constraint& constraint, const search::ReplayTable& table,
                    const search::ReplayOptions& options) {
  const auto [low, high] = table.range(options.column);
  const double best = options.scale * (constraint.at_most ? low : high);
  if (constraint.satisfied(best)) return "";
  return search::to_string(constraint) + ": the best of " + options.table.string() + ", column " +
         options.column + ", is " + search::format_metric(constraint.metric, best) + "; " +
         (constraint.at_most ? "raise" : "lower") + " the bound\n";
}

/// A board that cannot run networks as configured, in every precision they are delivered in, stops
/// a run before it trains, too.
void require_abilities(const std::vector<latency::AgentDescription>& agents,
                       const RunConfig& config) {
  std::vector<latency::DeviceConfig> devices = config.devices;
  if (config.quantize.enabled) {
    for (latency::DeviceConfig device : config.devices) {
      if (device.precision == latency::Precision::Int8) continue;
      device.precision = latency::Precision::Int8;
      devices.push_back(std::move(device));
    }
  }
  std::vector<std::string> faults;
  for (const latency::AgentDescription& agent : agents) {
    for (const latency::DeviceConfig& device : devices) {
      if (device.name != agent.device) continue;
      const std::string fault = latency::missing_ability(agent, device);
      if (!fault.empty()) {
        faults.push_back("device " + device.name + ": agent " + agent.address + ": " + fault);
      }
    }
  }
  if (!faults.empty()) throw DeviceError(join(faults, "\n"));
}

}  // namespace

Evaluators::Evaluators(const RunConfig& config, std::filesystem::path store_file)
    : config_(config), store_file_(std::move(store_file)) {
  if (config.accuracy) {
    accuracy_ = std::make_unique<search::ReplayAccuracy>(*config.space, *config.accuracy);
  }
  for (const auto& [device, options] : config.tables) {
    tables_[device] =
        std::make_unique<search::ReplayLatency>(*config.space, device, options, config.seed);
  }
}

Evaluators::~Evaluators() = default;

void Evaluators::check_tables() const {
  std::string lines;
  for (const search::Constraint& constraint : config_.search.problem.constraints) {
    const search::Metric& metric = constraint.metric;
    if (metric.kind == search::MetricKind::Accuracy && accuracy_) {
      lines += refusal(constraint, accuracy_->table(), *config_.accuracy);
    }
    const auto table = tables_.find(metric.device);
    if (metric.kind == search::MetricKind::Latency && table != tables_.end()) {
      lines += refusal(constraint, table->second->table(), config_.tables.at(metric.device));
    }
  }
  if (!lines.empty()) throw ConfigError(lines.substr(0, lines.size() - 1));
  check_together();
}

/// What the tables know of a network, and its counts where they come without lowering it.
search::Metrics Evaluators::table_values(const search::Architecture& architecture) const {
  search::Metrics values;
  if (!search::has_networks(*config_.space)) {
    values = search::make_candidate(*config_.space, architecture, 0).counted;
  }
  const auto add = [&](const search::Metric& metric, const search::ReplayTable& table,
                       const search::ReplayOptions& options) {
    const std::optional<double> value = table.find(architecture, options.column);
    if (!value) return;
    const double scaled = options.scale * *value;
    values[metric] = {scaled, scaled, scaled};
  };
  if (accuracy_) {
    add({search::MetricKind::Accuracy, ""}, accuracy_->table(), *config_.accuracy);
  }
  for (const auto& [device, table] : tables_) {
    add({search::MetricKind::Latency, device}, table->table(), config_.tables.at(device));
  }
  return values;
}

void Evaluators::check_together() const {
  if (!accuracy_ || config_.search.problem.constraints.size() < 2) return;
  double least = std::numeric_limits<double>::infinity();
  std::string nearest;
  for (const search::Architecture& architecture : accuracy_->table().architectures()) {
    const search::Metrics values = table_values(architecture);
    search::Problem known;  // without the constraints that the tables do not decide
    for (const search::Constraint& constraint : config_.search.problem.constraints) {
      if (values.count(constraint.metric) != 0) known.constraints.push_back(constraint);
    }
    const double violation = known.violation(values);
    if (violation == 0.0) return;
    if (violation >= least) continue;
    least = violation;
    nearest = config_.space->describe(architecture) + " with";
    for (const search::Constraint& constraint : known.constraints) {
      nearest += " " + search::to_string(constraint.metric) + " = " +
                 search::format_metric(constraint.metric, values.at(constraint.metric).value);
    }
  }
  throw ConfigError(
      "search.constraints: no network of the tables meets all of them; the nearest is " + nearest +
      "; loosen one of them");
}

latency::Fleet& Evaluators::fleet() {
  if (!fleet_) {
    store_ = std::make_unique<latency::MeasurementStore>(store_file_);
    fleet_ = std::make_unique<latency::Fleet>(config_.boards(), store_.get(),
                                              "lathe run " + config_.name);
    agents_ = fleet_->describe(kDescribeTimeoutS);
    require_abilities(agents_, config_);
  }
  return *fleet_;
}

search::LatencyEvaluator& Evaluators::latency(const std::string& device) {
  const auto table = tables_.find(device);
  if (table != tables_.end()) return *table->second;
  return fleet().evaluator(device);
}

std::vector<search::LatencyEvaluator*> Evaluators::latencies() {
  std::vector<search::LatencyEvaluator*> all;
  for (const latency::DeviceConfig& device : config_.devices) all.push_back(&latency(device.name));
  return all;
}

const std::vector<latency::AgentDescription>& Evaluators::agents() {
  if (!config_.boards().empty()) fleet();
  return agents_;
}

Result<latency::LatencyEstimate> Evaluators::measure_again(const std::string& device,
                                                           const search::Architecture& architecture,
                                                           const std::string& onnx,
                                                           latency::MeasurementPlan plan,
                                                           latency::Precision precision) {
  if (!onnx.empty() && tables_.count(device) == 0) {
    return fleet().measure_model(device, onnx, plan, precision);
  }
  plan.fresh = true;
  const auto counted = search::make_candidate(*config_.space, architecture, 0);
  return latency(device).measure(counted.candidate, plan).get();
}

network::Tensor Evaluators::run(const std::string& device, const std::string& onnx,
                                const network::Tensor& images) {
  auto outputs = fleet().run_model(device, onnx, images, latency::Precision::Int8);
  if (!outputs.ok()) {
    throw DeviceError("device " + device + ": running a network on test images: " +
                      to_string(outputs.failure().kind) + ": " + outputs.failure().message);
  }
  return std::move(outputs).value();
}

}  // namespace lathe::cli
