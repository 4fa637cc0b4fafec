#include "experiments/compression/criteria_study.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/progress.h"
#include "experiments/compression/networks.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"
#include "network/cost.h"
#include "network/pruning/prune.h"
#include "network/pruning/removal_order.h"
#include "supernet/supernet.h"

namespace lathe::study {
namespace {

using supernet::ExtractedModel;
using supernet::Supernet;

struct Arguments {
  std::string out = "results.json";
  std::string work = "/tmp/lathe-compression-study";
  std::string ranking = "local";
  std::vector<std::string> criteria = network::prune_criterion_names();
  std::vector<double> shares = {0.25, 0.5, 0.75};
  int64_t seeds = 3;
  int64_t train_images = 0;
  double epochs = 4;
  double finetune_epochs = 0.5;
  int threads = 0;
};

/// One network pruned to one share by one criterion.
struct Cell {
  std::string criterion;
  double share = 0.0;
  int64_t seed = 0;
  int64_t macs = 0;
  double top1_pruned = 0.0;  ///< batch norms recalibrated, not fine-tuned
  double top1_tuned = 0.0;
};

/// Returns one channel of every unit in the fewest first steps that remove the share.
std::vector<network::Channel> share_of(const std::vector<network::ChannelGroup>& groups,
                                       const std::vector<network::RemovalStep>& order,
                                       double share) {
  size_t units = 0;
  for (const network::ChannelGroup& group : groups) units += group.units.size();
  const auto wanted = static_cast<size_t>(std::llround(share * static_cast<double>(units)));
  size_t removed = 0;
  size_t steps = 0;
  while (steps < order.size() && removed < wanted) removed += order[steps++].units.size();
  return channels_of_steps(groups, order, steps);
}

/// One seed: trains a network, then prunes it by every criterion to every share.
class Trial {
 public:
  Trial(const Arguments& arguments, int64_t seed, const network::Network& network)
      : arguments_(arguments), seed_(seed) {
    supernet::SupernetOptions options;
    options.seed = static_cast<uint64_t>(seed);
    options.threads = arguments.threads;
    options.data.train_limit = arguments.train_images;
    options.data.augmentation.flip = true;
    options.train.weight_decay = 5e-4;
    space_ = search::read_search_space_text(formal_space({}), "formality.yaml");
    supernet_ = supernet::load_supernet_module().create(
        *space_, options, arguments.work + "/seed-" + std::to_string(seed));
    Supernet::FineTuneOptions training;
    training.epochs = arguments.epochs;
    training.learning_rate = 0.1;
    training.seed = static_cast<uint64_t>(seed);
    progress_ = terminal_progress();
    network::Model fresh{network, network::random_weights(network, training.seed)};
    whole_ = supernet_->fine_tune(fresh, nullptr, training, *progress_);
  }

  double top1() const { return whole_.validation.top1; }

  std::vector<Cell> prune_by(const std::string& name) {
    const network::Model& model = whole_.model;
    const auto groups = network::find_channel_groups(model.network);
    Supernet::ChannelScoreOptions scoring;
    scoring.criterion = network::prune_criterion_from_string(name);
    scoring.seed = static_cast<uint64_t>(seed_);
    network::RemovalOptions removal;
    removal.ranking = network::prune_ranking_from_string(arguments_.ranking);
    removal.channel_multiple = 1;  // the shares, exactly
    removal.normalise_layers = scoring.criterion != network::PruneCriterion::Fisher;
    const auto order = network::removal_order(
        model.network, groups, supernet_->channel_scores(model, groups, scoring), removal);
    std::vector<Cell> cells;
    for (const double share : arguments_.shares) {
      const network::Model smaller = network::prune(model, share_of(groups, order, share));
      const ExtractedModel pruned = supernet_->calibrate(smaller);
      Supernet::FineTuneOptions tuning;
      tuning.epochs = arguments_.finetune_epochs;
      tuning.seed = static_cast<uint64_t>(seed_);
      const ExtractedModel tuned =
          supernet_->fine_tune(pruned.model, nullptr, tuning, no_progress());
      cells.push_back({name, share, seed_, network::cost(smaller.network).macs,
                       pruned.validation.top1, tuned.validation.top1});
    }
    return cells;
  }

