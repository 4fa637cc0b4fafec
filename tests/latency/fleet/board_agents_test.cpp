// Agents for other processors against the one for this machine. Run by scripts/check_boards.sh,
// which builds them and names how to start each in LATHE_BOARD_AGENTS.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "latency/fleet/agent_client.h"
#include "latency/fleet/local_agent.h"
#include "latency/fleet/reference_check.h"
#include "network/onnx.h"
#include "network/reference_networks.h"
#include "tests/device_agent/engine/random_graph.h"
#include "tests/support/fitted_weights.h"
#include "tests/support/quantized_model.h"
#include "tests/support/random_network.h"

namespace lathe::latency {
namespace {

constexpr double kPatience_s = 300.0;  // an emulator is slow

/// A network that every agent must run to the same outputs.
struct ComparedModel {
  std::string name;
  std::string onnx;
  network::Shape input;
  Precision precision = Precision::Fp32;
  double tolerance = 1e-4;  ///< relative to the largest output; 0: identical
};

ComparedModel fp32_model(const std::string& name, network::Network network,
                         network::Weights weights) {
  const network::Shape input = network.input_shape();
  return {name, network::to_onnx({std::move(network), std::move(weights)}), input};
}

std::vector<ComparedModel> reference_models() {
  std::vector<ComparedModel> models;
  for (const std::string& name : network::reference_network_names()) {
    network::ReferenceOptions options;
    options.resolution = 64;
    options.classes = 100;
    const network::Network network = network::reference_network(name, options);
    models.push_back(fp32_model(name, network, test::fitted_weights(network, 7)));
  }
  return models;
}

// Small networks of every operator, with biases and statistics as after training.
ComparedModel random_model(const std::string& name, const network::Network& network,
                           uint64_t seed) {
  return fp32_model(name, network,
                    test::trained_looking_weights(network, Rng(seed).derive("weights")));
}

std::vector<ComparedModel> random_models() {
  std::vector<ComparedModel> models;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const std::string number = std::to_string(seed);
    models.push_back(
        random_model("graph " + number, device::testing::random_graph(seed, 20), seed));
    models.push_back(
        random_model("network " + number, test::random_network(Rng(seed).derive("network")), seed));
  }
  return models;
}

/// An agent that is up, with a connection to it.
class StartedAgent {
 public:
  explicit StartedAgent(const std::filesystem::path& program)
      : name(program.filename()), agent_({program, {}}), client_(agent_.address(), token()) {}

  const std::string name;
  AgentClient& client() { return client_; }

  AgentDescription describe() {
    const auto description = client_.describe(kPatience_s);
    REQUIRE_MESSAGE(description, name, ": ", description.failure().message);
    return *description;
  }

  network::Tensor run(const ComparedModel& model, const network::Tensor& images) {
    auto outputs = try_run(model, images);
    REQUIRE_MESSAGE(outputs, name, ", ", model.name, ": ", outputs.failure().message);
    return std::move(*outputs);
  }

  Result<network::Tensor> try_run(const ComparedModel& model, const network::Tensor& images) {
    const auto lease = client_.acquire("boards", kPatience_s);
    REQUIRE_MESSAGE(lease, name, ": ", lease.failure().message);
    const std::string sha256 = sha256_hex(model.onnx);
    const auto provided = client_.provide_model(sha256, model.onnx);
    REQUIRE_MESSAGE(provided, name, ": ", provided.failure().message);
    JobOptions options;
    options.engine = "xnnpack";
    options.precision = model.precision;
    return client_.run(**lease, sha256, options, images, kPatience_s);
  }

 private:
  Credentials token() const {
    Credentials credentials;
    credentials.token = agent_.token();
    return credentials;
  }

  LocalAgent agent_;
  AgentClient client_;
};

/// Programs in LATHE_BOARD_AGENTS, separated by colons.
std::vector<std::filesystem::path> board_agents() {
  const char* list = std::getenv("LATHE_BOARD_AGENTS");
  std::vector<std::filesystem::path> programs;
  std::istringstream stream(list == nullptr ? "" : list);
  for (std::string program; std::getline(stream, program, ':');) programs.emplace_back(program);
  if (programs.empty()) {
    throw ConfigError("LATHE_BOARD_AGENTS is empty, expected programs (scripts/check_boards.sh)");
  }
  return programs;
}

/// Returns the largest difference over the models, relative to each one's largest output.
double compare(StartedAgent& here, StartedAgent& board, const std::vector<ComparedModel>& models) {
  double worst = 0.0;
  for (const ComparedModel& model : models) {
    const network::Tensor images = test::random_tensor(model.input, Rng(11).derive(model.name));
    const network::Tensor expected = here.run(model, images);
    const network::Tensor outputs = board.run(model, images);
    INFO(board.name, ", ", model.name);
    const double difference = test::relative_difference(expected, outputs);
    CHECK(difference <= model.tolerance);
    worst = std::max(worst, difference);
  }
  return worst;
}

// Integers leave nothing to rounding: every processor must give the same.
ComparedModel int8_model(const std::string& name, const network::Network& network, uint64_t seed) {
  const network::Model model = test::quantized_model(
      {network, test::trained_looking_weights(network, Rng(seed).derive("weights"))},
      Rng(seed).derive("images"));
  return {name + " in int8", network::to_onnx(model), network.input_shape(), Precision::Int8, 0.0};
}

std::vector<ComparedModel> int8_models() {
  std::vector<ComparedModel> models;
  for (const std::string& name : network::reference_network_names()) {
    network::ReferenceOptions options;
    options.resolution = 32;
    options.classes = 10;
    models.push_back(int8_model(name, network::reference_network(name, options), 7));
  }
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const std::string number = std::to_string(seed);
    models.push_back(int8_model("graph " + number, device::testing::random_graph(seed, 20), seed));
    models.push_back(
        int8_model("network " + number, test::random_network(Rng(seed).derive("network")), seed));
  }
  return models;
}

