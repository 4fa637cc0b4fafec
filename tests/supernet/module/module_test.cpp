#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>

#include "core/error.h"
#include "core/file.h"
#include "network/passes.h"
#include "network/quantized_executor.h"
#include "supernet/compress/prune_schedule.h"
#include "supernet/supernet.h"
#include "tests/supernet/image_files.h"
#include "tests/supernet/tiny_data.h"
#include "tests/support/message_of.h"
#include "tests/support/quantized_model.h"
#include "tests/support/random_network.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

const std::function<bool()> kNever = [] { return false; };

/// The bars with or without their test files, and options for six epochs.
struct Scene {
  explicit Scene(bool with_test_files) : space(test::tiny_space(folder.path())) {
    test::write_bars(folder.path(), "train", 600, 12);
    if (with_test_files) test::write_bars(folder.path(), "t10k", 120, 12);
    options = test::tiny_options(folder.path());
    options.train.epochs = 8;
  }
  std::unique_ptr<Supernet> create() const {
    return load_supernet_module().create(*space, options, folder / "run");
  }
  test::TemporaryFolder folder;
  std::unique_ptr<search::SearchSpace> space;
  SupernetOptions options;
};

search::Candidate candidate_of(const search::SearchSpace& space,
                               const search::Architecture& architecture) {
  search::Candidate candidate;
  candidate.architecture = architecture;
  candidate.network = std::make_shared<network::Network>(space.lower(architecture));
  return candidate;
}

}  // namespace

TEST_CASE("load_supernet_module names the places where the module is not") {
  setenv("LATHE_SUPERNET_MODULE", "/nonexistent/module.so", 1);
  CHECK(message_of<Error>([] { load_supernet_module(); }) ==
        "supernet module: liblathe_supernet.so is not at /nonexistent/module.so; build the target "
        "lathe_supernet_module or set LATHE_SUPERNET_MODULE");
  unsetenv("LATHE_SUPERNET_MODULE");
  CHECK(&load_supernet_module() == &load_supernet_module());  // beside this program, in ../lib
}

TEST_CASE("A supernet trains, evaluates, extracts and tunes without the test files being there") {
  const Scene scene(false);
  const auto supernet = scene.create();
  CHECK(supernet->data().train == 400);
  CHECK(supernet->data().validation == 100);
  CHECK(supernet->data().test == 0);
  CHECK(supernet->data().test_hash.empty());
  CHECK(supernet->data().train_hash.size() == 64);
  CHECK_FALSE(supernet->trained());
  const auto records = supernet->train(no_progress(), kNever);
  CHECK(supernet->trained());
  REQUIRE(records.size() == 8);
  CHECK(records.back().top1_largest > 0.5);
  CHECK(records.back().top1_smallest > 0.2);

  const auto largest = candidate_of(*scene.space, scene.space->largest());
  const auto smallest = candidate_of(*scene.space, scene.space->smallest());
  const auto values = supernet->evaluator().evaluate({largest, smallest}, no_progress());
  CHECK(values[0]->top1 == records.back().top1_largest);
  CHECK(values[1]->top1 == records.back().top1_smallest);

  const ExtractedModel extracted = supernet->extract(*largest.network);
  CHECK(extracted.validation.top1 == values[0]->top1);
  const LabelledImages images = supernet->validation_images(20, 12);
  CHECK(images.images.shape == network::Shape{20, 1, 12, 12});
  CHECK(images.labels.size() == 20);
  const network::Tensor logits = supernet->logits(extracted.model, images.images);
  CHECK(test::relative_difference(logits, network::run_reference(extracted.model, images.images)) <
        1e-4);

  const QuantizedModel integers = supernet->quantize(extracted.model, nullptr, {}, no_progress());
  CHECK(integers.report.before.top1 == extracted.validation.top1);
  CHECK(integers.report.before.top1 - integers.report.after.top1 < 0.05);
  CHECK(integers.report.calibration_images == 100);  // the whole split
  CHECK(integers.report.layers.size() == integers.model.quantization->weights.size());
  CHECK(test::relative_difference(supernet->logits(integers.model, images.images),
                                  network::run_quantized(integers.model, images.images)) < 0.05);

  Supernet::FineTuneOptions tuning;
  tuning.epochs = 3;
  const ExtractedModel small = supernet->extract(*smallest.network);
  for (const network::Model* teacher :
       {static_cast<const network::Model*>(nullptr), &extracted.model}) {
    const ExtractedModel tuned = supernet->fine_tune(small.model, teacher, tuning, no_progress());
    CHECK(tuned.validation.top1 > small.validation.top1);
    CHECK(tuned.model.weights.at("classifier.weight").values !=
          small.model.weights.at("classifier.weight").values);
  }

  CHECK(message_of<DataError>([&] {
          load_supernet_module().open_test_split(scene.options, scene.folder / "run/ledger");
        }).rfind((scene.folder / "t10k-images-idx3-ubyte.gz").string() + ": no such file", 0) == 0);
}

