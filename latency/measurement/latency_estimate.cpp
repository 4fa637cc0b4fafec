#include "latency/measurement/latency_estimate.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/text.h"

namespace lathe::latency {
namespace {

using nlohmann::json;

constexpr Precision kPrecisions[] = {Precision::Fp32, Precision::Fp16, Precision::Int8};
constexpr Verdict kVerdicts[] = {Verdict::Clean, Verdict::Disturbed, Verdict::Throttled,
                                 Verdict::Unsteady, Verdict::InvalidTiming};

template <typename Enum, size_t N>
Enum enum_from_string(const Enum (&values)[N], const std::string& what, const std::string& name) {
  for (const Enum value : values) {
    if (name == to_string(value)) return value;
  }
  throw ConfigError(what + " = " + name + ", expected one of " +
                    join(values, ", ", [](Enum value) { return to_string(value); }));
}

json conditions_to_json(const Conditions& conditions) {
  return {{"engine", conditions.engine},
          {"engine_version", conditions.engine_version},
          {"isa", conditions.isa},
          {"threads", conditions.threads},
          {"precision", to_string(conditions.precision)},
          {"governor", conditions.governor},
          {"frequency_hz", conditions.frequency_hz},
          {"temperature_c", conditions.temperature_c},
          {"device_fingerprint", conditions.device_fingerprint},
          {"extra", conditions.extra}};
}

Conditions conditions_from_json(const json& value) {
  Conditions conditions;
  conditions.engine = value.at("engine").get<std::string>();
  conditions.engine_version = value.at("engine_version").get<std::string>();
  conditions.isa = value.at("isa").get<std::string>();
  conditions.threads = value.at("threads").get<int>();
  conditions.precision = precision_from_string(value.at("precision").get<std::string>());
  conditions.governor = value.at("governor").get<std::string>();
  conditions.frequency_hz = value.at("frequency_hz").get<double>();
  conditions.temperature_c = value.at("temperature_c").get<double>();
  conditions.device_fingerprint = value.at("device_fingerprint").get<std::string>();
  conditions.extra = value.at("extra").get<std::map<std::string, std::string>>();
  return conditions;
}

json energy_to_json(const EnergyEstimate& energy) {
  return {{"mean_mj", energy.mean_mj},          {"low_mj", energy.interval_mj.low},
          {"high_mj", energy.interval_mj.high}, {"level", energy.interval_mj.level},
          {"power_w", energy.power_w},          {"sensor", energy.sensor}};
}

EnergyEstimate energy_from_json(const json& value) {
  EnergyEstimate energy;
  energy.mean_mj = value.at("mean_mj").get<double>();
  energy.interval_mj = {value.at("low_mj").get<double>(), value.at("high_mj").get<double>(),
                        value.at("level").get<double>()};
  energy.power_w = value.at("power_w").get<double>();
  energy.sensor = value.at("sensor").get<std::string>();
  if (!(energy.mean_mj > 0.0) || !(energy.interval_mj.low <= energy.interval_mj.high)) {
    throw DataError("mean_mj = " + std::to_string(energy.mean_mj) +
                    ", expected a positive energy with low_mj <= high_mj");
  }
  return energy;
}

}  // namespace

const char* to_string(Precision precision) {
  switch (precision) {
    case Precision::Fp32:
      return "fp32";
    case Precision::Fp16:
      return "fp16";
    case Precision::Int8:
      return "int8";
  }
  throw InvariantError("to_string: Precision = " + std::to_string(static_cast<int>(precision)) +
                       ", expected one of the enumerators");
}

Precision precision_from_string(const std::string& name) {
  return enum_from_string(kPrecisions, "precision", name);
}

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::Clean:
      return "clean";
    case Verdict::Disturbed:
      return "disturbed";
    case Verdict::Throttled:
      return "throttled";
    case Verdict::Unsteady:
      return "unsteady";
    case Verdict::InvalidTiming:
      return "invalid_timing";
  }
  throw InvariantError("to_string: Verdict = " + std::to_string(static_cast<int>(verdict)) +
                       ", expected one of the enumerators");
}

Verdict verdict_from_string(const std::string& name) {
  return enum_from_string(kVerdicts, "verdict", name);
}

std::string to_json(const LatencyEstimate& estimate) {
  json value = {{"median_ms", estimate.median_ms},
                {"low_ms", estimate.interval_ms.low},
                {"high_ms", estimate.interval_ms.high},
                {"level", estimate.interval_ms.level},
                {"p90_ms", estimate.p90_ms},
                {"p99_ms", estimate.p99_ms},
                {"kept", estimate.kept},
                {"rejected", estimate.rejected},
                {"processes", estimate.processes},
                {"wall_s", estimate.wall_s},
                {"peak_memory_bytes", estimate.peak_memory_bytes},
                {"verdict", to_string(estimate.verdict)},
                {"conditions", conditions_to_json(estimate.conditions)}};
  if (estimate.reused) value["reused"] = true;
  if (estimate.reference_ms > 0.0) value["reference_ms"] = estimate.reference_ms;
  if (estimate.energy) value["energy"] = energy_to_json(*estimate.energy);
  return value.dump();
}

LatencyEstimate latency_estimate_from_json(const std::string& text) {
  try {
    const json value = json::parse(text);
    LatencyEstimate estimate;
    estimate.median_ms = value.at("median_ms").get<double>();
    estimate.interval_ms = {value.at("low_ms").get<double>(), value.at("high_ms").get<double>(),
                            value.at("level").get<double>()};
    estimate.p90_ms = value.at("p90_ms").get<double>();
    estimate.p99_ms = value.at("p99_ms").get<double>();
    estimate.kept = value.at("kept").get<int64_t>();
    estimate.rejected = value.at("rejected").get<int64_t>();
    estimate.processes = value.at("processes").get<int>();
    estimate.wall_s = value.at("wall_s").get<double>();
    estimate.peak_memory_bytes = value.at("peak_memory_bytes").get<int64_t>();
    estimate.verdict = verdict_from_string(value.at("verdict").get<std::string>());
    estimate.conditions = conditions_from_json(value.at("conditions"));
    estimate.reference_ms = value.value("reference_ms", 0.0);
    estimate.reused = value.value("reused", false);
    if (value.contains("energy")) estimate.energy = energy_from_json(value.at("energy"));
    if (!(estimate.median_ms > 0.0) || !(estimate.interval_ms.low <= estimate.interval_ms.high)) {
      throw DataError("median_ms = " + std::to_string(estimate.median_ms) +
                      ", expected a positive time with low_ms <= high_ms");
    }
    return estimate;
  } catch (const std::exception& error) {
    throw DataError(std::string("latency estimate: ") + error.what());
  }
}

}  // namespace lathe::latency
