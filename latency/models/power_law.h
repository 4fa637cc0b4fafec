#pragma once

#include <cstdint>
#include <vector>

namespace lathe::models {

/// y = exp(intercept) * x1^e1 * x2^e2 ...: a straight line in logarithms. Value type.
struct PowerLaw {
  double intercept = 0.0;
  std::vector<double> exponents;  ///< 0 for a factor that did not vary
  double r_squared = 0.0;         ///< share of the variance of log y that is explained, 0..1
  /// Standard deviation of log y around the line, over the degrees of freedom that are left; 0.05
  /// means about 5 %.
  double residual = 0.0;
  int64_t points = 0;

  /// \throws InvariantError if there is not one factor an exponent or one is not positive.
  double operator()(const std::vector<double>& factors) const;
};

/// Fits by least squares. Factors that do not vary get no exponent; of those that vary together
/// only the common effect is known, and the exponents of smallest norm share it. \throws
/// InvariantError if sizes differ, a number is not positive and finite, or the points are not more
/// than the unknowns.
PowerLaw fit_power_law(const std::vector<std::vector<double>>& factors,
                       const std::vector<double>& values);

}  // namespace lathe::models
