#include "experiments/supernet/evaluation_study.h"
#include "experiments/supernet/step_study.h"
#include "experiments/support/command_line.h"

int main(int argc, char** argv) {
  using namespace lathe::study;
  return run_one_of(
      {
          {"step", step_main, "a sandwich step against the same one written the usual way"},
          {"evaluation", evaluation_main, "a generation of candidates against one at a time"},
      },
      "Studies of the supernet", "supernet_study", argc, argv);
}
