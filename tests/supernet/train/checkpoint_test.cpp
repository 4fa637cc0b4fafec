#include <doctest/doctest.h>

#include "core/error.h"
#include "core/file.h"
#include "supernet/train/checkpoint.h"
#include "tests/supernet/seeded_tensor.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

const Identity kIdentity = {{"space", "tiny"}, {"learning_rate", "0.1"}};

TrainState some_state() {
  TrainState state;
  state.step = 41;
  state.attempt = 2;
  state.values = test::normal({1000}, 1, at::kFloat);
  state.momentum = test::normal({1000}, 2, at::kFloat);
  state.loss_sum = 1.25;
  state.loss_count = 3;
  state.smoothed_loss = 0.1 + 0.2;
  state.best_loss = 0.3;
  state.seconds = 12.5;
  state.records = {{1.0, 0.1, 0.5, 0.9, 0.8, 3.0, 100.0}, {2.0, 0.05, 0.4, 0.91, 0.82, 6.0, 101.0}};
  state.metrics = {"{\"epoch\":1}", "{\"epoch\":2}"};
  return state;
}

}  // namespace

TEST_CASE("A checkpoint keeps every bit") {
  const test::TemporaryFolder folder;
  const auto path = folder / "a/checkpoint.pt";
  CHECK_FALSE(load_checkpoint(path, kIdentity).has_value());
  const TrainState state = some_state();
  save_checkpoint(path, state, kIdentity);
  const TrainState back = *load_checkpoint(path, kIdentity);
  CHECK(back.step == 41);
  CHECK(back.attempt == 2);
  CHECK(back.values.equal(state.values));
  CHECK(back.momentum.equal(state.momentum));
  CHECK(back.loss_sum == state.loss_sum);
  CHECK(back.loss_count == 3);
  CHECK(back.smoothed_loss == state.smoothed_loss);
  CHECK(back.best_loss == state.best_loss);
  CHECK(back.seconds == state.seconds);
  REQUIRE(back.records.size() == 2);
  CHECK(back.records[1].top1_smallest == 0.82);
  CHECK(back.records[1].images_per_s == 101.0);
  CHECK(back.metrics == state.metrics);
}

TEST_CASE("A checkpoint of another configuration is refused with the first difference") {
  const test::TemporaryFolder folder;
  const auto path = folder / "checkpoint.pt";
  save_checkpoint(path, some_state(), kIdentity);
  CHECK(message_of<DataError>([&] {
          load_checkpoint(path, {{"space", "tiny"}, {"learning_rate", "0.2"}});
        }) == path.string() +
                  ": belongs to another configuration: learning_rate = 0.1, expected learning_rate "
                  "= 0.2; use "
                  "another run folder or remove this file");
}

TEST_CASE("A damaged checkpoint is refused, wherever it is cut or changed") {
  const test::TemporaryFolder folder;
  const auto path = folder / "checkpoint.pt";
  save_checkpoint(path, some_state(), kIdentity);
  const std::string good = read_file(path);
  const std::string expected =
      path.string() +
      ": damaged, expected a checkpoint of lathe; remove it to train from the start";
  for (const size_t length : {size_t{0}, size_t{1}, good.size() / 2, good.size() - 1}) {
    CAPTURE(length);
    write_file_atomically(path, good.substr(0, length));
    CHECK(message_of<DataError>([&] { load_checkpoint(path, kIdentity); }) == expected);
  }
  for (size_t place = 0; place < good.size(); place += 97) {
    CAPTURE(place);
    std::string bytes = good;
    bytes[place] ^= 4;
    write_file_atomically(path, bytes);
    CHECK(message_of<DataError>([&] { load_checkpoint(path, kIdentity); }) == expected);
  }
  write_file_atomically(path, std::string(good.size(), 'x'));
  CHECK(message_of<DataError>([&] { load_checkpoint(path, kIdentity); }) == expected);
}
