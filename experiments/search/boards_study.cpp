#include "experiments/search/boards_study.h"

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "core/progress.h"
#include "experiments/search/study.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"
#include "search/strategy/controller.h"

namespace lathe::study {
namespace {

using nlohmann::json;

struct Arguments : StudyArguments {
  std::vector<int> boards = {1, 4, 16};
  int64_t jobs_a_board = 25;
  double job_s = 2.0;
};

/// Boards that take the same time for every measurement; the values are those of `exact`.
class SlowBoards : public search::LatencyEvaluator {
 public:
  SlowBoards(search::LatencyEvaluator& exact, int boards, double job_s)
      : exact_(exact), boards_(boards), job_s_(job_s) {
    for (int board = 0; board < boards; ++board) threads_.emplace_back([this] { work(); });
  }
  ~SlowBoards() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      closed_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  const std::string& device() const override { return exact_.device(); }
  const latency::MeasurementPlan& default_plan() const override { return exact_.default_plan(); }
  bool shares_host() const override { return false; }
  int boards() const override { return boards_; }
  std::future<Result<latency::LatencyEstimate>> measure(
      const search::Candidate& candidate, const latency::MeasurementPlan& plan) override {
    Job job{exact_.measure(candidate, plan).get(), {}};
    std::future<Result<latency::LatencyEstimate>> future = job.promise.get_future();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
    return future;
  }

 private:
  struct Job {
    Result<latency::LatencyEstimate> result;
    std::promise<Result<latency::LatencyEstimate>> promise;
  };

  void work() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      std::this_thread::sleep_for(std::chrono::duration<double>(job_s_));
      job.promise.set_value(std::move(job.result));
      lock.lock();
    }
  }

  search::LatencyEvaluator& exact_;
  int boards_;
  double job_s_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool closed_ = false;
  std::deque<Job> jobs_;
  std::vector<std::thread> threads_;
};

/// `one_batch`: the next batch is asked for when all of the one before is in.
json run_case(Benchmark& benchmark, const Arguments& arguments, const std::string& strategy,
              int boards, bool one_batch) {
  const int64_t evaluations = arguments.jobs_a_board * boards;
  search::SearchOptions options = benchmark.options(strategy, evaluations);
  if (one_batch) options.in_flight = search::batch_size(options);
  search::Journal journal(":memory:");
  SlowBoards fleet(benchmark.latency(), boards, arguments.job_s);
  search::SearchController controller(benchmark.space(), benchmark.accuracy(), {&fleet}, options,
                                      journal, 1);
  const search::SearchOutcome outcome = controller.run(no_progress(), [] { return false; });
  const double busy_s = arguments.job_s * static_cast<double>(outcome.evaluated.size());
  const double efficiency = busy_s / (outcome.seconds * boards);
  std::printf("| %s | %d | %s | %lld | %.1f | %.3f |\n", strategy.c_str(), boards,
              one_batch ? "one batch" : "default", static_cast<long long>(evaluations),
              outcome.seconds, efficiency);
  std::fflush(stdout);
  return {{"strategy", strategy},       {"boards", boards},           {"one_batch", one_batch},
          {"evaluations", evaluations}, {"seconds", outcome.seconds}, {"efficiency", efficiency}};
}

void run_all(const Arguments& arguments) {
  Benchmark benchmark(arguments.table);
  json figures = json::array();
  std::printf(
      "| strategy | boards | in flight | measurements | s | efficiency |\n"
      "|---|---|---|---|---|---|\n");
  for (const std::string& strategy : arguments.strategies) {
    for (const int boards : arguments.boards) {
      for (const bool one_batch : {true, false}) {
        figures.push_back(run_case(benchmark, arguments, strategy, boards, one_batch));
        merge_results(arguments.out, {{"boards", figures}});
      }
    }
  }
}

}  // namespace

int boards_main(int argc, char** argv) {
  CLI::App app{"How busy a search keeps its boards"};
  Arguments arguments;
  add_table(app, arguments.table);
  add_out(app, arguments.out);
  app.add_option("--strategy", arguments.strategies, "which to run");
  app.add_option("--boards", arguments.boards, "how many");
  app.add_option("--jobs", arguments.jobs_a_board, "measurements a board")
      ->check(CLI::Range(1, 1000));
  const auto* job_s = app.add_option("--seconds", arguments.job_s, "of one measurement")
                          ->check(CLI::Range(0.001, 60.0));
  const auto shorten = [&arguments, job_s] {
    if (job_s->count() == 0) arguments.job_s = 0.5;
  };
  app.add_flag_callback("--quick", shorten, "measurements of 0.5 s");
  return run_study(app, "boards", argc, argv, [&] { run_all(arguments); });
}

}  // namespace lathe::study
