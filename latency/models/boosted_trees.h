#pragma once

#include <cstdint>
#include <vector>

#include "latency/models/regressor.h"

namespace lathe::models {

/// Gradient-boosted regression trees for squared error (Friedman, 2001), small and exact: every
/// question is "is choice g option o?" or "is number k above t?". As many trees are grown as give
/// the smallest error out of fold; folds are samples whose index has the same remainder, so that
/// the same data gives the same model. Every prediction has the deviation of the out-of-fold
/// residuals.
class BoostedTrees : public Regressor {
 public:
  struct Options {
    int most_trees = 300;
    int patience = 30;  ///< trees without a smaller out-of-fold error before growing ends
    int depth = 3;
    int folds = 5;
    int thresholds = 12;         ///< a number, at quantiles
    double shrinkage = 0.1;      ///< of every tree
    double leaf_penalty = 1.0;   ///< samples of value 0 that every leaf is averaged with
    size_t most_samples = 1000;  ///< used at all: the last ones and an even choice of the rest
  };

  BoostedTrees();
  explicit BoostedTrees(const Options& options);

  const char* name() const override { return "boosted_trees"; }
  void fit(const std::vector<Features>& samples, const std::vector<double>& labels) override;
  std::vector<Prediction> predict(const std::vector<Features>& samples) const override;
  /// Out of fold.
  HeldOut held_out() const override;

  int trees() const { return static_cast<int>(trees_.size()); }

 private:
  /// Something that is true or false of a sample.
  struct Question {
    bool about_number = false;
    size_t position = 0;  ///< of the choice or number
    uint16_t option = 0;
    double threshold = 0.0;
  };
  /// A complete tree: node i has the children 2 i + 1 (no) and 2 i + 2 (yes).
  struct Tree {
    std::vector<int> questions;  ///< by inner node; -1: everything goes to "no"
    std::vector<double> leaves;  ///< shrunken values
  };
  struct Data;
  struct Ensemble;

  bool answer(const Question& question, const Features& sample) const;
  void make_questions(const std::vector<Features>& samples);
  Tree grow(const Data& data, const std::vector<size_t>& rows,
            const std::vector<double>& residuals) const;
  double value(const Tree& tree, const Data& data, size_t row) const;
  void boost(const Data& data, Ensemble& ensemble) const;
  int count_by_folds(const Data& data, const std::vector<double>& labels);

  Options options_;
  size_t choices_ = 0, numbers_ = 0;
  std::vector<Question> questions_;
  std::vector<Tree> trees_;
  double mean_ = 0.0;
  double deviation_ = 0.0;
  HeldOut held_out_;
};

}  // namespace lathe::models
