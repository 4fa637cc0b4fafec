#include "tests/support/sample_summary.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/rng.h"
#include "tests/support/sample_world.h"

namespace lathe::support {
namespace {

using report::Block;
using report::CandidateRecord;
using report::DeviceLatency;
using report::FrontNetwork;
using report::Latency;
using report::RunSummary;

const char* const kConfig =
    "run: {name: fashion, seed: 7}\n"
    "data: {dataset: fashion_mnist, validation: 5000, calibration: 2000}\n"
    "space: spaces/quickstart_28.yaml\n"
    "supernet: {epochs: 6, sampler: sandwich, batch: 128, learning_rate: 0.1}\n"
    "search:\n"
    "  strategy: nsga2\n"
    "  objectives: [accuracy, latency@local]\n"
    "  constraints: [\"latency@local <= 1.2ms\", \"params <= 1M\"]\n"
    "  budget: {evaluations: 400}\n"
    "export: {formats: [onnx]}\n";

Latency make_latency(double truth_ms, double noise, Rng& rng) {
  Latency latency;
  latency.median_ms = truth_ms * (1.0 + noise * rng.normal());
  latency.low_ms = latency.median_ms * (1.0 - noise * rng.uniform(0.8, 1.6));
  latency.high_ms = latency.median_ms * (1.0 + noise * rng.uniform(0.8, 2.4));
  latency.p90_ms = latency.high_ms * 1.02;
  latency.p99_ms = latency.high_ms * rng.uniform(1.04, 1.3);
  latency.kept = rng.integer(24, 160);
  latency.rejected = rng.integer(0, 9);
  latency.processes = 2;
  latency.wall_s = rng.uniform(0.4, 1.1);
  latency.verdict = latency.rejected > 8 ? "disturbed" : "clean";
  return latency;
}
report::Accuracy make_accuracy(double top1, int64_t images, double noise, Rng& rng) {
  report::Accuracy accuracy;
  accuracy.images = images;
  const auto count = static_cast<double>(images);
  accuracy.top1 = std::round((top1 + noise * rng.normal()) * count) / count;
  accuracy.standard_error = std::sqrt(accuracy.top1 * (1.0 - accuracy.top1) / count);
  return accuracy;
}

CandidateRecord make_candidate(int64_t index, const Shape& shape, const SampleOptions& options,
                               Rng rng) {
  CandidateRecord candidate;
  candidate.index = index;
  candidate.architecture = encode(shape);
  candidate.description = describe(shape);
  for (const Block& block : make_blocks(shape)) {
    candidate.macs += block.macs;
    candidate.params += block.macs / std::max<int64_t>(1, block.resolution * block.resolution);
  }
  candidate.model_size_bytes = 4 * candidate.params;
  candidate.peak_memory_bytes = 28 * 28 * 4 * (16 + shape.width[0] * 4);
  const bool fails = rng.bernoulli(options.failure_rate);
  for (size_t d = 0; d < options.devices.size(); ++d) {
    const double truth = true_latency_ms(shape, candidate.macs, d);
    const Latency latency = make_latency(truth, 0.012, rng);
    if (d == 0 && fails) {
      candidate.feasible = false;
      candidate.failures.push_back({"latency@" + options.devices[0], "crashed",
                                    "agent 127.0.0.1:40713: the worker died of signal 9"});
    } else {
      candidate.latencies.push_back({options.devices[d], latency});
      if (d == 0 && latency.high_ms > options.feasible_ms) candidate.feasible = false;
    }
  }
  candidate.accuracy = make_accuracy(true_accuracy(shape, candidate.macs), 5000, 0.003, rng);
  return candidate;
}

/// Indices of feasible candidates that none beats in both accuracy and first latency, best accuracy
/// first.
std::vector<size_t> pareto(const std::vector<CandidateRecord>& candidates) {
  std::vector<size_t> order;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].feasible && !candidates[i].latencies.empty()) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return candidates[a].latencies[0].latency.median_ms <
           candidates[b].latencies[0].latency.median_ms;
  });
  std::vector<size_t> front;
  for (const size_t i : order) {
    if (front.empty() || candidates[i].accuracy->top1 > candidates[front.back()].accuracy->top1) {
      front.push_back(i);
    }
  }
  std::reverse(front.begin(), front.end());
  return front;
}

