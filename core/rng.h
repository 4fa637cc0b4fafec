#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"

namespace lathe {

/// A named stream of random numbers on mt19937_64 with our own distributions, so that results are
/// the same with every standard library. Not thread-safe: give each thread or item its own derived
/// stream.
class Rng {
 public:
  explicit Rng(uint64_t seed);

  /// Returns an independent stream that depends only on this stream's seed, `name` and `index`,
  /// never on how many numbers were drawn before. `rng.derive("mutation", 3)` is the same at every
  /// call.
  Rng derive(std::string_view name, uint64_t index = 0) const;

  uint64_t seed() const { return seed_; }

  /// Returns 64 uniform bits.
  uint64_t next();
  /// Returns a uniform real in [0, 1) with 53 bits.
  double uniform();
  /// Returns a uniform real in [low, high). \throws InvariantError if the ends are not finite and
  /// in order.
  double uniform(double low, double high);
  /// Returns a uniform integer in [0, bound), without modulo bias. \throws InvariantError if bound
  /// is 0.
  uint64_t below(uint64_t bound);
  /// Returns a uniform integer in [low, high], both included. \throws InvariantError if low > high.
  int64_t integer(int64_t low, int64_t high);
  /// Returns true with probability `p`. \throws InvariantError if `p` is outside [0, 1].
  bool bernoulli(double p);
  /// Returns a normal deviate with mean 0 and standard deviation 1 (polar method, no state kept).
  double normal();
  /// Returns a deviate of the Gamma distribution with scale 1 (Marsaglia and Tsang, 2000).
  /// \throws InvariantError unless `shape` is positive and finite.
  double gamma(double shape);
  /// Returns an index in [0, weights.size()) drawn in proportion to the weights.
  /// \throws InvariantError if a weight is negative or not finite, or all are zero.
  size_t weighted(const std::vector<double>& weights);

  /// Permutes `values` uniformly (Fisher-Yates).
  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i)
      std::swap(values[i - 1], values[static_cast<size_t>(below(i))]);
  }
  /// Returns a uniformly drawn element. \throws InvariantError if `values` is empty.
  template <typename T>
  const T& choose(const std::vector<T>& values) {
    if (values.empty()) throw InvariantError("Rng::choose: the list is empty");
    return values[static_cast<size_t>(below(values.size()))];
  }

  /// Returns the seed and position as text, and reads it back: the next draws are the same.
  std::string save() const;
  /// \throws DataError if `text` was not written by save().
  static Rng load(const std::string& text);

 private:
  uint64_t seed_;
  std::mt19937_64 engine_;
};

/// Returns the 64-bit FNV-1a hash of `bytes` with a final avalanche; the same on every machine.
uint64_t stable_hash(std::string_view bytes);

}  // namespace lathe
