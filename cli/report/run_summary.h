#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/report/findings.h"
#include "cli/report/front_network.h"
#include "cli/report/measured_values.h"
#include "cli/report/scaling.h"

namespace lathe::report {

struct Machine {
  int64_t cores = 0;  ///< usable by this process
  std::string cpu_model;
  int64_t memory_bytes = 0;
};

/// One stage of the pipeline: "prepare", "train", "search", "confirm", "export", ...
struct Stage {
  std::string name;
  double seconds = 0.0;  ///< wall time, summed over resumes
  int64_t peak_memory_bytes = 0;
  bool resumed = false;  ///< continued after an interruption
};

struct Split {
  std::string name;  ///< "train", "calibration", "validation", "test"
  int64_t images = 0;
  std::string hash;  ///< of the image indices
};

/// What a network expects of its input: (pixel * scale - mean) / std per channel.
struct Preprocessing {
  std::string layout = "NCHW";
  int64_t channels = 0;
  double scale = 1.0 / 255.0;  ///< from the stored pixel value
  std::vector<double> mean;    ///< per channel, after scaling
  std::vector<double> std;     ///< per channel, after scaling
};

struct Data {
  std::string dataset;
  int64_t height = 0, width = 0;     ///< of the stored images
  std::vector<std::string> classes;  ///< names in label order
  std::vector<Split> splits;
  Preprocessing preprocessing;
  std::string test_opened_at;  ///< UTC, ISO 8601; empty: never
  int64_t test_reads = 0;      ///< how often the test split was opened
  /// Set: accuracies were looked up in this table ("nasbench201.csv.gz, column accuracy_cifar100"),
  /// nothing was trained or exported, and the other fields are empty.
  std::string table;
};

struct Space {
  std::string name;
  std::string count;  ///< exact number of architectures, decimal digits
  int64_t genes = 0;
  int64_t smallest_macs = 0, largest_macs = 0;
  int64_t smallest_params = 0, largest_params = 0;
};

/// One record of supernet training.
struct TrainingRecord {
  double epoch = 0.0;
  double learning_rate = 0.0;
  double loss = 0.0;           ///< mean training loss since the last record
  double top1_largest = 0.0;   ///< on the validation split
  double top1_smallest = 0.0;  ///< on the validation split
  double images_per_s = 0.0;
  double seconds = 0.0;  ///< of training so far, summed over resumes
};

/// What an agent says of its board.
struct Agent {
  std::string address, agent_version, hostname, model, soc, kernel, isa, fingerprint, governor;
  int64_t usable_cores = 0;
  int64_t memory_bytes = 0;
  bool emulated = false;  ///< its timing is invalid
  std::vector<std::string> advice;
};

/// One device class of the configuration.
struct Device {
  std::string name;          ///< as in latency@NAME
  bool shares_host = false;  ///< measured on the machine that ran lathe
  std::vector<Agent> agents;
  std::string engine;
  std::string engine_version;
  int64_t threads = 1;
  std::string precision = "fp32";
  double target_half_width = 0.0;        ///< of the interval during search, relative to the median
  std::optional<Conditions> conditions;  ///< of the last measurement
  std::map<std::string, int64_t> verdicts;  ///< measurements a verdict ("clean": 118)
  int64_t reused = 0;                       ///< estimates taken from the measurement store
  double board_seconds = 0.0;
};

struct ConstraintRecord {
  std::string text;    ///< "latency@pi4 <= 20 ms"
  std::string metric;  ///< "latency@pi4"
  bool at_most = true;
  double bound = 0.0;  ///< in the metric's unit: fraction, ms, count, bytes
};

struct Generation {
  int64_t index = 0;
  int64_t evaluations = 0;  ///< candidates evaluated so far
  int64_t front_size = 0;
  double hypervolume = 0.0;  ///< against the reference point
};

struct ReferenceValue {
  std::string metric;
  double value = 0.0;
};

struct Search {
  std::string strategy;
  std::vector<std::string> objectives;  ///< metric names: "accuracy", "latency@pi4"
  std::vector<ConstraintRecord> constraints;
  std::vector<CandidateRecord> candidates;  ///< every one that was evaluated, by index
  std::vector<Generation> generations;
  std::vector<ReferenceValue> reference_point;  ///< of the hypervolume, one an objective
  std::optional<Scaling> scaling;               ///< of the strategy compound_scaling
  std::optional<Racing> racing;                 ///< absent: every candidate was evaluated wholly
  /// Of a strategy that learns from the evaluations, one a metric.
  std::optional<std::vector<LearnedMetric>> learned;
};

/// A published network, or one of the user's, for comparison, with what was measured of it here.
struct Baseline {
  std::string name;
  std::optional<Accuracy> accuracy;  ///< on this run's test split; absent: a published network
  std::vector<DeviceLatency> latencies;
  int64_t macs = 0;
  int64_t params = 0;
  /// Of the file; of a published network its weights in fp32. Absent: of an earlier version.
  std::optional<int64_t> size_bytes;
};

/// Everything that the report, the model cards and summary.json show of a run. Value type.
struct RunSummary {
  std::string name;
  uint64_t seed = 0;
  std::string lathe_version;
  std::string command;                  ///< that repeats the run
  std::string config_path;              ///< as given
  std::string config;                   ///< text of the resolved configuration
  std::string started_at, finished_at;  ///< UTC, ISO 8601
  Machine machine;
  std::vector<Stage> stages;
  Data data;
  Space space;
  std::vector<TrainingRecord> training;
  std::vector<Device> devices;
  Search search;
  std::vector<FrontNetwork> front;  ///< by falling accuracy
  std::vector<Baseline> baselines;
  std::vector<std::string> warnings;
};

/// Returns the stages' seconds added up.
double total_seconds(const RunSummary& summary);
/// Returns the largest peak memory of a stage; 0 without stages.
int64_t peak_memory_bytes(const RunSummary& summary);
/// Returns the entry of `network` for `device`, or null.
const FrontLatency* latency_on(const FrontNetwork& network, const std::string& device);
/// Returns the confirmed latency if there is one, else the searched one, or null.
const Latency* best_latency(const FrontNetwork& network, const std::string& device);
/// Returns the devices of the summary's latencies: those of `devices`, then any named only by the
/// front.
std::vector<std::string> device_names(const RunSummary& summary);

/// Whether the next network of the front was made of network `index`: then its steps tell of both.
bool is_continued(const RunSummary& summary, size_t index);

}  // namespace lathe::report
