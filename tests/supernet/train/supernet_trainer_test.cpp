#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>

#include "core/error.h"
#include "core/file.h"
#include "supernet/data/dataset.h"
#include "supernet/data/splits.h"
#include "supernet/executor/compute.h"
#include "supernet/executor/executor.h"
#include "supernet/train/losses.h"
#include "supernet/train/supernet_trainer.h"
#include "tests/supernet/seeded_tensor.h"
#include "tests/supernet/tiny_data.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

const std::function<bool()> kNever = [] { return false; };

/// Bars and a tiny space in a folder of their own; trainers over it as a process would make them.
struct Scene {
  Scene() : space(test::tiny_space(folder.path())) {
    test::write_bars(folder.path(), "train", 400, 12);
    options = test::tiny_options(folder.path());
  }

  struct Run {
    Run(const Scene& scene, const std::filesystem::path& to)
        : splits(split_training_files(scene.options.data, 400, scene.options.seed)),
          images(select(open_dataset(scene.options.data)->read_train(), splits.train),
                 open_dataset(scene.options.data)->train_info(), at::kCPU),
          weights(scene.space->covering(), 5, at::kCPU, scene.options.train.kernel_transform),
          trainer(*scene.space, weights, images, scene.options, {{"scene", "tiny"}},
                  {to / "checkpoint.pt", to / "metrics.jsonl"}) {}
    std::vector<EpochRecord> go(const std::function<bool()>& stop = kNever) {
      return trainer.run(no_progress(), stop, [] { return std::make_pair(0.5, 0.25); });
    }
    Splits splits;
    Batches images;
    SharedWeights weights;
    SupernetTrainer trainer;
  };
  Run run(const std::string& to) const { return {*this, folder / to}; }

  test::TemporaryFolder folder;
  std::unique_ptr<search::SearchSpace> space;
  SupernetOptions options;
};

/// Returns the exit status of `work` in a process of its own.
template <typename Work>
int in_child(const Work& work) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int code = 99;
    try {
      code = work();
    } catch (...) {
    }
    _exit(code);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return status;
}

/// Metrics without the two fields that measure time.
std::string timeless(std::string text) {
  for (const char* field : {"\"seconds\":", "\"images_per_s\":"}) {
    for (size_t at = text.find(field); at != std::string::npos; at = text.find(field, at + 1)) {
      const size_t end = text.find_first_of(",}", at);
      text.erase(at, end - at);
    }
  }
  return text;
}

}  // namespace

TEST_CASE("Training lowers the loss and writes a record an epoch") {
  Scene scene;
  scene.options.train.epochs = 6;
  Scene::Run run = scene.run("a");
  CHECK_FALSE(run.trainer.finished());
  const auto records = run.go();
  CHECK(run.trainer.finished());
  REQUIRE(records.size() == 6);  // 200 images in 6 batches of 32 an epoch
  CHECK(run.trainer.total_steps() == 36);
  CHECK(records[0].epoch == 1.0);
  CHECK(records[5].epoch == 6.0);
  CHECK(records[5].top1_largest == 0.5);
  CHECK(records[5].top1_smallest == 0.25);
  CHECK(records[0].loss == doctest::Approx(std::log(10.0)).epsilon(0.1));
  CHECK(records[5].loss < 0.75 * records[0].loss);
  const std::string metrics = read_file(scene.folder / "a/metrics.jsonl");
  CHECK(std::count(metrics.begin(), metrics.end(), '\n') == 6);
  CHECK(metrics.find("\"top1_smallest\":0.25") != std::string::npos);
}

