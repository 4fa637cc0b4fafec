#include "latency/models/gaussian_process.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/statistics.h"
#include "latency/models/model_report.h"
#include "tests/latency/models/mixed_data.h"
#include "tests/support/message_of.h"

namespace lathe::models {
namespace {

using test::message_of;

using Data = test::MixedData;
using test::root_mean_square_error;

TEST_CASE("GaussianProcess learns a mixed function far better than the mean") {
  const Data training(200, 0.05, 1);
  const Data test(200, 0.05, 2);
  GaussianProcess model;
  model.fit(training.samples, training.labels);
  const auto predictions = model.predict(test.samples);
  CHECK(root_mean_square_error(predictions, test.labels) < 0.25 * standard_deviation(test.labels));
  CHECK(assess("model", model.held_out().predictions, training.labels).explained > 0.9);
  // Honest intervals: about 95 % of the labels within two deviations.
  int inside = 0;
  for (size_t i = 0; i < predictions.size(); ++i) {
    inside +=
        std::abs(predictions[i].mean - test.labels[i]) <= 2.0 * predictions[i].deviation ? 1 : 0;
  }
  CHECK(inside >= 170);
}

TEST_CASE("GaussianProcess::held_out equals fitting without the sample") {
  Data data(30, 0.1, 3);
  GaussianProcess model;
  model.fit(data.samples, data.labels);
  const auto held_out = model.held_out().predictions;
  GaussianProcess::Options frozen;
  frozen.sweeps = 0;
  frozen.clip = 1e9;
  GaussianProcess all(frozen);
  all.set_parameters(model.parameters());
  all.fit(data.samples, data.labels);
  const auto closed = all.held_out().predictions;
  CHECK(closed[4].mean == doctest::Approx(held_out[4].mean).epsilon(1e-6));
  // Without the sample the scaling of labels and numbers moves a little, hence the tolerance.
  Data without = data;
  without.samples.erase(without.samples.begin() + 4);
  without.labels.erase(without.labels.begin() + 4);
  GaussianProcess rest(frozen);
  rest.set_parameters(model.parameters());
  rest.fit(without.samples, without.labels);
  CHECK(rest.predict({data.samples[4]})[0].mean == doctest::Approx(closed[4].mean).epsilon(0.002));
}

TEST_CASE("GaussianProcess on pure noise does not claim to explain it") {
  Data data(100, 0.0, 4);
  Rng rng(5);
  for (double& label : data.labels) label = rng.normal();
  GaussianProcess model;
  model.fit(data.samples, data.labels);
  CHECK(assess("model", model.held_out().predictions, data.labels).explained < 0.15);
}

TEST_CASE("GaussianProcess is not spoilt by a few broken labels") {
  Data data(150, 0.05, 6);
  data.labels[10] = data.labels[70] = -1e6;
  const Data test(100, 0.05, 7);
  GaussianProcess model;
  model.fit(data.samples, data.labels);
  CHECK(root_mean_square_error(model.predict(test.samples), test.labels) <
        0.6 * standard_deviation(test.labels));
}

TEST_CASE("GaussianProcess handles one sample, constant labels and equal samples") {
  Data data(20, 0.0, 8);
  GaussianProcess one;
  one.fit({data.samples[0]}, {3.0});
  CHECK(one.predict({data.samples[1]})[0].mean == doctest::Approx(3.0));
  GaussianProcess constant;
  constant.fit(data.samples, std::vector<double>(20, 5.0));
  CHECK(constant.predict({data.samples[3]})[0].mean == doctest::Approx(5.0));
  GaussianProcess equal;
  equal.fit(std::vector<Features>(20, data.samples[0]), data.labels);
  CHECK(equal.predict({data.samples[0]})[0].mean ==
        doctest::Approx(mean(data.labels)).epsilon(0.02));
}

TEST_CASE("GaussianProcess gives the same model for the same data and saved parameters") {
  const Data data(60, 0.1, 9);
  GaussianProcess a;
  GaussianProcess b;
  a.fit(data.samples, data.labels);
  b.fit(data.samples, data.labels);
  CHECK(a.parameters() == b.parameters());
  GaussianProcess c;
  c.set_parameters(a.parameters());
  a.fit(data.samples, data.labels);
  c.fit(data.samples, data.labels);
  CHECK(a.parameters() == c.parameters());
  CHECK(a.predict(data.samples)[7].mean == c.predict(data.samples)[7].mean);
}

TEST_CASE("GaussianProcess::refit takes in labels and keeps the parameters") {
  const Data data(80, 0.1, 11);
  GaussianProcess model;
  model.fit({data.samples.begin(), data.samples.begin() + 60},
            {data.labels.begin(), data.labels.begin() + 60});
  const GaussianProcess::Parameters before = model.parameters();
  const double doubt = model.predict({data.samples[79]})[0].deviation;
  model.refit(data.samples, data.labels);
  CHECK(model.parameters() == before);
  CHECK(model.held_out().samples.size() == 80);
  CHECK(model.predict({data.samples[79]})[0].deviation < doubt);  // it has seen this one
}

TEST_CASE("GaussianProcess uses a bounded number of samples, the last ones among them") {
  Data data(300, 0.05, 10);
  GaussianProcess::Options options;
  options.most_samples = 100;
  options.search_samples = 50;
  GaussianProcess model(options);
  model.fit(data.samples, data.labels);
  const HeldOut held_out = model.held_out();
  CHECK(held_out.predictions.size() == 100);
  CHECK(held_out.samples.back() == 299);
  CHECK(held_out.samples[50] == 250);
  CHECK(root_mean_square_error(model.predict(data.samples), data.labels) <
        0.5 * standard_deviation(data.labels));
}

TEST_CASE("GaussianProcess refuses data that cannot be learned from") {
  GaussianProcess model;
  const Features features{{1, 2}, {0.5}, {}};
  CHECK(message_of<InvariantError>([&] { (void)model.predict({features}); }) ==
        "GaussianProcess::predict: called before fit, expected a fitted model");
  CHECK(message_of<InvariantError>([&] { (void)model.held_out(); }) ==
        "GaussianProcess::held_out: called before fit, expected a fitted model");
  CHECK(message_of<InvariantError>([&] { model.fit({}, {}); }) ==
        "GaussianProcess: 0 samples and 0 labels, expected equal numbers above 0");
  CHECK(message_of<InvariantError>([&] {
          model.fit({features}, {1.0, 2.0});
        }) == "GaussianProcess: 1 samples and 2 labels, expected equal numbers above 0");
  CHECK(message_of<InvariantError>([&] {
          model.fit({features, {{1}, {0.5}, {}}}, {1.0, 2.0});
        }) == "GaussianProcess: sample 1 has other sizes than sample 0, expected the same");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(message_of<InvariantError>([&] {
          model.fit({features, features}, {1.0, nan});
        }) == "GaussianProcess: sample 1 has a value that is not finite, expected numbers");
  model.fit({features, features}, {1.0, 2.0});
  CHECK(message_of<InvariantError>([&] {
          (void)model.predict({Features{{1}, {0.5}, {}}});
        }) == "hamming_distance: 2 and 1 choices, expected equal numbers");
  CHECK(message_of<InvariantError>([&] {
          (void)model.predict({Features{{1, 2}, {}, {}}});
        }) == "NumberScaler: 0 numbers, expected 1");
}

}  // namespace
}  // namespace lathe::models