report::Conditions make_conditions(size_t device, Rng& rng) {
  report::Conditions conditions;
  conditions.engine = "xnnpack";
  conditions.engine_version = "2022-02";
  conditions.isa = device == 0 ? "x86_64 avx512" : "armv8-a";
  conditions.governor = device == 0 ? "performance" : "ondemand";
  conditions.frequency_hz = device == 0 ? 2.9e9 : 1.5e9;
  if (device != 0) conditions.temperature_c = std::round(rng.uniform(480.0, 610.0)) / 10.0;
  conditions.device_fingerprint = device == 0 ? "x86-6f2c91d0" : "rpi4-b27c410e";
  conditions.extra["pinned_core"] = "1";
  return conditions;
}

FrontNetwork make_front_network(size_t place, const CandidateRecord& candidate, const Shape& shape,
                                const SampleOptions& options, Rng rng) {
  FrontNetwork network;
  network.id = (place < 9 ? "net-0" : "net-") + std::to_string(place + 1);
  network.candidate_index = candidate.index;
  network.architecture = candidate.architecture;
  network.description = candidate.description;
  network.validation = *candidate.accuracy;
  network.resolution = 28;
  network.macs = candidate.macs;
  network.params = candidate.params;
  network.peak_memory_bytes = candidate.peak_memory_bytes;
  network.model_size_bytes = candidate.model_size_bytes;
  network.blocks = make_blocks(shape);
  for (size_t d = 0; d < candidate.latencies.size(); ++d) {
    report::FrontLatency latency;
    latency.device = candidate.latencies[d].device;
    latency.searched = candidate.latencies[d].latency;
    latency.conditions = make_conditions(d, rng);
    if (options.confirmed) {
      latency.confirmed = make_latency(true_latency_ms(shape, candidate.macs, d), 0.005, rng);
      latency.confirmed->kept *= 4;
      latency.confirmed->processes = 4;
    }
    network.latencies.push_back(latency);
  }
  if (!options.confirmed) return network;
  network.test = make_accuracy(true_accuracy(shape, candidate.macs) - 0.002, 10000, 0.002, rng);
  network.files = {
      {"export/" + network.id + ".onnx", "onnx", "fp32", network.model_size_bytes + 9120,
       "3b0c2f6d5c6e0a5d8f7f0f4f1c52d3c2c1d7d7a3c1a80b6c5d3e2f1a0b9c8d7e"},
      {"export/" + network.id + ".json", "architecture", "", 20480, ""},
      {"export/" + network.id + ".md", "model_card", "", 4096, ""},
  };
  network.parity = report::Parity{"onnxruntime-node 1.17.0", 3.8e-6, 1.0, 1000};
  return network;
}

void add_front(RunSummary& summary, const std::vector<Shape>& shapes, const SampleOptions& options,
               const Rng& rng) {
  const std::vector<size_t> all = pareto(summary.search.candidates);
  const size_t count = std::min(all.size(), static_cast<size_t>(options.front));
  for (size_t place = 0; place < count; ++place) {
    const size_t spread = count < 2 ? 0 : place * (all.size() - 1) / (count - 1);
    const size_t i = all[spread];
    summary.front.push_back(make_front_network(place, summary.search.candidates[i], shapes[i],
                                               options, rng.derive("front", place)));
  }
  if (summary.front.empty()) return;
  summary.front.front().roles.push_back("most accurate");
  summary.front[summary.front.size() / 2].roles.push_back("knee");
  summary.front.back().roles.push_back("fastest");
}

void add_training(RunSummary& summary, Rng rng) {
  for (int epoch = 1; epoch <= 6; ++epoch) {
    report::TrainingRecord record;
    record.epoch = epoch;
    record.learning_rate = 0.05 * (1.0 + std::cos(3.14159265 * epoch / 6.0));
    record.loss = 0.21 + 0.62 * std::exp(-0.55 * epoch) + 0.01 * rng.normal();
    record.top1_largest = 0.914 - 0.14 * std::exp(-0.62 * epoch) + 0.002 * rng.normal();
    record.top1_smallest = 0.848 - 0.31 * std::exp(-0.55 * epoch) + 0.004 * rng.normal();
    record.images_per_s = 1650.0 + 40.0 * rng.normal();
    record.seconds = 32.0 * epoch;
    summary.training.push_back(record);
  }
}

