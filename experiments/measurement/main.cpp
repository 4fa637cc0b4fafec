#include <sched.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "experiments/measurement/studies.h"

namespace {

using lathe::study::Bench;

int last_allowed_core() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int last = 0;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) last = core;
  }
  return last;
}

/// Of the last minute: a quiet machine has the studies' own alone.
double load_average() {
  double one_minute = 0.0;
  return getloadavg(&one_minute, 1) == 1 ? one_minute : -1.0;
}

struct Study {
  const char* name;
  nlohmann::json (*run)(Bench&, bool);
};

constexpr Study kStudies[] = {
    {"same", lathe::study::study_same},
    {"coverage", lathe::study::study_coverage},
    {"drift", lathe::study::study_drift},
    {"simulated", lathe::study::study_simulated},
    {"cheap", lathe::study::study_cheap},
    {"disturbance", lathe::study::study_disturbance},
    {"ranking", lathe::study::study_ranking},
    {"overhead", lathe::study::study_overhead},
    {"controller", lathe::study::study_controller},
    {"small", lathe::study::study_small},
    {"speed", lathe::study::study_speed},
    {"sharing", lathe::study::study_sharing},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--serve-agents") == 0) return lathe::study::serve_agents();
  CLI::App app{"Studies of how well lathe measures latency on this machine"};
  std::string agent =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "lathe-agent").string();
  std::string engine_agent;
  std::string out = "results.json";
  std::vector<std::string> chosen;
  bool quick = false;
  int core = last_allowed_core();
  const std::string names = lathe::join(kStudies, ", ", [](const Study& s) { return s.name; });
  app.add_option("--agent", agent, "the program lathe-agent")->capture_default_str();
  app.add_option("--onnxruntime-agent", engine_agent, "lathe-agent with ONNX Runtime, for speed");
  app.add_option("--out", out, "where the figures go, as JSON")->capture_default_str();
  app.add_option("--study", chosen, "which of " + names + "; default: all");
  app.add_option("--cpu", core, "core to measure on")->capture_default_str();
  app.add_flag("--quick", quick, "fewer repetitions");
  CLI11_PARSE(app, argc, argv);
  try {
    Bench bench(agent, core, engine_agent);
    // Studies that are not run this time keep their figures.
    nlohmann::json results = std::filesystem::exists(out)
                                 ? nlohmann::json::parse(lathe::read_file(out))
                                 : nlohmann::json::object();
    results["machine"] = {{"model", bench.board().model},
                          {"isa", bench.board().isa},
                          {"kernel", bench.board().kernel},
                          {"cores", bench.board().usable_cores}};
    for (const Study& study : kStudies) {
      if (!chosen.empty() && std::find(chosen.begin(), chosen.end(), study.name) == chosen.end())
        continue;
      const double start_s = lathe::steady_clock().now_s();
      results[study.name] = study.run(bench, quick);
      results[study.name]["quick"] = quick;
      results[study.name]["load"] = load_average();
      results[study.name]["study_s"] = lathe::steady_clock().now_s() - start_s;
      std::fflush(stdout);
      lathe::write_file_atomically(out, results.dump(2) + "\n");
    }
    return 0;
  } catch (const lathe::Error& error) {
    std::fprintf(stderr, "measurement study: %s\n", error.what());
    return 4;
  }
}