TEST_CASE("One step is the sandwich rule with one optimizer step on the summed gradients") {
  Scene scene;
  scene.options.train.random_subnets = 0;
  scene.options.train.warmup_epochs = 0;
  scene.options.train.gradient_clip = 0.01;
  scene.options.data.augmentation = {};
  scene.options.train.batch =
      200;  // one batch: the order of the images does not matter but for rounding
  scene.options.train.epochs = 1;
  Scene::Run run = scene.run("a");
  const at::Tensor before = run.weights.values().clone();
  const Batch batch = run.images.range(0, 200);
  // By hand: autograd through copies of the slices, largest on labels, smallest on the largest's
  // outputs.
  SharedWeights copy(scene.space->covering(), 5, at::kCPU);
  TrainBatchNorm policy;
  const Plan largest = make_plan(scene.space->lower(scene.space->largest()));
  const Plan smallest = make_plan(scene.space->lower(scene.space->smallest()));
  TrainableSlices of_largest(copy);
  const at::Tensor teacher = Executor(largest, of_largest, policy).run(batch.images);
  cross_entropy(teacher, batch.labels, 0.0).backward();
  of_largest.add_gradients();
  TrainableSlices of_smallest(copy);
  distillation(Executor(smallest, of_smallest, policy).run(batch.images), teacher).backward();
  of_smallest.add_gradients();
  at::Tensor gradient = copy.gradients().clamp(-0.01, 0.01);
  gradient.narrow(0, 0, copy.decayed_count()).add_(before.narrow(0, 0, copy.decayed_count()), 1e-4);
  const at::Tensor expected = before - 0.1 * 1.9 * gradient;  // Nesterov's first step
  run.go();
  CHECK((run.weights.values() - expected).abs().max().item<double>() < 2e-5);
  CHECK((run.weights.values() - before).abs().max().item<double>() > 1e-3);
}

TEST_CASE("Training stopped at any step and resumed gives bit-identical weights and metrics") {
  Scene scene;
  Scene::Run whole = scene.run("whole");
  const auto records = whole.go();
  const std::string metrics = timeless(read_file(scene.folder / "whole/metrics.jsonl"));
  for (const int stop_after : {1, 6, 7, 11}) {
    const std::string name = "stopped" + std::to_string(stop_after);
    {
      Scene::Run first = scene.run(name);
      int calls = 0;
      first.go([&] { return calls++ == stop_after; });
      CHECK(first.trainer.step() == stop_after);
    }
    Scene::Run second = scene.run(name);
    CHECK(second.trainer.step() == stop_after);
    const auto resumed = second.go();
    CAPTURE(stop_after);
    CHECK(second.weights.values().equal(whole.weights.values()));
    REQUIRE(resumed.size() == records.size());
    CHECK(resumed.back().loss == records.back().loss);
    CHECK(timeless(read_file(scene.folder / (name + "/metrics.jsonl"))) == metrics);
    CHECK(scene.run(name).trainer.finished());
  }
}

TEST_CASE("Every method of training, with all its noise and memory, resumes bit by bit") {
  for (const char* sampler : {"attentive", "uniform", "fair", "progressive"}) {
    Scene scene;
    scene.options.train.sampler.name = sampler;
    scene.options.train.dropout = 0.2;
    scene.options.train.drop_connect = 0.2;
    scene.options.train.ema = 0.9;
    scene.options.train.kernel_transform = true;
    Scene::Run whole = scene.run("whole");
    whole.go();
    const std::string metrics = timeless(read_file(scene.folder / "whole/metrics.jsonl"));
    for (const int stop_after : {2, 5, 10}) {
      const std::string name = std::string(sampler) + std::to_string(stop_after);
      CAPTURE(name);
      {
        Scene::Run first = scene.run(name);
        int calls = 0;
        first.go([&] { return calls++ == stop_after; });
        REQUIRE(first.trainer.step() == stop_after);
      }
      Scene::Run second = scene.run(name);
      second.go();
      CHECK(second.weights.values().equal(whole.weights.values()));
      CHECK(timeless(read_file(scene.folder / (name + "/metrics.jsonl"))) == metrics);
      CHECK(scene.run(name).weights.values().equal(whole.weights.values()));  // finished, read again
    }
  }
}

TEST_CASE("The records hold the gradients' norms by size of network, and the phase") {
  Scene scene;
  scene.run("sandwich").go();
  const std::string sandwich = read_file(scene.folder / "sandwich/metrics.jsonl");
  for (const char* role : {"\"gradient_norm\":{\"largest\":", "\"random\":", "\"smallest\":"}) {
    CHECK(sandwich.find(role) != std::string::npos);
  }
  CHECK(sandwich.find("phase") == std::string::npos);
  scene.options.train.sampler.name = "progressive";
  scene.run("progressive").go();
  const std::string progressive = read_file(scene.folder / "progressive/metrics.jsonl");
  CHECK(progressive.find("\"phase\":\"width 2\"") != std::string::npos);
}

