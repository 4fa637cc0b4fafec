#include "latency/models/gaussian_process.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "core/statistics.h"

namespace lathe::models {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kJitter = 1e-8;
constexpr double kSmallestStep = 0.1;
// Where parameters lie when nothing is known, and how far they may be from there: logarithms.
constexpr GaussianProcess::Parameters kPrior = {0.0, 0.0, 0.0, 0.0, 0.5, -1.0, -4.0};
constexpr GaussianProcess::Parameters kPriorDeviation = {1.5, 1.5, 1.0, 1.5, 1.0, 1.5, 1.5};

/// What the covariance needs of pairs: the share of differing choices and the squared distance of
/// numbers.
struct Pairs {
  MatrixXd choices;
  MatrixXd numbers;
};

struct Encoded {
  std::vector<Features> samples;  ///< for their choices
  std::vector<std::vector<double>> numbers;
};

Pairs pairs_of(const Encoded& a, const Encoded& b) {
  const auto rows = static_cast<Eigen::Index>(a.samples.size());
  const auto columns = static_cast<Eigen::Index>(b.samples.size());
  Pairs pairs{MatrixXd(rows, columns), MatrixXd(rows, columns)};
  const double genes =
      a.samples.empty() ? 1.0
                        : std::max<double>(1.0, static_cast<double>(a.samples[0].choices.size()));
  for (Eigen::Index j = 0; j < columns; ++j) {
    const auto sj = static_cast<size_t>(j);
    for (Eigen::Index i = 0; i < rows; ++i) {
      const auto si = static_cast<size_t>(i);
      pairs.choices(i, j) = hamming_distance(a.samples[si], b.samples[sj]) / genes;
      double distance = 0.0;
      for (size_t k = 0; k < a.numbers[si].size(); ++k) {
        const double d = a.numbers[si][k] - b.numbers[sj][k];
        distance += d * d;
      }
      pairs.numbers(i, j) = distance;
    }
  }
  return pairs;
}

MatrixXd covariance(const Pairs& pairs, const GaussianProcess::Parameters& p) {
  const double narrow = 0.5 * std::exp(-2.0 * p[2]);
  const double wide = 0.5 * std::exp(-2.0 * p[4]);
  return ((p[0] - std::exp(p[1]) * pairs.choices.array() - narrow * pairs.numbers.array()).exp() +
          (p[3] - wide * pairs.numbers.array()).exp() +
          std::exp(p[5]) * (1.0 - pairs.choices.array()))
      .matrix();
}

double variance_of(const GaussianProcess::Parameters& p) {
  return std::exp(p[0]) + std::exp(p[3]) + std::exp(p[5]) + std::exp(p[6]);
}

Eigen::LLT<MatrixXd> factorise(const Pairs& pairs, const GaussianProcess::Parameters& p) {
  MatrixXd k = covariance(pairs, p);
  k.diagonal().array() += std::exp(p[6]) + kJitter;
  return k.llt();
}

/// Log marginal likelihood plus log prior, up to a constant.
double score(const Pairs& pairs, const VectorXd& labels, const GaussianProcess::Parameters& p) {
  const Eigen::LLT<MatrixXd> llt = factorise(pairs, p);
  if (llt.info() != Eigen::Success) return -1e300;
  double value = -0.5 * labels.dot(llt.solve(labels));
  value -= llt.matrixLLT().diagonal().array().log().sum();
  for (size_t i = 0; i < p.size(); ++i) {
    const double z = (p[i] - kPrior[i]) / kPriorDeviation[i];
    value -= 0.5 * z * z;
  }
  return std::isfinite(value) ? value : -1e300;
}

void search(const Pairs& pairs, const VectorXd& labels, int sweeps,
            GaussianProcess::Parameters& p) {
  if (sweeps == 0) return;
  double best = score(pairs, labels, p);
  double step = 1.0;
  for (int sweep = 0; sweep < sweeps && step >= kSmallestStep; ++sweep) {
    bool improved = false;
    for (double& parameter : p) {
      for (const double move : {step, -step}) {
        const double before = parameter;
        parameter += move;
        const double value = score(pairs, labels, p);
        if (value > best) {
          best = value;
          improved = true;
          break;
        }
        parameter = before;
      }
    }
    if (!improved) step *= 0.5;
  }
}

}  // namespace

struct GaussianProcess::State {
  NumberScaler scaler;
  Encoded training;
  std::vector<size_t> used;  ///< of the samples given
  VectorXd labels;           ///< scaled
  Eigen::LLT<MatrixXd> factor;
  VectorXd weights;
  double mean = 0.0;
  double scale = 1.0;

  Encoded encode(const std::vector<Features>& samples) const {
    Encoded encoded;
    encoded.samples = samples;
    for (const Features& sample : samples) encoded.numbers.push_back(scaler.apply(sample));
    return encoded;
  }
};

