// One of the processes that together_test.cpp starts: supernet_process ROLE FOLDER, with the bars
// of tiny_data.h in FOLDER. Rank 0, or a process alone, writes FOLDER/result. PAUSE: seconds
// between two training steps. BATCH: of training, else that of tiny_data.h.

#include <cstdio>
#include <cstdlib>

#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "search/evaluation/candidate.h"
#include "supernet/distributed/launch.h"
#include "supernet/supernet.h"
#include "tests/supernet/tiny_data.h"

using namespace lathe;
using namespace lathe::supernet;
namespace fs = std::filesystem;

namespace {

/// Writes FOLDER/step after every step, and takes its time.
class StepFile : public Progress {
 public:
  explicit StepFile(fs::path folder) : folder_(std::move(folder)) {}
  void begin(const std::string&, int64_t, const std::string&) override {}
  void update(int64_t done, const std::string&) override {
    write_file_atomically(folder_ / "step", std::to_string(done));
    if (const char* pause = std::getenv("PAUSE")) steady_clock().sleep_s(std::atof(pause));
  }
  void end() override {}

 private:
  fs::path folder_;
};

std::string as_text(const network::Weights& weights) {
  std::string text;
  char number[32];
  for (const auto& [name, tensor] : weights) {
    for (const float value : tensor.values) {
      std::snprintf(number, sizeof number, "%.9g\n", static_cast<double>(value));
      text += number;
    }
  }
  return text;
}

/// Weights and BN statistics of the trained largest network.
std::string train(Supernet& supernet, const search::SearchSpace& space, const fs::path& folder) {
  StepFile progress(folder);
  supernet.train(progress, [] { return false; });
  return as_text(supernet.extract(space.lower(space.largest())).model.weights);
}

void add(std::string& text, const std::vector<Result<search::AccuracyEstimate>>& values) {
  for (const auto& value : values) {
    text += std::to_string(value->top1) + " of " + std::to_string(value->images) + "\n";
  }
}

/// Accuracies of some networks with the weights that training begins with, whole and in parts.
std::string evaluate(Supernet& supernet, const search::SearchSpace& space) {
  Rng rng(17);
  std::vector<search::Candidate> candidates;
  for (int64_t i = 0; i < 7; ++i) {
    candidates.push_back(search::make_candidate(space, space.sample_genes(rng), i).candidate);
  }
  search::AccuracyEvaluator& evaluator = supernet.evaluator();
  std::string text;
  add(text, evaluator.evaluate(candidates, no_progress()));
  const int64_t part = evaluator.part_ends().at(0);
  add(text, evaluator.evaluate_part(candidates, {0, part}, no_progress()));
  add(text,
      evaluator.evaluate_part({candidates[2]}, {part, evaluator.part_ends().at(1)}, no_progress()));
  return text;
}

void lead(const std::string& role, const fs::path& folder, const search::SearchSpace& space,
          const SupernetOptions& options, Group* group) {
  const auto supernet = load_supernet_module().create(space, options, folder / "run", group);
  write_file_atomically(folder / "result", role == "train" ? train(*supernet, space, folder)
                                                           : evaluate(*supernet, space));
}

void run(const std::string& role, const fs::path& folder) {
  const Launch launch = read_launch(std::getenv);
  fs::create_directories(folder / std::to_string(launch.rank));
  const auto space = test::tiny_space(folder / std::to_string(launch.rank));
  SupernetOptions options = test::tiny_options(folder);
  options.train.checkpoint_interval_s = 0;
  options.train.dropout = 0.2;
  options.train.drop_connect = 0.1;
  options.train.ema = 0.9;
  if (const char* batch = std::getenv("BATCH")) options.train.batch = std::atoi(batch);
  if (launch.size == 1) return lead(role, folder, *space, options, nullptr);
  const auto group = load_supernet_module().join(launch, options);
  try {
    if (launch.rank > 0) {
      load_supernet_module().serve(*group, *space, options, [] { return false; });
      return;
    }
    lead(role, folder, *space, options, group.get());
    group->end();
  } catch (const std::exception& error) {
    group->give_up(error.what());
    throw;
  }
}

}  // namespace

int main(int, char** argv) {
  try {
    run(argv[1], argv[2]);
    return 0;
  } catch (const PeerError& error) {
    std::printf("peer: %s\n", error.what());
    std::fflush(stdout);
    _Exit(7);
  } catch (const std::exception& error) {
    std::printf("error: %s\n", error.what());
    return 1;
  }
}