TEST_CASE("Averaged weights are an exponential mean with a short memory at first") {
  Scene scene;
  scene.options.train.ema = 0.3;  // beyond (1 + steps) / (10 + steps) from the third step on
  scene.options.train.epochs = 1;
  scene.options.train.checkpoint_interval_s = 0.0;
  Scene::Run run = scene.run("a");
  at::Tensor mean = run.weights.values().clone();
  int64_t seen = 0;
  run.go([&] {
    if (run.trainer.step() > seen) {
      ++seen;
      const double decay = std::min(0.3, (1.0 + static_cast<double>(seen)) / (10.0 + static_cast<double>(seen)));
      mean = decay * mean + (1.0 - decay) * run.weights.values();
    }
    return false;
  });
  const auto state = load_checkpoint(scene.folder / "a/checkpoint.pt", {{"scene", "tiny"}});
  REQUIRE(state);
  const double decay = std::min(0.3, 7.0 / 16.0);
  mean = decay * mean + (1.0 - decay) * state->values;  // the last step, after which `stop` is not asked
  CHECK((run.weights.values() - mean).abs().max().item<double>() < 1e-6);
  CHECK((run.weights.values() - state->values).abs().max().item<double>() > 1e-3);
}

TEST_CASE("A given teacher shares the labels' part of the loss") {
  Scene scene;
  scene.options.train.random_subnets = 0;
  scene.options.train.warmup_epochs = 0;
  scene.options.train.gradient_clip = 0;
  scene.options.train.weight_decay = 0;
  scene.options.data.augmentation = {};
  scene.options.train.batch = 200;
  scene.options.train.epochs = 1;
  scene.options.train.teacher.weight = 0.7;
  scene.options.train.teacher.temperature = 2.0;
  network::Model model{scene.space->lower(scene.space->smallest()), {}};
  model.weights = network::random_weights(model.network, 5);
  scene.options.teacher = std::make_shared<network::Model>(model);
  Scene::Run run = scene.run("a");
  const at::Tensor before = run.weights.values().clone();
  const Batch batch = run.images.range(0, 200);
  // By hand, with the teacher's own statistics.
  const Plan of_teacher = make_plan(model.network);
  ModelParameters values(model.weights, at::kCPU);
  StoredBatchNorm stored;
  const at::Tensor taught = Executor(of_teacher, values, stored).run(batch.images);
  SharedWeights copy(scene.space->covering(), 5, at::kCPU);
  TrainBatchNorm policy;
  const Plan largest = make_plan(scene.space->lower(scene.space->largest()));
  const Plan smallest = make_plan(scene.space->lower(scene.space->smallest()));
  TrainableSlices of_largest(copy);
  const at::Tensor logits = Executor(largest, of_largest, policy).run(batch.images);
  const at::Tensor soft = -(at::softmax(taught / 2.0, 1) * at::log_softmax(logits / 2.0, 1)).sum(1).mean() * 4.0;
  (0.3 * cross_entropy(logits, batch.labels, 0.0) + 0.7 * soft).backward();
  of_largest.add_gradients();
  TrainableSlices of_smallest(copy);
  distillation(Executor(smallest, of_smallest, policy).run(batch.images), logits).backward();
  of_smallest.add_gradients();
  run.go();
  const at::Tensor expected = before - 0.1 * 1.9 * copy.gradients();
  CHECK((run.weights.values() - expected).abs().max().item<double>() < 2e-5);
  CHECK((run.weights.values() - before).abs().max().item<double>() > 1e-3);
}

TEST_CASE("Training killed with SIGKILL continues from its last checkpoint to the same weights") {
  Scene scene;
  Scene::Run whole = scene.run("whole");
  whole.go();
  scene.options.train.checkpoint_interval_s = 0.0;  // after every step
  for (const int kill_at : {0, 5, 9}) {
    const std::string name = "killed" + std::to_string(kill_at);
    const int status = in_child([&] {
      Scene::Run run = scene.run(name);
      int calls = 0;
      run.go([&] {
        if (calls++ == kill_at) raise(SIGKILL);
        return false;
      });
      return 0;
    });
    REQUIRE(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGKILL);
    // What a kill between a record and the next checkpoint leaves: a line that the checkpoint does
    // not know.
    append_line(scene.folder / (name + "/metrics.jsonl"), "{\"epoch\":99}");
    Scene::Run again = scene.run(name);
    CHECK(again.trainer.step() == kill_at);
    again.go();
    CHECK(again.weights.values().equal(whole.weights.values()));
    CHECK(read_file(scene.folder / (name + "/metrics.jsonl")).find("{\"epoch\":99}") == std::string::npos);
  }
}

