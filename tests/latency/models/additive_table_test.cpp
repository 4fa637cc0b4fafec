#include "latency/models/additive_table.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/statistics.h"
#include "latency/models/model_report.h"
#include "tests/latency/models/mixed_data.h"
#include "tests/support/message_of.h"

namespace lathe::models {
namespace {

using test::message_of;
using test::TableData;

TEST_CASE("AdditiveTable finds the entries that the labels were made of") {
  const TableData data(60, 0.0, 1);
  AdditiveTable table;
  table.fit(data.samples, data.labels);
  CHECK(table.constant() == doctest::Approx(TableData::kConstant).epsilon(0.02));
  for (uint64_t part = 0; part < 5; ++part) {
    CHECK(table.entry({part, 1.0, static_cast<double>(part)}) ==
          doctest::Approx(TableData::kCosts[part]).epsilon(0.03));
  }
}

TEST_CASE("AdditiveTable reconciles the sums of measured entries with whole networks") {
  // Whole networks take 3 ms and 0.8 of the sum of their blocks, each of which occurs once only:
  // no entry of its own can be learned, the priors carry all.
  std::vector<Features> samples;
  std::vector<double> labels;
  Rng rng(2);
  for (uint64_t i = 0; i < 30; ++i) {
    Features features;
    double sum = 0.0;
    for (uint64_t part = 0; part < 4; ++part) {
      const double measured = rng.uniform(1.0, 9.0);
      features.parts.push_back({100 * i + part, 1.0, measured});
      sum += measured;
    }
    samples.push_back(features);
    labels.push_back(std::log(3.0 + 0.8 * sum));
  }
  AdditiveTable table;
  table.fit(samples, labels);
  Features fresh;
  fresh.parts = {{7001, 1.0, 4.0}, {7002, 1.0, 2.0}, {7003, 1.0, 5.0}, {7004, 1.0, 7.0}};
  CHECK(std::exp(table.predict({fresh})[0].mean) ==
        doctest::Approx(3.0 + 0.8 * 18.0).epsilon(0.02));
}

TEST_CASE("AdditiveTable starts from measured costs where it has them") {
  // Half of the parts were measured, in us; the others are known by their MACs alone.
  AdditiveTable::Options options;
  std::vector<Features> samples;
  std::vector<double> labels;
  Rng rng(5);
  const auto draw = [&](uint64_t i) {
    Features features;
    double cost = 3.0;
    for (uint64_t part = 0; part < 6; ++part) {
      const uint64_t key = 100 * i + part;
      const double macs = rng.uniform(1e6, 9e6);
      const double ms = rng.uniform(1.0, 9.0);  // of measured ones; MACs say nothing of it
      features.parts.push_back({key, 2.0, macs});
      if (part % 2 == 0) options.measured[key] = 1000.0 * ms;
      cost += 2.0 * (part % 2 == 0 ? 0.8 * ms : 1e-6 * macs);
    }
    samples.push_back(features);
    labels.push_back(std::log(cost));
  };
  for (uint64_t i = 0; i < 41; ++i) draw(i);
  const Features fresh = samples.back();
  const double truth = labels.back();
  samples.pop_back();
  labels.pop_back();
  AdditiveTable table(options);
  table.fit(samples, labels);
  CHECK(table.predict({fresh})[0].mean == doctest::Approx(truth).epsilon(0.005));
  // All have six parts, so what a part costs at all and the constant are not told apart.
  const auto cost = [&](size_t part) { return options.measured.at(fresh.parts[part].key); };
  CHECK(table.entry(fresh.parts[0]) - table.entry(fresh.parts[2]) ==
        doctest::Approx(8e-4 * (cost(0) - cost(2))).epsilon(0.02));
  AdditiveTable blind;
  blind.fit(samples, labels);
  CHECK(assess("blind", blind.held_out().predictions, labels).mape >
        5.0 * assess("table", table.held_out().predictions, labels).mape);

  options.measured[7] = 0.0;
  CHECK(message_of<InvariantError>([&] { AdditiveTable refused(options); }) ==
        "AdditiveTable: measured cost = 0.000000, expected a positive number");
}

TEST_CASE("AdditiveTable is less sure of parts that it never saw") {
  const TableData data(80, 0.05, 3);
  AdditiveTable table;
  table.fit(data.samples, data.labels);
  Features known = data.samples[0];
  known.parts = {{1, 2.0, 1.0}, {2, 1.0, 2.0}};
  Features unknown = known;
  unknown.parts[1].key = 99;
  const auto predictions = table.predict({known, unknown});
  CHECK(predictions[1].deviation > predictions[0].deviation);
}

TEST_CASE("AdditiveTable is not spoilt by a few broken measurements") {
  TableData data(100, 0.03, 4);
  for (const size_t i : {5U, 40U, 77U, 90U}) data.labels[i] += 1.0;  // 2.7 times as slow
  const TableData test(200, 0.0, 5);
  AdditiveTable table;
  table.fit(data.samples, data.labels);
  CHECK(assess("t", table.predict(test.samples), test.labels).mape < 0.025);
}

TEST_CASE("AdditiveTable has honest intervals and held-out errors") {
  const TableData data(150, 0.1, 6);
  const TableData test(400, 0.1, 7);
  AdditiveTable table;
  table.fit(data.samples, data.labels);
  const ModelReport fresh = assess("t", table.predict(test.samples), test.labels);
  const ModelReport held_out = assess("t", table.held_out().predictions, data.labels);
  CHECK(fresh.coverage > 0.85);
  CHECK(fresh.coverage < 0.95);
  CHECK(held_out.mape == doctest::Approx(fresh.mape).epsilon(0.2));
}

TEST_CASE("AdditiveTable::held_out does not know the sample's own label") {
  // Robust weights off: then the closed form is exact up to the penalty's choice.
  AdditiveTable::Options options;
  options.huber = 1e9;
  const TableData data(40, 0.1, 8);
  AdditiveTable table(options);
  table.fit(data.samples, data.labels);
  TableData rest = data;
  rest.samples.erase(rest.samples.begin() + 11);
  rest.labels.erase(rest.labels.begin() + 11);
  AdditiveTable without(options);
  without.fit(rest.samples, rest.labels);
  CHECK(table.held_out().predictions[11].mean ==
        doctest::Approx(without.predict({data.samples[11]})[0].mean).epsilon(0.01));
}

TEST_CASE("AdditiveTable without parts, or with one sample, predicts a constant") {
  AdditiveTable table;
  table.fit({Features{}, Features{}, Features{}}, {1.0, 1.0, 1.0});
  CHECK(table.predict({Features{}})[0].mean == doctest::Approx(1.0));
  const TableData data(2, 0.0, 9);
  table.fit({data.samples[0]}, {2.0});
  CHECK(table.predict({data.samples[0]})[0].mean == doctest::Approx(2.0).epsilon(0.01));
}

TEST_CASE("AdditiveTable gives entries of their own to a bounded number of parts") {
  const TableData data(60, 0.0, 10);
  AdditiveTable::Options options;
  options.most_parts = 0;
  AdditiveTable priors_only(options);
  priors_only.fit(data.samples, data.labels);
  const double step = priors_only.entry({4, 1.0, 4.0}) - priors_only.entry({3, 1.0, 3.0});
  CHECK(priors_only.entry({1, 1.0, 1.0}) - priors_only.entry({0, 1.0, 0.0}) ==
        doctest::Approx(step));
  CHECK(priors_only.entry({4, 1.0, 0.0}) == doctest::Approx(priors_only.entry({0, 1.0, 0.0})));
}

TEST_CASE("AdditiveTable refuses use before fit") {
  const AdditiveTable table;
  CHECK(message_of<InvariantError>([&] { (void)table.predict({Features{}}); }) ==
        "AdditiveTable::predict: called before fit, expected a fitted model");
  CHECK(message_of<InvariantError>([&] { (void)table.held_out(); }) ==
        "AdditiveTable::held_out: called before fit, expected a fitted model");
  CHECK(message_of<InvariantError>([&] { (void)table.constant(); }) ==
        "AdditiveTable::constant: called before fit, expected a fitted model");
}

}  // namespace
}  // namespace lathe::models
