#include "latency/fleet/device_evaluator.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "network/onnx.h"
#include "network/passes.h"

namespace lathe::latency {
namespace {

constexpr uint64_t kWeightSeed =
    1;  // latency does not depend on it, but equal networks should be equal files

/// How long a measurement may take on the board: two long inferences may go past the budget, and a
/// slow board needs time to start its workers.
double board_time_limit_s(const MeasurementPlan& plan) {
  return 3.0 * plan.budget_s + plan.sustain_s + plan.energy_s + 120.0;
}

/// A latency is a ratio to the reference network's time: tells it with another such time.
void tell_in(double reference_ms, LatencyEstimate& estimate) {
  const double factor = reference_ms / estimate.reference_ms;
  for (double* value : {&estimate.median_ms, &estimate.interval_ms.low, &estimate.interval_ms.high,
                        &estimate.p90_ms, &estimate.p99_ms}) {
    *value *= factor;
  }
  estimate.reference_ms = reference_ms;
}

}  // namespace

DeviceEvaluator::DeviceEvaluator(BoardClass& board_class, MeasurementStore* store,
                                 std::string id_prefix)
    : class_(board_class), store_(store), id_prefix_(std::move(id_prefix)) {}

int DeviceEvaluator::boards() const {
  return static_cast<int>(std::max(class_.config.agents.size(), class_.boards().size()));
}

JobOptions DeviceEvaluator::job_options(Precision precision) const {
  return {class_.config.engine, class_.config.threads, precision, class_.config.memory_limit_bytes};
}

MeasurementKey DeviceEvaluator::store_key(const FlightKey& measurement,
                                          const AgentDescription& board) const {
  MeasurementKey key;
  key.structure = measurement.structure;
  key.engine = class_.config.engine;
  for (const AgentDescription::Engine& engine : board.engines) {
    if (engine.name == key.engine) key.engine_version = engine.version;
  }
  key.precision = measurement.precision;
  key.threads = class_.config.threads;
  key.device_fingerprint = board.fingerprint;
  key.sustained = measurement.plan.sustain_s > 0.0;
  key.energy = measurement.plan.energy_s > 0.0;
  key.target_half_width = measurement.plan.target_half_width;
  return key;
}

std::future<Result<LatencyEstimate>> DeviceEvaluator::measure(const search::Candidate& candidate,
                                                              const MeasurementPlan& plan) {
  if (candidate.network == nullptr) {
    throw InvariantError("DeviceEvaluator::measure: candidate " +
                         candidate.architecture.to_string() +
                         " has no network, expected a space that lowers to networks");
  }
  return measure_onnx(
      candidate.structure,
      [&candidate] {
        return network::to_onnx_without_weights(network::deploy(*candidate.network), kWeightSeed);
      },
      plan, class_.config.precision);
}

bool DeviceEvaluator::FlightKey::operator<(const FlightKey& other) const {
  const auto all = [](const FlightKey& key) {
    const MeasurementPlan& p = key.plan;
    return std::tie(key.structure, key.precision, p.target_half_width, p.level, p.budget_s,
                    p.min_blocks, p.max_blocks, p.processes, p.min_block_s, p.seed, p.sustain_s,
                    p.energy_s, p.fresh);
  };
  return all(*this) < all(other);
}

std::future<Result<LatencyEstimate>> DeviceEvaluator::measure_onnx(
    const network::Digest& structure, const std::function<std::string()>& make_onnx,
    const MeasurementPlan& plan, Precision precision) {
  const FlightKey key{structure, plan, precision};
  std::promise<Result<LatencyEstimate>> promise;
  std::future<Result<LatencyEstimate>> future = promise.get_future();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    Flight& flight = flights_[key];
    flight.waiting.push_back(std::move(promise));
    if (flight.waiting.size() > 1) return future;
  }
  auto job = std::make_unique<Job>();
  try {
    job->onnx = make_onnx();
  } catch (const Error& error) {
    deliver(key, Failure{FailureKind::Unsupported,
                         std::string("export for measurement: ") + error.what()});
    return future;
  }
  job->sha256 = sha256_hex(job->onnx);
  if (store_ != nullptr && !plan.fresh) {
    job->answer_from_store = [this, key](const std::vector<AgentDescription>& boards) {
      try {
        for (const AgentDescription& board : boards) {
          std::optional<LatencyEstimate> stored = store_->find(store_key(key, board));
          if (!stored) continue;
          stored->reused = true;
          deliver(key, *stored);
          return true;
        }
      } catch (const Error& error) {
        log::warning(std::string("measured afresh: ") + error.what());
      }
      return false;
    };
  }
  job->run = [this, key, sha256 = job->sha256](AgentClient& client, const Lease& lease,
                                               const std::string& id) -> std::optional<Failure> {
    Result<LatencyEstimate> result = client.measure(lease, id, sha256, job_options(key.precision),
                                                    key.plan, board_time_limit_s(key.plan));
    if (!result.ok()) return result.failure();
    LatencyEstimate estimate = std::move(result).value();
    const bool poor =
        estimate.verdict == Verdict::Disturbed || estimate.verdict == Verdict::Throttled;
    class_.record(client.address(), poor ? 0.0 : 1.0, true);
    estimate.conditions.extra["agent"] = client.address();
    estimate.conditions.extra["device"] = class_.config.name;
    if (store_ != nullptr) remember(key, client.address(), estimate);
    deliver(key, estimate);
    return std::nullopt;
  };
  job->fail = [this, key](const Failure& failure) { deliver(key, failure); };
  submit(std::move(job));
  return future;
}

/// A store that cannot be written costs a later run a measurement, not this one its result.
void DeviceEvaluator::remember(const FlightKey& measurement, const std::string& address,
                               LatencyEstimate& estimate) {
  try {
    for (const AgentDescription& board : class_.boards()) {
      if (board.address != address) continue;
      const MeasurementKey key = store_key(measurement, board);
      // A disturbed or throttled board says nothing about its own speed.
      const bool usual =
          estimate.verdict == Verdict::Clean || estimate.verdict == Verdict::Unsteady;
      if (estimate.reference_ms > 0.0 && usual) {
        const auto reference = store_->reference_time(key, estimate.reference_ms);
        if (reference.board_changed) {
          log::warning("agent " + address +
                           ": the board is faster or slower than when it was measured before; "
                           "what is needed of that is measured again",
                       {{"device", class_.config.name}, {"agent", address}});
        }
        tell_in(reference.kept_ms, estimate);
      }
      store_->add(key, estimate);
    }
  } catch (const Error& error) {
    log::warning(std::string("a measurement is not kept for other runs: ") + error.what());
  }
}

void DeviceEvaluator::submit(std::unique_ptr<Job> job) {
  job->id = id_prefix_ + "-" + std::to_string(next_id_++);
  job->waiting_since_s = steady_clock().now_s();
  if (!class_.queue.push(job)) job->fail(*class_.queue.closed());
}

void DeviceEvaluator::deliver(const FlightKey& key, const Result<LatencyEstimate>& result) {
  Flight flight;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = flights_.find(key);
    if (found == flights_.end()) return;
    flight = std::move(found->second);
    flights_.erase(found);
  }
  for (std::promise<Result<LatencyEstimate>>& promise : flight.waiting) promise.set_value(result);
}

}  // namespace lathe::latency
