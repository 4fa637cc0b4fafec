#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>

#include "core/error.h"
#include "core/file.h"
#include "supernet/data/dataset.h"
#include "supernet/data/splits.h"
#include "supernet/executor/executor.h"
#include "supernet/train/losses.h"
#include "supernet/train/standalone_trainer.h"
#include "tests/supernet/tiny_data.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

const std::function<bool()> kNever = [] { return false; };

/// Cross entropy of every network by itself; from step `broken_from` on, not a number.
class OnLabels : public Objective {
 public:
  std::vector<at::Tensor> losses(const Batch& batch,
                                 const std::vector<std::vector<at::Tensor>>& outputs) override {
    std::vector<at::Tensor> losses;
    for (const auto& of_network : outputs) {
      losses.push_back(cross_entropy(of_network[0], batch.labels, 0.0));
    }
    last = losses[0].item<double>();
    if (calls++ >= broken_from && calls <= broken_to) losses[0] = losses[0] * std::nan("");
    return losses;
  }
  int calls = 0;
  int broken_from = 1 << 30;
  int broken_to = 1 << 30;
  double last = 0.0;
};

struct Scene {
  Scene() : space(test::tiny_space(folder.path())) {
    test::write_bars(folder.path(), "train", 400, 12);
    options = test::tiny_options(folder.path());
    schedule.epochs = 2;
    schedule.learning_rate = 0.1;
    schedule.warmup_epochs = 0.5;
    schedule.title = "net-1 alone";
  }

  struct Run {
    Run(const Scene& scene, const std::string& name, int64_t count = 1)
        : splits(split_training_files(scene.options.data, 400, scene.options.seed)),
          images(select(open_dataset(scene.options.data)->read_train(), splits.train),
                 open_dataset(scene.options.data)->train_info(), at::kCPU) {
      schedule = scene.schedule;
      if (!name.empty()) schedule.checkpoint = scene.folder / name;
      const std::vector<network::Network> all = {scene.space->lower(scene.space->largest()),
                                                 scene.space->lower(scene.space->smallest())};
      for (int64_t n = 0; n < count; ++n)
        networks.push_back({all[static_cast<size_t>(n)], {}, nullptr});
      trainer =
          std::make_unique<StandaloneTrainer>(networks, objective, images, scene.options, schedule,
                                              Identity{{"scene", "tiny"}}, at::kCPU);
    }
    bool go(const std::function<bool()>& stop = kNever) {
      return trainer->run(no_progress(), stop);
    }
    at::Tensor values(size_t n = 0) { return trainer->weights(n).values().clone(); }

    Splits splits;
    Batches images;
    StandaloneOptions schedule;
    std::vector<TrainedNetwork> networks;
    OnLabels objective;
    std::unique_ptr<StandaloneTrainer> trainer;
  };

  test::TemporaryFolder folder;
  std::unique_ptr<search::SearchSpace> space;
  SupernetOptions options;
  StandaloneOptions schedule;
};

}  // namespace

TEST_CASE("A network trained alone from random weights learns, and the seed decides all of it") {
  Scene scene;
  scene.schedule.epochs = 10;
  Scene::Run run(scene, "");
  CHECK(run.trainer->total_steps() == 60);  // 200 images in 6 batches of 32 an epoch
  const at::Tensor before = run.values();
  CHECK(run.go());
  CHECK(run.trainer->finished());
  CHECK(run.objective.last < 1.2);  // from log 10 = 2.3
  CHECK_FALSE(run.values().equal(before));
  Scene::Run same(scene, "");
  CHECK(same.values().equal(before));
  same.go();
  CHECK(same.values().equal(run.values()));
  scene.schedule.seed = 2;
  CHECK_FALSE(Scene::Run(scene, "").values().equal(before));
}

TEST_CASE("A first step is the gradient's, at the rate of the warm-up") {
  Scene scene;
  scene.options.train.batch = 200;  // one batch: order does not matter but for rounding
  scene.options.train.gradient_clip = 0.0;
  scene.options.data.augmentation = {};
  scene.schedule.epochs = 4;
  scene.schedule.warmup_epochs = 2;
  Scene::Run run(scene, "");
  const at::Tensor before = run.values();
  const Batch batch = run.images.range(0, 200);
  SharedWeights copy({run.networks[0].network}, 1, at::kCPU);
  copy.values().copy_(before);
  TrainableSlices slices(copy);
  TrainBatchNorm policy;
  const Plan plan = make_plan(run.networks[0].network);
  cross_entropy(Executor(plan, slices, policy).run(batch.images), batch.labels, 0.0).backward();
  slices.add_gradients();
  at::Tensor gradient = copy.gradients().clone();
  gradient.narrow(0, 0, copy.decayed_count()).add_(before.narrow(0, 0, copy.decayed_count()), 1e-4);
  const at::Tensor expected =
      before - 0.05 * 1.9 * gradient;  // half the rate; Nesterov's first step
  int calls = 0;
  run.go([&] { return calls++ == 1; });
  CHECK((run.values() - expected).abs().max().item<double>() < 2e-5);
  CHECK((run.values() - before).abs().max().item<double>() > 1e-3);
}

