// Runs examples/classify as its users do; the ctest entry example_classify_build has built it.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/file.h"
#include "network/onnx.h"
#include "network/passes.h"
#include "network/reference_networks.h"
#include "tests/supernet/image_files.h"
#include "tests/support/child_process.h"
#include "tests/support/quantized_model.h"
#include "tests/support/random_network.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using nlohmann::json;

namespace {

struct Classes {
  std::vector<std::string> names;
  std::vector<double> probabilities;
};

/// A folder as the export leaves it, with an image.
struct Exported {
  /// `side`: of the images, which are brought to the input's size; 0: they have that.
  explicit Exported(const network::Model& exported, uint64_t seed = 1, int64_t side = 0) : model(exported) {
    const network::Shape& shape = model.network.input_shape();
    const int64_t classes = model.network.output_shape()[1];
    description = {
        {"input",
         {{"layout", "NCHW"}, {"channels", shape[1]}, {"height", shape[2]}, {"width", shape[3]}}},
        {"scale", "pixels divided by 255, then (x - mean) / std per channel"},
        {"color", shape[1] == 1 ? "grey" : "rgb"},
        {"mean", json::array()},
        {"std", json::array()},
        {"classes", json::array()}};
    for (int64_t c = 0; c < shape[1]; ++c) {
      description["mean"].push_back(0.25 + 0.125 * static_cast<double>(c));
      description["std"].push_back(0.375 + 0.0625 * static_cast<double>(c));
    }
    for (int64_t c = 0; c < classes; ++c) {
      description["classes"].push_back("class \xc3\xa4/" + std::to_string(c));
    }
    image_shape = shape;
    if (side > 0) {
      image_shape[2] = image_shape[3] = side;
      description["resize"] = {{"height", side}, {"width", side}, {"then", "bilinear"}};
    }
    Rng rng(seed);
    pixels.resize(static_cast<size_t>(network::element_count(image_shape)));
    for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(rng.integer(0, 255));
    network::OnnxExportOptions options;
    options.dynamic_batch = true;  // as lathe exports
    write_file_atomically(file("model.onnx"), network::to_onnx(model, options));
    write_file_atomically(file("image.png"), test::png_bytes(image_shape[2], image_shape[3], image_shape[1], pixels));
    describe(description);
  }

  std::string file(const std::string& name) const { return (folder / name).string(); }
  void describe(const json& value) const {
    write_file_atomically(file("preprocessing.json"), value.dump());
  }

  /// Runs the example on `image`; returns its exit code and output.
  std::pair<int, std::string> run(const std::string& image = "image.png",
                                  const std::string& count = "1000") const {
    return test::run_program({LATHE_EXAMPLE_PROGRAM, file("model.onnx"), file(image), count});
  }

  /// The exit code and, behind "classify: ", the output with the folder left out.
  std::pair<int, std::string> failure(const std::string& image = "image.png") const {
    auto [code, output] = run(image);
    const std::string prefix = folder.path().string() + "/";
    for (size_t at = output.find(prefix); at != std::string::npos; at = output.find(prefix)) {
      output.erase(at, prefix.size());
    }
    return {code, output};
  }

  /// What the reference executor says of the pixels.
  std::vector<double> expected() const {
    network::Tensor input{image_shape, {}};
    const auto channels = static_cast<size_t>(input.shape[1]);
    for (size_t c = 0; c < channels; ++c) {
      for (size_t p = c; p < pixels.size(); p += channels) {
        const double value = (pixels[p] / 255.0 - description["mean"][c].get<double>()) /
                             description["std"][c].get<double>();
        input.values.push_back(static_cast<float>(value));
      }
    }
    const network::Shape& shape = model.network.input_shape();
    if (image_shape != shape) {
      network::Network resize;
      resize.add("resize", network::Resize{shape[2], shape[3]}, {resize.add_input("input", image_shape)});
      input = network::run_reference({resize, {}}, input);
    }
    const network::Tensor logits = network::run_reference(model, input);
    const double largest = *std::max_element(logits.values.begin(), logits.values.end());
    std::vector<double> shares;
    double sum = 0.0;
    for (const float logit : logits.values) sum += std::exp(logit - largest);
    for (const float logit : logits.values) shares.push_back(std::exp(logit - largest) / sum);
    return shares;
  }

