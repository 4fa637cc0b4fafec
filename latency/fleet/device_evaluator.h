#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "latency/fleet/board_class.h"
#include "latency/fleet/job_queue.h"
#include "latency/store/measurement_store.h"
#include "network/digest.h"
#include "search/evaluation/evaluators.h"

namespace lathe::latency {

/// The latency of candidates on one device class: makes a job of each, shares jobs between equal
/// candidates in flight, looks into the store first and adds what was measured. Thread-safe.
class DeviceEvaluator : public search::LatencyEvaluator {
 public:
  /// `store` may be null. `id_prefix` makes job ids unique in the world.
  DeviceEvaluator(BoardClass& board_class, MeasurementStore* store, std::string id_prefix);

  const std::string& device() const override { return class_.config.name; }
  const MeasurementPlan& default_plan() const override { return class_.config.plan; }
  bool shares_host() const override { return class_.config.shares_host(); }
  int boards() const override;
  std::future<Result<LatencyEstimate>> measure(const search::Candidate& candidate,
                                               const MeasurementPlan& plan) override;

  /// Measures ONNX bytes whose work is identified by `structure`, in the class's precision or
  /// another.
  std::future<Result<LatencyEstimate>> measure_onnx(const network::Digest& structure,
                                                    const std::function<std::string()>& make_onnx,
                                                    const MeasurementPlan& plan,
                                                    Precision precision);

  /// Submits `job` after giving it an id; fails it at once if the class is closed.
  void submit(std::unique_ptr<Job> job);
  JobOptions job_options(Precision precision) const;

 private:
  /// One measurement in flight and everyone who waits for it.
  struct Flight {
    std::vector<std::promise<Result<LatencyEstimate>>> waiting;
  };
  /// What makes two requests the same measurement.
  struct FlightKey {
    network::Digest structure;
    MeasurementPlan plan;
    Precision precision;
    bool operator<(const FlightKey& other) const;
  };

  MeasurementKey store_key(const FlightKey& measurement, const AgentDescription& board) const;
  /// Tells the estimate in the reference time that the store keeps, and adds it there.
  void remember(const FlightKey& measurement, const std::string& address,
                LatencyEstimate& estimate);
  void deliver(const FlightKey& key, const Result<LatencyEstimate>& result);

  BoardClass& class_;
  MeasurementStore* store_;
  std::string id_prefix_;
  std::atomic<uint64_t> next_id_{0};
  std::mutex mutex_;
  std::map<FlightKey, Flight> flights_;
};

}  // namespace lathe::latency
