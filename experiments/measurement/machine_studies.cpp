// What the agent and the controller cost: memory, the engine's speed, the controller's own time.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>

#include "core/clock.h"
#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/statistics.h"
#include "experiments/measurement/studies.h"
#include "latency/fleet/board_class.h"
#include "latency/fleet/fleet.h"
#include "network/digest.h"
#include "tests/support/fake_agent.h"

namespace lathe::study {
namespace {

using latency::JobOptions;
using latency::LatencyEstimate;
using latency::MeasurementPlan;
using latency::Precision;
using nlohmann::json;

constexpr int kAgents = 50;
constexpr double kJob_s = 1.3;  // what a measurement to 1 % takes
constexpr double kMegabyte = 1e6;

JobOptions options_of(const std::string& engine, Precision precision, int64_t memory_limit_bytes) {
  JobOptions options;
  options.engine = engine;
  options.precision = precision;
  options.memory_limit_bytes = memory_limit_bytes;
  return options;
}

double resident_mb(int process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return 1024.0 * std::stod(line.substr(6)) / kMegabyte;
  }
  throw DataError("/proc/" + std::to_string(process) + "/status: no VmRSS");
}

/// The smallest limit in MB, in steps of 2, under which the network runs.
json smallest_limit(Bench& bench, Precision precision, int64_t bar_mb) {
  MeasurementPlan plan;
  plan.budget_s = 1.0;
  json found;
  for (int64_t limit_mb = bar_mb; limit_mb >= 6; limit_mb -= 2) {
    const auto estimate =
        bench.measure(mobilenet_v2_224(), plan,
                      options_of("xnnpack", precision, limit_mb * static_cast<int64_t>(kMegabyte)));
    if (!estimate.ok()) {
      if (found.is_null()) found = {{"failure", estimate.failure().message}};
      break;
    }
    found = {{"runs_under_mb", limit_mb},
             {"peak_memory_mb", static_cast<double>(estimate->peak_memory_bytes) / kMegabyte}};
  }
  found["bar_mb"] = bar_mb;
  std::printf("MobileNetV2-224 %s under a limit (bar %lld MB): %s\n", to_string(precision),
              static_cast<long long>(bar_mb), found.dump().c_str());
  return found;
}

/// Sizes of the bundles that scripts/build_agent.sh has made.
json bundle_sizes() {
  json sizes = json::object();
  const std::filesystem::path folder = std::filesystem::path(LATHE_SOURCE_DIR) / "build/agent";
  std::error_code none;
  for (const auto& architecture : std::filesystem::directory_iterator(folder, none)) {
    for (const auto& file : std::filesystem::directory_iterator(architecture.path(), none)) {
      const std::string name = file.path().filename();
      if (name.find(".tar.xz") == std::string::npos && file.path().extension() != ".deb") continue;
      sizes[name] = static_cast<double>(file.file_size()) / kMegabyte;
    }
  }
  if (sizes.empty()) std::printf("no bundles: run scripts/build_agent.sh arm64 armhf first\n");
  return sizes;
}

/// This program again, as agents that answer without measuring.
class OtherProcess {
 public:
  OtherProcess() {
    std::array<int, 2> to{};
    std::array<int, 2> from{};
    if (::pipe2(to.data(), O_CLOEXEC) != 0 || ::pipe2(from.data(), O_CLOEXEC) != 0) {
      throw DeviceError("measurement study: no pipes");
    }
    stdin_ = FileDescriptor(to[1]);
    const FileDescriptor read_end(to[0]);
    const FileDescriptor write_end(from[1]);
    const FileDescriptor answers(from[0]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    char name[] = "agents";
    char mode[] = "--serve-agents";
    char* arguments[] = {name, mode, nullptr};
    const int error =
        ::posix_spawn(&process_, "/proc/self/exe", &actions, nullptr, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw DeviceError("measurement study: cannot be started again");
    std::string text;
    char piece = '\0';
    while (::read(answers.get(), &piece, 1) == 1 && piece != '\n') text.push_back(piece);
    std::istringstream words(text);
    for (std::string address; words >> address;) addresses_.push_back(address);
    if (static_cast<int>(addresses_.size()) != kAgents) throw DeviceError("agents did not start");
  }
  ~OtherProcess() {
    stdin_ = FileDescriptor();
    ::waitpid(process_, nullptr, 0);
  }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;
  const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  pid_t process_ = -1;
  FileDescriptor stdin_;
  std::vector<std::string> addresses_;
};

double own_cpu_s() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

search::Candidate candidate_of(const NamedNetwork& named, uint16_t number) {
  search::Candidate candidate;
  candidate.architecture.genes = {number};
  candidate.structure = network::digest(named.network, network::DigestKind::Structure);
  candidate.computation = network::digest(named.network, network::DigestKind::Computation);
  candidate.network = std::make_shared<network::Network>(named.network);
  return candidate;
}

}  // namespace

int serve_agents() {
  test::FakeAgent::Options options;
  options.run_s = kJob_s;
  std::vector<std::unique_ptr<test::FakeAgent>> agents;
  for (int i = 0; i < kAgents; ++i) {
    agents.push_back(std::make_unique<test::FakeAgent>(options));
    std::printf("%s ", agents.back()->address().c_str());
  }
  std::printf("\n");
  std::fflush(stdout);
  char ignored = '\0';
  while (::read(0, &ignored, 1) == 1) {
  }
  return 0;
}

json study_controller(Bench&, bool quick) {
  const OtherProcess agents;
  latency::DeviceConfig device;
  device.name = "boards";
  device.agents = agents.addresses();
  device.agreement = 0.0;
  latency::Fleet fleet({device}, nullptr, "study");
  const std::vector<NamedNetwork> networks = close_networks(quick ? 250 : 1500);
  std::vector<search::Candidate> candidates;
  for (const NamedNetwork& named : networks)
    candidates.push_back(candidate_of(named, static_cast<uint16_t>(candidates.size())));
  MeasurementPlan plan;
  plan.fresh = true;
  std::vector<std::future<Result<LatencyEstimate>>> futures;
  for (const search::Candidate& candidate : candidates)
    futures.push_back(fleet.evaluator("boards").measure(candidate, plan));
  int measured = 0;
  double start_s = 0.0;
  double cpu_s = 0.0;
  for (size_t i = 0; i < futures.size(); ++i) {
    measured += futures[i].get().ok() ? 1 : 0;
    if (i + 1 != kAgents) continue;  // from here on every agent is connected and has its second job
    start_s = steady_clock().now_s();
    cpu_s = own_cpu_s();
  }
  const double wall_s = steady_clock().now_s() - start_s;
  const double share = (own_cpu_s() - cpu_s) / wall_s;
  std::printf(
      "controller of %d agents: %d jobs, %.1f s after the first of each, %.1f %% of a core\n",
      kAgents, measured, wall_s, 100.0 * share);
  return {{"agents", kAgents}, {"jobs", measured}, {"wall_s", wall_s}, {"share_of_a_core", share}};
}

json study_small(Bench& bench, bool) {
  const Bench fresh(bench.agent_program(), bench.core());
  constexpr double kIdle_s = 35.0;  // an agent without work gives memory back every half minute
  steady_clock().sleep_s(kIdle_s);
  const double idle_mb = resident_mb(bench.agent_process());
  const double fresh_mb = resident_mb(fresh.agent_process());
  std::printf("agent without work: %.1f MB, after measurements %.1f MB\n", fresh_mb, idle_mb);
  return {{"idle_mb", fresh_mb},
          {"after_measurements_mb", idle_mb},
          {"fp32", smallest_limit(bench, Precision::Fp32, 40)},
          {"int8", smallest_limit(bench, Precision::Int8, 24)},
          {"bundles_mb", bundle_sizes()}};
}

json study_speed(Bench& bench, bool quick) {
  if (bench.engine_agent().empty()) {
    std::printf("speed: no agent with ONNX Runtime (run.sh says how to have one)\n");
    return {{"skipped", "no agent with ONNX Runtime"}};
  }
  Bench both(bench.engine_agent(), bench.core());
  const int rounds = quick ? 3 : 12;
  json result = {{"rounds", rounds}};
  for (const Precision precision : {Precision::Fp32, Precision::Int8}) {
    // A fresh process for each, and taking turns, so that both see the same machine.
    std::vector<double> xnnpack_ms, onnxruntime_ms, ratios;
    for (int round = 0; round < rounds; ++round) {
      const auto measure = [&](const char* engine) {
        auto estimate = both.measure(mobilenet_v2_224(), {}, options_of(engine, precision, 0));
        if (!estimate.ok()) throw DeviceError(estimate.failure().message);
        return estimate->median_ms;
      };
      xnnpack_ms.push_back(measure("xnnpack"));
      onnxruntime_ms.push_back(measure("onnxruntime"));
      ratios.push_back(xnnpack_ms.back() / onnxruntime_ms.back());
    }
    std::printf("MobileNetV2-224 %s: xnnpack %.2f ms, onnxruntime %.2f ms, ratio %.3f\n",
                to_string(precision), median(xnnpack_ms), median(onnxruntime_ms), median(ratios));
    result[to_string(precision)] = {{"xnnpack_ms", median(xnnpack_ms)},
                                    {"onnxruntime_ms", median(onnxruntime_ms)},
                                    {"ratio", median(ratios)}};
  }
  return result;
}

}  // namespace lathe::study