GaussianProcess::GaussianProcess() : GaussianProcess(Options()) {}
GaussianProcess::GaussianProcess(const Options& options)
    : options_(options), parameters_(kPrior), state_(std::make_unique<State>()) {}
GaussianProcess::~GaussianProcess() = default;
GaussianProcess::GaussianProcess(GaussianProcess&&) noexcept = default;
GaussianProcess& GaussianProcess::operator=(GaussianProcess&&) noexcept = default;

void GaussianProcess::fit(const std::vector<Features>& samples, const std::vector<double>& labels) {
  fit(samples, labels, options_.sweeps);
}

void GaussianProcess::refit(const std::vector<Features>& samples,
                            const std::vector<double>& labels) {
  fit(samples, labels, 0);
}

void GaussianProcess::fit(const std::vector<Features>& samples, const std::vector<double>& labels,
                          int sweeps) {
  check_training_data("GaussianProcess", samples, labels);
  State& state = *state_;
  std::vector<Features> used;
  std::vector<double> targets;
  state.used = recent_and_even(samples.size(), options_.most_samples);
  for (const size_t i : state.used) {
    used.push_back(samples[i]);
    targets.push_back(labels[i]);
  }
  const double middle = median(targets);
  const double reach = options_.clip * scaled_mad(targets);
  if (reach > 0.0) {
    for (double& target : targets) target = std::clamp(target, middle - reach, middle + reach);
  }
  state.mean = mean(targets);
  const double deviation = targets.size() > 1 ? standard_deviation(targets) : 0.0;
  state.scale = deviation > 0.0 ? deviation : 1.0;
  state.labels.resize(static_cast<Eigen::Index>(targets.size()));
  for (size_t i = 0; i < targets.size(); ++i) {
    state.labels[static_cast<Eigen::Index>(i)] = (targets[i] - state.mean) / state.scale;
  }
  state.scaler.fit(used);
  state.training = state.encode(used);
  const Pairs all = pairs_of(state.training, state.training);
  const std::vector<size_t> subset = evenly(used.size(), options_.search_samples);
  if (subset.size() == used.size()) {
    search(all, state.labels, sweeps, parameters_);
  } else {
    std::vector<Eigen::Index> rows(subset.begin(), subset.end());
    const Pairs some{all.choices(rows, rows), all.numbers(rows, rows)};
    search(some, state.labels(rows), sweeps, parameters_);
  }
  state.factor = factorise(all, parameters_);
  while (state.factor.info() != Eigen::Success) {
    parameters_[6] += 1.0;  // more noise makes it positive definite
    state.factor = factorise(all, parameters_);
  }
  state.weights = state.factor.solve(state.labels);
}

std::vector<Prediction> GaussianProcess::predict(const std::vector<Features>& samples) const {
  const State& state = *state_;
  if (state.training.samples.empty()) {
    throw InvariantError("GaussianProcess::predict: called before fit, expected a fitted model");
  }
  constexpr size_t kBlock = 512;
  std::vector<Prediction> predictions;
  predictions.reserve(samples.size());
  const double prior = variance_of(parameters_);
  for (size_t begin = 0; begin < samples.size(); begin += kBlock) {
    const auto first = samples.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto count = std::min(kBlock, samples.size() - begin);
    const Encoded block = state.encode({first, first + static_cast<std::ptrdiff_t>(count)});
    MatrixXd cross = covariance(pairs_of(state.training, block), parameters_);
    const VectorXd means = cross.transpose() * state.weights;
    state.factor.matrixL().solveInPlace(cross);
    for (size_t i = 0; i < count; ++i) {
      const auto column = static_cast<Eigen::Index>(i);
      const double variance =
          std::max(std::exp(parameters_[6]), prior - cross.col(column).squaredNorm());
      predictions.push_back(
          {state.mean + state.scale * means[column], state.scale * std::sqrt(variance)});
    }
  }
  return predictions;
}

HeldOut GaussianProcess::held_out() const {
  const State& state = *state_;
  if (state.training.samples.empty()) {
    throw InvariantError("GaussianProcess::held_out: called before fit, expected a fitted model");
  }
  const Eigen::Index n = state.labels.size();
  const MatrixXd inverse = state.factor.solve(MatrixXd::Identity(n, n));
  HeldOut result;
  result.samples = state.used;
  for (Eigen::Index i = 0; i < n; ++i) {
    const double mean_i = state.labels[i] - state.weights[i] / inverse(i, i);
    result.predictions.push_back(
        {state.mean + state.scale * mean_i, state.scale * std::sqrt(1.0 / inverse(i, i))});
  }
  return result;
}

}  // namespace lathe::models
