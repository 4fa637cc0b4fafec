#include "experiments/measurement/bench.h"

#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <system_error>

#include "core/certificate.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "network/onnx.h"
#include "network/passes.h"

namespace lathe::study {
namespace {

using latency::AgentClient;
using latency::LatencyEstimate;
using latency::MeasurementPlan;

constexpr double kTimeoutS = 300.0;

template <typename T>
T need(Result<T> result) {
  if (!result.ok()) throw DeviceError(result.failure().message);
  return std::move(result).value();
}

latency::JobOptions job_options() {
  latency::JobOptions options;
  options.engine = "xnnpack";
  return options;
}

std::string provide(AgentClient& client, const NamedNetwork& network) {
  const std::string onnx = network::to_onnx_without_weights(network::deploy(network.network), 1);
  const std::string sha256 = sha256_hex(onnx);
  need(client.provide_model(sha256, onnx));
  return sha256;
}

}  // namespace

Bench::Bench(const std::string& agent_program, int core, const std::string& engine_agent)
    : agent_program_(agent_program), core_(core), engine_agent_(engine_agent) {
  latency::LocalAgent::Options options;
  options.program = agent_program;
  options.arguments = {"--cpu", std::to_string(core)};
  agent_ = std::make_unique<latency::LocalAgent>(options);
  client_ = std::make_unique<AgentClient>(agent_->address(),
                                          latency::Credentials{agent_->token(), {}, {}, {}, false});
  board_ = need(client_->describe(10.0));
}

LatencyEstimate Bench::measure(const NamedNetwork& network, const MeasurementPlan& plan) {
  return need(measure(network, plan, job_options()));
}

Result<LatencyEstimate> Bench::measure(const NamedNetwork& network, const MeasurementPlan& plan,
                                       const latency::JobOptions& options) {
  const std::string sha256 = provide(*client_, network);
  const auto lease = need(client_->acquire("study", kTimeoutS));
  MeasurementPlan own = plan;
  own.seed = next_job_;
  return client_->measure(*lease, "study-" + std::to_string(next_job_++), sha256, options, own,
                          kTimeoutS);
}

std::vector<double> round_trips(AgentClient& client, const NamedNetwork& network, int count) {
  const std::string sha256 = provide(client, network);
  const auto lease = need(client.acquire("study", kTimeoutS));
  MeasurementPlan plan;
  plan.budget_s = 0.5;
  need(client.measure(*lease, "known", sha256, job_options(), plan, kTimeoutS));
  std::vector<double> seconds;
  for (int i = 0; i < count; ++i) {
    const double start_s = steady_clock().now_s();
    need(client.measure(*lease, "known", sha256, job_options(), plan, kTimeoutS));
    seconds.push_back(steady_clock().now_s() - start_s);
  }
  return seconds;
}

TlsAgent::TlsAgent(const std::string& agent_program, int core) {
  std::string name = (std::filesystem::temp_directory_path() / "lathe-study-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw DeviceError(name + ": cannot be created");
  folder_ = name;
  const auto request = [](CertificateUse use, const std::vector<std::string>& hosts) {
    return CertificateRequest{use, "lathe study", hosts, unix_now_s() - 60,
                              unix_now_s() + 60 * int64_t{86400}};
  };
  const Identity authority = issue_certificate(request(CertificateUse::Authority, {}), nullptr);
  const auto write = [&](const char* file, const std::string& text) {
    write_file_atomically(folder_ / file, text);
    return (folder_ / file).string();
  };
  const std::string ca = write("ca.pem", authority.certificate);
  const Identity own = issue_certificate(request(CertificateUse::Agent, {"127.0.0.1"}), &authority);
  const Identity other = issue_certificate(request(CertificateUse::Controller, {}), &authority);
  const std::string address_file = (folder_ / "address").string();
  std::vector<std::string> words = {agent_program,
                                    "--die-with-parent",
                                    "--cpu",
                                    std::to_string(core),
                                    "--port-file",
                                    address_file,
                                    "--tls-ca",
                                    ca,
                                    "--tls-certificate",
                                    write("agent.pem", own.certificate),
                                    "--tls-key",
                                    write("agent.key", own.key)};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  if (::posix_spawn(&process_, agent_program.c_str(), nullptr, nullptr, arguments.data(),
                    environ) != 0) {
    throw DeviceError(agent_program + ": cannot be started");
  }
  const double end_s = steady_clock().now_s() + 30.0;
  while (!std::filesystem::exists(address_file)) {
    if (steady_clock().now_s() > end_s) throw DeviceError(agent_program + ": does not listen");
    steady_clock().sleep_s(0.01);
  }
  std::string address = read_file(address_file);
  address.pop_back();
  client_ = std::make_unique<AgentClient>(
      address, latency::Credentials{"", ca, write("me.pem", other.certificate),
                                    write("me.key", other.key), false});
}

TlsAgent::~TlsAgent() {
  client_.reset();
  ::kill(process_, SIGTERM);
  ::waitpid(process_, nullptr, 0);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace lathe::study
