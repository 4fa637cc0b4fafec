#include "experiments/measurement/studies.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "core/clock.h"
#include "core/rng.h"
#include "core/statistics.h"
#include "experiments/measurement/load.h"

namespace lathe::study {
namespace {

using latency::LatencyEstimate;
using latency::MeasurementPlan;
using latency::Verdict;
using nlohmann::json;

double relative(double a, double b) { return std::abs(a - b) / (0.5 * (a + b)); }

bool overlap(const Interval& a, const Interval& b) { return a.low <= b.high && b.low <= a.high; }

/// Counts verdicts by name.
class Verdicts {
 public:
  void add(Verdict verdict) { ++counts_[latency::to_string(verdict)]; }
  json to_json() const { return counts_; }

 private:
  std::map<std::string, int> counts_;
};

double share(int part, size_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

/// The quiet machine's value: three measurements with a finer target, the median of them.
double quiet_ms(Bench& bench, const NamedNetwork& network) {
  std::vector<double> values;
  MeasurementPlan plan;
  plan.target_half_width = 0.005;
  for (int i = 0; i < 3; ++i) values.push_back(bench.measure(network, plan).median_ms);
  return median(values);
}

std::vector<NamedNetwork> first(std::vector<NamedNetwork> networks, size_t count) {
  networks.resize(std::min(count, networks.size()));
  return networks;
}

}  // namespace

json study_same(Bench& bench, bool quick) {
  const size_t pairs = quick ? 16 : 100;
  const std::vector<NamedNetwork> networks = mixed_networks();
  std::vector<size_t> order;
  for (size_t i = 0; i < pairs; ++i) order.insert(order.end(), {i, i});
  Rng rng(1);
  rng.shuffle(order);
  std::map<size_t, std::vector<LatencyEstimate>> halves;
  for (const size_t pair : order)
    halves[pair].push_back(bench.measure(networks[pair % networks.size()], {}));
  std::vector<double> differences;
  int apart = 0;
  Verdicts verdicts;
  for (const auto& [pair, half] : halves) {
    differences.push_back(relative(half[0].median_ms, half[1].median_ms));
    apart += overlap(half[0].interval_ms, half[1].interval_ms) ? 0 : 1;
    for (const LatencyEstimate& estimate : half) verdicts.add(estimate.verdict);
  }
  std::printf(
      "same network twice, %zu pairs: median difference %.2f %%, 95 of 100 within %.2f %%, "
      "intervals apart %.1f %%\n",
      pairs, 100.0 * median(differences), 100.0 * quantile(differences, 0.95),
      100.0 * share(apart, pairs));
  return {{"pairs", pairs},
          {"median_difference", median(differences)},
          {"p95_difference", quantile(differences, 0.95)},
          {"intervals_apart", share(apart, pairs)},
          {"verdicts", verdicts.to_json()}};
}

json study_coverage(Bench& bench, bool quick) {
  const std::vector<NamedNetwork> networks = first(mixed_networks(), quick ? 2 : 12);
  const int repeats = quick ? 10 : 20;
  int covered = 0;
  size_t total = 0;
  std::vector<double> walls;
  json rows = json::array();
  for (const NamedNetwork& network : networks) {
    std::vector<LatencyEstimate> short_runs;
    for (int i = 0; i < repeats / 2; ++i) short_runs.push_back(bench.measure(network, {}));
    MeasurementPlan plan;
    plan.target_half_width = 1e-4;
    plan.processes = 20;
    plan.budget_s = 10.0 * std::max(0.5, short_runs.front().wall_s);
    const LatencyEstimate truth = bench.measure(network, plan);
    while (static_cast<int>(short_runs.size()) < repeats)
      short_runs.push_back(bench.measure(network, {}));
    int here = 0;
    std::vector<double> seconds;
    for (const LatencyEstimate& run : short_runs) {
      here +=
          run.interval_ms.low <= truth.median_ms && truth.median_ms <= run.interval_ms.high ? 1 : 0;
      seconds.push_back(run.wall_s);
      if (run.median_ms < 20.0) walls.push_back(run.wall_s);
    }
    covered += here;
    total += short_runs.size();
    rows.push_back({{"network", network.name},
                    {"median_ms", truth.median_ms},
                    {"covered", here},
                    {"of", short_runs.size()},
                    {"wall_s", median(seconds)}});
    std::printf("  %-22s %8.3f ms  covered %2d of %2zu, %.2f s each\n", network.name.c_str(),
                truth.median_ms, here, short_runs.size(), median(seconds));
  }
  std::printf(
      "nominal 95 %% intervals cover the long run's value in %.1f %% of %zu, in %.2f s (TFLite's "
      "defaults: 1.5 s)\n",
      100.0 * share(covered, total), total, median(walls));
  return {{"coverage", share(covered, total)},
          {"measurements", total},
          {"median_wall_s_below_20ms", median(walls)},
          {"p90_wall_s_below_20ms", quantile(walls, 0.9)},
          {"tflite_default_s", 1.5},
          {"networks", rows}};
}

json study_cheap(Bench& bench, bool quick) {
  constexpr double kTfliteDefault_s = 1.5;  // 0.5 s of warm-up, then 1 s and 50 runs
  std::vector<NamedNetwork> networks = first(mixed_networks(), quick ? 4 : 12);
  networks.push_back(mobilenet_v2_224());
  const int repeats = quick ? 3 : 8;
  std::vector<double> walls;
  int precise = 0;
  json rows = json::array();
  for (const NamedNetwork& network : networks) {
    std::vector<double> seconds, widths;
    double median_ms = 0.0;
    for (int i = 0; i < repeats; ++i) {
      const LatencyEstimate estimate = bench.measure(network, {});
      median_ms = estimate.median_ms;
      if (median_ms >= 20.0) continue;
      seconds.push_back(estimate.wall_s);
      widths.push_back(estimate.half_width());
      precise += widths.back() <= 0.0101 ? 1 : 0;
    }
    if (seconds.empty()) continue;
    walls.insert(walls.end(), seconds.begin(), seconds.end());
    rows.push_back({{"network", network.name},
                    {"median_ms", median_ms},
                    {"wall_s", median(seconds)},
                    {"half_width", median(widths)}});
  }
  std::printf(
      "to 1 %%: %.2f s a measurement, 9 of 10 within %.2f s (TFLite's defaults: %.1f s), "
      "reached by %.0f %%\n",
      median(walls), quantile(walls, 0.9), kTfliteDefault_s, 100.0 * share(precise, walls.size()));
  return {{"measurements", walls.size()},
          {"wall_s", median(walls)},
          {"p90_wall_s", quantile(walls, 0.9)},
          {"tflite_default_s", kTfliteDefault_s},
          {"share_of_tflite", median(walls) / kTfliteDefault_s},
          {"reached_1_percent", share(precise, walls.size())},
          {"networks", rows}};
}

json study_disturbance(Bench& bench, bool quick) {
  const std::vector<NamedNetwork> networks = first(mixed_networks(), quick ? 2 : 6);
  const int other = bench.core() == 0 ? 1 : 0;
  const struct {
    const char* name;
    int core;
    double burst_s;
  } hogs[] = {
      {"same_core", bench.core(), 0.0}, {"other_core", other, 0.0}, {"bursts", bench.core(), 5.0}};
  const int trials = quick ? 3 : 12;
  json result;
  int silent = 0;
  int total = 0;
  for (const auto& hog : hogs) {
    std::vector<double> biases;
    Verdicts verdicts;
    int silent_here = 0;
    for (const NamedNetwork& network : networks) {
      const double truth_ms = quiet_ms(bench, network);
      const Load load({hog.core}, hog.burst_s);
      for (int trial = 0; trial < trials; ++trial) {
        const LatencyEstimate estimate = bench.measure(network, {});
        const double bias = estimate.median_ms / truth_ms - 1.0;
        biases.push_back(bias);
        verdicts.add(estimate.verdict);
        silent_here += std::abs(bias) > 0.02 && estimate.verdict == Verdict::Clean ? 1 : 0;
        ++total;
      }
    }
    silent += silent_here;
    std::vector<double> sizes;
    for (const double bias : biases) sizes.push_back(std::abs(bias));
    std::printf(
        "hog %-10s: bias median %+.2f %%, largest %.2f %%, silent errors %d of %zu, verdicts %s\n",
        hog.name, 100.0 * median(biases), 100.0 * quantile(sizes, 1.0), silent_here, biases.size(),
        verdicts.to_json().dump().c_str());
    result[hog.name] = {{"median_bias", median(biases)},
                        {"largest_bias", quantile(sizes, 1.0)},
                        {"silent_errors", silent_here},
                        {"trials", biases.size()},
                        {"verdicts", verdicts.to_json()}};
  }
  result["silent_errors"] = silent;
  result["trials"] = total;
  return result;
}

json study_ranking(Bench& bench, bool quick) {
  const std::vector<NamedNetwork> networks = close_networks(quick ? 12 : 60);
  std::vector<double> rankings[2];
  Rng rng(3);
  for (std::vector<double>& ranking : rankings) {
    std::vector<size_t> order(networks.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    rng.shuffle(order);
    ranking.resize(networks.size());
    for (const size_t i : order) ranking[i] = bench.measure(networks[i], {}).median_ms;
  }
  const double tau = kendall_tau(rankings[0], rankings[1]);
  const double spread = quantile(rankings[0], 1.0) / quantile(rankings[0], 0.0) - 1.0;
  std::printf("two rankings of %zu networks within %.0f %%: Kendall %.3f\n", networks.size(),
              100.0 * spread, tau);
  return {{"networks", networks.size()}, {"spread", spread}, {"kendall", tau}};
}

json study_overhead(Bench& bench, bool quick) {
  TlsAgent tls(bench.agent_program(), bench.core());
  const struct {
    const char* name;
    latency::AgentClient& client;
  } links[] = {{"plain_text", bench.client()}, {"tls", tls.client()}};
  const int rounds = 10;  // the two take turns, so that both see the same machine
  const int trips = quick ? 50 : 500;
  std::map<std::string, std::vector<double>> seconds;
  for (int round = 0; round < rounds; ++round) {
    for (const auto& link : links) {
      const std::vector<double> part = round_trips(link.client, mixed_networks().front(), trips);
      seconds[link.name].insert(seconds[link.name].end(), part.begin(), part.end());
    }
  }
  json result;
  for (const auto& [name, values] : seconds) {
    std::printf("round trip of an empty job, %-10s: median %.2f ms, 99 of 100 within %.2f ms\n",
                name.c_str(), 1e3 * median(values), 1e3 * quantile(values, 0.99));
    result[name] = {{"round_trips", values.size()},
                    {"p50_ms", 1e3 * median(values)},
                    {"p99_ms", 1e3 * quantile(values, 0.99)}};
  }
  return result;
}

json study_sharing(Bench& bench, bool quick) {
  const std::vector<NamedNetwork> networks = first(mixed_networks(), quick ? 2 : 8);
  const int repeats = quick ? 3 : 6;
  const int other = bench.core() == 0 ? 1 : 0;
  struct Mode {
    const char* name;
    std::vector<int> cores;  // of the load
    bool during;             // the load runs during the measurement, else before it
  };
  const Mode modes[] = {{"alternating", {other, bench.core()}, false},
                        {"reserved_core", {other}, true},
                        {"neither", {-1, -1}, true}};
  json result;
  for (const Mode& mode : modes) {
    std::vector<double> biases;
    std::vector<double> scatter;
    std::vector<double> walls;
    std::vector<double> rates;
    Verdicts verdicts;
    for (const NamedNetwork& network : networks) {
      const double truth_ms = quiet_ms(bench, network);
      std::vector<double> values;
      for (int i = 0; i < repeats; ++i) {
        auto load = std::make_unique<Load>(mode.cores);
        const double start_s = steady_clock().now_s();
        if (!mode.during) {
          steady_clock().sleep_s(1.0);
          rates.push_back(load->work() / (steady_clock().now_s() - start_s));
          load.reset();
        }
        const LatencyEstimate estimate = bench.measure(network, {});
        if (mode.during) rates.push_back(load->work() / (steady_clock().now_s() - start_s));
        values.push_back(estimate.median_ms);
        walls.push_back(estimate.wall_s);
        verdicts.add(estimate.verdict);
      }
      biases.push_back(median(values) / truth_ms - 1.0);
      scatter.push_back(standard_deviation(values) / mean(values));
    }
    std::vector<double> sizes;
    for (const double bias : biases) sizes.push_back(std::abs(bias));
    std::printf(
        "%-14s bias %+.2f %% (largest %.2f %%), scatter %.2f %%, %.2f s a measurement, %.0f units "
        "of load/s, %s\n",
        mode.name, 100.0 * median(biases), 100.0 * quantile(sizes, 1.0), 100.0 * median(scatter),
        median(walls), median(rates), verdicts.to_json().dump().c_str());
    result[mode.name] = {
        {"median_bias", median(biases)},     {"largest_bias", quantile(sizes, 1.0)},
        {"median_scatter", median(scatter)}, {"wall_s", median(walls)},
        {"load_per_s", median(rates)},       {"verdicts", verdicts.to_json()}};
  }
  return result;
}

}  // namespace lathe::study
