#include <doctest/doctest.h>

#include <cmath>

#include "core/error.h"
#include "network/passes.h"
#include "supernet/data/dataset.h"
#include "supernet/data/splits.h"
#include "supernet/evaluate/extraction.h"
#include "supernet/evaluate/subnet_evaluator.h"
#include "supernet/executor/compute.h"
#include "tests/supernet/tiny_data.h"
#include "tests/support/message_of.h"
#include "tests/support/random_network.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;

namespace {

constexpr int64_t kMemory = int64_t{1} << 30;
/// An evaluator over untrained weights whose biases are moved, so that accuracies differ from
/// candidate to candidate.
struct Scene {
  Scene()
      : space(test::tiny_space(folder.path())),
        options(test::tiny_options(folder.path())),
        weights((test::write_bars(folder.path(), "train", 400, 12), space->covering()), 5,
                at::kCPU) {
    const auto dataset = open_dataset(options.data);
    const Splits splits = split_training_files(options.data, 400, 3);
    const ImageSet all = dataset->read_train();
    calibration =
        std::make_unique<Batches>(select(all, splits.calibration), dataset->train_info(), at::kCPU);
    validation =
        std::make_unique<Batches>(select(all, splits.validation), dataset->train_info(), at::kCPU);
    at::Generator generator = at::detail::createCPUGenerator(8);
    weights.values().add_(at::randn(weights.values().sizes(), generator) * 0.1);
  }
  SubnetEvaluator evaluator() const {
    return {weights, *calibration, *validation, options.evaluation, 1};
  }
  std::vector<search::Candidate> candidates(int count, uint64_t seed) const {
    std::vector<search::Candidate> made;
    Rng rng(seed);
    for (int i = 0; i < count; ++i) {
      search::Candidate candidate;
      candidate.index = i;
      candidate.architecture = space->sample(rng);
      candidate.network = std::make_shared<network::Network>(space->lower(candidate.architecture));
      made.push_back(candidate);
    }
    return made;
  }

  test::TemporaryFolder folder;
  std::unique_ptr<search::SearchSpace> space;
  SupernetOptions options;
  SharedWeights weights;
  std::unique_ptr<Batches> calibration, validation;
};

/// Counts what is reported and checks that it never goes past the total.
class CountingProgress : public Progress {
 public:
  void begin(const std::string&, int64_t total, const std::string&) override { total_ = total; }
  void update(int64_t done, const std::string&) override {
    last = done;
    CHECK(done <= total_);
  }
  void end() override { CHECK(last == total_); }
  int64_t last = 0;

 private:
  int64_t total_ = 0;
};

}  // namespace

TEST_CASE("BatchRanges cover all images in batches of at least the asked size") {
  for (const auto& [images, batch] :
       std::vector<std::pair<int64_t, int64_t>>{{100, 50}, {149, 50}, {7, 50}, {51, 50}}) {
    const BatchRanges ranges(images, batch);
    int64_t next = 0;
    for (int64_t b = 0; b < ranges.count; ++b) {
      CHECK(ranges.begin(b) == next);
      next = ranges.begin(b + 1);
      CHECK(next - ranges.begin(b) >= std::min(images, batch));
      CHECK(next - ranges.begin(b) < 2 * batch);
    }
    CHECK(next == images);
  }
}

