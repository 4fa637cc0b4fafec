#include "search/evaluation/metric.h"

#include <doctest/doctest.h>

#include <limits>

#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::message_of;

TEST_CASE("parse_metric reads back what to_string writes") {
  for (const char* name : {"accuracy", "macs", "params", "peak_memory", "model_size", "latency@pi4",
                           "energy@board-7.local"}) {
    CHECK(to_string(parse_metric(name)) == name);
  }
  CHECK(parse_metric(" latency@pi4 ").device == "pi4");
}

TEST_CASE("parse_metric refuses what names no metric, with its reason") {
  const auto message = [](const char* text) {
    return message_of<ConfigError>([&] { parse_metric(text); });
  };
  CHECK(message("flops") ==
        "metric = flops, expected one of accuracy, macs, params, peak_memory, model_size, "
        "latency@DEVICE, energy@DEVICE");
  CHECK(message("latency") ==
        "metric = latency, expected latency@DEVICE with the name of a device");
  CHECK(message("latency@") ==
        "metric = latency@, expected latency@DEVICE with the name of a device");
  CHECK(message("accuracy@pi4") == "metric = accuracy@pi4, expected accuracy without a device");
  CHECK(message("latency@a@b") ==
        "metric = latency@a@b, expected a device name without blanks and the signs @ < > =");
  CHECK(message("") ==
        "metric = , expected one of accuracy, macs, params, peak_memory, model_size, "
        "latency@DEVICE, energy@DEVICE");
}

TEST_CASE("parse_metric_value reads every metric in its unit") {
  const auto value = [](const char* metric, const char* text) {
    return parse_metric_value(parse_metric(metric), text);
  };
  CHECK(value("accuracy", "0.9") == doctest::Approx(0.9));
  CHECK(value("accuracy", "90 %") == doctest::Approx(0.9));
  CHECK(value("latency@pi4", "20ms") == doctest::Approx(20.0));
  CHECK(value("latency@pi4", "1.5s") == doctest::Approx(1500.0));
  CHECK(value("latency@pi4", "500us") == doctest::Approx(0.5));
  CHECK(value("params", "2M") == 2e6);
  CHECK(value("macs", "300") == 300.0);
  CHECK(value("peak_memory", "32MB") == 32e6);
  CHECK(value("model_size", "1KiB") == 1024.0);
  CHECK(value("energy@pi4", "5mJ") == 5.0);
  CHECK(value("energy@pi4", "1.5J") == 1500.0);
  CHECK(value("energy@pi4", "20uJ") == doctest::Approx(0.02));
}

TEST_CASE("parse_metric_value refuses values in another unit or out of range") {
  const auto message = [](const char* metric, const char* text) {
    return message_of<ConfigError>([&] { parse_metric_value(parse_metric(metric), text); });
  };
  CHECK(message("latency@pi4", "20") ==
        "latency@pi4 = 20, expected a duration such as 20ms or 1.5s");
  CHECK(message("accuracy", "1.2") ==
        "accuracy = 1.2, expected a fraction in [0, 1] such as 0.9, or 90%");
  CHECK(message("accuracy", "nan") ==
        "accuracy = nan, expected a fraction in [0, 1] such as 0.9, or 90%");
  CHECK(message("params", "20ms") == "params = 20ms, expected a count such as 300, 2k or 1.5M");
  CHECK(message("peak_memory", "32") ==
        "peak_memory = 32, expected a size such as 500KB, 32MB or 1GiB");
  CHECK(message("energy@a", "5") == "energy@a = 5, expected an energy such as 50mJ or 1.5J");
}

TEST_CASE("parse_constraint reads both directions and any blanks") {
  const Constraint upper = parse_constraint("latency@pi4<=20ms");
  CHECK(upper.metric == parse_metric("latency@pi4"));
  CHECK(upper.at_most);
  CHECK(upper.bound == doctest::Approx(20.0));
  const Constraint lower = parse_constraint("  accuracy  >=  90% ");
  CHECK_FALSE(lower.at_most);
  CHECK(lower.bound == doctest::Approx(0.9));
}

TEST_CASE("parse_constraint reads back what to_string writes") {
  for (const char* text : {"latency@pi4 <= 20ms", "params <= 2M", "peak_memory <= 32MB",
                           "accuracy >= 0.925", "energy@pi4 <= 50mJ", "macs >= 100k"}) {
    const Constraint constraint = parse_constraint(text);
    const Constraint again = parse_constraint(to_string(constraint));
    CHECK(again.metric == constraint.metric);
    CHECK(again.at_most == constraint.at_most);
    CHECK(again.bound == doctest::Approx(constraint.bound));
  }
  CHECK(to_string(parse_constraint("latency@pi4 <= 20ms")) == "latency@pi4 <= 20ms");
}

TEST_CASE("parse_constraint says how a constraint is written") {
  const std::string how =
      ", expected METRIC <= VALUE or METRIC >= VALUE, such as latency@pi4 <= 20ms";
  for (const char* text : {"latency@pi4", "latency@pi4 < 20ms", "latency@pi4 = 20ms",
                           "latency@pi4 == 20ms", "latency@pi4 =< 20ms", ""}) {
    CHECK(message_of<ConfigError>([&] { parse_constraint(text); }) ==
          "constraint = " + std::string(text) + how);
  }
  CHECK(message_of<ConfigError>([] { parse_constraint("params <= "); }) ==
        "params = , expected a count such as 300, 2k or 1.5M");
}

TEST_CASE("Constraint::violation is relative to the bound and 0 inside") {
  const Constraint upper = parse_constraint("latency@pi4 <= 20ms");
  CHECK(upper.violation(20.0) == 0.0);
  CHECK(upper.violation(25.0) == doctest::Approx(0.25));
  const Constraint lower = parse_constraint("accuracy >= 0.8");
  CHECK(lower.violation(0.8) == 0.0);
  CHECK(lower.violation(0.6) == doctest::Approx(0.25));
  Constraint zero = upper;
  zero.bound = 0.0;
  CHECK(zero.violation(3.0) == 3.0);
  CHECK(message_of<InvariantError>([&] {
          (void)upper.violation(std::numeric_limits<double>::quiet_NaN());
        }) == "constraint latency@pi4 <= 20ms: value = nan, expected a number");
}

TEST_CASE("format_metric writes values with their units") {
  CHECK(format_metric(parse_metric("accuracy"), 0.91449) == "0.914");
  CHECK(format_metric(parse_metric("latency@a"), 12.345) == "12.3 ms");
  CHECK(format_metric(parse_metric("latency@a"), 1.2345) == "1.23 ms");
  CHECK(format_metric(parse_metric("latency@a"), 0.12345) == "0.123 ms");
  CHECK(format_metric(parse_metric("params"), 3504872) == "3.50 M");
  CHECK(format_metric(parse_metric("model_size"), 14019488) == "14.0 MB");
  CHECK(format_metric(parse_metric("energy@a"), 5.2) == "5.20 mJ");
}

}  // namespace
}  // namespace lathe::search
