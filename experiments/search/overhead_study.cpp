#include "experiments/search/overhead_study.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/file.h"
#include "core/progress.h"
#include "core/statistics.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"
#include "search/strategy/controller.h"

namespace lathe::study {
namespace {

using nlohmann::json;
using search::Candidate;

struct Arguments {
  std::string space;
  std::string out = "results.json";
  std::string scratch;  ///< folder of the journals on disk
  std::vector<std::string> strategies = {"nsga2", "random", "surrogate"};
  std::vector<int64_t> sizes = {1'000, 10'000, 100'000};
};

/// A value in [0, 1) that depends on the architecture and `salt` only.
double noise(const Candidate& candidate, const char* salt) {
  const uint64_t hash = stable_hash(salt + candidate.architecture.to_string());
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

/// The share of the largest options among the genes: stands for the network's size.
double size_of(const Candidate& candidate) {
  double sum = 0.0;
  for (const uint16_t gene : candidate.architecture.genes) sum += gene;
  return sum / static_cast<double>(candidate.architecture.genes.size());
}

class InstantAccuracy : public search::AccuracyEvaluator {
 public:
  std::vector<Result<search::AccuracyEstimate>> evaluate(const std::vector<Candidate>& candidates,
                                                         Progress& /*progress*/) override {
    std::vector<Result<search::AccuracyEstimate>> results;
    for (const Candidate& candidate : candidates) {
      const double top1 = 0.95 - 0.4 / (1.0 + 3.0 * size_of(candidate));
      results.push_back(
          search::AccuracyEstimate{top1 - 0.1 * noise(candidate, "accuracy"), 0.005, 5000});
    }
    return results;
  }
};

class InstantLatency : public search::LatencyEvaluator {
 public:
  const std::string& device() const override { return device_; }
  const latency::MeasurementPlan& default_plan() const override { return plan_; }
  bool shares_host() const override { return false; }
  std::future<Result<latency::LatencyEstimate>> measure(const Candidate& candidate,
                                                        const latency::MeasurementPlan&) override {
    latency::LatencyEstimate estimate;
    estimate.median_ms = (2.0 + 20.0 * size_of(candidate)) * (1.0 + noise(candidate, "latency"));
    estimate.interval_ms = {0.99 * estimate.median_ms, 1.01 * estimate.median_ms, 0.95};
    estimate.p90_ms = estimate.p99_ms = 1.05 * estimate.median_ms;
    estimate.kept = 60;
    estimate.processes = 2;
    estimate.wall_s = 2.0;
    // As a board answers, so that memory and the journal's size are those of a search on boards.
    estimate.conditions.engine = "xnnpack";
    estimate.conditions.engine_version = "2022-02";
    estimate.conditions.isa = "armv8.2 dotprod";
    estimate.conditions.governor = "performance";
    estimate.conditions.frequency_hz = 1.8e9;
    estimate.conditions.temperature_c = 55.0;
    estimate.conditions.device_fingerprint = "0123456789abcdef0123456789abcdef";
    estimate.conditions.extra["agent"] = "pi4-a.local:50051";
    std::promise<Result<latency::LatencyEstimate>> promise;
    promise.set_value(std::move(estimate));
    return promise.get_future();
  }

 private:
  std::string device_ = "pi4";
  latency::MeasurementPlan plan_;
};

double processor_s() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Notes when candidates were committed.
class Stamps : public Progress {
 public:
  void begin(const std::string&, int64_t, const std::string&) override {}
  void update(int64_t done, const std::string&) override {
    if (done == (stamps_.empty() ? 0 : stamps_.back().done)) return;
    stamps_.push_back({done, steady_clock().now_s(), processor_s()});
  }
  void end() override {}

  /// Milliseconds a candidate of each step that lies within the candidates [begin, end).
  std::vector<double> costs_ms(int64_t begin, int64_t end) const {
    std::vector<double> costs;
    for (size_t i = 1; i < stamps_.size(); ++i) {
      const Stamp& from = stamps_[i - 1];
      const Stamp& to = stamps_[i];
      if (from.done < begin || to.done > end) continue;
      const double cost =
          1e3 * (to.wall_s - from.wall_s) / static_cast<double>(to.done - from.done);
      costs.insert(costs.end(), static_cast<size_t>(to.done - from.done), cost);
    }
    return costs;
  }
  /// Milliseconds of processor a candidate, mean from the first step beyond `begin` on.
  double processor_ms(int64_t begin) const {
    const auto first = std::find_if(stamps_.begin(), stamps_.end(),
                                    [&](const Stamp& stamp) { return stamp.done >= begin; });
    const Stamp& last = stamps_.back();
    return 1e3 * (last.processor_s - first->processor_s) /
           static_cast<double>(last.done - first->done);
  }

 private:
  struct Stamp {
    int64_t done = 0;
    double wall_s = 0.0;
    double processor_s = 0.0;
  };
  std::vector<Stamp> stamps_;
};

double peak_memory_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1000.0;
}

search::SearchOptions options_of(const std::string& strategy, int64_t evaluations) {
  search::SearchOptions options;
  options.problem.objectives = {search::parse_metric("accuracy"),
                                search::parse_metric("latency@pi4")};
  options.strategy.name = strategy;
  options.budget.evaluations = evaluations;
  return options;
}

struct Case {
  std::string strategy;
  int64_t size = 0;     ///< candidates before those that are timed
  bool on_disk = true;  ///< the journal
};

/// Surrogates learn from the last thousand labels whatever the archive's size, and fitting them
/// takes a second a batch: their archive is filled with their own uniform first generation.
constexpr int64_t kTimedOfSurrogate = 100;
constexpr int64_t kTimed = 1000;

json run_case(const Arguments& arguments, const Case& of) {
  const auto space = search::read_search_space(arguments.space);
  InstantAccuracy accuracy;
  InstantLatency latency;
  const bool surrogate = of.strategy == "surrogate";
  const int64_t timed = surrogate ? kTimedOfSurrogate : kTimed;
  search::SearchOptions options = options_of(of.strategy, of.size + timed);
  if (surrogate) options.strategy.population = of.size;
  const std::filesystem::path path =
      of.on_disk ? std::filesystem::path(arguments.scratch) / "overhead.sqlite" : ":memory:";
  json result = {{"strategy", of.strategy}, {"archive", of.size}, {"on_disk", of.on_disk}};
  {
    search::Journal journal(path);
    search::SearchController controller(*space, accuracy, {&latency}, options, journal, 1);
    Stamps stamps;
    const auto outcome = controller.run(stamps, [] { return false; });
    const std::vector<double> costs = stamps.costs_ms(of.size, of.size + timed);
    result["p50_ms"] = quantile(costs, 0.5);
    result["p99_ms"] = quantile(costs, 0.99);
    result["mean_ms"] = mean(costs);
    result["processor_ms"] = stamps.processor_ms(of.size);
    result["front"] = outcome.front.size();
    result["seconds"] = outcome.seconds;
    result["peak_memory_mb"] = peak_memory_mb();
  }
  if (of.on_disk) {
    result["journal_mb"] = static_cast<double>(std::filesystem::file_size(path)) / 1e6;
    const double start = steady_clock().now_s();
    search::Journal journal(path);
    search::SearchController controller(*space, accuracy, {&latency}, options, journal, 1);
    controller.run(no_progress(), [] { return false; });
    result["resume_s"] = steady_clock().now_s() - start;
  }
  return result;
}

/// In a process of its own, so that the peak memory is that of this search.
json run_apart(const Arguments& arguments, const Case& of) {
  const std::filesystem::path answer = std::filesystem::path(arguments.scratch) / "answer.json";
  for (const char* name : {"overhead.sqlite", "overhead.sqlite-wal", "overhead.sqlite-shm"}) {
    std::filesystem::remove(std::filesystem::path(arguments.scratch) / name);
  }
  const pid_t child = fork();
  if (child < 0) throw DataError("overhead study: fork failed");
  if (child == 0) {
    try {
      write_file_atomically(answer, run_case(arguments, of).dump());
      _exit(0);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "overhead study: %s\n", error.what());
      _exit(1);
    }
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) {
    throw DataError("overhead study: " + of.strategy + " at " + std::to_string(of.size) +
                    " failed");
  }
  return json::parse(read_file(answer));
}

void print(const json& figure) {
  std::printf("| %s | %lld | %s | %.3f | %.3f | %.3f | %.3f | %.0f | %s |\n",
              figure.at("strategy").get<std::string>().c_str(),
              static_cast<long long>(figure.at("archive").get<int64_t>()),
              figure.at("on_disk").get<bool>() ? "disk" : "memory",
              figure.at("p50_ms").get<double>(), figure.at("p99_ms").get<double>(),
              figure.at("mean_ms").get<double>(), figure.at("processor_ms").get<double>(),
              figure.at("peak_memory_mb").get<double>(),
              figure.contains("resume_s")
                  ? (std::to_string(figure.at("resume_s").get<double>()) + " s").c_str()
                  : "-");
  std::fflush(stdout);
}

void run_all(Arguments& arguments) {
  if (arguments.scratch.empty()) {
    arguments.scratch = std::filesystem::absolute(arguments.out).parent_path().string();
  }
  json figures = json::array();
  std::printf(
      "| strategy | archive | journal | p50 ms | p99 ms | mean ms | processor ms | peak MB | "
      "resume |\n"
      "|---|---|---|---|---|---|---|---|---|\n");
  for (const std::string& strategy : arguments.strategies) {
    for (const int64_t size : arguments.sizes) {
      for (const bool on_disk : {false, true}) {
        figures.push_back(run_apart(arguments, {strategy, size, on_disk}));
        print(figures.back());
        merge_results(arguments.out, {{"overhead", figures}});
      }
    }
  }
}

}  // namespace

int overhead_main(int argc, char** argv) {
  CLI::App app{"What the search controller itself needs a candidate"};
  Arguments arguments;
  app.add_option("space", arguments.space, "file of a search space that lowers")->required();
  add_out(app, arguments.out);
  app.add_option("--scratch", arguments.scratch, "folder for journals; default: beside --out");
  app.add_option("--strategy", arguments.strategies, "which to run");
  const auto* sizes = app.add_option("--sizes", arguments.sizes, "archive sizes, evaluated before");
  const auto reduce = [&arguments, sizes] {
    if (sizes->count() == 0) arguments.sizes = {1'000, 10'000};
  };
  app.add_flag_callback("--quick", reduce, "archives up to 10,000");
  return run_study(app, "overhead", argc, argv, [&] { run_all(arguments); });
}

}  // namespace lathe::study