TEST_CASE(
    "Recalibrated statistics are those of a direct computation over all batches at the network's "
    "resolution") {
  const Scene scene;
  const network::Network network = scene.space->lower(scene.space->smallest());
  REQUIRE(network.input_shape()[2] == 10);
  const Plan plan = make_plan(network);
  FrozenSlices parameters(scene.weights);
  const auto moments = recalibrate(plan, parameters, *scene.calibration, 100, 50, kMemory, [] {});
  // Direct: LibTorch's own operators, batch by batch; the inputs of every batch norm are kept and
  // reduced at the end.
  at::NoGradGuard no_gradients;
  std::map<size_t, std::vector<at::Tensor>> inputs;
  for (const int64_t begin : {0, 50}) {
    std::vector<at::Tensor> values(plan.steps.size());
    for (size_t s = 0; s < plan.steps.size(); ++s) {
      const Step& step = plan.steps[s];
      const auto in = [&](size_t i) {
        return values[static_cast<size_t>(step.inputs[i])].to(at::kDouble);
      };
      const auto weight = [&](size_t i) {
        return parameters.value(step.parameters[i]).to(at::kDouble);
      };
      at::Tensor y;
      if (std::holds_alternative<network::Input>(step.op)) {
        const at::Tensor images = scene.calibration->range(begin, begin + 50).images;
        y = at::upsample_bilinear2d(images.to(at::kDouble), {10, 10}, false);
      } else if (const auto* conv = std::get_if<network::Conv2d>(&step.op)) {
        y = at::conv2d(in(0), weight(0), conv->bias ? weight(1) : at::Tensor(), conv->stride,
                       conv->padding, 1, conv->groups);
      } else if (const auto* norm = std::get_if<network::BatchNorm>(&step.op)) {
        inputs[s].push_back(in(0));
        y = at::batch_norm(in(0), weight(0), weight(1), {}, {}, true, 0.0, norm->epsilon, false);
      } else if (std::holds_alternative<network::Add>(step.op)) {
        y = in(0) + in(1);
      } else if (std::holds_alternative<network::GlobalAveragePool>(step.op)) {
        y = in(0).mean(at::IntArrayRef({2, 3}), true);
      } else if (std::holds_alternative<network::Flatten>(step.op)) {
        y = in(0).flatten(1);
      } else if (std::holds_alternative<network::Linear>(step.op)) {
        y = at::linear(in(0), weight(0), weight(1));
      } else {
        FAIL("operator not expected here: " << std::string(network::operator_name(step.op)));
      }
      values[s] = activate(y, step.activation);
    }
  }
  REQUIRE(moments.size() == inputs.size());
  CHECK(moments.size() > 4);
  for (const auto& [s, parts] : inputs) {
    const at::Tensor all = at::cat(parts, 0);
    const at::Tensor mean = all.mean(at::IntArrayRef({0, 2, 3}));
    const at::Tensor variance = all.var(at::IntArrayRef({0, 2, 3}), false);
    CAPTURE(plan.steps[s].name);
    CHECK(moments.at(s).count == all.numel() / all.size(1));
    CHECK((moments.at(s).mean - mean).abs().max().item<double>() < 1e-4);
    CHECK(((moments.at(s).variance - variance) / variance).abs().max().item<double>() < 1e-3);
  }
}

TEST_CASE("A candidate's accuracy alone and within any population is bit by bit the same") {
  const Scene scene;
  const auto candidates = scene.candidates(12, 77);
  SubnetEvaluator together = scene.evaluator();
  const auto all = together.evaluate(candidates, no_progress());
  std::set<double> distinct;
  for (size_t c = 0; c < candidates.size(); ++c) {
    SubnetEvaluator alone = scene.evaluator();
    const auto one = alone.evaluate({candidates[c]}, no_progress());
    CHECK(one[0]->top1 == all[c]->top1);
    CHECK(one[0]->images == 100);
    distinct.insert(one[0]->top1);
  }
  CHECK(distinct.size() > 3);  // the comparison means something
}

TEST_CASE("A memory bound splits the forest without changing an accuracy") {
  Scene scene;
  const auto candidates = scene.candidates(9, 78);
  SubnetEvaluator free = scene.evaluator();
  const auto expected = free.evaluate(candidates, no_progress());
  scene.options.evaluation.memory_bytes = 1;  // every network by itself
  SubnetEvaluator bounded = scene.evaluator();
  const auto got = bounded.evaluate(candidates, no_progress());
  for (size_t c = 0; c < candidates.size(); ++c) CHECK(got[c]->top1 == expected[c]->top1);
}

