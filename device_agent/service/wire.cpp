#include "device_agent/service/wire.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

namespace lathe::device {

namespace {

// Collects the first field that is out of range.
class RangeCheck {
 public:
  // Returns `value`, or `fallback` for 0 (unset in proto3).
  double real(const char* field, double value, double fallback, double low, double high) {
    if (value == 0.0) return fallback;
    if (!(value >= low && value <= high)) note(field, value, low, high);
    return value;
  }
  int count(const char* field, uint32_t value, int fallback, int low, int high) {
    const double checked = real(field, value, fallback, low, high);
    return checked >= low && checked <= high ? static_cast<int>(checked) : fallback;
  }
  const std::string& fault() const { return fault_; }

 private:
  void note(const char* field, double value, double low, double high) {
    if (!fault_.empty()) return;
    std::ostringstream text;
    text << "plan." << field << " = " << value << ", expected " << low << " to " << high;
    fault_ = text.str();
  }
  std::string fault_;
};

}  // namespace

v1::Precision to_wire(latency::Precision precision) {
  switch (precision) {
    case latency::Precision::Fp32:
      return v1::PRECISION_FP32;
    case latency::Precision::Fp16:
      return v1::PRECISION_FP16;
    case latency::Precision::Int8:
      return v1::PRECISION_INT8;
  }
  return v1::PRECISION_UNSPECIFIED;
}

Result<latency::Precision> from_wire(v1::Precision precision) {
  switch (precision) {
    case v1::PRECISION_UNSPECIFIED:
    case v1::PRECISION_FP32:
      return latency::Precision::Fp32;
    case v1::PRECISION_FP16:
      return latency::Precision::Fp16;
    case v1::PRECISION_INT8:
      return latency::Precision::Int8;
    default:
      break;
  }
  return Failure{FailureKind::Unsupported,
                 "options.precision = " + std::to_string(static_cast<int>(precision)) +
                     ", expected fp32, fp16 or int8"};
}

v1::Finding to_wire(const Finding& finding) {
  v1::Finding message;
  switch (finding.severity) {
    case Severity::Note:
      message.set_severity(v1::Finding::NOTE);
      break;
    case Severity::Warning:
      message.set_severity(v1::Finding::WARNING);
      break;
    case Severity::Problem:
      message.set_severity(v1::Finding::PROBLEM);
      break;
  }
  message.set_topic(finding.topic);
  message.set_read(finding.read);
  message.set_effect(finding.effect);
  message.set_remedy(finding.remedy);
  return message;
}

v1::JobFailure to_wire(const Failure& failure) {
  v1::JobFailure message;
  message.set_kind(to_string(failure.kind));
  message.set_message(failure.message);
  return message;
}

v1::LatencyResult to_wire(const latency::LatencyEstimate& estimate) {
  v1::LatencyResult result;
  result.set_median_ms(estimate.median_ms);
  result.set_low_ms(estimate.interval_ms.low);
  result.set_high_ms(estimate.interval_ms.high);
  result.set_level(estimate.interval_ms.level);
  result.set_p90_ms(estimate.p90_ms);
  result.set_p99_ms(estimate.p99_ms);
  result.set_kept(estimate.kept);
  result.set_rejected(estimate.rejected);
  result.set_processes(static_cast<uint32_t>(estimate.processes));
  result.set_wall_s(estimate.wall_s);
  result.set_peak_memory_bytes(estimate.peak_memory_bytes);
  result.set_verdict(to_string(estimate.verdict));
  if (estimate.energy) {
    v1::Energy& energy = *result.mutable_energy();
    energy.set_mean_mj(estimate.energy->mean_mj);
    energy.set_low_mj(estimate.energy->interval_mj.low);
    energy.set_high_mj(estimate.energy->interval_mj.high);
    energy.set_power_w(estimate.energy->power_w);
    energy.set_sensor(estimate.energy->sensor);
  }
  v1::Conditions& conditions = *result.mutable_conditions();
  conditions.set_engine(estimate.conditions.engine);
  conditions.set_engine_version(estimate.conditions.engine_version);
  conditions.set_isa(estimate.conditions.isa);
  conditions.set_threads(static_cast<uint32_t>(estimate.conditions.threads));
  conditions.set_precision(to_wire(estimate.conditions.precision));
  conditions.set_governor(estimate.conditions.governor);
  conditions.set_frequency_hz(estimate.conditions.frequency_hz);
  conditions.set_temperature_c(estimate.conditions.temperature_c);
  conditions.set_device_fingerprint(estimate.conditions.device_fingerprint);
  conditions.mutable_extra()->insert(estimate.conditions.extra.begin(),
                                     estimate.conditions.extra.end());
  return result;
}

Result<latency::MeasurementPlan> from_wire(const v1::MeasurementPlan& plan) {
  RangeCheck check;
  latency::MeasurementPlan result;
  result.target_half_width = check.real("target_half_width", plan.target_half_width(),
                                        result.target_half_width, 1e-4, 1.0);
  result.level = check.real("level", plan.level(), result.level, 0.5, 0.9999);
  result.budget_s = check.real("budget_s", plan.budget_s(), result.budget_s, 0.01, 3600.0);
  result.min_blocks = check.count("min_blocks", plan.min_blocks(), result.min_blocks, 1, 1000000);
  result.max_blocks =
      check.count("max_blocks", plan.max_blocks(), std::max(result.max_blocks, result.min_blocks),
                  result.min_blocks, 1000000);
  result.processes = check.count("processes", plan.processes(), result.processes, 1, 64);
  result.min_block_s =
      check.real("min_block_seconds", plan.min_block_seconds(), result.min_block_s, 1e-6, 10.0);
  result.sustain_s = plan.sustain_s() == 0.0
                         ? 0.0
                         : check.real("sustain_s", plan.sustain_s(), result.sustain_s, 1.0, 3600.0);
  result.energy_s = plan.energy_s() == 0.0
                        ? 0.0
                        : check.real("energy_s", plan.energy_s(), result.energy_s, 0.1, 600.0);
  result.seed = plan.seed();
  if (!check.fault().empty()) return Failure{FailureKind::Unsupported, check.fault()};
  return result;
}

}  // namespace lathe::device
