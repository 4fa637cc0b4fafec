#include "latency/models/ridge.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

namespace lathe::models {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

// Penalties relative to the centred kernel's mean diagonal, from interpolation to the mean alone.
constexpr double kSmallestPenalty = 1e-4;
constexpr double kLargestPenalty = 1e3;
constexpr double kPenaltyStep = 2.0;
constexpr double kSmallestVariance = 1e-12;

struct Encoded {
  std::vector<Features> samples;  ///< for their choices
  std::vector<std::vector<double>> numbers;
};

/// The inner product of two samples' columns.
double kernel(const Encoded& a, size_t i, const Encoded& b, size_t j, bool pairwise) {
  const size_t choices = a.samples[i].choices.size();
  const size_t numbers = a.numbers[i].size();
  double sum = static_cast<double>(choices) - hamming_distance(a.samples[i], b.samples[j]);
  for (size_t n = 0; n < numbers; ++n) sum += a.numbers[i][n] * b.numbers[j][n];
  const double linear = sum / std::max<double>(1.0, static_cast<double>(choices + numbers));
  // (1 + k)^2 holds the columns and all their products.
  return pairwise ? (1.0 + linear) * (1.0 + linear) : linear;
}

MatrixXd kernel(const Encoded& a, const Encoded& b, bool pairwise) {
  MatrixXd k(static_cast<Eigen::Index>(a.samples.size()),
             static_cast<Eigen::Index>(b.samples.size()));
  for (size_t j = 0; j < b.samples.size(); ++j) {
    for (size_t i = 0; i < a.samples.size(); ++i) {
      k(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = kernel(a, i, b, j, pairwise);
    }
  }
  return k;
}

/// The kernel of columns that have mean 0 over the training samples.
MatrixXd centred(const MatrixXd& k) {
  const Eigen::RowVectorXd means = k.colwise().mean();
  return ((k.rowwise() - means).colwise() - means.transpose()).array() + means.mean();
}

/// Returns the penalty (absolute) with the smallest leave-one-out error.
double choose_penalty(const MatrixXd& k, const VectorXd& labels) {
  const MatrixXd middle = centred(k);
  const double diagonal = std::max(middle.diagonal().mean(), kSmallestVariance);
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(middle);
  const VectorXd values = solver.eigenvalues().cwiseMax(0.0);
  const MatrixXd squares = solver.eigenvectors().cwiseAbs2();
  const VectorXd target = labels.array() - labels.mean();
  const VectorXd turned = solver.eigenvectors().transpose() * target;
  const double share = 1.0 / static_cast<double>(labels.size());
  double best = -1.0;
  double best_penalty = kLargestPenalty * diagonal;
  for (double p = kLargestPenalty; p >= kSmallestPenalty; p /= kPenaltyStep) {
    const double penalty = p * diagonal;
    const VectorXd shrink = values.array() / (values.array() + penalty);
    const VectorXd fitted = solver.eigenvectors() * (shrink.array() * turned.array()).matrix();
    const VectorXd leverage = (squares * shrink).array() + share;
    const double error =
        ((target - fitted).array() / (1.0 - leverage.array()).max(kSmallestVariance))
            .square()
            .sum();
    if (best < 0.0 || error < best) {
      best = error;
      best_penalty = penalty;
    }
  }
  return best_penalty;
}

}  // namespace

struct Ridge::State {
  NumberScaler scaler;
  Encoded training;
  std::vector<size_t> used;
  VectorXd labels;
  Eigen::RowVectorXd column_means;  ///< of the kernel that is not centred
  Eigen::LLT<MatrixXd> factor;      ///< of the centred kernel plus the penalty
  VectorXd weights;
  VectorXd inverse_diagonal;  ///< of the factorised matrix: where leave-one-out comes from
  double mean = 0.0;
  double penalty = 0.0;
  double diagonal = 1.0;
  double variance = 0.0;  ///< of the labels' noise

