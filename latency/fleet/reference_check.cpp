#include "latency/fleet/reference_check.h"

#include <random>

#include "core/file.h"
#include "network/onnx.h"
#include "network/passes.h"
#include "network/reference_networks.h"

namespace lathe::latency {
namespace {

constexpr double kBudgetS = 5.0;
constexpr double kTimeoutS = 120.0;

struct ReferenceFile {
  std::string onnx;
  std::string sha256;
};

const ReferenceFile& reference_file() {
  static const ReferenceFile file = [] {
    network::ReferenceOptions options;
    options.resolution = 96;
    options.classes = 100;
    ReferenceFile made;
    made.onnx = network::to_onnx_without_weights(
        network::deploy(network::reference_network("mobilenet_v2_0.35", options)), 1);
    made.sha256 = sha256_hex(made.onnx);
    return made;
  }();
  return file;
}

}  // namespace

Result<double> measure_reference(AgentClient& client, const Lease& lease,
                                 const DeviceConfig& config) {
  const ReferenceFile& file = reference_file();
  const Result<bool> provided = client.provide_model(file.sha256, file.onnx);
  if (!provided.ok()) return provided.failure();
  MeasurementPlan plan;
  plan.budget_s = kBudgetS;
  // Each check is a new measurement, never an answer that the agent remembers.
  std::random_device device;
  const std::string id = "check-" + std::to_string(device()) + "-" + std::to_string(device());
  const JobOptions options{config.engine, config.threads, config.precision,
                           config.memory_limit_bytes};
  const Result<LatencyEstimate> result =
      client.measure(lease, id, file.sha256, options, plan, kTimeoutS);
  if (!result.ok()) return result.failure();
  if (result->verdict == Verdict::InvalidTiming) {
    return Failure{FailureKind::Unsupported,
                   "agent " + client.address() + ": its clock is emulated"};
  }
  return result->median_ms;
}

}  // namespace lathe::latency
