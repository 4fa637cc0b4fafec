#include "latency/models/power_law.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/error.h"
#include "tests/support/message_of.h"

namespace lathe::models {
namespace {

using test::message_of;

TEST_CASE("fit_power_law finds the exponents of an exact law") {
  std::vector<std::vector<double>> factors;
  std::vector<double> values;
  for (const double d : {1.0, 1.5, 2.0}) {
    for (const double w : {1.0, 1.3}) {
      for (const double r : {1.0, 1.4, 1.9}) {
        factors.push_back({d, w, r});
        values.push_back(3.0 * std::pow(d, 0.8) * std::pow(w, 1.6) * std::pow(r, 2.1));
      }
    }
  }
  const PowerLaw law = fit_power_law(factors, values);
  CHECK(std::exp(law.intercept) == doctest::Approx(3.0));
  REQUIRE(law.exponents.size() == 3);
  CHECK(law.exponents[0] == doctest::Approx(0.8));
  CHECK(law.exponents[1] == doctest::Approx(1.6));
  CHECK(law.exponents[2] == doctest::Approx(2.1));
  CHECK(law.r_squared == doctest::Approx(1.0));
  CHECK(law.residual == doctest::Approx(0.0));
  CHECK(law.points == 18);
  CHECK(law({4.0, 1.0, 1.0}) == doctest::Approx(3.0 * std::pow(4.0, 0.8)));
}

TEST_CASE("fit_power_law by hand: slope, share explained and residual") {
  // log x = 0, 1, 2 and log y = 0, 2, 1: slope 1 / 2, squares left 1.5 of 2 with one degree free.
  const double e = std::exp(1.0);
  const PowerLaw law = fit_power_law({{1.0}, {e}, {e * e}}, {1.0, e * e, e});
  CHECK(law.exponents[0] == doctest::Approx(0.5));
  CHECK(law.intercept == doctest::Approx(0.5));
  CHECK(law.r_squared == doctest::Approx(0.25));
  CHECK(law.residual == doctest::Approx(std::sqrt(1.5)));
}

TEST_CASE("Factors that do not vary get no exponent, those that vary together share one") {
  const std::vector<double> values = {2.0, 4.0, 8.0, 16.0};
  const PowerLaw constant = fit_power_law({{1.7, 1.0}, {1.7, 2.0}, {1.7, 4.0}, {1.7, 8.0}}, values);
  CHECK(constant.exponents[0] == 0.0);
  CHECK(constant.exponents[1] == doctest::Approx(1.0));
  const PowerLaw together = fit_power_law({{1.0, 1.0}, {2.0, 2.0}, {4.0, 4.0}, {8.0, 8.0}}, values);
  CHECK(together.exponents[0] == doctest::Approx(0.5));
  CHECK(together.exponents[1] == doctest::Approx(0.5));
  // Nothing varies at all: the mean.
  const PowerLaw flat = fit_power_law({{1.1}, {1.1}}, {3.0, 3.0});
  CHECK(flat({1.1}) == doctest::Approx(3.0));
  CHECK(flat.exponents[0] == 0.0);
}

TEST_CASE("fit_power_law refuses what it cannot fit") {
  const struct {
    std::vector<std::vector<double>> factors;
    std::vector<double> values;
    const char* message;
  } table[] = {
      {{}, {}, "power law: 0 points, 0 values, expected as many, at least one"},
      {{{1.0}}, {1.0, 2.0}, "power law: 1 points, 2 values, expected as many, at least one"},
      {{{1.0}, {1.0, 2.0}}, {1.0, 2.0}, "power law: a point of 2 factors, expected 1"},
      {{{1.0}, {0.0}}, {1.0, 2.0}, "power law: factor = 0.000000, expected a positive number"},
      {{{1.0}, {2.0}}, {1.0, -2.0}, "power law: value = -2.000000, expected a positive number"},
      {{{1.0}, {2.0}}, {1.0, 2.0}, "power law: 2 points for 2 unknowns, expected more"},
  };
  for (const auto& row : table) {
    CHECK(message_of<InvariantError>([&] { fit_power_law(row.factors, row.values); }) ==
          row.message);
  }
  const PowerLaw law = fit_power_law({{1.0}, {2.0}, {4.0}}, {1.0, 2.0, 4.0});
  CHECK(message_of<InvariantError>([&] { law({1.0, 2.0}); }) == "power law: 2 factors, expected 1");
}

}  // namespace
}  // namespace lathe::models