  Encoded encode(const std::vector<Features>& samples) const {
    Encoded encoded;
    encoded.samples = samples;
    for (const Features& sample : samples) encoded.numbers.push_back(scaler.apply(sample));
    return encoded;
  }
};

Ridge::Ridge() : Ridge(Options()) {}
Ridge::Ridge(const Options& options) : options_(options), state_(std::make_unique<State>()) {}
Ridge::~Ridge() = default;
Ridge::Ridge(Ridge&&) noexcept = default;
Ridge& Ridge::operator=(Ridge&&) noexcept = default;

double Ridge::penalty() const { return state_->penalty / state_->diagonal; }

void Ridge::fit(const std::vector<Features>& samples, const std::vector<double>& labels) {
  check_training_data(name(), samples, labels);
  State& state = *state_;
  state.used = recent_and_even(samples.size(), options_.most_samples);
  std::vector<Features> used;
  state.labels.resize(static_cast<Eigen::Index>(state.used.size()));
  for (size_t i = 0; i < state.used.size(); ++i) {
    used.push_back(samples[state.used[i]]);
    state.labels[static_cast<Eigen::Index>(i)] = labels[state.used[i]];
  }
  state.scaler.fit(used);
  state.training = state.encode(used);
  const MatrixXd k = kernel(state.training, state.training, options_.pairwise);
  std::vector<Eigen::Index> rows;
  for (const size_t i : evenly(used.size(), options_.search_samples)) {
    rows.push_back(static_cast<Eigen::Index>(i));
  }
  const MatrixXd some = k(rows, rows);
  state.penalty = choose_penalty(some, state.labels(rows));
  state.mean = state.labels.mean();
  state.column_means = k.colwise().mean();
  MatrixXd middle = centred(k);
  state.diagonal = std::max(middle.diagonal().mean(), kSmallestVariance);
  middle.diagonal().array() += state.penalty;
  state.factor = middle.llt();
  state.weights = state.factor.solve((state.labels.array() - state.mean).matrix());
  MatrixXd root = MatrixXd::Identity(middle.rows(), middle.cols());
  state.factor.matrixL().solveInPlace(root);
  state.inverse_diagonal = root.colwise().squaredNorm().transpose();
  // Residuals are penalty * weights; their squares over what the fit leaves free: the noise.
  const double free = state.penalty * state.inverse_diagonal.sum() - 1.0;
  const double squares = (state.penalty * state.weights).squaredNorm();
  state.variance = std::max(squares / std::max(free, 1.0), kSmallestVariance);
}

std::vector<Prediction> Ridge::predict(const std::vector<Features>& samples) const {
  const State& state = *state_;
  if (state.training.samples.empty()) {
    throw InvariantError("Ridge::predict: called before fit, expected a fitted model");
  }
  constexpr size_t kBlock = 512;
  const double share = 1.0 / static_cast<double>(state.labels.size());
  const double grand_mean = state.column_means.mean();
  std::vector<Prediction> predictions;
  predictions.reserve(samples.size());
  for (size_t begin = 0; begin < samples.size(); begin += kBlock) {
    const auto first = samples.begin() + static_cast<std::ptrdiff_t>(begin);
    const size_t count = std::min(kBlock, samples.size() - begin);
    const Encoded block = state.encode({first, first + static_cast<std::ptrdiff_t>(count)});
    MatrixXd cross = kernel(state.training, block, options_.pairwise);
    const Eigen::RowVectorXd middles = cross.colwise().mean();
    cross.colwise() -= state.column_means.transpose();
    cross.rowwise() -= (middles.array() - grand_mean).matrix();
    const VectorXd means = cross.transpose() * state.weights;
    state.factor.matrixL().solveInPlace(cross);
    for (size_t i = 0; i < count; ++i) {
      const auto column = static_cast<Eigen::Index>(i);
      const double own =
          kernel(block, i, block, i, options_.pairwise) - 2.0 * middles[column] + grand_mean;
      const double unknown = std::max(0.0, own - cross.col(column).squaredNorm());
      const double spread = 1.0 + share + unknown / state.penalty;
      predictions.push_back({state.mean + means[column], std::sqrt(state.variance * spread)});
    }
  }
  return predictions;
}

HeldOut Ridge::held_out() const {
  const State& state = *state_;
  if (state.training.samples.empty()) {
    throw InvariantError("Ridge::held_out: called before fit, expected a fitted model");
  }
  HeldOut result;
  result.samples = state.used;
  const double share = 1.0 / static_cast<double>(state.labels.size());
  for (Eigen::Index i = 0; i < state.labels.size(); ++i) {
    // 1 - leverage, the intercept's part included.
    const double rest =
        std::max(state.penalty * state.inverse_diagonal[i] - share, kSmallestVariance);
    result.predictions.push_back({state.labels[i] - state.penalty * state.weights[i] / rest,
                                  std::sqrt(state.variance / rest)});
  }
  return result;
}

}  // namespace lathe::models