TEST_CASE("Accuracies and statistics do not depend on the number of threads") {
  const Scene scene;
  const auto candidates = scene.candidates(6, 71);
  const network::Network largest = scene.space->lower(scene.space->largest());
  const Plan plan = make_plan(largest);
  std::vector<double> expected;
  std::map<size_t, ChannelMoments> moments;
  for (const int threads : {1, 2, 3, 7}) {
    CAPTURE(threads);
    std::vector<double> found;
    SubnetEvaluator evaluator(scene.weights, *scene.calibration, *scene.validation,
                              scene.options.evaluation, threads);
    for (const auto& each : evaluator.evaluate(candidates, no_progress())) {
      found.push_back(each->top1);
    }
    const ComputeScope compute(threads);
    FrozenSlices parameters(scene.weights);
    const auto of_threads =
        recalibrate(plan, parameters, *scene.calibration, 100, 10, kMemory, [] {});
    if (threads == 1) {
      expected = found;
      moments = of_threads;
    }
    CHECK(found == expected);
    REQUIRE(of_threads.size() == moments.size());
    for (const auto& [step, of_step] : of_threads) {
      CHECK(of_step.mean.equal(moments.at(step).mean));
      CHECK(of_step.variance.equal(moments.at(step).variance));
      CHECK(of_step.count == moments.at(step).count);
    }
  }
}

TEST_CASE("Every batch is worked on once, by as many workers as memory allows") {
  const ComputeScope compute(4);
  CHECK(ConcurrentBatches({0, 9}, 100, 1000, at::kCPU).workers() == 4);
  CHECK(ConcurrentBatches({0, 3}, 100, 1000, at::kCPU).workers() == 3);
  CHECK(ConcurrentBatches({0, 9}, 100, 250, at::kCPU).workers() == 2);
  CHECK(ConcurrentBatches({0, 9}, 100, 50, at::kCPU).workers() == 1);
  CHECK(ConcurrentBatches({0, 9}, 100, 1000, at::kCUDA).workers() == 1);
  for (const int64_t memory : {50, 250, 1000}) {
    const ConcurrentBatches batches({2, 40}, 100, memory, at::kCPU);
    std::vector<int> times(40, 0);
    int done = 0;
    batches.run([&] { ++done; },
                [&](int, int64_t batch) {
                  CHECK_FALSE(at::GradMode::is_enabled());
                  ++times[static_cast<size_t>(batch)];
                });
    CHECK(done == 38);
    CHECK(std::count(times.begin(), times.end(), 1) == 38);
    CHECK(at::get_num_threads() == 4);
    const auto fail = [&](int, int64_t batch) {
      if (batch == 20) throw DataError("batch 20 is faulty");
    };
    CHECK(test::message_of<DataError>([&] { batches.run([] {}, fail); }) == "batch 20 is faulty");
  }
}

TEST_CASE("Parts of the validation split add up to the accuracy on all of it") {
  const Scene scene;
  const auto candidates = scene.candidates(5, 82);
  SubnetEvaluator whole = scene.evaluator();
  const auto expected = whole.evaluate(candidates, no_progress());
  SubnetEvaluator parts = scene.evaluator();
  const std::vector<int64_t> ends = parts.part_ends();
  REQUIRE(ends.size() > 1);
  CHECK(ends.back() == 100);
  std::vector<double> correct(candidates.size(), 0.0);
  CountingProgress progress;
  int64_t begin = 0;
  for (const int64_t end : ends) {
    const auto values = parts.evaluate_part(candidates, {begin, end}, progress);
    for (size_t c = 0; c < candidates.size(); ++c) {
      CHECK(values[c]->images == end - begin);
      correct[c] += values[c]->top1 * static_cast<double>(end - begin);
    }
    begin = end;
  }
  for (size_t c = 0; c < candidates.size(); ++c) {
    CHECK(correct[c] == doctest::Approx(100.0 * expected[c]->top1).epsilon(1e-12));
  }
  CHECK_THROWS_WITH_AS(
      parts.evaluate_part(candidates, {0, 7}, no_progress()),
      "SubnetEvaluator::evaluate_part: image = 7, expected the beginning of a batch",
      InvariantError);
}

