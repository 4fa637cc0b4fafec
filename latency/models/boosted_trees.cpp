#include "latency/models/boosted_trees.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "core/statistics.h"

namespace lathe::models {
namespace {

constexpr size_t kFewestForFolds = 10;  // samples below which the mean alone is learned

}  // namespace

/// The answers to all questions: bit r of column q is question q of sample r.
struct BoostedTrees::Data {
  size_t rows = 0;
  std::vector<std::vector<uint8_t>> answers;
};

/// A boosting that is under way over some of the rows.
struct BoostedTrees::Ensemble {
  std::vector<size_t> rows;       ///< learned from
  std::vector<double> residuals;  ///< of all rows: label minus prediction
  std::vector<Tree> trees;
};

BoostedTrees::BoostedTrees() : BoostedTrees(Options()) {}
BoostedTrees::BoostedTrees(const Options& options) : options_(options) {}

bool BoostedTrees::answer(const Question& question, const Features& sample) const {
  return question.about_number ? sample.numbers[question.position] > question.threshold
                               : sample.choices[question.position] == question.option;
}

void BoostedTrees::make_questions(const std::vector<Features>& samples) {
  questions_.clear();
  for (size_t position = 0; position < choices_; ++position) {
    std::set<uint16_t> options;
    for (const Features& sample : samples) options.insert(sample.choices[position]);
    if (options.size() < 2) continue;
    for (const uint16_t option : options) questions_.push_back({false, position, option, 0.0});
  }
  for (size_t position = 0; position < numbers_; ++position) {
    std::vector<double> values;
    for (const Features& sample : samples) values.push_back(sample.numbers[position]);
    const double largest = *std::max_element(values.begin(), values.end());
    std::set<double> thresholds;
    for (int i = 0; i < options_.thresholds; ++i) {
      thresholds.insert(quantile(values, (i + 0.5) / options_.thresholds));
    }
    for (const double threshold : thresholds) {
      if (threshold < largest) questions_.push_back({true, position, 0, threshold});
    }
  }
}

BoostedTrees::Tree BoostedTrees::grow(const Data& data, const std::vector<size_t>& rows,
                                      const std::vector<double>& residuals) const {
  const size_t inner = (size_t{1} << options_.depth) - 1;
  Tree tree;
  tree.questions.assign(inner, -1);
  tree.leaves.assign(inner + 1, 0.0);
  std::vector<std::vector<size_t>> members(2 * inner + 1);
  members[0] = rows;
  for (size_t node = 0; node < members.size(); ++node) {
    double sum = 0.0;
    for (const size_t row : members[node]) sum += residuals[row];
    const auto count = static_cast<double>(members[node].size());
    const double penalty = options_.leaf_penalty;
    if (node >= inner) {
      tree.leaves[node - inner] = options_.shrinkage * sum / (count + penalty);
      continue;
    }
    double best = sum * sum / (count + penalty) + 1e-12;
    for (size_t question = 0; question < data.answers.size(); ++question) {
      const std::vector<uint8_t>& column = data.answers[question];
      double yes_sum = 0.0;
      int yes = 0;
      for (const size_t row : members[node]) {
        yes += column[row];
        yes_sum += column[row] * residuals[row];
      }
      if (yes == 0 || yes == static_cast<int>(members[node].size())) continue;
      const double no_sum = sum - yes_sum;
      const double gain =
          yes_sum * yes_sum / (yes + penalty) + no_sum * no_sum / (count - yes + penalty);
      if (gain <= best) continue;
      best = gain;
      tree.questions[node] = static_cast<int>(question);
    }
    for (const size_t row : members[node]) {
      const int question = tree.questions[node];
      const bool yes = question >= 0 && data.answers[static_cast<size_t>(question)][row] != 0;
      members[2 * node + (yes ? 2 : 1)].push_back(row);
    }
  }
  return tree;
}

double BoostedTrees::value(const Tree& tree, const Data& data, size_t row) const {
  size_t node = 0;
  while (node < tree.questions.size()) {
    const int question = tree.questions[node];
    const bool yes = question >= 0 && data.answers[static_cast<size_t>(question)][row] != 0;
    node = 2 * node + (yes ? 2 : 1);
  }
  return tree.leaves[node - tree.questions.size()];
}

void BoostedTrees::boost(const Data& data, Ensemble& ensemble) const {
  ensemble.trees.push_back(grow(data, ensemble.rows, ensemble.residuals));
  for (size_t row = 0; row < data.rows; ++row) {
    ensemble.residuals[row] -= value(ensemble.trees.back(), data, row);
  }
}

/// Returns the number of trees with the smallest out-of-fold error, and remembers what they said.
int BoostedTrees::count_by_folds(const Data& data, const std::vector<double>& labels) {
  const auto folds = static_cast<size_t>(options_.folds);
  std::vector<Ensemble> ensembles(folds);
  for (size_t fold = 0; fold < folds; ++fold) {
    double sum = 0.0;
    for (size_t row = 0; row < data.rows; ++row) {
      if (row % folds == fold) continue;
      ensembles[fold].rows.push_back(row);
      sum += labels[row];
    }
    const double constant = sum / static_cast<double>(ensembles[fold].rows.size());
    for (const double label : labels) ensembles[fold].residuals.push_back(label - constant);
  }
  double best = -1.0;
  int best_count = 0;
  std::vector<double> residuals(data.rows);
  for (int count = 0; count <= options_.most_trees; ++count) {
    double error = 0.0;
    for (size_t row = 0; row < data.rows; ++row) {
      residuals[row] = ensembles[row % folds].residuals[row];
      error += residuals[row] * residuals[row];
    }
    if (best < 0.0 || error < best) {
      best = error;
      best_count = count;
      held_out_.predictions.clear();
      for (size_t row = 0; row < data.rows; ++row) {
        held_out_.predictions.push_back({labels[row] - residuals[row], 0.0});
      }
    } else if (count - best_count >= options_.patience) {
      break;
    }
    for (Ensemble& ensemble : ensembles) boost(data, ensemble);
  }
  deviation_ = std::sqrt(best / static_cast<double>(data.rows));
  for (Prediction& prediction : held_out_.predictions) prediction.deviation = deviation_;
  return best_count;
}

void BoostedTrees::fit(const std::vector<Features>& samples, const std::vector<double>& labels) {
  check_training_data("BoostedTrees", samples, labels);
  choices_ = samples[0].choices.size();
  numbers_ = samples[0].numbers.size();
  held_out_ = {recent_and_even(samples.size(), options_.most_samples), {}};
  std::vector<Features> used;
  std::vector<double> targets;
  for (const size_t i : held_out_.samples) {
    used.push_back(samples[i]);
    targets.push_back(labels[i]);
  }
  mean_ = mean(targets);
  trees_.clear();
  if (used.size() < kFewestForFolds) {
    deviation_ = used.size() > 1 ? standard_deviation(targets) : 1.0;
    const auto rest = static_cast<double>(std::max<size_t>(1, used.size() - 1));
    const double sum = mean_ * static_cast<double>(used.size());
    for (const double target : targets) {
      held_out_.predictions.push_back({(sum - target) / rest, deviation_});
    }
    return;
  }
  make_questions(used);
  Data data;
  data.rows = used.size();
  for (const Question& question : questions_) {
    data.answers.emplace_back();
    for (const Features& sample : used) data.answers.back().push_back(answer(question, sample));
  }
  const int count = count_by_folds(data, targets);
  Ensemble all;
  for (size_t row = 0; row < data.rows; ++row) {
    all.rows.push_back(row);
    all.residuals.push_back(targets[row] - mean_);
  }
  for (int i = 0; i < count; ++i) boost(data, all);
  trees_ = std::move(all.trees);
}

std::vector<Prediction> BoostedTrees::predict(const std::vector<Features>& samples) const {
  if (held_out_.samples.empty()) {
    throw InvariantError("BoostedTrees::predict: called before fit, expected a fitted model");
  }
  std::vector<Prediction> predictions;
  for (const Features& sample : samples) {
    if (sample.choices.size() != choices_ || sample.numbers.size() != numbers_) {
      throw InvariantError("BoostedTrees::predict: " + std::to_string(sample.choices.size()) +
                           " choices and " + std::to_string(sample.numbers.size()) +
                           " numbers, expected " + std::to_string(choices_) + " and " +
                           std::to_string(numbers_));
    }
    double sum = mean_;
    for (const Tree& tree : trees_) {
      size_t node = 0;
      while (node < tree.questions.size()) {
        const int question = tree.questions[node];
        const bool yes = question >= 0 && answer(questions_[static_cast<size_t>(question)], sample);
        node = 2 * node + (yes ? 2 : 1);
      }
      sum += tree.leaves[node - tree.questions.size()];
    }
    predictions.push_back({sum, deviation_});
  }
  return predictions;
}

HeldOut BoostedTrees::held_out() const {
  if (held_out_.samples.empty()) {
    throw InvariantError("BoostedTrees::held_out: called before fit, expected a fitted model");
  }
  return held_out_;
}

}  // namespace lathe::models
