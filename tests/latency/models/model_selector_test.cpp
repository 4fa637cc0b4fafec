#include "latency/models/model_selector.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "core/statistics.h"
#include "tests/latency/models/mixed_data.h"
#include "tests/support/message_of.h"

namespace lathe::models {
namespace {

using test::message_of;
using test::MixedData;
using test::TableData;

TEST_CASE("assess computes every figure by hand") {
  // Labels 1, 2, 4 as logarithms; predictions 1.1, 4, 2: the last two are swapped.
  const std::vector<double> labels = {std::log(1.0), std::log(2.0), std::log(4.0)};
  const std::vector<Prediction> predictions = {
      {std::log(1.1), 0.1}, {std::log(4.0), 0.1}, {std::log(2.0), 1.0}};
  const ModelReport report = assess("hand", predictions, labels);
  CHECK(report.model == "hand");
  CHECK(report.labels == 3);
  CHECK(report.mape == doctest::Approx((0.1 + 1.0 + 0.5) / 3.0));
  CHECK(report.spearman == doctest::Approx(0.5));
  CHECK(report.kendall == doctest::Approx(1.0 / 3.0));
  CHECK(report.coverage == doctest::Approx(2.0 / 3.0));
  const double two = std::log(2.0);
  const double error = std::log(1.1) * std::log(1.1) + 2.0 * two * two;
  CHECK(report.explained == doctest::Approx(1.0 - error / (2.0 * two * two)));
}

TEST_CASE("assess refuses unequal sizes and no labels") {
  CHECK(message_of<InvariantError>([] { (void)assess("m", {}, {}); }) ==
        "assess m: 0 predictions and 0 labels, expected equal numbers above 0");
  CHECK(message_of<InvariantError>([] {
          (void)assess("m", {{1.0, 1.0}}, {1.0, 2.0});
        }) == "assess m: 1 predictions and 2 labels, expected equal numbers above 0");
}

TEST_CASE("ModelSelector takes the model that is right and reports every one") {
  const TableData data(100, 0.03, 1);
  const TableData test(200, 0.03, 2);
  ModelSelector selector;
  selector.fit(data.samples, data.labels);
  CHECK(selector.on());
  REQUIRE(selector.reports().size() == 6);
  double weights = 0.0;
  for (const ModelReport& report : selector.reports()) {
    if (report.model == "average") continue;
    weights += report.weight;
    if (report.model == "additive_table") CHECK(report.weight > 0.6);
  }
  CHECK(weights == doctest::Approx(1.0));
  CHECK(selector.reports().back().model == "average");
  const ModelReport fresh = assess("s", selector.predict(test.samples), test.labels);
  CHECK(fresh.mape < 0.035);  // 0.024 is the noise's own
  CHECK(fresh.coverage > 0.8);
  CHECK(selector.held_out().predictions.size() == 100);
}

TEST_CASE("ModelSelector is about as good as its best model where that is another one") {
  const MixedData data(200, 0.05, 3);
  const MixedData test(200, 0.05, 4);
  ModelSelector selector;
  selector.fit(data.samples, data.labels);
  GaussianProcess best;
  best.fit(data.samples, data.labels);
  const double of_best = test::root_mean_square_error(best.predict(test.samples), test.labels);
  const double of_selector =
      test::root_mean_square_error(selector.predict(test.samples), test.labels);
  CHECK(of_selector < 1.15 * of_best);
}

TEST_CASE("ModelSelector on pure noise switches itself off and predicts the labels' spread") {
  int off = 0;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    TableData data(80, 0.0, seed);
    Rng rng(100 + seed);
    for (double& label : data.labels) label = rng.normal();
    ModelSelector selector;
    selector.fit(data.samples, data.labels);
    if (selector.on()) {
      CHECK(selector.reports().back().explained < 0.15);
      continue;
    }
    ++off;
    CHECK(selector.reports().back().weight == 0.0);
    const Prediction prediction = selector.predict({data.samples[0]})[0];
    CHECK(prediction.mean == doctest::Approx(mean(data.labels)));
    CHECK(prediction.deviation == doctest::Approx(standard_deviation(data.labels)));
  }
  CHECK(off >= 1);
}

TEST_CASE("ModelSelector reviews its weights when the labels have grown by a quarter") {
  const TableData data(100, 0.05, 5);
  const auto first = [&](size_t count, ModelSelector& selector) {
    const auto n = static_cast<std::ptrdiff_t>(count);
    selector.fit({data.samples.begin(), data.samples.begin() + n},
                 {data.labels.begin(), data.labels.begin() + n});
    return selector.reports().back().labels;
  };
  ModelSelector selector;
  CHECK(first(40, selector) == 40);
  CHECK(first(49, selector) == 40);
  CHECK(selector.held_out().predictions.size() == 49);
  CHECK(first(50, selector) == 50);
  CHECK(first(20, selector) == 20);  // fewer labels: other data
}

TEST_CASE("ModelSelector goes on from a saved state exactly as it would have") {
  const MixedData data(120, 0.1, 6);
  const auto fit = [&](size_t count, ModelSelector& selector) {
    const auto n = static_cast<std::ptrdiff_t>(count);
    selector.fit({data.samples.begin(), data.samples.begin() + n},
                 {data.labels.begin(), data.labels.begin() + n});
  };
  ModelSelector whole;
  fit(60, whole);
  ModelSelector resumed;
  resumed.set_state(whole.state());
  CHECK(resumed.reports().size() == 6);
  CHECK(message_of<InvariantError>([&] { (void)resumed.predict({data.samples[0]}); }) ==
        "ModelSelector::predict: called before fit, expected a fitted model");
  for (const size_t count : {70U, 80U, 110U}) {  // within a review's span, and beyond it
    fit(count, whole);
    fit(count, resumed);
    const Prediction a = whole.predict({data.samples[119]})[0];
    const Prediction b = resumed.predict({data.samples[119]})[0];
    CHECK(a.mean == b.mean);
    CHECK(a.deviation == b.deviation);
  }
}

TEST_CASE("ModelSelector handles a single label and equal labels") {
  const TableData data(12, 0.0, 7);
  ModelSelector selector;
  selector.fit({data.samples[0]}, {2.0});
  CHECK_FALSE(selector.on());
  CHECK(selector.predict({data.samples[1]})[0].mean == doctest::Approx(2.0));
  selector.fit(data.samples, std::vector<double>(12, 1.5));
  CHECK_FALSE(selector.on());
  CHECK(selector.predict({data.samples[1]})[0].mean == doctest::Approx(1.5));
}

TEST_CASE("ModelSelector refuses use before fit and weights of other models") {
  ModelSelector selector;
  CHECK(message_of<InvariantError>([&] { (void)selector.predict({Features{}}); }) ==
        "ModelSelector::predict: called before fit, expected a fitted model");
  CHECK(message_of<InvariantError>([&] { (void)selector.held_out(); }) ==
        "ModelSelector::held_out: called before fit, expected a fitted model");
  ModelSelector::State state = selector.state();
  state.weights = {0.5, 0.5};
  CHECK(message_of<InvariantError>([&] { selector.set_state(state); }) ==
        "ModelSelector: 2 weights, expected 5");
}

}  // namespace
}  // namespace lathe::models