TEST_CASE(
    "A network is trained alone from random weights, stopped and continued by another process") {
  const Scene scene(false);
  Lesson lesson;
  lesson.students = {{scene.space->lower(scene.space->largest()), {}, std::nullopt}};
  lesson.options.epochs = 8;
  lesson.options.learning_rate = 0.1;
  lesson.options.warmup_epochs = 0.2;
  const auto whole = scene.create()->train_alone(lesson, no_progress(), kNever);
  REQUIRE(whole.size() == 1);
  CHECK(whole[0].validation.top1 > 0.5);
  CHECK(whole[0].validation.images == 100);
  lesson.options.checkpoint = scene.folder / "run/alone.pt";
  int calls = 0;
  CHECK(scene.create()->train_alone(lesson, no_progress(), [&] { return calls++ == 20; }).empty());
  const auto resumed = scene.create()->train_alone(lesson, no_progress(), kNever);
  REQUIRE(resumed.size() == 1);
  CHECK(resumed[0].validation.top1 == whole[0].validation.top1);
  for (const auto& [name, tensor] : whole[0].model.weights) {
    CAPTURE(name);
    CHECK(resumed[0].model.weights.at(name).values == tensor.values);
  }
}

TEST_CASE("Only open_test_split reads the test files, and it leaves a line in the ledger") {
  const Scene scene(true);
  const auto supernet = scene.create();
  const auto model = supernet->extract(scene.space->lower(scene.space->largest())).model;
  const auto ledger = scene.folder / "run/test_reads.jsonl";
  CHECK_FALSE(std::filesystem::exists(ledger));
  const auto test_split = load_supernet_module().open_test_split(scene.options, ledger);
  const std::string line = read_file(ledger);
  CHECK(line.find("\"event\":\"test files opened\"") != std::string::npos);
  CHECK(line.find("\"dataset\":\"fashion_mnist\"") != std::string::npos);
  CHECK(std::count(line.begin(), line.end(), '\n') == 1);
  CHECK(test_split->accuracy(model).images == 120);
  CHECK(test_split->images(0, 7, 10).images.shape == network::Shape{7, 1, 10, 10});
}

TEST_CASE("inspect_data counts every split and checks the test headers") {
  const Scene scene(true);
  const DataSummary summary = load_supernet_module().inspect_data(scene.options);
  CHECK(summary.test == 120);
  CHECK(summary.test_hash.size() == 64);
  CHECK(summary.calibration == 100);
  CHECK(summary.classes == 10);
  CHECK(summary.mean.size() == 1);
  int64_t held_out = 0;
  for (size_t c = 0; c < 10; ++c)
    held_out += summary.train_per_class[c] + summary.validation_per_class[c];
  CHECK(held_out == summary.train + summary.validation);
  std::filesystem::remove(scene.folder / "t10k-labels-idx1-ubyte.gz");
  CHECK(message_of<DataError>([&] { load_supernet_module().inspect_data(scene.options); }) ==
        (scene.folder / "t10k-labels-idx1-ubyte.gz").string() +
            ": no such file; install the Debian package dataset-fashion-mnist or set data.path");
}

