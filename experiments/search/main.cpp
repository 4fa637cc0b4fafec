#include <cstdio>
#include <cstring>

#include "experiments/search/boards_study.h"
#include "experiments/search/devices_study.h"
#include "experiments/search/models_study.h"
#include "experiments/search/overhead_study.h"
#include "experiments/search/racing_study.h"
#include "experiments/search/scaling_study.h"
#include "experiments/search/strategies_study.h"
#include "experiments/search/winners_study.h"

namespace {

struct Study {
  const char* name;
  int (*main)(int, char**);
  const char* what;
};

using namespace lathe::study;

constexpr Study kStudies[] = {
    {"strategies", strategies_main, "how near the true front each strategy comes"},
    {"racing", racing_main, "what stopping candidates early saves, and that fronts are equal"},
    {"winners", winners_main, "which share of the reported networks truly violates its budget"},
    {"devices", devices_main, "two devices with a budget each, known together and alone"},
    {"models", models_main, "how well latency and accuracy are predicted from few labels"},
    {"boards", boards_main, "how busy a search keeps 1, 4 and 16 boards"},
    {"scaling", scaling_main, "EfficientNet-B0 scaled to B1-B7 beside the paper"},
    {"overhead", overhead_main, "what the controller itself needs a candidate"},
};

}  // namespace

int main(int argc, char** argv) {
  for (const Study& study : kStudies) {
    if (argc > 1 && std::strcmp(argv[1], study.name) == 0) return study.main(argc - 1, argv + 1);
  }
  std::printf(
      "Studies of the search. Usage: search_study STUDY [OPTIONS]; STUDY --help has its "
      "options.\n");
  for (const Study& study : kStudies) std::printf("  %-11s %s\n", study.name, study.what);
  return argc > 1 && std::strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
