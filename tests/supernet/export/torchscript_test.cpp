#include "supernet/export/torchscript.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "network/passes.h"
#include "network/reference_networks.h"
#include "supernet/export/forward_source.h"
#include "supernet/torch_headers.h"
#include "tests/support/child_process.h"
#include "tests/support/message_of.h"
#include "tests/support/quantized_model.h"
#include "tests/support/random_network.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

constexpr double kTolerance = 1e-4;

network::Tensor run(torch::jit::Module& module, const network::Tensor& input) {
  network::Tensor copy = input;
  const at::Tensor output =
      module.forward({at::from_blob(copy.values.data(), copy.shape)}).toTensor().contiguous();
  const auto* values = output.data_ptr<float>();
  return {output.sizes().vec(), {values, values + output.numel()}};
}

/// Writes, loads and runs the model with one image and with three.
void check_script(const network::Model& model, const Rng& rng) {
  const test::TemporaryFolder folder;
  write_torchscript(model, folder / "model.pt");
  torch::jit::Module module = torch::jit::load((folder / "model.pt").string());
  for (const int64_t batch : {1, 3}) {
    network::Shape shape = model.network.input_shape();
    shape[0] = batch;
    const network::Tensor input =
        test::random_tensor(shape, rng.derive("input", static_cast<uint64_t>(batch)));
    CHECK(test::relative_difference(run(module, input), network::run_reference(model, input)) <
          kTolerance);
  }
}

/// A small network whose parameters are called `prefix`.weight and `prefix`.bias.
network::Model small_model(const std::string& prefix = "") {
  network::Network network;
  network::NodeId id = network.add_input("input", {1, 2, 5, 6});
  network::Conv2d conv;
  conv.out_channels = 4;
  conv.kernel = 3;
  conv.padding = 1;
  conv.bias = true;
  id = network.add("stem", conv, {id}, prefix);
  id = network.add("pool", network::GlobalAveragePool{}, {id});
  id = network.add("flatten", network::Flatten{}, {id});
  network.add("classifier", network::Linear{3}, {id});
  network::Weights weights = test::trained_looking_weights(network, Rng(3));
  return {std::move(network), std::move(weights)};
}

/// One operator behind the input.
network::Model single(const network::Operator& op) {
  network::Model model;
  const network::NodeId input = model.network.add_input("input", {1, 4, 9, 8});
  model.network.add("op", op, {input});
  model.weights = test::trained_looking_weights(model.network, Rng(9));
  return model;
}

/// Runs `work` in a process of its own, so that its limits stay there.
int in_child(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("A written script gives what random networks give, as they are and deployed") {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    const Rng rng = Rng(17).derive("torchscript", seed);
    test::RandomNetworkOptions options;
    options.grouped = seed % 2 == 1;
    const network::Model model = test::random_model(rng, options);
    check_script(model, rng);
    check_script(network::deploy(model), rng);
  }
}

TEST_CASE("A written script gives what the published networks give") {
  for (const std::string& name : network::reference_network_names()) {
    CAPTURE(name);
    network::Network network = network::reference_network(name, {32, 3, 10});
    network::Weights weights = test::trained_looking_weights(network, Rng(5));
    const network::Model model{std::move(network), std::move(weights)};
    check_script(network::deploy(model), Rng(6));
  }
}

TEST_CASE("Windows with more padding than PyTorch's pooling takes are computed, too") {
  for (const int64_t kernel : {3, 4}) {
    for (const int64_t padding : {1, 2, 3}) {
      if (padding >= kernel) continue;
      CAPTURE(kernel);
      CAPTURE(padding);
      check_script(single(network::MaxPool{kernel, 2, padding}), Rng(1));
      check_script(single(network::AveragePool{kernel, 2, padding}), Rng(1));
    }
  }
}