TEST_CASE("The hashes of the splits of a data set and a seed never change") {
  const Scene scene(true);
  const DataSummary summary = load_supernet_module().inspect_data(scene.options);
  CHECK(summary.train_hash == "db5787ef7f43d2da478da923f89dabd208fda1d2266c8c661c8072adb6e55f5f");
  CHECK(summary.validation_hash ==
        "dadb6e56cffdfed1a9de025b9a0938db8cff3c47349775a843b8231a641cbcec");
}

TEST_CASE("A colour space trains on CIFAR-10 in both of its forms, to the same weights") {
  const test::TemporaryFolder folder;
  write_file_atomically(folder / "colour.yaml", R"(name: colour
input: {channels: 3, resolution: [16, 32]}
classes: 10
stem: {width: [8], kernel: 3, stride: 2, activation: relu}
stages:
  - {name: a, block: mbconv, depth: [1], width: [8, 16], kernel: [3], expand: [1, 2], stride: 2}
  - {name: b, block: mbconv, depth: [1], width: [16], kernel: [3], expand: [2], stride: 2}
head: {width: 32, activation: relu}
)");
  const auto space = search::read_search_space(folder / "colour.yaml");
  test::write_cifar10(folder / "binary", 100);
  test::write_cifar10_sheets(folder / "sheets", 100);
  std::vector<double> accuracies;
  for (const char* form : {"binary", "sheets"}) {
    const ConfigDocument document = ConfigDocument::read_text(
        "{dataset: cifar10, verify: false, validation: 100, calibration: 100, path: " +
            (folder / form).string() + ", cache: " + (folder / "cache").string() +
            ", augmentation: {crop: 2, randaugment: {operations: 1, magnitude: 3}, cutout: 4}}",
        "c.yaml");
    SupernetOptions options = test::tiny_options(folder / form);
    options.data = read_data_options(document.root());
    document.throw_if_faults();
    options.train.epochs = 6;
    const auto supernet = load_supernet_module().create(*space, options, folder / form / "run");
    CHECK(supernet->data().dataset == "cifar10");
    CHECK(supernet->data().train == 300);
    accuracies.push_back(supernet->train(no_progress(), kNever).back().top1_largest);
    const auto tests = load_supernet_module().open_test_split(options, folder / form / "ledger");
    CHECK(tests->images(0, 7, 16).images.shape == network::Shape{7, 3, 16, 16});
  }
  CHECK(accuracies[0] > 0.4);
  CHECK(accuracies[0] == accuracies[1]);
}

TEST_CASE("create refuses bad data, another run's checkpoint and a space for other images") {
  Scene scene(false);
  {
    const auto supernet = scene.create();
    int calls = 0;
    supernet->train(no_progress(), [&] { return calls++ == 1; });
  }
  scene.options.train.momentum = 0.8;
  CHECK(message_of<DataError>([&] {
          scene.create();
        }).find("belongs to another configuration: momentum = 0.9") != std::string::npos);
  scene.options.device = "cuda";
  CHECK(message_of<ConfigError>([&] { scene.create(); }) ==
        "/supernet/device = cuda, expected cpu or auto: this LibTorch has no CUDA");
  scene.options.device = "cpu";
  scene.options.data.path = "/nonexistent";
  CHECK(message_of<DataError>([&] { scene.create(); }).find("dataset-fashion-mnist") !=
        std::string::npos);
}