void add_devices(RunSummary& summary, const SampleOptions& options, Rng rng) {
  for (size_t d = 0; d < options.devices.size(); ++d) {
    report::Device device;
    device.name = options.devices[d];
    device.shares_host = d == 0;
    device.engine = "xnnpack";
    device.engine_version = "2022-02";
    device.target_half_width = 0.01;
    device.conditions = make_conditions(d, rng);
    report::Agent agent;
    agent.address = d == 0 ? "127.0.0.1:40713" : "pi4-a.local:50051";
    agent.agent_version = "0.1.0";
    agent.hostname = d == 0 ? "workstation" : "pi4-a";
    agent.model = d == 0 ? "Intel Xeon Gold 6338" : "Raspberry Pi 4 Model B Rev 1.4";
    agent.soc = d == 0 ? "" : "BCM2711";
    agent.kernel = "6.1.0-28";
    agent.isa = device.conditions->isa;
    agent.fingerprint = device.conditions->device_fingerprint;
    agent.governor = device.conditions->governor;
    agent.usable_cores = d == 0 ? 2 : 4;
    agent.memory_bytes = 8'000'000'000;
    if (d != 0) agent.advice = {"governor ondemand: set performance for steadier latency"};
    device.agents = {agent};
    for (const CandidateRecord& candidate : summary.search.candidates) {
      for (const DeviceLatency& latency : candidate.latencies) {
        if (latency.device != device.name) continue;
        ++device.verdicts[latency.latency.verdict];
        device.board_seconds += latency.latency.wall_s;
      }
    }
    device.reused = 12;
    summary.devices.push_back(device);
  }
}

void add_search(RunSummary& summary, const SampleOptions& options) {
  report::Search& search = summary.search;
  search.strategy = "nsga2";
  search.objectives = {"accuracy"};
  for (const std::string& device : options.devices)
    search.objectives.push_back("latency@" + device);
  const std::string bound = std::to_string(options.feasible_ms).substr(0, 3);
  search.constraints.push_back({"latency@" + options.devices[0] + " <= " + bound + " ms",
                                "latency@" + options.devices[0], true, options.feasible_ms});
  search.constraints.push_back({"params <= 1.00 M", "params", true, 1e6});
  search.reference_point = {{"accuracy", 0.5}, {"latency@" + options.devices[0], 2.0}};
  const int64_t count = options.candidates;
  const int64_t generations = std::min<int64_t>(24, count / 4 + 1);
  for (int64_t g = 0; g < generations; ++g) {
    const double progress = static_cast<double>(g + 1) / static_cast<double>(generations);
    search.generations.push_back({g, count * (g + 1) / generations,
                                  std::min<int64_t>(count, 4 + g / 2),
                                  0.58 + 0.12 * (1.0 - std::exp(-4.0 * progress))});
  }
}

report::ScaledNetwork scaled_network(const std::string& architecture, double times, double cost,
                                     double top1) {
  report::ScaledNetwork network;
  network.architecture = architecture;
  network.asked = {1.2 * times, 1.1 * times, 1.15 * times};
  network.realised = {1.25 * times, 1.0 * times, 1.2 * times};
  network.predicted = 0.97 * cost;
  network.cost = cost;
  network.top1 = top1;
  network.candidate_index = 2;
  return network;
}