 private:
  const Arguments& arguments_;
  int64_t seed_;
  std::unique_ptr<search::SearchSpace> space_;
  std::unique_ptr<Supernet> supernet_;
  std::unique_ptr<Progress> progress_;
  ExtractedModel whole_;
};

/// Mean and standard deviation over the seeds, in per cent.
std::string shown(const std::vector<Cell>& cells, const std::string& criterion, double share,
                  double Cell::*value) {
  double sum = 0.0;
  double squares = 0.0;
  double count = 0.0;
  for (const Cell& cell : cells) {
    if (cell.criterion != criterion || cell.share != share) continue;
    sum += 100.0 * cell.*value;
    squares += 1e4 * cell.*value * cell.*value;
    count += 1.0;
  }
  const double mean = sum / count;
  char text[48];
  std::snprintf(text, sizeof text, "%.1f", mean);
  std::string result = text;
  if (count > 1.0) {
    const double variance = (squares - count * mean * mean) / (count - 1.0);
    std::snprintf(text, sizeof text, " ±%.1f", std::sqrt(std::max(0.0, variance)));
    result += text;
  }
  return result;
}

void print_table(const Arguments& arguments, const std::vector<Cell>& cells) {
  std::printf("\n| criterion |");
  for (const double share : arguments.shares) std::printf(" %.0f %% | tuned |", 100.0 * share);
  std::printf("\n|---|");
  for (size_t s = 0; s < arguments.shares.size(); ++s) std::printf("---|---|");
  for (const std::string& criterion : arguments.criteria) {
    std::printf("\n| %s |", criterion.c_str());
    for (const double share : arguments.shares) {
      std::printf(" %s | %s |", shown(cells, criterion, share, &Cell::top1_pruned).c_str(),
                  shown(cells, criterion, share, &Cell::top1_tuned).c_str());
    }
  }
  std::printf("\n");
}

nlohmann::json to_json(const Arguments& arguments, const network::Network& network,
                       const std::vector<double>& whole, const std::vector<Cell>& cells,
                       double seconds) {
  nlohmann::json json = {{"network", "residual, 3 x 3 blocks of 16, 32, 64, stem stride 2"},
                         {"dataset", "fashion_mnist"},
                         {"macs", network::cost(network).macs},
                         {"ranking", arguments.ranking},
                         {"epochs", arguments.epochs},
                         {"finetune_epochs", arguments.finetune_epochs},
                         {"train_images", arguments.train_images},
                         {"whole_top1", whole},
                         {"study_s", seconds},
                         {"cells", nlohmann::json::array()}};
  for (const Cell& cell : cells) {
    json["cells"].push_back({{"criterion", cell.criterion},
                             {"share", cell.share},
                             {"seed", cell.seed},
                             {"macs", cell.macs},
                             {"top1_pruned", cell.top1_pruned},
                             {"top1_tuned", cell.top1_tuned}});
  }
  return json;
}

void run(const Arguments& arguments) {
  const double start_s = steady_clock().now_s();
  ResidualNetworkOptions options;
  options.stem_stride = 2;
  const network::Network network = residual_network(options);
  std::vector<double> whole;
  std::vector<Cell> cells;
  for (int64_t seed = 1; seed <= arguments.seeds; ++seed) {
    Trial trial(arguments, seed, network);
    whole.push_back(trial.top1());
    std::printf("seed %d: %.4f before pruning\n", static_cast<int>(seed), trial.top1());
    for (const std::string& criterion : arguments.criteria) {
      for (const Cell& cell : trial.prune_by(criterion)) {
        cells.push_back(cell);
        std::printf("  %-16s %.2f: %.4f, tuned %.4f\n", cell.criterion.c_str(), cell.share,
                    cell.top1_pruned, cell.top1_tuned);
      }
      std::fflush(stdout);
    }
    const double seconds = steady_clock().now_s() - start_s;
    merge_results(arguments.out, {{"criteria_" + arguments.ranking,
                                   to_json(arguments, network, whole, cells, seconds)}});
  }
  print_table(arguments, cells);
}

}  // namespace

int criteria_main(int argc, char** argv) {
  CLI::App app{"Accuracy left when channels are removed by each criterion, on Fashion-MNIST"};
  Arguments arguments;
  add_out(app, arguments.out);
  add_seeds(app, arguments.seeds, 1, "networks trained and pruned", 1);
  app.add_option("--work", arguments.work, "folder for what training leaves")
      ->capture_default_str();
  app.add_option("--ranking", arguments.ranking,
                 "local: every layer loses the share; global: the whole network does")
      ->check(CLI::IsMember({"local", "global"}))
      ->capture_default_str();
  app.add_option("--criteria", arguments.criteria, "which criteria")
      ->check(CLI::IsMember(network::prune_criterion_names()));
  app.add_option("--train-images", arguments.train_images, "train on so many; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{60000}))
      ->capture_default_str();
  app.add_option("--epochs", arguments.epochs, "of training")->capture_default_str();
  app.add_option("--finetune-epochs", arguments.finetune_epochs, "after pruning")
      ->capture_default_str();
  app.add_option("--threads", arguments.threads, "0: all cores")->capture_default_str();
  return run_study(app, "criteria", argc, argv, [&] { run(arguments); });
}

}  // namespace lathe::study
