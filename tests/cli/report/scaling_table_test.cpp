#include "cli/report/scaling_table.h"

#include <doctest/doctest.h>

#include "tests/support/sample_summary.h"

namespace lathe::report {
namespace {

Scaling sample() {
  support::SampleOptions options;
  options.candidates = 3;
  options.scaling = true;
  return support::sample_summary(options).search.scaling.value();
}

TEST_CASE("scaling_table prints the fit and a row a phi with what became of it") {
  CHECK(scaling_table(sample()) ==
        R"(compound scaling of 0-0-1, phi = 1 within 2 times its latency@local (1 ms)
latency ~ depth^0.81 width^1.62 resolution^1.93, R^2 0.987, residual 3.4 %, 16 networks
phi     asked d w r   came to d w r  predicted  measured    top-1
--------------------------------------------------------------------------------
  0  1.00 1.00 1.00  1.00 1.00 1.00   0.485 ms    0.5 ms  85.00 %
  1  1.20 1.10 1.15  1.25 1.00 1.20   0.873 ms    0.9 ms  88.00 %
  2  2.40 2.20 2.30  2.50 2.00 2.40   1.746 ms    1.8 ms  88.00 %  as phi 1
  3  3.60 3.30 3.45  3.75 3.00 3.60   2.619 ms         -        -  failed
  4  3.60 3.30 3.45  3.75 3.00 3.60   2.619 ms         -        -  not evaluated
the space has few choices: each factor takes the nearest, and none is beyond the largest
)");
}

TEST_CASE("scaling_table counts MACs, and says when there is no family") {
  Scaling scaling = sample();
  scaling.budget_metric = "macs";
  scaling.budget_cost = 2.5e6;
  scaling.fit.reset();
  const std::string text = scaling_table(scaling);
  CHECK(text.find("phi = 1 within 2 times its macs (2.50 M)\nphi") != std::string::npos);
  CHECK(text.find("counted") != std::string::npos);
  CHECK(text.find("measured") == std::string::npos);
  scaling.family.clear();
  CHECK(scaling_table(scaling) ==
        "compound scaling of 0-0-1, phi = 1 within 2 times its macs (2.50 M)\n"
        "none of 2 networks of the grid stays within the budget: there is no family\n");
}

}  // namespace
}  // namespace lathe::report
