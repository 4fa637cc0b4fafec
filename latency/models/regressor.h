#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"

namespace lathe::models {

/// The option of a gene that has no effect.
constexpr uint16_t kInactive = 65535;

/// Something that costs by itself, wherever it occurs: a block, or a kind of operation.
struct Part {
  uint64_t key = 0;
  double count = 1.0;  ///< how often it occurs
  double prior = 0.0;  ///< what one is thought to cost, in any unit: MACs, or measured ms
};

/// What parts cost where they were measured alone, by Part::key; positive, in any unit.
using PartCosts = std::map<uint64_t, double>;

/// One architecture as a regression sees it. All of one model have the same numbers of choices and
/// of numbers; models use what they can.
struct Features {
  std::vector<uint16_t> choices;  ///< categorical: the option of every gene, or kInactive
  std::vector<double> numbers;    ///< real: such as the logarithm of the MACs; scaled by the model
  std::vector<Part> parts;        ///< what the architecture is the sum of, each key once
};

/// The distribution of a label that was not seen, taken as normal.
struct Prediction {
  double mean = 0.0;
  double deviation = 0.0;  ///< standard deviation, the label's own noise included
};

/// What a model says of training labels that it did not see when it said so.
struct HeldOut {
  std::vector<size_t> samples;  ///< of fit(), increasing
  std::vector<Prediction> predictions;
};

/// Learns a label from features. Not thread-safe while fitting; const use is safe.
class Regressor {
 public:
  virtual ~Regressor() = default;

  virtual const char* name() const = 0;

  /// Learns from scratch (or from where its hyper-parameters are). The same data gives the same
  /// model. \throws InvariantError if there is no sample, sizes differ, or a value is not finite.
  virtual void fit(const std::vector<Features>& samples, const std::vector<double>& labels) = 0;

  /// Returns one prediction a sample. \throws InvariantError before fit(), or if sizes differ.
  virtual std::vector<Prediction> predict(const std::vector<Features>& samples) const = 0;

  /// Returns predictions of the training labels, each without its own label.
  /// \throws InvariantError before fit().
  virtual HeldOut held_out() const = 0;
};

/// \throws InvariantError naming `where` and the first fault: no samples, unequal sizes, values
/// that are not finite.
void check_training_data(const char* where, const std::vector<Features>& samples,
                         const std::vector<double>& labels);

/// `count` of the indices below `size` (all if there are fewer), evenly spaced, increasing.
std::vector<size_t> evenly(size_t size, size_t count);
/// At most `most` of the indices below `size`, increasing: the last half of `most`, and an even
/// choice of what is older.
std::vector<size_t> recent_and_even(size_t size, size_t most);

/// Returns how many of the choices differ. \throws InvariantError if the sizes differ.
int hamming_distance(const Features& a, const Features& b);

/// Shifts and scales numbers to mean 0 and deviation 1 over the training samples; those that are
/// constant become 0.
class NumberScaler {
 public:
  void fit(const std::vector<Features>& samples);
  std::vector<double> apply(const Features& sample) const;

 private:
  std::vector<double> mean_, scale_;
};

}  // namespace lathe::models
