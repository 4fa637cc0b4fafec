#include "core/result.h"

#include <doctest/doctest.h>

#include <memory>
#include <set>

#include "core/clock.h"
#include "tests/support/message_of.h"

namespace lathe {
namespace {

using test::message_of;

TEST_CASE("the names of failure kinds never change, because journals hold them") {
  const char* const names[] = {"unavailable", "busy",          "deadline_exceeded", "cancelled",
                               "unsupported", "invalid_model", "crashed",           "out_of_memory",
                               "infeasible",  "unauthorized",  "internal"};
  for (int i = 0; i < 11; ++i) {
    const auto kind = static_cast<FailureKind>(i);
    CHECK(std::string(to_string(kind)) == names[i]);
    CHECK(failure_kind_from_string(names[i]) == kind);
  }
  CHECK(message_of<InvariantError>([] { failure_kind_from_string("Busy"); }) ==
        "failure_kind_from_string: name = \"Busy\", expected a name written by "
        "to_string(FailureKind)");
  CHECK(message_of<InvariantError>([] { to_string(static_cast<FailureKind>(11)); }) ==
        "to_string(FailureKind): value = 11, expected a declared kind");
}

TEST_CASE("Result holds either a value or a failure") {
  Result<std::unique_ptr<int>> value(std::make_unique<int>(7));
  REQUIRE(value.ok());
  CHECK(**value == 7);
  CHECK(message_of<InvariantError>([&] { (void)value.failure(); }) ==
        "Result::failure: the result holds a value");
  const std::unique_ptr<int> moved = std::move(value).value();
  CHECK(*moved == 7);

  const Result<int> failed(Failure{FailureKind::Busy, "pi4: queue = 8, expected fewer than 8"});
  CHECK_FALSE(static_cast<bool>(failed));
  CHECK(failed.failure().kind == FailureKind::Busy);
  CHECK(message_of<InvariantError>([&] { (void)failed.value(); }) ==
        "Result::value: pi4: queue = 8, expected fewer than 8");
}

TEST_CASE("ManualClock moves when it sleeps and steady_clock never goes back") {
  ManualClock manual;
  manual.sleep_s(1.5);
  manual.advance_s(0.5);
  CHECK(manual.now_s() == 2.0);
  double last = steady_clock().now_s();
  for (int i = 0; i < 1000; ++i) {
    const double now = steady_clock().now_s();
    REQUIRE(now >= last);
    last = now;
  }
}

}  // namespace
}  // namespace lathe
