#include "supernet/data/prefetcher.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <memory>
#include <vector>

#include "core/error.h"
#include "tests/support/message_of.h"

using namespace lathe;
using lathe::supernet::Prefetcher;

namespace {

/// The square of the step, with a count of the calls.
struct Squares {
  std::shared_ptr<std::atomic<int64_t>> made = std::make_shared<std::atomic<int64_t>>(0);
  int64_t operator()(int64_t step) const {
    ++*made;
    return step * step;
  }
};

}  // namespace

TEST_CASE("A prefetcher hands out the items of consecutive steps in order") {
  for (const size_t depth : {size_t{0}, size_t{1}, size_t{2}, size_t{7}}) {
    Prefetcher<int64_t> squares(depth);
    squares.start(5, 200, Squares());
    for (int64_t step = 5; step < 200; ++step) {
      CHECK(squares.next_step() == step);
      CHECK(squares.next() == step * step);
    }
    CHECK(test::message_of<InvariantError>([&] { squares.next(); }) ==
          "Prefetcher::next: step 200 is asked for, expected one before 200");
  }
}

TEST_CASE("A prefetcher makes items ahead, but no more than its depth and none past the end") {
  const Squares make;
  std::promise<void> fourth_begun;
  Prefetcher<int64_t> squares(3);
  squares.start(0, 10, [&, make](int64_t step) {
    // With three waiting and none taken, the fourth must not be begun.
    if (step == 3) fourth_begun.set_value();
    return make(step);
  });
  std::future<void> begun = fourth_begun.get_future();
  while (*make.made < 3) std::this_thread::yield();
  CHECK(begun.wait_for(std::chrono::milliseconds(20)) == std::future_status::timeout);
  CHECK(squares.next() == 0);
  begun.wait();
  for (int64_t step = 1; step < 10; ++step) CHECK(squares.next() == step * step);
  CHECK(*make.made == 10);
}

TEST_CASE("A prefetcher starts again at any step with another way to make items") {
  Prefetcher<int64_t> items(2);
  CHECK(test::message_of<InvariantError>([&] { items.next(); }) ==
        "Prefetcher::next: step 0 is asked for, expected one before 0");
  items.start(0, 100, Squares());
  CHECK(items.next() == 0);
  CHECK(items.next() == 1);
  items.start(1, 100, [](int64_t step) { return -step; });
  CHECK(items.next() == -1);
  CHECK(items.next() == -2);
  items.stop();
  CHECK_THROWS_AS(items.next(), InvariantError);
  items.start(50, 51, Squares());
  CHECK(items.next() == 2500);
}

TEST_CASE("What making an item throws reaches the consumer at that step, and again after it") {
  for (const size_t depth : {size_t{0}, size_t{4}}) {
    Prefetcher<int64_t> items(depth);
    items.start(0, 10, [](int64_t step) {
      if (step == 2) throw DataError("image 7: cannot be read");
      return step;
    });
    CHECK(items.next() == 0);
    CHECK(items.next() == 1);
    for (int call = 0; call < 2; ++call) {
      CHECK(test::message_of<DataError>([&] { items.next(); }) == "image 7: cannot be read");
    }
    CHECK(items.next_step() == 2);
    items.start(2, 10, Squares());
    CHECK(items.next() == 4);
  }
}

TEST_CASE("A prefetcher that nobody asks any more is destroyed cleanly") {
  const Squares make;
  for (int round = 0; round < 50; ++round) {
    Prefetcher<std::vector<int64_t>> items(2);
    items.start(0, 1'000'000,
                [make](int64_t step) { return std::vector<int64_t>(16, make(step)); });
    for (int taken = 0; taken < round % 5; ++taken) items.next();
  }
  CHECK(*make.made >= 100);
}