TEST_CASE("Every activation stands alone and fused in a script") {
  for (int kind = 0; kind <= static_cast<int>(network::ActivationKind::NegatedRelu); ++kind) {
    const auto activation = static_cast<network::ActivationKind>(kind);
    CAPTURE(std::string(network::to_string(activation)));
    check_script(single(network::Activation{activation}), Rng(2));
    network::Conv2d conv;
    conv.out_channels = 5;
    conv.activation = activation;
    check_script(single(conv), Rng(2));
  }
}

TEST_CASE("A network that gives its input back, and nodes that nobody reads") {
  network::Model model;
  const network::NodeId input = model.network.add_input("input", {1, 2, 3, 3});
  model.network.add("unread", network::BatchNorm{}, {input});
  model.network.set_output(input);
  model.weights = network::random_weights(model.network, 1);
  check_script(model, Rng(1));
  CHECK(forward_source(model.network).buffers.empty());
}

TEST_CASE("The source of a script is one line a node, with the names of the parameters") {
  const ForwardSource source = forward_source(small_model().network);
  CHECK(source.text ==
        "def forward(self, input: Tensor) -> Tensor:\n"
        "    assert input.dim() == 4 and input.size(1) == 2 and input.size(2) == 5 and "
        "input.size(3) == 6, \"the network's input: expected [N, 2, 5, 6]\"\n"
        "    v0 = input\n"
        "    v1 = torch.conv2d(v0, self.stem_weight, self.stem_bias, [1, 1], [1, 1], [1, 1], 1)\n"
        "    v2 = torch.mean(v1, [2, 3], True)\n"
        "    v3 = torch.flatten(v2, 1)\n"
        "    v4 = torch.linear(v3, self.classifier_weight, self.classifier_bias)\n"
        "    return v4\n");
  CHECK(source.parameters.at("stem.weight") == "stem_weight");
  CHECK(source.parameters.size() == 4);
}

TEST_CASE("Parameters may have any name") {
  for (const std::string prefix : {"1 + 1", "", "_", "\"quoted\\", "forward", "gr\xc3\xbc\xc3\x9f",
                                   "classifier_weight", "a\nb", "self"}) {
    CAPTURE(prefix);
    check_script(small_model(prefix), Rng(4));
  }
  // Two names that are the same without their dots.
  network::Network network;
  const network::NodeId input = network.add_input("input", {1, 2, 4, 4});
  network::Conv2d conv;
  conv.out_channels = 2;
  const network::NodeId first = network.add("a.b", conv, {input});
  network.add("a_b", conv, {first});
  const ForwardSource source = forward_source(network);
  CHECK(source.parameters.at("a.b.weight") == "a_b_weight");
  CHECK(source.parameters.at("a_b.weight") == "a_b_weight_");
  network::Weights weights = network::random_weights(network, 2);
  check_script({std::move(network), std::move(weights)}, Rng(4));
}

TEST_CASE("A script's weights are parameters, its statistics buffers, and nothing trains") {
  network::Model model = single(network::BatchNorm{1e-3});
  const test::TemporaryFolder folder;
  write_torchscript(model, folder / "model.pt");
  const torch::jit::Module module = torch::jit::load((folder / "model.pt").string());
  std::vector<std::string> names;
  for (const auto& parameter : module.named_parameters()) {
    names.push_back(parameter.name);
    CHECK_FALSE(parameter.value.requires_grad());
  }
  CHECK(names == std::vector<std::string>{"op_beta", "op_gamma"});
  names.clear();
  for (const auto& buffer : module.named_buffers()) names.push_back(buffer.name);
  CHECK(names == std::vector<std::string>{"op_mean", "op_variance"});
  CHECK_FALSE(module.is_training());
}

TEST_CASE("A script refuses images of another shape and says which it expects") {
  const test::TemporaryFolder folder;
  write_torchscript(small_model(), folder / "model.pt");
  torch::jit::Module module = torch::jit::load((folder / "model.pt").string());
  for (const network::Shape& shape :
       {network::Shape{1, 2, 6, 5}, network::Shape{2, 5, 6}, network::Shape{1, 3, 5, 6}}) {
    const network::Tensor input = test::random_tensor(shape, Rng(1));
    const std::string message = message_of<std::exception>([&] { run(module, input); });
    CHECK(message.find("the network's input: expected [N, 2, 5, 6]") != std::string::npos);
  }
}

