#include "latency/fleet/wire.h"

#include <cmath>

#include "core/error.h"

namespace lathe::latency::wire {
namespace {

v1::Precision precision_to_wire(Precision precision) {
  switch (precision) {
    case Precision::Fp32:
      return v1::PRECISION_FP32;
    case Precision::Fp16:
      return v1::PRECISION_FP16;
    case Precision::Int8:
      return v1::PRECISION_INT8;
  }
  throw InvariantError(
      "precision_to_wire: precision = " + std::to_string(static_cast<int>(precision)) +
      ", expected one of the enumerators");
}

Precision precision_from_wire(v1::Precision precision) {
  if (precision == v1::PRECISION_FP16) return Precision::Fp16;
  if (precision == v1::PRECISION_INT8) return Precision::Int8;
  return Precision::Fp32;
}

const char* severity_name(v1::Finding::Severity severity) {
  if (severity == v1::Finding::PROBLEM) return "problem";
  return severity == v1::Finding::WARNING ? "warning" : "note";
}

FailureKind kind_of(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::CANCELLED:
      return FailureKind::Cancelled;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return FailureKind::Busy;
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return FailureKind::Unauthorized;
    case grpc::StatusCode::UNIMPLEMENTED:
      return FailureKind::Unsupported;
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE:
      return FailureKind::Internal;
    // A stale lease (FAILED_PRECONDITION) and a model dropped from the agent's cache (NOT_FOUND)
    // are mended by the next try, as is anything that befalls the connection.
    default:
      return FailureKind::Unavailable;
  }
}

}  // namespace

Failure failure_of(const grpc::Status& status, const std::string& where) {
  const std::string text = status.error_message().empty() ? "no message" : status.error_message();
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return {FailureKind::Unavailable, where + ": no answer in time"};
  }
  return {kind_of(status.error_code()), where + ": " + text};
}

Failure failure_of(const v1::JobFailure& failure, const std::string& where) {
  FailureKind kind = FailureKind::Internal;
  try {
    kind = failure_kind_from_string(failure.kind());
  } catch (const InvariantError&) {
    return {kind, where + ": failure kind = " + failure.kind() +
                      ", expected one that this lathe knows: " + failure.message()};
  }
  return {kind, where + ": " + failure.message()};
}

AgentDescription description_of(const v1::DescribeResponse& response, const std::string& address) {
  AgentDescription description;
  description.address = address;
  description.agent_version = response.agent_version();
  description.hostname = response.hostname();
  description.model = response.model();
  description.soc = response.soc();
  description.kernel = response.kernel();
  description.isa = response.isa();
  description.fingerprint = response.fingerprint();
  description.governor = response.governor();
  description.usable_cores = static_cast<int>(response.usable_cores());
  description.memory_bytes = response.memory_bytes();
  description.emulated = response.emulated();
  description.draining = response.draining();
  description.jobs_done = response.jobs_done();
  description.energy_sensor = response.energy_sensor();
  for (const v1::EngineInfo& info : response.engines()) {
    AgentDescription::Engine engine;
    engine.name = info.name();
    engine.version = info.version();
    for (const int precision : info.precisions()) {
      engine.precisions.emplace_back(
          to_string(precision_from_wire(static_cast<v1::Precision>(precision))));
    }
    engine.operators.assign(info.operators().begin(), info.operators().end());
    description.engines.push_back(std::move(engine));
  }
  for (const v1::Finding& finding : response.findings()) {
    description.findings.push_back({severity_name(finding.severity()), finding.topic(),
                                    finding.read(), finding.effect(), finding.remedy()});
    if (finding.severity() == v1::Finding::NOTE) continue;
    description.advice.push_back(finding.topic() + " (" + finding.read() +
                                 "): " + finding.effect() + ". " + finding.remedy());
  }
  return description;
}