struct Agents {
  StartedAgent here{LATHE_AGENT_PROGRAM};
  std::vector<std::filesystem::path> boards = board_agents();
};

void compare_on_all_boards(const std::vector<ComparedModel>& models) {
  Agents agents;
  for (const auto& program : agents.boards) {
    StartedAgent board(program);
    const double worst = compare(agents.here, board, models);
    MESSAGE(board.name, ": largest relative difference ", worst, " over ", models.size(),
            " networks");
  }
}

}  // namespace

TEST_CASE("agents for boards say what they are, and that they are emulated") {
  Agents agents;
  const AgentDescription expected = agents.here.describe();
  REQUIRE(expected.engines.size() == 1);
  CHECK_FALSE(expected.emulated);
  for (const auto& program : agents.boards) {
    StartedAgent board(program);
    INFO(board.name);
    const AgentDescription description = board.describe();
    CHECK(description.emulated);
    CHECK(description.isa.rfind("arm", 0) == 0);
    CHECK(description.agent_version == expected.agent_version);
    REQUIRE(description.engines.size() == 1);
    CHECK(description.engines[0].name == "xnnpack");
    CHECK(description.engines[0].version == expected.engines[0].version);
    CHECK(description.engines[0].operators == expected.engines[0].operators);
    REQUIRE(!description.findings.empty());
    CHECK(description.findings[0].topic == "emulator");
    MESSAGE(board.name, ": ", description.isa, ", xnnpack ", description.engines[0].version);
  }
}

TEST_CASE("times of an emulated agent are marked invalid, and no fleet trusts it") {
  const ComparedModel model = random_model("network", test::random_network(Rng(3)), 3);
  MeasurementPlan plan;
  plan.budget_s = 2.0;
  plan.min_blocks = 4;
  plan.max_blocks = 8;
  for (const auto& program : board_agents()) {
    StartedAgent board(program);
    INFO(board.name);
    AgentClient& client = board.client();
    const std::string sha256 = sha256_hex(model.onnx);
    const auto lease = client.acquire("boards", kPatience_s);
    REQUIRE_MESSAGE(lease, lease.failure().message);
    REQUIRE(client.provide_model(sha256, model.onnx));
    JobOptions options;
    options.engine = "xnnpack";
    const auto estimate = client.measure(**lease, "emulated", sha256, options, plan, kPatience_s);
    REQUIRE_MESSAGE(estimate, estimate.failure().message);
    CHECK(estimate->verdict == Verdict::InvalidTiming);
    CHECK(estimate->conditions.extra.at("emulated") == "times mean nothing");
    CHECK(estimate->conditions.engine == "xnnpack");
    CHECK(estimate->median_ms > 0.0);
    const auto reference = measure_reference(client, **lease, DeviceConfig{});
    REQUIRE_FALSE(reference);
    CHECK(reference.failure().kind == FailureKind::Unsupported);
  }
}

TEST_CASE("agents for boards compute in fp32 what the agent for this machine computes") {
  std::vector<ComparedModel> models = reference_models();
  for (ComparedModel& model : random_models()) models.push_back(std::move(model));
  compare_on_all_boards(models);
}

TEST_CASE("agents whose core has fp16 compute in it, the others say what they have") {
  Agents agents;
  std::vector<ComparedModel> models = reference_models();
  for (ComparedModel& model : random_models()) models.push_back(std::move(model));
  int with_fp16 = 0;
  for (const auto& program : agents.boards) {
    StartedAgent board(program);
    INFO(board.name);
    const std::vector<std::string> known = board.describe().engines.at(0).precisions;
    if (std::find(known.begin(), known.end(), "fp16") == known.end()) {
      ComparedModel model = models.front();
      model.precision = Precision::Fp16;
      const auto refused = board.try_run(model, test::random_tensor(model.input, Rng(11)));
      REQUIRE_FALSE(refused);
      CHECK(refused.failure().kind == FailureKind::Unsupported);
      CHECK(refused.failure().message.find(
                "xnnpack: precision = fp16, expected one of: fp32, int8") != std::string::npos);
      continue;
    }
    ++with_fp16;
    double worst = 0.0;
    for (const ComparedModel& model : models) {
      CAPTURE(model.name);
      const network::Tensor images = test::random_tensor(model.input, Rng(11).derive(model.name));
      const network::Tensor expected = agents.here.run(model, images);
      ComparedModel half = model;
      half.precision = Precision::Fp16;
      const double difference = test::relative_difference(expected, board.run(half, images));
      // ARM cores sum in halves, of 11 bits: a thousand products lose a hundredth, and eighty such
      // layers, each on the errors of those before, about a tenth.
      CHECK(difference <= 0.2);
      worst = std::max(worst, difference);
    }
    MESSAGE(board.name, ": largest relative difference of fp16 ", worst);
  }
  CHECK(with_fp16 > 0);
}

TEST_CASE("agents for boards compute the same integers as the agent for this machine") {
  compare_on_all_boards(int8_models());
}

}  // namespace lathe::latency