TEST_CASE("Options are read with ranges, and a warm-up that outlasts training is a fault") {
  const auto read = [](const std::string& text) {
    const ConfigDocument document = ConfigDocument::read_text(text, "c.yaml");
    SupernetOptions options;
    options.data = read_data_options(document.root().section("data"));
    read_supernet_options(document.root().section("supernet"), options);
    document.throw_if_faults();
    return options;
  };
  const SupernetOptions options = read(
      "data: {validation: 4k, augmentation: [flip]}\n"
      "supernet: {epochs: 3, batch: 64, evaluation: {memory: 100MB}, checkpoint_interval: 5s}\n");
  CHECK(options.data.validation == 4000);
  CHECK(to_string(options.data.augmentation) == "flip ");
  CHECK(options.train.batch == 64);
  CHECK(options.train.warmup_epochs == doctest::Approx(0.3));
  CHECK(options.train.checkpoint_interval_s == 5.0);
  CHECK(options.evaluation.memory_bytes == 100000000);
  CHECK(message_of<ConfigError>([&] { read("supernet:\n  epochs: 2\n  warmup_epochs: 2\n"); }) ==
        "c.yaml:3: /supernet/warmup_epochs = 2, expected less than epochs");
  CHECK(message_of<ConfigError>([&] { read("supernet:\n  momentun: 0.9\n"); }).find("momentum") !=
        std::string::npos);
}

TEST_CASE("A trained network is pruned by every criterion, and sparsity shrinks its scales") {
  Scene scene(false);
  const auto supernet = scene.create();
  supernet->train(no_progress(), kNever);
  const ExtractedModel whole = supernet->extract(scene.space->lower(scene.space->largest()));
  CHECK(supernet->calibrate(whole.model).validation.top1 == whole.validation.top1);
  const auto groups = network::find_channel_groups(whole.model.network);
  for (const std::string& name : network::prune_criterion_names()) {
    CAPTURE(name);
    Supernet::ChannelScoreOptions scoring;
    scoring.criterion = network::prune_criterion_from_string(name);
    const auto scores = supernet->channel_scores(whole.model, groups, scoring);
    REQUIRE(scores.size() == groups.size());
    CHECK(scores == supernet->channel_scores(whole.model, groups, scoring));
  }

  PruneOptions options;
  options.target = parse_prune_target("macs x0.6");
  options.criterion = network::PruneCriterion::Fisher;
  options.rounds = 2;
  options.channel_multiple = 4;
  PruneSchedule schedule(*supernet, options, nullptr, 5);
  const PruneOutcome outcome =
      schedule.run(whole.model, nullptr, scene.folder / "prune", no_progress(), kNever);
  CHECK(outcome.end == PruneEnd::Target);
  CHECK(static_cast<double>(outcome.rounds.back().macs) <=
        0.6 * static_cast<double>(outcome.rounds.front().macs));
  CHECK(outcome.rounds.back().validation.top1 > 0.3);
  CHECK(supernet->calibrate(outcome.pruned.model).validation.top1 ==
        outcome.pruned.validation.top1);

  const auto scales = [](const network::Model& model) {
    double sum = 0.0;
    for (const network::Node& node : model.network.nodes()) {
      if (!std::holds_alternative<network::BatchNorm>(node.op)) continue;
      for (const float gamma : model.weights.at(node.parameters[0].name).values)
        sum += std::abs(double{gamma});
    }
    return sum;
  };
  Supernet::FineTuneOptions tuning;
  tuning.epochs = 3;
  const double plain =
      scales(supernet->fine_tune(whole.model, nullptr, tuning, no_progress()).model);
  tuning.gamma_sparsity = 0.01;
  const double sparse =
      scales(supernet->fine_tune(whole.model, nullptr, tuning, no_progress()).model);
  CHECK(sparse < 0.98 * plain);
}

TEST_CASE("The module writes TorchScript for programs that know no LibTorch") {
  const test::TemporaryFolder folder;
  const network::Model model = test::random_model(Rng(8));
  SupernetModule& module = load_supernet_module();
  module.write_torchscript(model, folder / "export/model.pt", {{"lathe.space", "tiny"}});
  CHECK(read_file(folder / "export/model.pt").find("extra/lathe.space") != std::string::npos);
  module.write_torchscript(model, folder / "model.pt");
  CHECK(read_file(folder / "model.pt").find("extra/lathe.space") == std::string::npos);
  const network::Model integers = test::quantized_model(model, Rng(8));
  CHECK(message_of<ConfigError>([&] { module.write_torchscript(integers, folder / "int8.pt"); })
            .find("the model is quantised to int8, expected a float one") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder / "int8.pt"));
}