/// A family in which phi = 2 equals phi = 1, phi = 3 failed and phi = 4 was not evaluated.
report::Scaling sample_scaling(const std::string& metric) {
  report::Scaling scaling;
  scaling.budget_metric = metric;
  scaling.factor = 2.0;
  scaling.budget_cost = 1.0;
  scaling.baseline = "0-0-1";
  scaling.fit = report::ScalingFit{-0.7, {0.81, 1.62, 1.93}, 0.987, 0.034, 16};
  scaling.grid = {scaled_network("1-0-1", 1.0, 0.9, 0.88), scaled_network("0-1-1", 1.0, 1.1, 0.89)};
  scaling.best = 0;
  report::ScaledNetwork baseline = scaled_network("0-0-1", 1.0, 0.5, 0.85);
  baseline.asked = baseline.realised = {};
  scaling.family = {{0, baseline, std::nullopt}};
  for (int64_t phi = 1; phi <= 4; ++phi) {
    const auto times = static_cast<double>(phi);
    scaling.family.push_back(
        {phi, scaled_network("1-0-1", times, 0.9 * times, 0.88), std::nullopt});
  }
  scaling.family[2].same_as = 1;
  scaling.family[3].network.cost.reset();
  scaling.family[3].network.top1.reset();
  scaling.family[4].network = scaling.family[3].network;
  scaling.family[4].network.candidate_index.reset();
  return scaling;
}

/// Stops every third candidate that others beat after a fifth of the images.
void add_racing(RunSummary& summary) {
  std::vector<CandidateRecord>& candidates = summary.search.candidates;
  const std::vector<size_t> front = pareto(candidates);
  report::Racing racing;
  for (size_t i = 0; i < candidates.size(); ++i) {
    CandidateRecord& candidate = candidates[i];
    const bool best = std::find(front.begin(), front.end(), i) != front.end();
    candidate.screened = i % 3 == 1 && !best && candidate.failures.empty();
    if (*candidate.screened) {
      ++racing.screened;
      racing.images_saved += 4000;
      candidate.accuracy->images = 1000;
      candidate.accuracy->standard_error *= std::sqrt(5.0);
    }
    racing.images += candidate.accuracy->images;
  }
  racing.board_seconds_saved = 75.0;
  summary.search.racing = racing;
}

std::vector<report::LearnedMetric> sample_learned(const std::vector<std::string>& metrics) {
  const auto record = [](const char* model, double weight) {
    return report::ModelRecord{model, 320, 0.84, 0.052, 0.913, 0.765, 0.906, weight};
  };
  std::vector<report::LearnedMetric> learned;
  for (const std::string& metric : metrics) {
    learned.push_back({metric, true, {record("gaussian_process", 0.75), record("ridge", 0.25)}});
    learned.back().models.push_back(record("boosted_trees", 0.0));
    learned.back().models.back().mape.reset();
    learned.back().models.push_back(record("average", 1.0));
  }
  learned.back().on = false;
  for (report::ModelRecord& model : learned.back().models) model.weight = 0.0;
  return learned;
}