TEST_CASE("Training alone goes on from given weights, and wants all of them") {
  Scene scene;
  Scene::Run first(scene, "");
  first.go();
  network::Weights weights;
  for (const auto& entry : first.trainer->weights(0).entries()) {
    weights[entry.name] = to_network(first.trainer->weights(0).slice({entry.name, entry.shape}));
  }
  first.networks[0].start = &weights;
  StandaloneTrainer second(first.networks, first.objective, first.images, scene.options,
                           first.schedule, {}, at::kCPU);
  CHECK(second.weights(0).values().equal(first.values()));
  weights.erase("classifier.weight");
  CHECK(message_of<InvariantError>([&] {
          StandaloneTrainer(first.networks, first.objective, first.images, scene.options,
                            first.schedule, {}, at::kCPU);
        }).find("tensor classifier.weight") != std::string::npos);
}

TEST_CASE("Training alone that was stopped at any step ends with bit-identical weights") {
  for (const int64_t count : {1, 2}) {
    Scene scene;
    Scene::Run whole(scene, "", count);
    whole.go();
    for (const int stop_after : {0, 1, 6, 11}) {
      CAPTURE(stop_after);
      const std::string name = "checkpoint" + std::to_string(stop_after) + ".pt";
      {
        Scene::Run first(scene, name, count);
        int calls = 0;
        CHECK_FALSE(first.go([&] { return calls++ == stop_after; }));
      }
      Scene::Run second(scene, name, count);
      CHECK(second.trainer->step() == stop_after);
      CHECK(second.go());
      for (int64_t n = 0; n < count; ++n) {
        CHECK(second.values(static_cast<size_t>(n)).equal(whole.values(static_cast<size_t>(n))));
      }
      CHECK(Scene::Run(scene, name, count).trainer->finished());
    }
  }
}

TEST_CASE("Training alone killed with SIGKILL continues to the same weights") {
  Scene scene;
  Scene::Run whole(scene, "");
  whole.go();
  scene.options.train.checkpoint_interval_s = 0.0;  // after every step
  for (const int kill_at : {0, 5, 9}) {
    const std::string name = "killed" + std::to_string(kill_at);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        Scene::Run run(scene, name);
        int calls = 0;
        run.go([&] {
          if (calls++ == kill_at) raise(SIGKILL);
          return false;
        });
      } catch (...) {
      }
      _exit(99);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    Scene::Run again(scene, name);
    CHECK(again.trainer->step() == kill_at);
    again.go();
    CHECK(again.values().equal(whole.values()));
  }
}

TEST_CASE("A loss that is not finite takes training back, and one that stays so ends it") {
  Scene scene;
  Scene::Run shaken(scene, "");
  shaken.objective.broken_from = 4;
  shaken.objective.broken_to = 5;
  CHECK(shaken.go());
  CHECK(shaken.objective.calls == 12 + 5);  // saved at the start only
  CHECK(at::isfinite(shaken.values()).all().item<bool>());
  Scene::Run hopeless(scene, "");
  hopeless.objective.broken_from = 2;
  CHECK(message_of<DataError>([&] { hopeless.go(); }) ==
        "net-1 alone: loss = nan at step 0 after 5 roll-backs, expected a finite one; lower the "
        "learning rate "
        "0.100000");
}

TEST_CASE("A checkpoint of another training, or a damaged one, is refused") {
  Scene scene;
  Scene::Run run(scene, "a.pt");
  run.go();
  const auto again = [&](const Identity& identity) {
    return message_of<DataError>([&] {
      StandaloneTrainer(run.networks, run.objective, run.images, scene.options, run.schedule,
                        identity, at::kCPU);
    });
  };
  CHECK(again({{"scene", "other"}}) ==
        (scene.folder / "a.pt").string() +
            ": belongs to another configuration: scene = tiny, expected scene = other; "
            "use another run folder or remove this file");
  write_file_atomically(scene.folder / "a.pt", "rubbish");
  CHECK(again({{"scene", "tiny"}}).find("a.pt: damaged, expected a checkpoint of lathe") !=
        std::string::npos);
}