  network::Model model;
  json description;
  network::Shape image_shape;   ///< [1, channels, height, width]
  std::vector<uint8_t> pixels;  ///< [height, width, channels]
  test::TemporaryFolder folder;
};

Classes read_classes(const std::string& output) {
  Classes classes;
  std::istringstream lines(output);
  std::string line;
  while (std::getline(lines, line)) {
    const size_t gap = line.find("  ");
    REQUIRE(gap != std::string::npos);
    classes.probabilities.push_back(std::stod(line.substr(0, gap)));
    classes.names.push_back(line.substr(gap + 2));
  }
  return classes;
}

/// Checks every class's place and probability.
void check_classes(const Exported& exported) {
  const auto [code, output] = exported.run();
  CAPTURE(output);
  REQUIRE(code == 0);
  const Classes printed = read_classes(output);
  const std::vector<double> expected = exported.expected();
  REQUIRE(printed.names.size() == expected.size());
  for (size_t i = 0; i < printed.names.size(); ++i) {
    const size_t index = std::stoul(printed.names[i].substr(printed.names[i].find('/') + 1));
    CHECK(std::abs(printed.probabilities[i] - expected[index]) < 1e-4);
    if (i > 0) CHECK(printed.probabilities[i] <= printed.probabilities[i - 1]);
  }
  const auto best = std::max_element(expected.begin(), expected.end()) - expected.begin();
  CHECK(printed.names[0] == exported.description["classes"][static_cast<size_t>(best)]);
}

network::Model reference_model(const std::string& name, const network::ReferenceOptions& options) {
  network::Network network = network::reference_network(name, options);
  network::Weights weights = test::trained_looking_weights(network, Rng(5));
  network::Model model = network::deploy({std::move(network), std::move(weights)});
  // Logits of random weights are far apart, which would make all probabilities 0 or 1.
  for (float& value : model.weights.at("classifier.weight").values) value *= 0.02F;
  return model;
}

/// A grey network of 28x28 with what lathe's spaces have and the published networks lack: gates of
/// hard sigmoid, hard-swish, negated relu, a shuffle, resampling.
network::Model grey_model() {
  network::Network network;
  using Kind = network::ActivationKind;
  const auto conv = [](int64_t out, int64_t kernel, int64_t stride, Kind kind) {
    network::Conv2d op;
    op.out_channels = out;
    op.kernel = kernel;
    op.stride = stride;
    op.padding = kernel / 2;
    op.bias = true;
    op.activation = kind;
    return op;
  };
  network::NodeId id = network.add_input("input", {1, 1, 28, 28});
  id = network.add("stem", conv(8, 3, 2, Kind::HardSwish), {id});
  const network::NodeId pooled = network.add("se.pool", network::GlobalAveragePool{}, {id});
  const network::NodeId reduced = network.add("se.reduce", conv(4, 1, 1, Kind::Relu), {pooled});
  const network::NodeId gate =
      network.add("se.expand", conv(8, 1, 1, Kind::HardSigmoid), {reduced});
  id = network.add("se", network::Multiply{}, {id, gate});
  const network::NodeId negated =
      network.add("minus", network::Activation{Kind::NegatedRelu}, {id});
  id = network.add("both", network::Concat{}, {id, negated});
  id = network.add("shuffle", network::ChannelShuffle{4}, {id});
  id = network.add("slice", network::ChannelSlice{3, 13}, {id});
  id = network.add("resize", network::Resize{9, 11}, {id});
  id = network.add("mean", network::AveragePool{3, 2, 1}, {id});
  id = network.add("mix", conv(12, 3, 1, Kind::Relu6), {id});
  id = network.add("pool", network::GlobalAveragePool{}, {id});
  id = network.add("flatten", network::Flatten{}, {id});
  network.add("classifier", network::Linear{10}, {id});
  network::Weights weights = test::trained_looking_weights(network, Rng(8));
  return {std::move(network), std::move(weights)};
}

}  // namespace

TEST_CASE("The example gives the classes and probabilities of the reference executor") {
  REQUIRE_MESSAGE(std::filesystem::exists(LATHE_EXAMPLE_PROGRAM),
                  "run ctest -R example_classify, which builds the example first");
  for (uint64_t seed = 1; seed <= 3; ++seed) check_classes(Exported(grey_model(), seed));
  for (const int64_t side : {23, 36}) check_classes(Exported(grey_model(), 4, side));
  for (const char* name : {"mobilenet_v2_0.35", "shufflenet_v2", "mnasnet", "resnet18"}) {
    CAPTURE(std::string(name));
    check_classes(Exported(reference_model(name, {64, 3, 7})));
  }
}

TEST_CASE("The example prints as many classes as asked for") {
  const Exported exported(grey_model());
  const auto [code, output] = exported.run("image.png", "2");
  CHECK(code == 0);
  CHECK(read_classes(output).names.size() == 2);
}

TEST_CASE("The example takes the centre of an image that is larger, as lathe's training does") {
  const Exported exported(grey_model());
  // Every pixel twice as high and wide, and a border left and right that is cut off.
  std::vector<uint8_t> large;
  for (size_t y = 0; y < 56; ++y) {
    for (size_t x = 0; x < 80; ++x) {
      const bool inside = x >= 12 && x < 68;
      large.push_back(inside ? exported.pixels[y / 2 * 28 + (x - 12) / 2] : uint8_t{255});
    }
  }
  write_file_atomically(exported.file("large.png"), test::png_bytes(56, 80, 1, large));
  CHECK(exported.run("large.png") == exported.run());
}

