#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "latency/models/regressor.h"

namespace lathe::models {

/// A look-up table: what an architecture costs is a constant plus the entries of its parts. Labels
/// are natural logarithms of the cost. The entry of a part is an affine function of its prior,
/// which all parts share (so that sums of measured entries are reconciled with whole networks, and
/// parts never seen have an entry), or of its measured cost, plus a deviation of its own under a
/// ridge penalty, chosen by closed-form leave-one-out. Relative errors are minimised; large ones
/// count less (Huber, 1964), so that a few broken measurements do not spoil the table.
class AdditiveTable : public Regressor {
 public:
  struct Options {
    size_t search_samples = 250;  ///< used to choose the penalty, evenly spaced
    size_t most_samples = 1000;   ///< used at all: the last ones and an even choice of the rest
    size_t most_parts = 300;      ///< with an entry of their own: those in most samples
    double huber = 1.5;           ///< robust deviations from which errors count linearly
    PartCosts measured;           ///< of parts measured alone; they need no prior
  };

  AdditiveTable();
  /// \throws InvariantError if a measured cost is not positive.
  explicit AdditiveTable(const Options& options);
  ~AdditiveTable() override;
  AdditiveTable(AdditiveTable&&) noexcept;
  AdditiveTable& operator=(AdditiveTable&&) noexcept;

  const char* name() const override { return "additive_table"; }
  /// O(n p^2 + p^3) for p parts with entries of their own.
  void fit(const std::vector<Features>& samples, const std::vector<double>& labels) override;
  std::vector<Prediction> predict(const std::vector<Features>& samples) const override;
  /// Leave-one-out, closed form.
  HeldOut held_out() const override;

  /// What one part adds to an architecture, in the unit of the cost. \throws InvariantError before
  /// fit().
  double entry(const Part& part) const;
  /// What every architecture costs beyond its parts. \throws InvariantError before fit().
  double constant() const;

 private:
  struct State;
  const State& fitted(const char* function) const;
  Options options_;
  std::unique_ptr<State> state_;
};

}  // namespace lathe::models
