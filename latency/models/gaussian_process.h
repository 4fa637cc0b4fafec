#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "latency/models/regressor.h"

namespace lathe::models {

/// Gaussian process (Rasmussen and Williams, 2006) over mixed features. With h the share of choices
/// that differ and r the distance of the scaled numbers, the covariance of two samples is
///   a exp(-t h - r^2 / (2 l^2)) + b exp(-r^2 / (2 m^2)) + c (1 - h) + [same sample] noise:
/// a part that knows the choices, a trend in the numbers, an additive part. The seven parameters
/// maximise the marginal likelihood with a prior, by coordinate search from where they are. Labels
/// beyond `clip` robust deviations from their median are pulled in, so that a few broken networks
/// do not spoil the model.
class GaussianProcess : public Regressor {
 public:
  static constexpr size_t kParameters = 7;
  using Parameters = std::array<double, kParameters>;  ///< logarithms of a, t, l, b, m, c, noise

  struct Options {
    int sweeps = 10;              ///< of the coordinate search at most
    size_t search_samples = 250;  ///< used for the search, evenly spaced
    size_t most_samples = 1000;   ///< used at all: the last ones and an even choice of the rest
    double clip = 4.0;            ///< robust deviations
  };

  GaussianProcess();
  explicit GaussianProcess(const Options& options);
  ~GaussianProcess() override;
  GaussianProcess(GaussianProcess&&) noexcept;
  GaussianProcess& operator=(GaussianProcess&&) noexcept;

  const char* name() const override { return "gaussian_process"; }
  /// O(n^3) in the samples used.
  void fit(const std::vector<Features>& samples, const std::vector<double>& labels) override;
  /// The same without the search: with the parameters as they are, a fraction of fit()'s time.
  void refit(const std::vector<Features>& samples, const std::vector<double>& labels);
  std::vector<Prediction> predict(const std::vector<Features>& samples) const override;

  /// Leave-one-out, closed form; the parameters have seen all labels.
  HeldOut held_out() const override;

  const Parameters& parameters() const { return parameters_; }
  /// Where the next fit() begins its search, so that a saved model goes on as it was.
  void set_parameters(const Parameters& parameters) { parameters_ = parameters; }

 private:
  void fit(const std::vector<Features>& samples, const std::vector<double>& labels, int sweeps);

  struct State;
  Options options_;
  Parameters parameters_;
  std::unique_ptr<State> state_;
};

}  // namespace lathe::models
