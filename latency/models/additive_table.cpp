#include "latency/models/additive_table.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "core/statistics.h"

namespace lathe::models {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// Columns of every table: the constant, the number of parts, the sum of priors; with measured costs
// the sum of those, and priors only of what was not measured.
constexpr Index kShared = 3;
// Penalties of deviations, relative to the mean square of their columns.
constexpr double kSmallestPenalty = 1e-4;
constexpr double kLargestPenalty = 1e2;
constexpr double kPenaltyStep = 4.0;
constexpr double kJitter = 1e-10;
constexpr int kReweightings = 6;
constexpr double kClip = 4.0;  // robust deviations, of the residuals that say how wrong a table is

/// A weighted ridge fit with what leave-one-out needs.
struct Fit {
  VectorXd entries;
  Eigen::LDLT<MatrixXd> factor;
};

Fit solve(const MatrixXd& rows, const VectorXd& targets, const VectorXd& penalties) {
  Fit fit;
  MatrixXd a = rows.transpose() * rows;
  a.diagonal() += penalties;
  fit.factor = a.ldlt();
  fit.entries = fit.factor.solve(rows.transpose() * targets);
  return fit;
}

VectorXd leverages(const MatrixXd& rows, const Fit& fit) {
  const MatrixXd solved = fit.factor.solve(rows.transpose());
  return (rows.transpose().array() * solved.array()).colwise().sum().transpose();
}

/// One minus the leverage, kept away from 0.
Eigen::ArrayXd free_share(const MatrixXd& rows, const Fit& fit) {
  return (1.0 - leverages(rows, fit).array()).max(1e-6);
}

}  // namespace

struct AdditiveTable::State {
  std::vector<size_t> used;
  std::map<uint64_t, Index> columns;  ///< of the parts that have an entry of their own
  double prior_scale = 1.0;
  Index shared = kShared;  ///< columns
  double smallest = 0.0;   ///< predicted cost, so that its logarithm exists
  double penalty = 0.0;    ///< of one deviation, absolute
  double deviation = 0.0;
  Fit fit;
  std::vector<Prediction> held_out;

  PartCosts measured;

  void choose_columns(const std::vector<Features>& samples, size_t most);
  void add_part(const Part& part, VectorXd& values) const;
  VectorXd row(const Features& sample, double* unknown) const;
  VectorXd penalties(const MatrixXd& rows, double relative) const;
  double choose_penalty(const MatrixXd& rows) const;
  VectorXd fit_robustly(const MatrixXd& rows, double huber);
  void hold_out(const MatrixXd& rows, const VectorXd& roots, const VectorXd& costs);
};

void AdditiveTable::State::choose_columns(const std::vector<Features>& samples, size_t most) {
  std::map<uint64_t, size_t> occurrences;
  double priors = 0.0;
  for (const Features& sample : samples) {
    for (const Part& part : sample.parts) {
      ++occurrences[part.key];
      priors = std::max(priors, std::abs(part.prior * part.count));
    }
  }
  prior_scale = priors > 0.0 ? priors : 1.0;
  std::vector<std::pair<int64_t, uint64_t>> ranked;
  for (const auto& [key, count] : occurrences) {
    ranked.emplace_back(-static_cast<int64_t>(count), key);
  }
  std::sort(ranked.begin(), ranked.end());
  columns.clear();
  for (size_t i = 0; i < std::min(most, ranked.size()); ++i) {
    columns.emplace(ranked[i].second, shared + static_cast<Index>(i));
  }
}

/// The shared columns of one part, however often it occurs.
void AdditiveTable::State::add_part(const Part& part, VectorXd& values) const {
  values[1] += part.count;
  const auto known = measured.find(part.key);
  if (known != measured.end()) {
    values[kShared] += part.count * known->second;
  } else {
    values[2] += part.count * part.prior / prior_scale;
  }
}

/// The sample's columns; `unknown` gets the squared count of parts without an entry of their own.
VectorXd AdditiveTable::State::row(const Features& sample, double* unknown) const {
  VectorXd values = VectorXd::Zero(shared + static_cast<Index>(columns.size()));
  values[0] = 1.0;
  for (const Part& part : sample.parts) {
    add_part(part, values);
    const auto column = columns.find(part.key);
    if (column != columns.end()) {
      values[column->second] += part.count;
    } else if (unknown != nullptr) {
      *unknown += part.count * part.count;
    }
  }
  return values;
}

VectorXd AdditiveTable::State::penalties(const MatrixXd& rows, double relative) const {
  VectorXd values = VectorXd::Constant(rows.cols(), relative);
  values.head(shared) = rows.leftCols(shared).colwise().squaredNorm().transpose() * kJitter;
  values.array() += kJitter;
  return values;
}

/// Returns the absolute penalty with the smallest leave-one-out error.
double AdditiveTable::State::choose_penalty(const MatrixXd& rows) const {
  const Index own = rows.cols() - shared;
  if (own == 0) return 1.0;
  const VectorXd ones = VectorXd::Ones(rows.rows());
  const double scale = rows.rightCols(own).squaredNorm() / static_cast<double>(own);
  double best = -1.0;
  double best_penalty = 1.0;
  for (double p = kLargestPenalty; p >= kSmallestPenalty; p /= kPenaltyStep) {
    const Fit trial = solve(rows, ones, penalties(rows, p * scale));
    const Eigen::ArrayXd residuals =
        (ones - rows * trial.entries).array() / free_share(rows, trial);
    // As robust as the fit that follows: the sum of moduli.
    const double error = residuals.abs().sum();
    if (best < 0.0 || error < best) {
      best = error;
      best_penalty = p * scale;
    }
  }
  return best_penalty;
}