Result<LatencyEstimate> estimate_of(const v1::LatencyResult& result, const std::string& where) {
  LatencyEstimate estimate;
  estimate.median_ms = result.median_ms();
  estimate.interval_ms = {result.low_ms(), result.high_ms(), result.level()};
  estimate.p90_ms = result.p90_ms();
  estimate.p99_ms = result.p99_ms();
  estimate.kept = result.kept();
  estimate.rejected = result.rejected();
  estimate.processes = static_cast<int>(result.processes());
  estimate.wall_s = result.wall_s();
  estimate.peak_memory_bytes = result.peak_memory_bytes();
  estimate.reference_ms = result.reference_ms();
  const bool sane = std::isfinite(estimate.median_ms) && estimate.median_ms > 0.0 &&
                    result.low_ms() > 0.0 && result.low_ms() <= estimate.median_ms &&
                    std::isfinite(result.high_ms()) && estimate.median_ms <= result.high_ms() &&
                    std::isfinite(estimate.p90_ms) && std::isfinite(estimate.p99_ms) &&
                    std::isfinite(estimate.wall_s) && estimate.reference_ms >= 0.0 &&
                    std::isfinite(estimate.reference_ms) && result.level() > 0.0 &&
                    result.level() < 1.0 && std::isfinite(result.conditions().frequency_hz()) &&
                    std::isfinite(result.conditions().temperature_c());
  if (!sane) {
    return Failure{FailureKind::Internal,
                   where + ": median_ms = " + std::to_string(estimate.median_ms) + " in [" +
                       std::to_string(result.low_ms()) + ", " + std::to_string(result.high_ms()) +
                       "], expected a positive time inside its interval and finite figures"};
  }
  if (result.has_energy()) {
    const v1::Energy& energy = result.energy();
    if (!(energy.mean_mj() > 0.0 && energy.low_mj() >= 0.0 && energy.low_mj() <= energy.mean_mj() &&
          energy.mean_mj() <= energy.high_mj() && std::isfinite(energy.high_mj()) &&
          std::isfinite(energy.power_w()))) {
      return Failure{FailureKind::Internal,
                     where + ": energy = " + std::to_string(energy.mean_mj()) + " mJ in [" +
                         std::to_string(energy.low_mj()) + ", " + std::to_string(energy.high_mj()) +
                         "], expected a positive energy inside its interval"};
    }
    estimate.energy = {energy.mean_mj(),
                       {energy.low_mj(), energy.high_mj(), result.level()},
                       energy.power_w(),
                       energy.sensor()};
  }
  try {
    estimate.verdict = verdict_from_string(result.verdict());
  } catch (const ConfigError& error) {
    return Failure{FailureKind::Internal, where + ": " + error.what()};
  }
  const v1::Conditions& conditions = result.conditions();
  estimate.conditions.engine = conditions.engine();
  estimate.conditions.engine_version = conditions.engine_version();
  estimate.conditions.isa = conditions.isa();
  estimate.conditions.threads = static_cast<int>(conditions.threads());
  estimate.conditions.precision = precision_from_wire(conditions.precision());
  estimate.conditions.governor = conditions.governor();
  estimate.conditions.frequency_hz = conditions.frequency_hz();
  estimate.conditions.temperature_c = conditions.temperature_c();
  estimate.conditions.device_fingerprint = conditions.device_fingerprint();
  for (const auto& [name, value] : conditions.extra()) estimate.conditions.extra[name] = value;
  return estimate;
}

void fill(const JobOptions& options, v1::JobOptions& message) {
  message.set_engine(options.engine);
  message.set_threads(static_cast<uint32_t>(options.threads));
  message.set_precision(precision_to_wire(options.precision));
  message.set_memory_limit_bytes(options.memory_limit_bytes);
}

void fill(const MeasurementPlan& plan, v1::MeasurementPlan& message) {
  message.set_target_half_width(plan.target_half_width);
  message.set_level(plan.level);
  message.set_budget_s(plan.budget_s);
  message.set_min_blocks(static_cast<uint32_t>(plan.min_blocks));
  message.set_max_blocks(static_cast<uint32_t>(plan.max_blocks));
  message.set_processes(static_cast<uint32_t>(plan.processes));
  message.set_min_block_seconds(plan.min_block_s);
  message.set_seed(plan.seed);
  message.set_sustain_s(plan.sustain_s);
  message.set_energy_s(plan.energy_s);
}

}  // namespace lathe::latency::wire
