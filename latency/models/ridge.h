#pragma once

#include <memory>
#include <vector>

#include "latency/models/regressor.h"

namespace lathe::models {

/// Ridge regression (Hoerl and Kennard, 1970) on one column an option of every choice and one a
/// scaled number, with an intercept that is not penalised; with `pairwise` also on the products of
/// all pairs of columns. The penalty is the one of a grid with the smallest leave-one-out error, in
/// closed form. Computed in the dual, so that the number of columns costs nothing.
class Ridge : public Regressor {
 public:
  struct Options {
    bool pairwise = false;
    size_t search_samples = 250;  ///< used to choose the penalty, evenly spaced
    size_t most_samples = 1000;   ///< used at all: the last ones and an even choice of the rest
  };

  Ridge();
  explicit Ridge(const Options& options);
  ~Ridge() override;
  Ridge(Ridge&&) noexcept;
  Ridge& operator=(Ridge&&) noexcept;

  const char* name() const override { return options_.pairwise ? "ridge_pairwise" : "ridge"; }
  /// O(n^3) in the samples used.
  void fit(const std::vector<Features>& samples, const std::vector<double>& labels) override;
  std::vector<Prediction> predict(const std::vector<Features>& samples) const override;
  /// Leave-one-out, closed form.
  HeldOut held_out() const override;

  /// The chosen penalty, relative to the kernel's mean diagonal.
  double penalty() const;

 private:
  struct State;
  Options options_;
  std::unique_ptr<State> state_;
};

}  // namespace lathe::models
