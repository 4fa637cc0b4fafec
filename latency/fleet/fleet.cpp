#include "latency/fleet/fleet.h"

#include <algorithm>
#include <future>
#include <random>
#include <utility>

#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/progress.h"
#include "core/text.h"
#include "latency/fleet/board_worker.h"
#include "latency/fleet/device_evaluator.h"
#include "latency/fleet/discovery.h"

namespace lathe::latency {
namespace {

constexpr double kRunLimitS = 600.0;

/// Job ids are unique among all controllers and all their runs, so that agents can tell a repeated
/// job from a new one.
std::string unique_prefix(const std::string& controller) {
  std::random_device device;
  const uint64_t high = device();
  return controller + "-" + std::to_string((high << 32U) | device());
}

/// Returns `config` with "dns-sd" replaced by what is found, each agent once.
DeviceConfig with_discovered_agents(DeviceConfig config) {
  const auto discover = std::find(config.agents.begin(), config.agents.end(), kDiscover);
  if (discover == config.agents.end()) return config;
  config.agents.erase(discover);
  for (const DiscoveredAgent& agent : discover_agents()) {
    // A certificate is for a name, not for an address.
    const std::string address = config.credentials.ca.empty()
                                    ? agent.address()
                                    : agent.host + ":" + std::to_string(agent.port);
    if (std::find(config.agents.begin(), config.agents.end(), address) == config.agents.end()) {
      config.agents.push_back(address);
    }
  }
  if (config.agents.empty()) {
    throw DeviceError("device " + config.name +
                      ": no agent answers DNS-SD for _lathe-agent._tcp, expected at least one; "
                      "name agents as host:port where multicast does not reach");
  }
  return config;
}

network::Digest digest_of_file(const std::string& sha256) {
  return network::Digest::from_hex(sha256.substr(0, 32));
}

}  // namespace

/// One device class with everything that serves it. Destroyed in reverse: threads first, then what
/// they use.
struct DeviceService {
  DeviceService(const DeviceConfig& config, const std::string& controller,
                const FleetOptions& options)
      : board_class(config, controller, options) {}

  Precision precision(std::optional<Precision> other) const {
    return other.value_or(board_class.config.precision);
  }

  BoardClass board_class;
  std::unique_ptr<DeviceEvaluator> evaluator;
  std::vector<std::unique_ptr<BoardWorker>> workers;
};

struct Fleet::State {
  std::unique_ptr<LocalAgent> local;
  std::vector<std::unique_ptr<DeviceService>> services;

  DeviceService& service(const std::string& device) {
    for (const std::unique_ptr<DeviceService>& candidate : services) {
      if (candidate->board_class.config.name == device) return *candidate;
    }
    const auto name_of = [](const auto& known) { return known->board_class.config.name; };
    throw ConfigError("device = " + device + ", expected one of " + join(services, ", ", name_of));
  }

  void add(const DeviceConfig& config, MeasurementStore* store, const std::string& controller,
           const std::string& id_prefix, const FleetOptions& options) {
    services.push_back(std::make_unique<DeviceService>(config, controller, options));
    DeviceService& added = *services.back();
    added.evaluator =
        std::make_unique<DeviceEvaluator>(added.board_class, store, id_prefix + "-" + config.name);
    if (config.agents.empty()) {
      added.board_class.add_board(local->address());
      const Credentials credentials{local->token(), {}, {}, {}, false};
      added.workers.push_back(std::make_unique<BoardWorker>(added.board_class, local->address(),
                                                            credentials, local.get()));
      return;
    }
    for (const std::string& address : config.agents) added.board_class.add_board(address);
    for (const std::string& address : config.agents) {
      added.workers.push_back(
          std::make_unique<BoardWorker>(added.board_class, address, config.credentials, nullptr));
    }
  }

  void close() {
    for (const std::unique_ptr<DeviceService>& closing : services) {
      closing->board_class.queue.close({FailureKind::Cancelled, "the fleet was shut down"});
    }
  }