/// Returns the roots of the weights that it ends with.
VectorXd AdditiveTable::State::fit_robustly(const MatrixXd& rows, double huber) {
  VectorXd roots = VectorXd::Ones(rows.rows());
  for (int i = 0; i <= kReweightings; ++i) {
    const MatrixXd weighted = roots.asDiagonal() * rows;
    fit = solve(weighted, roots, penalties(rows, penalty));
    const Eigen::ArrayXd errors = (rows * fit.entries).array() - 1.0;
    const double reach =
        huber * scaled_mad(std::vector<double>(errors.data(), errors.data() + errors.size()));
    if (i == kReweightings || !(reach > 0.0)) break;
    roots = (reach / errors.abs().max(reach)).sqrt();
  }
  return roots;
}

void AdditiveTable::State::hold_out(const MatrixXd& rows, const VectorXd& roots,
                                    const VectorXd& costs) {
  const MatrixXd weighted = roots.asDiagonal() * rows;
  const Eigen::ArrayXd rest = free_share(weighted, fit);
  const Eigen::ArrayXd ratios =
      1.0 - (roots - weighted * fit.entries).array() / rest / roots.array();
  std::vector<double> residuals;
  held_out.clear();
  for (Index i = 0; i < rows.rows(); ++i) {
    const double predicted = std::max(smallest, ratios[i] * costs[i]);
    residuals.push_back(std::log(predicted / costs[i]));
    held_out.push_back({std::log(predicted), std::sqrt(1.0 / rest[i])});
  }
  const double reach = kClip * scaled_mad(residuals);
  double squares = 0.0;
  for (const double residual : residuals) {
    const double kept = reach > 0.0 ? std::clamp(residual, -reach, reach) : residual;
    squares += kept * kept / static_cast<double>(residuals.size());
  }
  deviation = std::sqrt(squares);
  for (Prediction& prediction : held_out) prediction.deviation *= deviation;
}

AdditiveTable::AdditiveTable() : AdditiveTable(Options()) {}
AdditiveTable::AdditiveTable(const Options& options)
    : options_(options), state_(std::make_unique<State>()) {
  for (const auto& [key, cost] : options.measured) {
    if (!(cost > 0.0) || !std::isfinite(cost)) {
      throw InvariantError("AdditiveTable: measured cost = " + std::to_string(cost) +
                           ", expected a positive number");
    }
  }
  state_->measured = options.measured;
  if (!options.measured.empty()) state_->shared = kShared + 1;
}
AdditiveTable::~AdditiveTable() = default;
AdditiveTable::AdditiveTable(AdditiveTable&&) noexcept = default;
AdditiveTable& AdditiveTable::operator=(AdditiveTable&&) noexcept = default;

const AdditiveTable::State& AdditiveTable::fitted(const char* function) const {
  if (state_->used.empty()) {
    throw InvariantError("AdditiveTable::" + std::string(function) +
                         ": called before fit, expected a fitted model");
  }
  return *state_;
}

void AdditiveTable::fit(const std::vector<Features>& samples, const std::vector<double>& labels) {
  check_training_data("AdditiveTable", samples, labels);
  State& state = *state_;
  state.used = recent_and_even(samples.size(), options_.most_samples);
  std::vector<Features> used;
  for (const size_t i : state.used) used.push_back(samples[i]);
  state.choose_columns(used, options_.most_parts);
  const auto n = static_cast<Index>(used.size());
  MatrixXd rows(n, state.shared + static_cast<Index>(state.columns.size()));
  VectorXd costs(n);
  for (Index i = 0; i < n; ++i) {
    costs[i] = std::exp(labels[state.used[static_cast<size_t>(i)]]);
    // Divided by the cost, so that the targets are 1 and errors relative.
    rows.row(i) = state.row(used[static_cast<size_t>(i)], nullptr).transpose() / costs[i];
  }
  state.smallest = 0.5 * costs.minCoeff();
  std::vector<Index> subset;
  for (const size_t i : evenly(used.size(), options_.search_samples)) {
    subset.push_back(static_cast<Index>(i));
  }
  state.penalty = state.choose_penalty(rows(subset, Eigen::all)) * static_cast<double>(n) /
                  static_cast<double>(subset.size());

  const VectorXd roots = state.fit_robustly(rows, options_.huber);
  state.hold_out(rows, roots, costs);
}

std::vector<Prediction> AdditiveTable::predict(const std::vector<Features>& samples) const {
  const State& state = fitted("predict");
  std::vector<Prediction> predictions;
  predictions.reserve(samples.size());
  for (const Features& sample : samples) {
    double unknown = 0.0;
    const VectorXd row = state.row(sample, &unknown);
    const double cost = std::max(state.smallest, row.dot(state.fit.entries));
    // Entries that were never seen are as uncertain as their penalty says.
    const double doubt =
        std::max(0.0, row.dot(state.fit.factor.solve(row))) + unknown / state.penalty;
    predictions.push_back(
        {std::log(cost), state.deviation * std::sqrt(1.0 + doubt / (cost * cost))});
  }
  return predictions;
}

HeldOut AdditiveTable::held_out() const {
  const State& state = fitted("held_out");
  return {state.used, state.held_out};
}

double AdditiveTable::entry(const Part& part) const {
  const State& state = fitted("entry");
  const auto column = state.columns.find(part.key);
  const double own = column == state.columns.end() ? 0.0 : state.fit.entries[column->second];
  VectorXd shared = VectorXd::Zero(state.shared);
  state.add_part({part.key, 1.0, part.prior}, shared);
  return shared.dot(state.fit.entries.head(state.shared)) + own;
}

double AdditiveTable::constant() const { return fitted("constant").fit.entries[0]; }

}  // namespace lathe::models