TEST_CASE("A full disk stops training with the reason and leaves the earlier checkpoint") {
  Scene scene;
  {
    Scene::Run first = scene.run("a");
    int calls = 0;
    first.go([&] { return calls++ == 2; });
  }
  const std::string before = read_file(scene.folder / "a/checkpoint.pt");
  const auto message_file = scene.folder / "message";
  const int status = in_child([&] {
    Scene::Run run = scene.run("a");
    signal(SIGXFSZ, SIG_IGN);
    const rlimit small{4096, 4096};
    if (setrlimit(RLIMIT_FSIZE, &small) != 0) return 1;
    const std::string message = message_of<DataError>([&] { run.go(); });
    write_file_atomically(message_file, message);
    return 0;
  });
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  const std::string message = read_file(message_file);
  CHECK(message.find((scene.folder / "a/checkpoint.pt").string()) != std::string::npos);
  CHECK(message.find("File too large") != std::string::npos);
  CHECK(message.find(
            "the checkpoint before it is intact: free some space and run the same command again") !=
        std::string::npos);
  CHECK(read_file(scene.folder / "a/checkpoint.pt") == before);
  CHECK(scene.run("a").trainer.step() == 2);
}

TEST_CASE("Training that goes wrong is rolled back with a smaller rate, and in the end refused") {
  Scene scene;
  scene.options.train.gradient_clip = 0.0;
  scene.options.train.warmup_epochs = 0.0;
  scene.options.train.learning_rate = 1e18;
  const std::string message = message_of<DataError>([&] { scene.run("hopeless").go(); });
  CHECK(message.find("after 5 roll-backs, expected it to fall; lower supernet.learning_rate = "
                     "1000000000000000000") != std::string::npos);
  const std::string metrics = read_file(scene.folder / "hopeless/metrics.jsonl");
  CHECK(std::count(metrics.begin(), metrics.end(), '\n') == 5);
  CHECK(metrics.find("{\"event\":\"roll_back\",\"step\":") == 0);
  CHECK(metrics.find("\"learning_rate_factor\":0.03125") != std::string::npos);
}

TEST_CASE("Training that collapses returns to weights of before, an interrupted one to the same") {
  Scene scene;
  scene.options.train.epochs = 40;  // 240 steps
  scene.options.train.checkpoint_interval_s = 0.0;
  // From step 130 on the weights are noise after every step, until training is rolled back.
  const auto collapsing = [](Scene::Run& run, int64_t stop_at) {
    return [&run, stop_at, last = run.trainer.step(), over = false]() mutable {
      const int64_t step = run.trainer.step();
      over = over || step < last;
      last = step;
      at::Tensor& values = run.weights.values();
      if (step >= 130 && !over) values.copy_(0.1 * test::normal(values.sizes(), 8, at::kFloat));
      return step == stop_at;
    };
  };
  Scene::Run whole = scene.run("whole");
  const auto records = whole.go(collapsing(whole, -1));
  CHECK(whole.trainer.finished());
  CHECK(records.back().loss < 0.75 * records.front().loss);
  const std::string metrics = read_file(scene.folder / "whole/metrics.jsonl");
  const size_t event = metrics.find("\"event\":\"roll_back\"");
  REQUIRE(event != std::string::npos);
  CHECK(metrics.find("\"event\":\"roll_back\"", event + 1) == std::string::npos);
  CHECK(metrics.find("\"reason\":\"the loss rose from ", event) != std::string::npos);
  CHECK(metrics.find("\"to_step\":100,", event) != std::string::npos);
  {
    Scene::Run first = scene.run("parts");
    first.go(collapsing(first, 134));
    REQUIRE(first.trainer.step() == 134);
    CHECK(read_file(scene.folder / "parts/metrics.jsonl").find("roll_back") == std::string::npos);
  }
  Scene::Run second = scene.run("parts");
  second.go(collapsing(second, -1));
  CHECK(at::equal(second.weights.values(), whole.weights.values()));
}

TEST_CASE("The trainer refuses a batch larger than the split") {
  Scene scene;
  scene.options.train.batch = 201;
  CHECK(message_of<ConfigError>([&] { scene.run("a"); }) ==
        "/supernet/batch = 201, expected at most the 200 training images");
}