void add_facts(RunSummary& summary) {
  summary.name = "fashion";
  summary.lathe_version = "0.1.0";
  summary.command = "lathe run configs/quickstart.yaml";
  summary.config_path = "configs/quickstart.yaml";
  summary.config = kConfig;
  summary.started_at = "2026-11-20T06:50:02Z";
  summary.finished_at = "2026-11-20T06:57:13Z";
  summary.machine = {2, "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", 24'000'000'000};
  summary.stages = {{"prepare", 3.2, 402'000'000, false},
                    {"train", 192.4, 1'310'000'000, true},
                    {"search", 188.0, 1'480'000'000, false},
                    {"confirm", 31.7, 1'480'000'000, false},
                    {"export", 15.9, 1'210'000'000, false}};
  report::Data& data = summary.data;
  data.dataset = "fashion_mnist";
  data.height = data.width = 28;
  data.classes = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                  "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  data.splits = {{"train", 53000, "9d0c4b1fa7e20c55"},
                 {"calibration", 2000, "12ab90ce41f7d310"},
                 {"validation", 5000, "77e01c2a9b3f5d48"},
                 {"test", 10000, "c4d1e8f20b6a9573"}};
  data.preprocessing.channels = 1;
  data.preprocessing.mean = {0.286};
  data.preprocessing.std = {0.353};
  data.test_opened_at = "2026-11-20T06:56:58Z";
  data.test_reads = 1;
  summary.space = {"quickstart_28", "1679616", 16, 640'000, 14'200'000, 41'000, 702'000};
}

/// The first network in int8: half the time, a quarter of the bytes, as accurate.
void add_int8(RunSummary& summary) {
  FrontNetwork& fp32 = summary.front.front();
  FrontNetwork int8 = fp32;
  int8.id += "-int8";
  int8.precision = "int8";
  int8.steps.emplace();
  const int64_t weights = 4 * fp32.params;
  for (const char* name : {"inherited", "distilled", "pruned", "int8"}) {
    report::NetworkStep step{name,      "",          fp32.validation,        {},
                             fp32.macs, fp32.params, fp32.peak_memory_bytes, weights};
    for (const report::FrontLatency& entry : fp32.latencies) {
      step.latencies.push_back({entry.device, *entry.searched});
    }
    int8.steps->push_back(step);
  }
  report::NetworkStep& last = int8.steps->back();
  last.note = "observer <mse>";
  last.weight_bytes = weights / 4;
  for (report::DeviceLatency& entry : last.latencies) {
    for (double* value :
         {&entry.latency.median_ms, &entry.latency.low_ms, &entry.latency.high_ms}) {
      *value /= 2.0;
    }
  }
  for (size_t i = 0; i < int8.latencies.size(); ++i) {
    int8.latencies[i].searched.reset();
    int8.latencies[i].confirmed = last.latencies[i].latency;
  }
  fp32.precision = "fp32";
  fp32.roles.clear();
  fp32.dominated_by = int8.id;
  summary.front.insert(summary.front.begin() + 1, int8);
}

}  // namespace

RunSummary sample_summary(const SampleOptions& options) {
  const Rng rng(options.seed);
  RunSummary summary;
  summary.seed = options.seed;
  add_facts(summary);
  add_search(summary, options);
  if (options.scaling) summary.search.scaling = sample_scaling("latency@" + options.devices[0]);
  std::vector<Shape> shapes;
  for (int64_t i = 0; i < options.candidates; ++i) {
    Rng shape_rng = rng.derive("shape", static_cast<uint64_t>(i));
    shapes.push_back(draw_shape(shape_rng));
    summary.search.candidates.push_back(make_candidate(
        i, shapes.back(), options, rng.derive("candidate", static_cast<uint64_t>(i))));
  }
  if (options.racing) add_racing(summary);
  if (options.learned) summary.search.learned = sample_learned(summary.search.objectives);
  add_training(summary, rng.derive("training"));
  add_devices(summary, options, rng.derive("devices"));
  add_front(summary, shapes, options, rng);
  if (options.compressed) add_int8(summary);
  report::Baseline baseline;
  baseline.name = "mobilenet_v2 0.35";
  baseline.macs = 5'900'000;
  baseline.params = 400'000;
  for (size_t d = 0; d < options.devices.size(); ++d) {
    Rng noise = rng.derive("baseline", d);
    baseline.latencies.push_back(
        {options.devices[d], make_latency(d == 0 ? 1.05 : 16.2, 0.01, noise)});
  }
  summary.baselines = {baseline};
  return summary;
}

report::Ranking sample_ranking() {
  report::Ranking ranking;
  ranking.space = "sample";
  ranking.dataset = "fashion_mnist";
  ranking.seed = 3;
  ranking.supernet_epochs = 12.0;
  ranking.epochs = 3.0;
  ranking.learning_rate = 0.1;
  ranking.warmup_epochs = 0.3;
  const double inherited[] = {0.5, 0.6, 0.7, 0.8};
  const double retrained[] = {0.6, 0.7, 0.9, 0.8};
  for (int64_t i = 0; i < 4; ++i) {
    report::RankedSubnet subnet;
    subnet.architecture = std::to_string(i) + "-0";
    subnet.description = "28px <s1> " + std::to_string(i + 1) + "x mbconv";
    subnet.macs = 1'000'000 * (i + 1);
    subnet.params = 100'000 * (i + 1);
    subnet.inherited = {inherited[i], 0.05, 100};
    subnet.retrained = report::Accuracy{retrained[i], 0.05, 100};
    ranking.subnets.push_back(subnet);
  }
  ranking.result = report::ranking_result(ranking.subnets, ranking.seed);
  return ranking;
}

}  // namespace lathe::support
