#pragma once

#include <string>
#include <vector>

namespace lathe::study {

/// Runs this program with `arguments` in a process of its own and returns the number that it prints
/// last. Both sides of a comparison start alike: LibTorch's threads are told not to spin, or a busy
/// machine would slow down one of them by chance. \throws Error if it fails.
double run_self(const std::vector<std::string>& arguments);

/// Seconds of alternating rounds, each in a process of its own: ABAB...
struct Rounds {
  std::vector<double> ours, usual;
  double ratio() const;                                ///< of the medians, usual / ours
  double lowest_ratio() const, highest_ratio() const;  ///< of a round
};
Rounds alternate(const std::vector<std::string>& ours, const std::vector<std::string>& usual,
                 int rounds);

}  // namespace lathe::study
