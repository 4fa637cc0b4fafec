#include "latency/models/boosted_trees.h"

#include <doctest/doctest.h>

#include "core/statistics.h"
#include "latency/models/model_report.h"
#include "tests/latency/models/mixed_data.h"
#include "tests/support/message_of.h"

namespace lathe::models {
namespace {

using test::message_of;
using test::MixedData;
using test::root_mean_square_error;

TEST_CASE("BoostedTrees with one stump is the hand-computed split") {
  // Choice 0 says everything: 6 samples of label 0 and 6 of label 12.
  std::vector<Features> samples;
  std::vector<double> labels;
  for (int i = 0; i < 12; ++i) {
    samples.push_back({{static_cast<uint16_t>(i / 6), static_cast<uint16_t>(i % 2)}, {}, {}});
    labels.push_back(i < 6 ? 0.0 : 12.0);
  }
  BoostedTrees::Options options;
  options.most_trees = 1;
  options.depth = 1;
  options.shrinkage = 0.5;
  options.leaf_penalty = 2.0;
  BoostedTrees model(options);
  model.fit(samples, labels);
  CHECK(model.trees() == 1);
  // Mean 6; a leaf is 0.5 * (6 * 6) / (6 + 2) = 2.25 from it.
  CHECK(model.predict({samples[0]})[0].mean == doctest::Approx(6.0 - 2.25));
  CHECK(model.predict({samples[11]})[0].mean == doctest::Approx(6.0 + 2.25));
}

TEST_CASE("BoostedTrees learns steps, interactions and numbers") {
  const MixedData training(400, 0.05, 1);
  const MixedData test(200, 0.05, 2);
  BoostedTrees model;
  model.fit(training.samples, training.labels);
  const auto predictions = model.predict(test.samples);
  CHECK(root_mean_square_error(predictions, test.labels) < 0.45 * standard_deviation(test.labels));
  // What is said out of fold is what new samples show.
  const ModelReport held_out = assess("t", model.held_out().predictions, training.labels);
  const ModelReport fresh = assess("t", predictions, test.labels);
  CHECK(held_out.explained == doctest::Approx(fresh.explained).epsilon(0.1));
  CHECK(fresh.coverage > 0.83);
}

TEST_CASE("BoostedTrees grows no tree on pure noise that it would believe") {
  MixedData data(100, 0.0, 3);
  Rng rng(4);
  for (double& label : data.labels) label = rng.normal();
  BoostedTrees model;
  model.fit(data.samples, data.labels);
  CHECK(model.trees() < 20);
  CHECK(assess("t", model.held_out().predictions, data.labels).explained < 0.1);
}

TEST_CASE("BoostedTrees::held_out does not know the sample's own label") {
  MixedData data(50, 0.1, 5);
  BoostedTrees::Options options;
  options.most_trees = 40;
  options.patience = 1000;
  BoostedTrees before(options);
  before.fit(data.samples, data.labels);
  // Fold 3 moves: what the other folds' models say of it, grown equally long, moves not at all.
  MixedData moved = data;
  for (size_t i = 3; i < moved.labels.size(); i += 5) moved.labels[i] += 0.001;
  BoostedTrees after(options);
  after.fit(moved.samples, moved.labels);
  REQUIRE(before.trees() == after.trees());
  for (size_t i = 3; i < moved.labels.size(); i += 5) {
    CHECK(after.held_out().predictions[i].mean ==
          doctest::Approx(before.held_out().predictions[i].mean).epsilon(1e-12));
  }
}

TEST_CASE("BoostedTrees gives the same model for the same data, and uses a bounded number") {
  const MixedData data(90, 0.1, 6);
  BoostedTrees::Options options;
  options.most_samples = 60;
  BoostedTrees a(options);
  BoostedTrees b(options);
  a.fit(data.samples, data.labels);
  b.fit(data.samples, data.labels);
  CHECK(a.predict(data.samples)[5].mean == b.predict(data.samples)[5].mean);
  CHECK(a.held_out().samples.size() == 60);
}

TEST_CASE("BoostedTrees of few samples predicts their mean") {
  const MixedData data(3, 0.0, 7);
  BoostedTrees model;
  model.fit(data.samples, {1.0, 2.0, 6.0});
  CHECK(model.trees() == 0);
  CHECK(model.predict({data.samples[0]})[0].mean == doctest::Approx(3.0));
  CHECK(model.held_out().predictions[2].mean == doctest::Approx(1.5));
  model.fit({data.samples[0]}, {4.0});
  CHECK(model.predict({data.samples[1]})[0].mean == doctest::Approx(4.0));
}

TEST_CASE("BoostedTrees refuses use before fit and samples of other sizes") {
  BoostedTrees model;
  const MixedData data(20, 0.0, 8);
  CHECK(message_of<InvariantError>([&] { (void)model.predict(data.samples); }) ==
        "BoostedTrees::predict: called before fit, expected a fitted model");
  CHECK(message_of<InvariantError>([&] { (void)model.held_out(); }) ==
        "BoostedTrees::held_out: called before fit, expected a fitted model");
  model.fit(data.samples, data.labels);
  CHECK(message_of<InvariantError>([&] {
          (void)model.predict({{{1, 2}, {0.5}, {}}});
        }) == "BoostedTrees::predict: 2 choices and 1 numbers, expected 6 and 2");
}

}  // namespace
}  // namespace lathe::models
