#include "cli/pipeline/summary_values.h"

namespace lathe::cli {

report::Accuracy accuracy_of(const search::AccuracyEstimate& estimate) {
  return {estimate.top1, estimate.standard_error, estimate.images};
}

report::Latency latency_of(const latency::LatencyEstimate& estimate) {
  report::Latency latency;
  latency.median_ms = estimate.median_ms;
  latency.low_ms = estimate.interval_ms.low;
  latency.high_ms = estimate.interval_ms.high;
  latency.level = estimate.interval_ms.level;
  latency.p90_ms = estimate.p90_ms;
  latency.p99_ms = estimate.p99_ms;
  latency.kept = estimate.kept;
  latency.rejected = estimate.rejected;
  latency.processes = estimate.processes;
  latency.wall_s = estimate.wall_s;
  latency.verdict = latency::to_string(estimate.verdict);
  if (estimate.energy) {
    const latency::EnergyEstimate& energy = *estimate.energy;
    latency.energy = report::Energy{energy.mean_mj, energy.interval_mj.low, energy.interval_mj.high,
                                    energy.power_w, energy.sensor};
  }
  return latency;
}

report::Conditions conditions_of(const latency::Conditions& from) {
  report::Conditions conditions;
  conditions.engine = from.engine;
  conditions.engine_version = from.engine_version;
  conditions.isa = from.isa;
  conditions.threads = from.threads;
  conditions.precision = latency::to_string(from.precision);
  conditions.governor = from.governor;
  if (from.frequency_hz > 0) conditions.frequency_hz = from.frequency_hz;
  if (from.temperature_c >= 0) conditions.temperature_c = from.temperature_c;
  conditions.device_fingerprint = from.device_fingerprint;
  conditions.extra = from.extra;
  return conditions;
}

}  // namespace lathe::cli
