#pragma once

#include <memory>
#include <vector>

#include "latency/models/gaussian_process.h"
#include "latency/models/model_report.h"

namespace lathe::models {

/// Models that earn their place: a Gaussian process, ridge regression with and without pairs,
/// boosted trees and an additive table. The one with the smallest held-out error is used, or an
/// average of several where that is better by more than a standard error (stacking, Wolpert, 1992,
/// with weights by greedy choice with replacement, Caruana et al., 2004). A model that does not
/// beat a constant has no weight; if the average does not either, the selector is switched off and
/// predicts the labels' mean and deviation. Labels are natural logarithms.
///
/// The weights are reviewed when the labels have grown by a quarter; in between only the models
/// with a weight are fitted, the Gaussian process with the parameters that it has, so that a long
/// search does not pay for those that lost.
class ModelSelector : public Regressor {
 public:
  /// What a saved selector needs to go on as it was.
  struct State {
    GaussianProcess::Parameters gaussian_process{};
    std::vector<double> weights;  ///< by model; empty: no review yet
    int64_t reviewed = 0;         ///< labels of the last review
    double calibration = 1.0;     ///< of deviations
    bool on = false;
    std::vector<ModelReport> reports;
  };

  /// `measured`: of parts measured alone, for the additive table.
  explicit ModelSelector(const PartCosts& measured = {});

  const char* name() const override { return "selector"; }
  void fit(const std::vector<Features>& samples, const std::vector<double>& labels) override;
  std::vector<Prediction> predict(const std::vector<Features>& samples) const override;
  /// Of the models that have a weight; empty if none has.
  HeldOut held_out() const override;

  /// False: nothing beats a constant, and that is what predict() gives.
  bool on() const { return on_; }
  /// Every model, then the "average", as the last review found them; empty before the first fit().
  const std::vector<ModelReport>& reports() const { return reports_; }

  State state() const;
  /// What the next fit() continues from. \throws InvariantError if the weights are not of these
  /// models.
  void set_state(const State& state);

 private:
  using Predictions = std::vector<std::vector<Prediction>>;  ///< by model

  void review(const std::vector<double>& labels);
  void prefer_one(const Predictions& held_out, const std::vector<bool>& usable,
                  const std::vector<double>& labels);
  std::vector<Prediction> average(const Predictions& of_models) const;

  std::vector<std::unique_ptr<Regressor>> models_;
  GaussianProcess* gaussian_process_ = nullptr;  ///< the one of models_
  std::vector<double> weights_;
  int64_t reviewed_ = 0;
  double calibration_ = 1.0;
  bool on_ = false;
  bool fitted_ = false;
  Prediction constant_;
  std::vector<ModelReport> reports_;
};

/// One of each model, as the selector uses them.
std::vector<std::unique_ptr<Regressor>> make_models(const PartCosts& measured = {});

}  // namespace lathe::models
