#include <cstdio>
#include <cstring>

#include "experiments/supernet/evaluation_study.h"
#include "experiments/supernet/step_study.h"

namespace {

struct Study {
  const char* name;
  int (*main)(int, char**);
  const char* what;
};

using namespace lathe::study;

constexpr Study kStudies[] = {
    {"step", step_main, "a sandwich step against the same one written the usual way"},
    {"evaluation", evaluation_main, "a generation of candidates against one at a time"},
};

}  // namespace

int main(int argc, char** argv) {
  for (const Study& study : kStudies) {
    if (argc > 1 && std::strcmp(argv[1], study.name) == 0) return study.main(argc - 1, argv + 1);
  }
  std::printf(
      "Studies of the supernet. Usage: supernet_study STUDY [OPTIONS]; STUDY --help has its "
      "options.\n");
  for (const Study& study : kStudies) std::printf("  %-11s %s\n", study.name, study.what);
  return argc > 1 && std::strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
