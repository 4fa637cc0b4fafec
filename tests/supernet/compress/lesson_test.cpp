#include <doctest/doctest.h>

#include "core/error.h"
#include "supernet/compress/lesson_trainer.h"
#include "supernet/data/dataset.h"
#include "supernet/data/splits.h"
#include "supernet/evaluate/extraction.h"
#include "supernet/evaluate/recalibration.h"
#include "tests/supernet/tiny_data.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

constexpr int64_t kMemory = int64_t{1} << 30;
const std::function<bool()> kNever = [] { return false; };

/// The bars, a student (the smallest network) and a teacher (the largest, of random weights).
struct Scene {
  Scene() : space(test::tiny_space(folder.path())) {
    test::write_bars(folder.path(), "train", 400, 12);
    options = test::tiny_options(folder.path());
    const Splits splits = split_training_files(options.data, 400, options.seed);
    images =
        std::make_unique<Batches>(select(open_dataset(options.data)->read_train(), splits.train),
                                  open_dataset(options.data)->train_info(), at::kCPU);
    small.network = space->lower(space->smallest());
    large.network = space->lower(space->largest());
    large.weights = network::random_weights(large.network, 1);
    lesson.students = {small};
    lesson.options.epochs = 1;
    lesson.options.learning_rate = 0.1;
  }

  std::unique_ptr<LessonTrainer> trainer(int64_t classes = 10) const {
    return std::make_unique<LessonTrainer>(lesson, *images, classes, options, Identity{}, at::kCPU);
  }
  /// The values of all students after training.
  std::vector<at::Tensor> trained() const {
    const auto one = trainer();
    REQUIRE(one->run(no_progress(), kNever));
    std::vector<at::Tensor> values;
    for (size_t s = 0; s < lesson.students.size(); ++s)
      values.push_back(one->weights(s).values().clone());
    return values;
  }

  test::TemporaryFolder folder;
  std::unique_ptr<search::SearchSpace> space;
  SupernetOptions options;
  std::unique_ptr<Batches> images;
  network::Model small, large;
  Lesson lesson;
};

/// The model as it was trained, recalibrated on the training images.
network::Model finished(const Scene& scene, LessonTrainer& trainer,
                        const network::Network& network) {
  FrozenSlices parameters(trainer.weights(0));
  const auto moments =
      recalibrate(make_plan(network), parameters, *scene.images, 200, 50, kMemory, [] {});
  FrozenSlices values(trainer.weights(0));
  return make_model(network, values, moments);
}

}  // namespace

TEST_CASE("A student with a good teacher alone and no labels learns what the teacher knows") {
  Scene scene;
  scene.lesson.students = {{scene.large.network, {}, std::nullopt}};
  scene.lesson.options.epochs = 10;
  const auto school = scene.trainer();
  school->run(no_progress(), kNever);
  const network::Model teacher = finished(scene, *school, scene.large.network);
  const double known = model_accuracy(teacher, *scene.images, 50, at::kCPU).top1;
  REQUIRE(known > 0.9);
  scene.lesson.students = {scene.small};
  scene.lesson.options.epochs = 30;
  scene.lesson.teachers = {&teacher};
  scene.lesson.options.distil.alpha = 0.0;
  scene.lesson.options.distil.beta = 1.0;
  scene.lesson.options.distil.temperature = 2.0;
  const auto trainer = scene.trainer();
  trainer->run(no_progress(), kNever);
  const network::Model student = finished(scene, *trainer, scene.small.network);
  CHECK(model_accuracy(student, *scene.images, 50, at::kCPU).top1 > 0.6);
  // The same network, which never saw a teacher's opinion or a label, is at chance.
  SharedWeights untaught({scene.small.network}, 1, at::kCPU);
  FrozenSlices values(untaught);
  const auto moments =
      recalibrate(make_plan(scene.small.network), values, *scene.images, 200, 50, kMemory, [] {});
  CHECK(
      model_accuracy(make_model(scene.small.network, values, moments), *scene.images, 50, at::kCPU)
          .top1 < 0.4);
}

