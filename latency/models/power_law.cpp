#include "latency/models/power_law.h"

#include <Eigen/Dense>
#include <cmath>
#include <string>

#include "core/error.h"

namespace lathe::models {
namespace {

double positive_log(const char* what, double value) {
  if (!(std::isfinite(value) && value > 0.0)) {
    throw InvariantError("power law: " + std::string(what) + " = " + std::to_string(value) +
                         ", expected a positive number");
  }
  return std::log(value);
}

void check_sizes(const std::vector<std::vector<double>>& factors,
                 const std::vector<double>& values) {
  if (factors.empty() || factors.size() != values.size()) {
    throw InvariantError("power law: " + std::to_string(factors.size()) + " points, " +
                         std::to_string(values.size()) + " values, expected as many, at least one");
  }
  for (const std::vector<double>& point : factors) {
    if (point.size() == factors.front().size()) continue;
    throw InvariantError("power law: a point of " + std::to_string(point.size()) +
                         " factors, expected " + std::to_string(factors.front().size()));
  }
}

}  // namespace

double PowerLaw::operator()(const std::vector<double>& factors) const {
  if (factors.size() != exponents.size()) {
    throw InvariantError("power law: " + std::to_string(factors.size()) + " factors, expected " +
                         std::to_string(exponents.size()));
  }
  double sum = intercept;
  for (size_t k = 0; k < factors.size(); ++k) {
    sum += exponents[k] * positive_log("factor", factors[k]);
  }
  return std::exp(sum);
}

PowerLaw fit_power_law(const std::vector<std::vector<double>>& factors,
                       const std::vector<double>& values) {
  check_sizes(factors, values);
  const auto rows = static_cast<Eigen::Index>(factors.size());
  const auto columns = static_cast<Eigen::Index>(factors.front().size());
  Eigen::MatrixXd x(rows, columns);
  Eigen::VectorXd y(rows);
  for (Eigen::Index i = 0; i < rows; ++i) {
    y[i] = positive_log("value", values[static_cast<size_t>(i)]);
    for (Eigen::Index k = 0; k < columns; ++k) {
      x(i, k) = positive_log("factor", factors[static_cast<size_t>(i)][static_cast<size_t>(k)]);
    }
  }
  const Eigen::RowVectorXd x_mean = x.colwise().mean();
  const double y_mean = y.mean();
  // A factor that does not vary is a column of zeros, which gets the exponent 0: but for rounding.
  Eigen::MatrixXd x_around = x.rowwise() - x_mean;
  x_around = (x_around.array().abs() < 1e-12).select(0.0, x_around);
  const Eigen::VectorXd y_around = y.array() - y_mean;
  Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd> decomposition;
  decomposition.setThreshold(1e-9);
  decomposition.compute(x_around);
  const Eigen::Index unknowns = decomposition.rank() + 1;
  if (rows <= unknowns) {
    throw InvariantError("power law: " + std::to_string(rows) + " points for " +
                         std::to_string(unknowns) + " unknowns, expected more");
  }
  const Eigen::VectorXd exponents = decomposition.solve(y_around);
  const double left = (y_around - x_around * exponents).squaredNorm();
  const double whole = y_around.squaredNorm();
  PowerLaw law;
  law.intercept = y_mean - x_mean * exponents;
  law.exponents.assign(exponents.data(), exponents.data() + columns);
  law.r_squared = whole > 0.0 ? 1.0 - left / whole : 1.0;
  law.residual = std::sqrt(left / static_cast<double>(rows - unknowns));
  law.points = rows;
  return law;
}

}  // namespace lathe::models