  /// Runs one job whose outcome is a T, and waits for it.
  template <typename T, typename Call>
  Result<T> run_job(const std::string& device, const std::string& onnx,
                    std::optional<Precision> precision, Call call) {
    DeviceService& asked = service(device);
    DeviceEvaluator& evaluator = *asked.evaluator;
    const auto promise = std::make_shared<std::promise<Result<T>>>();
    std::future<Result<T>> future = promise->get_future();
    auto job = std::make_unique<Job>();
    job->onnx = onnx;
    job->sha256 = sha256_hex(onnx);
    job->run = [promise, call, sha256 = job->sha256,
                options = evaluator.job_options(asked.precision(precision))](
                   AgentClient& client, const Lease& lease,
                   const std::string&) -> std::optional<Failure> {
      Result<T> result = call(client, lease, sha256, options);
      if (!result.ok()) return result.failure();
      promise->set_value(std::move(result));
      return std::nullopt;
    };
    job->fail = [promise](const Failure& failure) { promise->set_value(failure); };
    evaluator.submit(std::move(job));
    return future.get();
  }
};

Fleet::Fleet(std::vector<DeviceConfig> devices, MeasurementStore* store,
             std::string controller_name)
    : Fleet(std::move(devices), store, std::move(controller_name), FleetOptions{}) {}

Fleet::Fleet(std::vector<DeviceConfig> devices, MeasurementStore* store,
             std::string controller_name, const FleetOptions& options,
             const LocalAgent::Options& local_options)
    : state_(std::make_unique<State>()) {
  const std::string id_prefix = unique_prefix(controller_name);
  for (const DeviceConfig& device : devices) {
    if (device.agents.empty() && state_->local == nullptr) {
      state_->local = std::make_unique<LocalAgent>(local_options);
    }
  }
  try {
    for (const DeviceConfig& device : devices)
      state_->add(with_discovered_agents(device), store, controller_name, id_prefix, options);
  } catch (...) {
    state_->close();
    throw;
  }
}

Fleet::~Fleet() { state_->close(); }

std::vector<AgentDescription> Fleet::describe(double timeout_s) {
  struct Question {
    const DeviceService* service;
    std::string address;
    std::future<Result<AgentDescription>> answer;
  };
  std::vector<Question> questions;
  for (const std::unique_ptr<DeviceService>& asked : state_->services) {
    for (const std::unique_ptr<BoardWorker>& worker : asked->workers) {
      AgentClient& client = worker->client();
      questions.push_back(
          {asked.get(), client.address(), std::async(std::launch::async, [&client, timeout_s] {
             return client.describe_patiently(timeout_s);
           })});
    }
  }
  std::vector<AgentDescription> descriptions;
  std::string faults;
  for (Question& question : questions) {
    Result<AgentDescription> answer = question.answer.get();
    if (!answer.ok()) {
      faults += (faults.empty() ? "" : "\n") + std::string("device ") +
                question.service->board_class.config.name + ": " + answer.failure().message;
      continue;
    }
    answer->device = question.service->board_class.config.name;
    descriptions.push_back(std::move(answer).value());
  }
  if (!faults.empty()) throw DeviceError(faults);
  return descriptions;
}

std::vector<BoardStatus> Fleet::boards() const {
  std::vector<BoardStatus> all;
  for (const std::unique_ptr<DeviceService>& asked : state_->services) {
    for (BoardStatus& status : asked->board_class.statuses()) all.push_back(std::move(status));
  }
  return all;
}

int Fleet::local_process_id() const {
  return state_->local == nullptr ? 0 : state_->local->process_id();
}

search::LatencyEvaluator& Fleet::evaluator(const std::string& device) {
  return *state_->service(device).evaluator;
}

Result<LatencyEstimate> Fleet::measure_model(const std::string& device, const std::string& onnx,
                                             const MeasurementPlan& plan,
                                             std::optional<Precision> precision) {
  MeasurementPlan fresh = plan;
  fresh.fresh = true;
  DeviceService& service = state_->service(device);
  return service.evaluator
      ->measure_onnx(
          digest_of_file(sha256_hex(onnx)), [&onnx] { return onnx; }, fresh,
          service.precision(precision))
      .get();
}

Result<std::vector<OperatorTime>> Fleet::profile_model(const std::string& device,
                                                       const std::string& onnx, double budget_s) {
  return state_->run_job<std::vector<OperatorTime>>(
      device, onnx, std::nullopt,
      [budget_s](AgentClient& client, const Lease& lease, const std::string& sha256,
                 const JobOptions& options) {
        return client.profile(lease, sha256, options, budget_s, 3.0 * budget_s + 120.0);
      });
}

Result<network::Tensor> Fleet::run_model(const std::string& device, const std::string& onnx,
                                         const network::Tensor& images,
                                         std::optional<Precision> precision) {
  return state_->run_job<network::Tensor>(
      device, onnx, precision,
      [&images](AgentClient& client, const Lease& lease, const std::string& sha256,
                const JobOptions& options) {
        return client.run(lease, sha256, options, images, kRunLimitS);
      });
}

}  // namespace lathe::latency