TEST_CASE("Teachers, their number, temperature and hints each change what is learned") {
  Scene scene;
  std::vector<at::Tensor> results = {scene.trained()[0]};
  scene.lesson.teachers = {&scene.large};
  results.push_back(scene.trained()[0]);
  const network::Model other{scene.large.network, network::random_weights(scene.large.network, 2)};
  scene.lesson.teachers = {&scene.large, &other};
  results.push_back(scene.trained()[0]);
  scene.lesson.options.distil.temperature = 4.0;
  results.push_back(scene.trained()[0]);
  scene.lesson.options.distil.hints = {{"a", "a"}, {"b", "b"}};
  const at::Tensor hinted = scene.trained()[0];
  for (size_t i = 0; i < results.size(); ++i) {
    for (size_t j = 0; j < i; ++j) CHECK_FALSE(results[i].equal(results[j]));
  }
  // Two regressors, 8 -> 16 and 16 -> 24 channels with biases, are trained beside the network.
  CHECK(hinted.numel() - results[0].numel() == 8 * 16 + 16 + 16 * 24 + 24);
  CHECK(hinted.equal(scene.trained()[0]));
}

TEST_CASE("Students that learn together are resumed bit by bit, and differ from those alone") {
  Scene scene;
  const at::Tensor alone = scene.trained()[0];
  scene.lesson.students = {scene.small, scene.large};
  scene.lesson.options.distil = {};
  const auto whole = scene.trained();
  CHECK_FALSE(whole[0].equal(alone));
  scene.lesson.options.checkpoint = scene.folder / "lesson.pt";
  {
    const auto first = scene.trainer();
    int calls = 0;
    CHECK_FALSE(first->run(no_progress(), [&] { return calls++ == 3; }));
  }
  CHECK(scene.trainer()->step() == 3);
  const auto resumed = scene.trained();
  CHECK(resumed[0].equal(whole[0]));
  CHECK(resumed[1].equal(whole[1]));
}

TEST_CASE("A lesson's checkpoint belongs to its networks, teachers and options") {
  Scene scene;
  scene.lesson.teachers = {&scene.large};
  scene.lesson.options.checkpoint = scene.folder / "lesson.pt";
  scene.trained();
  const auto refusal = [&] { return message_of<DataError>([&] { scene.trainer(); }); };
  CHECK(refusal() == "(nothing was thrown)");
  const Lesson before = scene.lesson;
  scene.lesson.options.distil.temperature = 2.0;
  CHECK(refusal().find("temperature = 1, expected temperature = 2") != std::string::npos);
  scene.lesson = before;
  const network::Model other{scene.large.network, network::random_weights(scene.large.network, 2)};
  scene.lesson.teachers = {&other};
  CHECK(refusal().find("belongs to another configuration: teacher = ") != std::string::npos);
  scene.lesson = before;
  scene.lesson.students[0].weights = network::random_weights(scene.small.network, 2);
  CHECK(refusal().find("belongs to another configuration: student = ") != std::string::npos);
}

TEST_CASE("A lesson that cannot be held is refused with its reason") {
  Scene scene;
  scene.lesson.options.title = "net-01";
  const auto refusal = [&](int64_t classes = 10) {
    return message_of<ConfigError>([&] { scene.trainer(classes); });
  };
  CHECK(refusal(7) ==
        "net-01: input [1, 1, 10, 10], output [1, 10], expected 1 channels and 7 classes");
  scene.lesson.options.distil.hints = {{"a", "a"}};
  CHECK(refusal() == "net-01: hints without a teacher, expected one to give them");
  scene.lesson.teachers = {&scene.large};
  scene.lesson.options.distil.hints = {{"a", "z"}};
  CHECK(refusal().find("hint z: no such node or block") == 0);
  scene.lesson.options.distil = {};
  scene.lesson.options.distil.temperature = 0.0;
  CHECK(refusal() == "net-01: temperature = 0.000000, expected more than 0");
}
