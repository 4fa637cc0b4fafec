#include "latency/models/ridge.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/statistics.h"
#include "latency/models/model_report.h"
#include "tests/latency/models/mixed_data.h"
#include "tests/support/message_of.h"

namespace lathe::models {
namespace {

using test::message_of;
using test::MixedData;
using test::root_mean_square_error;

Ridge pairwise() {
  Ridge::Options options;
  options.pairwise = true;
  return Ridge(options);
}

TEST_CASE("Ridge recovers a linear function of options and numbers") {
  MixedData data(120, 0.0, 1);
  for (size_t i = 0; i < data.labels.size(); ++i) {
    data.labels[i] = 5.0 + 2.0 * data.samples[i].choices[3] - 0.7 * data.samples[i].numbers[0];
  }
  Ridge model;
  model.fit(data.samples, data.labels);
  CHECK(model.penalty() == doctest::Approx(1e3 / std::pow(2.0, 23)));  // the grid's smallest
  CHECK(root_mean_square_error(model.predict(data.samples), data.labels) < 0.01);
}

TEST_CASE("Ridge with pairs learns an interaction that plain ridge cannot") {
  // Whether two genes agree: no gene says anything by itself.
  MixedData data(200, 0.0, 2);
  for (size_t i = 0; i < data.labels.size(); ++i) {
    data.labels[i] = data.samples[i].choices[0] == data.samples[i].choices[1] ? 1.0 : 0.0;
  }
  Ridge plain;
  Ridge pairs = pairwise();
  plain.fit(data.samples, data.labels);
  pairs.fit(data.samples, data.labels);
  CHECK(assess("plain", plain.held_out().predictions, data.labels).explained < 0.1);
  CHECK(assess("pairs", pairs.held_out().predictions, data.labels).explained > 0.6);
}

TEST_CASE("Ridge::held_out equals fitting without the sample at the same penalty") {
  // Penalties do not move if leaving one sample out leaves the grid's choice: a constant label
  // scale and balanced data make that so here; the tolerance covers the moved scaling.
  const MixedData data(60, 0.5, 3);
  Ridge model;
  model.fit(data.samples, data.labels);
  const HeldOut held_out = model.held_out();
  for (const size_t left : {size_t{7}, size_t{31}}) {
    MixedData rest = data;
    rest.samples.erase(rest.samples.begin() + static_cast<std::ptrdiff_t>(left));
    rest.labels.erase(rest.labels.begin() + static_cast<std::ptrdiff_t>(left));
    Ridge without;
    without.fit(rest.samples, rest.labels);
    REQUIRE(without.penalty() == doctest::Approx(model.penalty()).epsilon(0.05));
    const Prediction direct = without.predict({data.samples[left]})[0];
    CHECK(held_out.predictions[left].mean == doctest::Approx(direct.mean).epsilon(0.001));
    CHECK(held_out.predictions[left].deviation == doctest::Approx(direct.deviation).epsilon(0.1));
  }
}

TEST_CASE("Ridge says how uncertain it is") {
  const MixedData training(150, 0.5, 4);
  const MixedData test(300, 0.5, 5);
  Ridge model = pairwise();
  model.fit(training.samples, training.labels);
  const double coverage = assess("r", model.predict(test.samples), test.labels).coverage;
  CHECK(coverage > 0.84);
  CHECK(coverage < 0.96);
}

TEST_CASE("Ridge on pure noise shrinks to the mean") {
  MixedData data(100, 0.0, 6);
  Rng rng(7);
  for (double& label : data.labels) label = rng.normal();
  Ridge model = pairwise();
  model.fit(data.samples, data.labels);
  CHECK(assess("r", model.held_out().predictions, data.labels).explained < 0.1);
}

TEST_CASE("Ridge handles one sample and constant labels, and uses a bounded number") {
  const MixedData data(80, 0.1, 8);
  Ridge one;
  one.fit({data.samples[0]}, {3.0});
  CHECK(one.predict({data.samples[1]})[0].mean == doctest::Approx(3.0));
  Ridge constant;
  constant.fit(data.samples, std::vector<double>(80, 5.0));
  CHECK(constant.predict({data.samples[3]})[0].mean == doctest::Approx(5.0));
  Ridge::Options options;
  options.most_samples = 40;
  options.search_samples = 20;
  Ridge few(options);
  few.fit(data.samples, data.labels);
  CHECK(few.held_out().samples.size() == 40);
  CHECK(few.held_out().samples.back() == 79);
}

TEST_CASE("Ridge refuses use before fit and data that do not fit") {
  Ridge model;
  const Features features{{1, 2}, {0.5}, {}};
  CHECK(message_of<InvariantError>([&] { (void)model.predict({features}); }) ==
        "Ridge::predict: called before fit, expected a fitted model");
  CHECK(message_of<InvariantError>([&] { (void)model.held_out(); }) ==
        "Ridge::held_out: called before fit, expected a fitted model");
  CHECK(message_of<InvariantError>([&] { model.fit({}, {}); }) ==
        "ridge: 0 samples and 0 labels, expected equal numbers above 0");
}

}  // namespace
}  // namespace lathe::models