TEST_CASE("Equal candidates are run once and remembered until the weights change") {
  const Scene scene;
  const auto candidates = scene.candidates(1, 79);
  SubnetEvaluator evaluator = scene.evaluator();
  CountingProgress progress;
  const auto first = evaluator.evaluate({candidates[0], candidates[0]}, progress);
  CHECK(first[0]->top1 == first[1]->top1);
  CHECK(progress.last == evaluator.batches_per_forest());
  progress.last = 0;
  evaluator.evaluate(candidates, progress);
  CHECK(progress.last == 0);
  evaluator.forget();
  evaluator.evaluate(candidates, progress);
  CHECK(progress.last == evaluator.batches_per_forest());
}

TEST_CASE("A candidate without a network is a failure of its own") {
  const Scene scene;
  auto candidates = scene.candidates(2, 80);
  candidates[1].network = nullptr;
  SubnetEvaluator evaluator = scene.evaluator();
  const auto results = evaluator.evaluate(candidates, no_progress());
  CHECK(results[0].ok());
  CHECK(results[1].failure().kind == FailureKind::Unsupported);
  CHECK(results[1].failure().message == "candidate 1: it has no network, expected one to run");
}

TEST_CASE("accuracy_estimate gives the binomial standard error") {
  const auto estimate = search::accuracy_estimate(80, 100);
  CHECK(estimate.top1 == 0.8);
  CHECK(estimate.standard_error == doctest::Approx(0.04));
  CHECK(estimate.images == 100);
}

TEST_CASE("A subnet of the supernet equals the extracted network") {
  const Scene scene;
  for (const auto& candidate : scene.candidates(6, 81)) {
    SubnetEvaluator evaluator = scene.evaluator();
    const double inherited = evaluator.evaluate({candidate}, no_progress())[0]->top1;
    const Plan plan = make_plan(*candidate.network);
    FrozenSlices parameters(scene.weights);
    const auto moments = recalibrate(plan, parameters, *scene.calibration, 100, 50, kMemory, [] {});
    const network::Model model = make_model(*candidate.network, parameters, moments);
    CHECK(model_accuracy(model, *scene.validation, 50, at::kCPU).top1 == inherited);
    // The same logits from the plain loops of the reference, on images at the network's own
    // resolution.
    const int64_t side = candidate.network->input_shape()[2];
    const at::Tensor images = resized(scene.validation->range(0, 6).images, side, side);
    const network::Tensor expected = network::run_reference(model, to_network(images));
    CHECK(test::relative_difference(to_network(model_logits(model, images, 4)), expected) < 1e-4);
    // And from the form that is exported.
    const network::Tensor deployed =
        network::run_reference(network::deploy(model), to_network(images));
    CHECK(test::relative_difference(deployed, expected) < 1e-4);
  }
}

TEST_CASE("make_model refuses two slices of one tensor in one network") {
  network::Network network;
  network::Conv2d conv;
  conv.out_channels = 4;
  const auto first = network.add("a", conv, {network.add_input("input", {1, 4, 2, 2})}, "shared");
  conv.out_channels = 2;
  network.add("b", conv, {first}, "shared");
  SharedWeights weights({network}, 1, at::kCPU);
  FrozenSlices parameters(weights);
  CHECK(test::message_of<InvariantError>([&] { make_model(network, parameters, {}); }) ==
        "extract: tensor shared.weight is used as [4, 4, 1, 1] and [2, 4, 1, 1], expected one "
        "shape in one network");
}
