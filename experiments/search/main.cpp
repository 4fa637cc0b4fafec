#include "experiments/search/boards_study.h"
#include "experiments/search/devices_study.h"
#include "experiments/search/models_study.h"
#include "experiments/search/overhead_study.h"
#include "experiments/search/racing_study.h"
#include "experiments/search/scaling_study.h"
#include "experiments/search/strategies_study.h"
#include "experiments/search/winners_study.h"
#include "experiments/support/command_line.h"

int main(int argc, char** argv) {
  using namespace lathe::study;
  return run_one_of(
      {
          {"strategies", strategies_main, "how near the true front each strategy comes"},
          {"racing", racing_main,
           "what stopping candidates early saves, and that fronts are equal"},
          {"winners", winners_main,
           "which share of the reported networks truly violates its budget"},
          {"devices", devices_main, "two devices with a budget each, known together and alone"},
          {"models", models_main, "how well latency and accuracy are predicted from few labels"},
          {"boards", boards_main, "how busy a search keeps 1, 4 and 16 boards"},
          {"scaling", scaling_main, "EfficientNet-B0 scaled to B1-B7 beside the paper"},
          {"overhead", overhead_main, "what the controller itself needs a candidate"},
      },
      "Studies of the search", "search_study", argc, argv);
}