TEST_CASE("A program without lathe loads a script and its metadata") {
  const test::TemporaryFolder folder;
  const network::Model model = test::random_model(Rng(41));
  network::Shape shape = model.network.input_shape();
  shape[0] = 3;
  const network::Tensor input = test::random_tensor(shape, Rng(2));
  write_torchscript(model, folder / "model.pt", {{"lathe.space", "tiny space"}});
  const auto& values = input.values;
  write_file_atomically(folder / "input", {reinterpret_cast<const char*>(values.data()),
                                           values.size() * sizeof(float)});
  std::vector<std::string> arguments = {LATHE_SCRIPT_PROGRAM, (folder / "model.pt").string(),
                                        (folder / "input").string(), (folder / "output").string()};
  for (const int64_t size : shape) arguments.push_back(std::to_string(size));
  const auto [code, printed] = test::run_program(arguments);
  CAPTURE(printed);
  REQUIRE(code == 0);
  const network::Tensor expected = network::run_reference(model, input);
  std::string sizes;
  for (const int64_t size : expected.shape) sizes += std::to_string(size) + " ";
  CHECK(printed == sizes + "tiny space");
  const std::string bytes = read_file(folder / "output");
  network::Tensor output{expected.shape, std::vector<float>(expected.values.size())};
  REQUIRE(bytes.size() == output.values.size() * sizeof(float));
  std::memcpy(output.values.data(), bytes.data(), bytes.size());
  CHECK(test::relative_difference(output, expected) < kTolerance);
}

TEST_CASE("The same model gives the same bytes") {
  const test::TemporaryFolder folder;
  write_torchscript(small_model(), folder / "a.pt");
  write_torchscript(small_model(), folder / "b.pt");
  CHECK(read_file(folder / "a.pt") == read_file(folder / "b.pt"));
}

TEST_CASE("Models that cannot become a script are refused before anything is written") {
  const test::TemporaryFolder folder;
  const std::string file = (folder / "model.pt").string();
  const network::Model quantised = test::quantized_model(small_model(), Rng(1));
  CHECK(message_of<ConfigError>([&] { write_torchscript(quantised, file); }) ==
        "torchscript " + file +
            ": the model is quantised to int8, expected a float one; an int8 model is exported as "
            "ONNX");
  network::Model incomplete = small_model();
  incomplete.weights.erase("stem.bias");
  CHECK(message_of<InvariantError>([&] {
          write_torchscript(incomplete, file);
        }).find("stem.bias") != std::string::npos);
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("A full disk or a place that cannot be written is told, and the file before it stays") {
  const test::TemporaryFolder folder;
  const auto file = folder / "model.pt";
  write_file_atomically(file, "before");
  const auto message_file = folder / "message";
  const int status = in_child([&] {
    // A write past the limit fails as on a full disk.
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{512, 512};
    if (::setrlimit(RLIMIT_FSIZE, &small) != 0) return 1;
    const std::string message =
        message_of<DataError>([&] { write_torchscript(small_model(), file); });
    write_file_atomically(message_file, message);
    return 0;
  });
  REQUIRE(status == 0);
  const std::string message = read_file(message_file);
  CHECK(message.rfind(file.string() + ": cannot write ", 0) == 0);
  CHECK(message.find("File too large") != std::string::npos);
  CHECK(read_file(file) == "before");
  std::filesystem::remove(message_file);
  const auto blocked = file / "model.pt";  // a file stands where the folder should be
  CHECK(message_of<DataError>([&] {
          write_torchscript(small_model(), blocked);
        }).find(file.string()) != std::string::npos);
  const auto entries = std::filesystem::directory_iterator(folder.path());
  CHECK(std::distance(begin(entries), end(entries)) == 1);
}