TEST_CASE("The example says what is wrong with its arguments") {
  const std::string program = LATHE_EXAMPLE_PROGRAM;
  const std::vector<std::vector<std::string>> wrong = {
      {program},
      {program, "model.onnx"},
      {program, "model.onnx", "image.png", "0"},
      {program, "model.onnx", "image.png", "-1"},
      {program, "model.onnx", "image.png", "5x"},
      {program, "model.onnx", "image.png", "10000"},
      {program, "model.onnx", "image.png", "5", "6"}};
  for (const auto& arguments : wrong) {
    const auto [code, output] = test::run_program(arguments);
    CHECK(code == 2);
    CHECK(output.rfind("usage: classify MODEL.onnx IMAGE [COUNT]\n", 0) == 0);
  }
  CHECK(test::run_program({program, "--help"}).first == 0);
}

TEST_CASE("The example says what is wrong with preprocessing.json") {
  const Exported exported(grey_model());
  struct Fault {
    const char* patch;  ///< merged into a description that is right
    const char* message;
  };
  const std::vector<Fault> faults = {
      {R"({"input": null})", R"("input" is missing)"},
      {R"({"input": {"layout": "NHWC"}})", R"("layout" = "NHWC", expected "NCHW")"},
      {R"({"input": {"height": 27.5}})", R"("height" = 27.5, expected an integer in [1, 16384])"},
      {R"({"input": {"width": 0}})", R"("width" = 0, expected an integer in [1, 16384])"},
      {R"({"input": {"channels": 3}})",
       R"("color" = "grey" with 3 channels, expected "grey" with 1 or "rgb" with 3)"},
      {R"({"mean": [0.1, 0.2]})", R"("mean" = [0.1,0.2], expected 1 numbers, one a channel)"},
      {R"({"mean": ["a"]})", R"("mean" = ["a"], expected 1 numbers, one a channel)"},
      {R"({"std": [0]})", R"("std": expected numbers above 0)"},
      {R"({"classes": []})", R"("classes": expected a list of names)"},
      {R"({"classes": ["a", 2]})", R"("classes": 2 is not a name)"},
  };
  for (const Fault& fault : faults) {
    json description = exported.description;
    description.merge_patch(json::parse(fault.patch));
    exported.describe(description);
    const auto [code, output] = exported.failure();
    CHECK(code == 3);
    CHECK(output == "classify: preprocessing.json: " + std::string(fault.message) + "\n");
  }
  write_file_atomically(exported.file("preprocessing.json"), "{\"input\": ");
  CHECK(
      exported.failure().second ==
      "classify: preprocessing.json: is not valid JSON; copy it again from the exported folder\n");
  std::filesystem::remove(exported.file("preprocessing.json"));
  CHECK(exported.failure().second ==
        "classify: preprocessing.json: cannot be read; lathe writes it beside model.onnx, copy "
        "both\n");
}

TEST_CASE("The example says what is wrong with an image") {
  const Exported exported(grey_model());
  CHECK(exported.failure("none.png") ==
        std::pair<int, std::string>(
            3, "classify: none.png: cannot be read, expected an image file\n"));
  const std::string png = read_file(exported.file("image.png"));
  for (const std::string& bytes :
       {std::string(), std::string("no image"), png.substr(0, 20), png.substr(0, png.size() / 2)}) {
    write_file_atomically(exported.file("bad.png"), bytes);
    const auto [code, output] = exported.failure("bad.png");
    CAPTURE(output);
    CHECK(code == 3);
    // libpng may have its own say before.
    CHECK(output.find("classify: bad.png: cannot be decoded, expected a complete image (PNG, JPEG, "
                      "...)\n") != std::string::npos);
  }
}

TEST_CASE("The example says what is wrong with a model") {
  const Exported exported(grey_model());
  const std::string onnx = read_file(exported.file("model.onnx"));
  const auto message = [&](const std::string& bytes) {
    write_file_atomically(exported.file("model.onnx"), bytes);
    const auto [code, output] = exported.failure();
    CHECK(code == 3);
    return output;
  };
  CHECK(message("") == "classify: model.onnx: cannot be read or is empty\n");
  CHECK(message("no model") == "classify: model.onnx: is damaged or no ONNX model\n");
  for (const size_t length : {size_t{1}, onnx.size() / 3, onnx.size() - 1}) {
    CHECK(message(onnx.substr(0, length)) == "classify: model.onnx: is damaged or no ONNX model\n");
  }
  CHECK(
      message(network::to_onnx(test::quantized_model(exported.model, Rng(1)))) ==
      "classify: model.onnx: is quantised (int8), which OpenCV does not run; use the float model, "
      "or build with -DCLASSIFY_WITH_ONNXRUNTIME=ON\n");
  write_file_atomically(exported.file("model.onnx"), onnx);
  json description = exported.description;
  description["classes"] = {"a", "b"};
  exported.describe(description);
  CHECK(exported.failure().second ==
        "classify: model.onnx: gives 10 values, but preprocessing.json names 2 classes; copy both "
        "from the same exported folder\n");
  std::filesystem::remove(exported.file("model.onnx"));
  CHECK(exported.failure().second == "classify: model.onnx: cannot be read or is empty\n");
}
