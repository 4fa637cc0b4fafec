#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lathe::study {

/// What the studies that search a table take from the command line.
struct StudyArguments {
  std::string table;  ///< of NAS-Bench-201
  std::string out = "results.json";
  std::vector<std::string> strategies = {"nsga2", "surrogate"};
  int64_t seeds = 20;
  int64_t evaluations = 400;  ///< of one search
};

/// One of the studies in a program.
struct Study {
  const char* name;
  int (*main)(int, char**);
  const char* what;
};

/// The program `program`, whose first argument names one of its `studies`; without one it lists
/// them. `title`: "Studies of the search". Returns the exit status.
int run_one_of(const std::vector<Study>& studies, const char* title, const char* program, int argc,
               char** argv);

/// Adds the table, which the environment's LATHE_NASBENCH201 names too, to `app`.
void add_table(CLI::App& app, std::string& table);
void add_out(CLI::App& app, std::string& out);
/// Adds --seeds of at least `fewest`, `what` they are, and --quick, which means `quick` of them.
void add_seeds(CLI::App& app, int64_t& seeds, int64_t fewest, const std::string& what,
               int64_t quick = 5);
void add_evaluations(CLI::App& app, int64_t& evaluations);

/// Parses the command line of the study `name` and runs `body`. Returns the exit status: 0, 2 for
/// usage, 3 for an Error, which it prints.
int run_study(CLI::App& app, const std::string& name, int argc, char** argv,
              const std::function<void()>& body);

}  // namespace lathe::study
