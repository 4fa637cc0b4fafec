#include "core/progress.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/support/message_of.h"

namespace lathe {
namespace {

/// Keeps what a display writes.
struct Recorder {
  ManualClock clock;
  std::vector<std::string> lines;
  std::vector<std::string> statuses;

  std::unique_ptr<Progress> display(bool terminal, int columns = 200) {
    ProgressOptions options;
    options.terminal = terminal;
    options.columns = columns;
    options.clock = &clock;
    options.write_line = [this](std::string_view line) { lines.emplace_back(line); };
    options.write_status = [this](std::string_view status) { statuses.emplace_back(status); };
    return make_progress(options);
  }
};

TEST_CASE("plain lines come at most once an interval, with rate and ETA") {
  Recorder recorder;
  const auto progress = recorder.display(false);
  progress->begin("train", 100, "step");
  for (int step = 1; step <= 100; ++step) {
    recorder.clock.advance_s(0.25);
    progress->update(step, "loss 0.41");
  }
  progress->end();
  CHECK(recorder.statuses.empty());
  CHECK(recorder.lines ==
        std::vector<std::string>{"train  8 %  8/100 steps  4 step/s  ETA 23 s  loss 0.41",
                                 "train  48 %  48/100 steps  4 step/s  ETA 13 s  loss 0.41",
                                 "train  88 %  88/100 steps  4 step/s  ETA 3 s  loss 0.41",
                                 "train  100 steps in 25 s  loss 0.41"});
}

TEST_CASE("a terminal shows one bar and then a line for the finished stage") {
  Recorder recorder;
  const auto progress = recorder.display(true);
  progress->begin("search", 10, "candidate");
  recorder.clock.advance_s(30.0);
  progress->update(5, "");
  recorder.clock.advance_s(30.0);
  progress->update(10, "");
  progress->end();
  CHECK(recorder.statuses ==
        std::vector<std::string>{"search  [##########..........] 50 %  5/10 candidates",
                                 "search  [####################] 100 %  10/10 candidates  6 "
                                 "s/candidate",
                                 ""});
  CHECK(recorder.lines == std::vector<std::string>{"search  10 candidates in 1 min 00 s"});
}

TEST_CASE("a stage shorter than two seconds shows nothing") {
  for (const bool terminal : {false, true}) {
    Recorder recorder;
    const auto progress = recorder.display(terminal);
    progress->begin("export", 4, "file");
    for (int file = 1; file <= 4; ++file) {
      recorder.clock.advance_s(0.4);
      progress->update(file, "");
    }
    progress->end();
    CHECK(recorder.lines.empty());
    CHECK(recorder.statuses.empty());
  }
}

TEST_CASE("the ETA of a resumed stage counts only what this process did") {
  Recorder recorder;
  const auto progress = recorder.display(false);
  progress->begin("train", 1000, "step");
  progress->update(900, "");
  recorder.clock.advance_s(10.0);
  progress->update(910, "");
  // 10 steps in 10 s: 90 s are left, not the 0.1 s that 910 steps in 10 s would promise.
  CHECK(recorder.lines ==
        std::vector<std::string>{"train  91 %  910/1000 steps  1 step/s  ETA 1 min 30 s"});
}

TEST_CASE("a stage that ends early says where") {
  Recorder recorder;
  const auto progress = recorder.display(false);
  progress->begin("train", 100, "step");
  recorder.clock.advance_s(5.0);
  progress->update(40, "");
  recorder.lines.clear();
  progress->end();
  progress->end();
  CHECK(recorder.lines == std::vector<std::string>{"train  stopped at 40/100 steps in 5 s"});
}

TEST_CASE("a bar is cut to the terminal and redrawn ten times a second at most") {
  Recorder recorder;
  const auto progress = recorder.display(true, 30);
  progress->begin("tr\xc3\xa4in", 1000000, "step");
  recorder.clock.advance_s(3.0);
  for (int64_t step = 1; step <= 1000; ++step) {
    recorder.clock.advance_s(0.001);
    progress->update(step, "a long note");
  }
  CHECK(recorder.statuses.size() >= 9);
  CHECK(recorder.statuses.size() <= 11);
  CHECK(recorder.statuses[0] == "tr\xc3\xa4in  [....................]");
}

TEST_CASE("a total of zero, an unknown total and more than the total are shown without nonsense") {
  Recorder recorder;
  const auto progress = recorder.display(false);
  progress->begin("read", 0, "file");
  recorder.clock.advance_s(4.0);
  progress->update(1, "");
  progress->end();
  progress->begin("read", 2, "file");
  recorder.clock.advance_s(4.0);
  progress->update(5, "");
  CHECK(recorder.lines == std::vector<std::string>{"read  1 file  4 s/file", "read  1 file in 4 s",
                                                   "read  100 %  5/2 files"});
}

TEST_CASE("beginning a stage ends the one before, and leaving removes the bar") {
  Recorder recorder;
  {
    const auto progress = recorder.display(true);
    progress->begin("one", 2, "unit");
    recorder.clock.advance_s(3.0);
    progress->update(2, "");
    progress->begin("two", 2, "unit");
    recorder.clock.advance_s(3.0);
    progress->update(1, "");
  }
  CHECK(recorder.lines == std::vector<std::string>{"one  2 units in 3 s"});
  CHECK(recorder.statuses.back().empty());
}

TEST_CASE("make_progress refuses options it cannot write with, and no_progress ignores all") {
  CHECK(test::message_of<InvariantError>([] { make_progress({}); }) ==
        "make_progress: write_line, clock or write_status is missing");
  no_progress().begin("x", 1, "y");
  no_progress().update(1, "");
  no_progress().end();
}

TEST_CASE("format_duration") {
  CHECK(format_duration(0.0) == "0 s");
  CHECK(format_duration(0.0000123) == "12.3 us");
  CHECK(format_duration(0.0123) == "12.3 ms");
  CHECK(format_duration(0.5) == "500 ms");
  CHECK(format_duration(0.9999) == "1 s");
  CHECK(format_duration(12.34) == "12.3 s");
  CHECK(format_duration(59.97) == "1 min 00 s");
  CHECK(format_duration(95.0) == "1 min 35 s");
  CHECK(format_duration(3599.7) == "1 h 00 min");
  CHECK(format_duration(7384.0) == "2 h 03 min");
  CHECK(format_duration(93600.0) == "1 d 02 h");
  CHECK(format_duration(-95.0) == "-1 min 35 s");
  CHECK(format_duration(std::numeric_limits<double>::infinity()) == "unknown");
  CHECK(format_duration(std::numeric_limits<double>::quiet_NaN()) == "unknown");
}

TEST_CASE("format_count and format_bytes") {
  CHECK(format_count(0) == "0");
  CHECK(format_count(912) == "912");
  CHECK(format_count(999) == "999");
  CHECK(format_count(1000) == "1.00 k");
  CHECK(format_count(999950) == "1.00 M");
  CHECK(format_count(9999) == "10.0 k");
  CHECK(format_count(3504872) == "3.50 M");
  CHECK(format_count(300774272) == "300.8 M");
  CHECK(format_count(4e9) == "4.00 G");
  CHECK(format_count(-2500) == "-2.50 k");
  CHECK(format_count(0.5) == "0.5");
  CHECK(format_count(std::numeric_limits<double>::quiet_NaN()) == "unknown");
  CHECK(format_bytes(512) == "512 B");
  CHECK(format_bytes(14019488) == "14.0 MB");
  CHECK(format_bytes(2e15) == "2000.0 TB");
}

}  // namespace
}  // namespace lathe
