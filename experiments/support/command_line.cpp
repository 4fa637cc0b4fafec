#include "experiments/support/command_line.h"

#include <cstdio>
#include <cstring>

#include "core/error.h"

namespace lathe::study {

int run_one_of(const std::vector<Study>& studies, const char* title, const char* program, int argc,
               char** argv) {
  for (const Study& study : studies) {
    if (argc > 1 && std::strcmp(argv[1], study.name) == 0) return study.main(argc - 1, argv + 1);
  }
  std::printf("%s. Usage: %s STUDY [OPTIONS]; STUDY --help has its options.\n", title, program);
  for (const Study& study : studies) std::printf("  %-12s %s\n", study.name, study.what);
  return argc > 1 && std::strcmp(argv[1], "--help") == 0 ? 0 : 2;
}

void add_table(CLI::App& app, std::string& table) {
  app.add_option("table", table, "nasbench201.csv or .csv.gz")
      ->required()
      ->envname("LATHE_NASBENCH201");
}

void add_out(CLI::App& app, std::string& out) {
  app.add_option("--out", out, "where the figures go, as JSON")->capture_default_str();
}

void add_seeds(CLI::App& app, int64_t& seeds, int64_t fewest, const std::string& what,
               int64_t quick) {
  const CLI::Option* given = app.add_option("--seeds", seeds, what)
                                 ->check(CLI::Range(fewest, int64_t{10000}))
                                 ->capture_default_str();
  const auto reduce = [&seeds, given, quick] {
    if (given->count() == 0) seeds = quick;
  };
  app.add_flag_callback("--quick", reduce, std::to_string(quick) + " seeds");
}

void add_evaluations(CLI::App& app, int64_t& evaluations) {
  app.add_option("--evaluations", evaluations, "of one search")
      ->check(CLI::Range(20, 6466))
      ->capture_default_str();
}

int run_study(CLI::App& app, const std::string& name, int argc, char** argv,
              const std::function<void()>& body) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    body();
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s study: %s\n", name.c_str(), error.what());
    return 3;
  }
}

}  // namespace lathe::study
