#pragma once

#include <map>
#include <optional>
#include <string>

namespace lathe::latency {

/// The boards of one class checked against each other: all should give one network the same
/// latency. Not thread-safe.
class BoardPanel {
 public:
  /// Boards agree within `tolerance`, relative; 0: any values agree.
  explicit BoardPanel(double tolerance) : tolerance_(tolerance) {}

  /// `reference_ms` is what the board at `address` measures for the reference network; replaces its
  /// former value. \throws InvariantError if it is not positive.
  void report(const std::string& address, double reference_ms);

  /// What the board should agree with, if it does not; nothing if it does or was never reported.
  /// The truth is the largest group of boards that agree; of two as large the faster, because
  /// faults make boards slow.
  std::optional<double> disagrees_with(const std::string& address) const;
  /// 0 if never reported.
  double reference_ms(const std::string& address) const;

 private:
  bool agree(double a, double b) const;
  double consensus_ms() const;

  double tolerance_;
  std::map<std::string, double> values_;
};

/// How well a board has served lately: 1 when every result was clean, towards 0 with disturbed
/// results and losses. Not thread-safe.
class BoardHealth {
 public:
  /// `goodness` of one outcome in [0, 1]. Older outcomes fade by a fifth each.
  void record(double goodness) { score_ += 0.2 * (goodness - score_); }
  double score() const { return score_; }

 private:
  double score_ = 1.0;
};

}  // namespace lathe::latency
