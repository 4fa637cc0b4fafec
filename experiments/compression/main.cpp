#include "experiments/compression/baseline.h"
#include "experiments/compression/criteria_study.h"
#include "experiments/compression/delivered_study.h"
#include "experiments/compression/distillation_study.h"
#include "experiments/compression/int8_speed.h"
#include "experiments/compression/quantisation_study.h"
#include "experiments/support/command_line.h"

int main(int argc, char** argv) {
  using namespace lathe::study;
  return run_one_of(
      {
          {"baseline", baseline_main, "ResNet-20, trained by itself, to compare with"},
          {"criteria", criteria_main, "what each pruning criterion leaves of the accuracy"},
          {"delivered", delivered_main, "what a run delivers against a baseline"},
          {"distillation", distillation_main, "what a teacher adds to fine-tuning"},
          {"quantisation", quantisation_main, "what int8 costs by observer and method"},
          {"int8_speed", int8_speed_main, "fp32 and int8 files on the engine of this build"},
      },
      "Studies of compression", "compression_study", argc, argv);
}
