#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "latency/models/model_report.h"

namespace lathe::study {

/// One way of asking for predictions on NAS-Bench-201.
enum class ModelTask {
  Latency,         ///< of the Raspberry Pi 4; features of the cell as it was measured
  LatencyOfClass,  ///< the same labels; features of the class's canonical cell, as a search has
                   ///< them
  Accuracy,        ///< CIFAR-100 error; features of the canonical cell
};
std::string to_string(ModelTask task);

/// One model, trained once on `labels` networks and tested on all others.
struct ModelRun {
  std::string task;
  std::string model;
  int64_t labels = 0;
  uint64_t seed = 0;
  models::ModelReport held_out;  ///< of the training labels: what a search would know
  models::ModelReport test;
  double fit_s = 0.0;
};

/// How well the labels know themselves.
struct NoiseFloor {
  int64_t graphs = 0;             ///< that were measured more than once
  double median_variation = 0.0;  ///< of their coefficients of variation
  double mean_variation = 0.0;
  /// If the additive table of all labels were the truth and labels differed from it only as those
  /// of equal graphs do from each other: what predicting that truth would score.
  double best_mape = 0.0;
  double best_spearman = 0.0;
  /// The additive table fitted to all labels.
  double all_labels_mape = 0.0;
  double all_labels_spearman = 0.0;
};

/// The models of latency/models on a table of known results. Networks that describe the same class
/// count once; those whose output does not depend on their input (a converter folds them into a
/// constant of some microseconds) are left out.
class ModelsStudy {
 public:
  /// \throws DataError if the table cannot be read or lacks a column.
  explicit ModelsStudy(const std::filesystem::path& table);
  ~ModelsStudy();

  int64_t networks() const;  ///< that are trained on and tested
  int64_t left_out() const;  ///< that do not depend on their input

  /// Every model once, the selector last.
  std::vector<ModelRun> run(ModelTask task, int64_t labels, uint64_t seed) const;
  NoiseFloor noise_floor() const;

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

/// Runs all tasks, label counts and seeds; prints a table for people and writes the runs as JSON.
void run_models_study(const std::filesystem::path& table, const std::filesystem::path& out,
                      int64_t seeds);

/// The program's part: `search_study models --help` lists the options. Returns the exit status.
int models_main(int argc, char** argv);

}  // namespace lathe::study
