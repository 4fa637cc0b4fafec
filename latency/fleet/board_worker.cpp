#include "latency/fleet/board_worker.h"

#include <chrono>
#include <cstdio>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "latency/fleet/local_agent.h"
#include "latency/fleet/reference_check.h"

namespace lathe::latency {
namespace {

bool concerns_board(FailureKind kind) {
  return kind == FailureKind::Unavailable || kind == FailureKind::Busy ||
         kind == FailureKind::Unauthorized;
}

}  // namespace

BoardWorker::BoardWorker(BoardClass& board_class, const std::string& address,
                         const Credentials& credentials, LocalAgent* local)
    : class_(board_class),
      client_(address, credentials),
      local_(local),
      back_off_(board_class.options.back_off, Rng(board_class.options.seed).derive(address)) {
  thread_ = std::thread([this] { loop(); });
}

BoardWorker::~BoardWorker() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  stopped_.notify_all();
  client_.cancel();
  thread_.join();
}

void BoardWorker::loop() {
  while (!class_.queue.closed() && !retired_) {
    if (std::exchange(lost_, false)) {
      wait_before_retry();
      continue;
    }
    if (!connected_ && !connect()) continue;
    if (waits_for_panel()) {
      wait(0.02);
      continue;
    }
    if (quarantined()) continue;
    if (class_.health(client_.address()) < 0.5) wait(class_.options.sick_pause_s);
    std::unique_ptr<Job> job = class_.queue.take([this] {
      lease_.reset();  // an idle board is free for other controllers
    });
    if (job == nullptr) continue;
    if (check_is_due()) {  // only when there is work: an idle board is left alone
      class_.queue.put_back(std::move(job));
      check_board();
    } else {
      serve(std::move(job));
    }
  }
  lease_.reset();
}

bool BoardWorker::connect() {
  if (local_ != nullptr) {
    try {
      local_->ensure_running();
    } catch (const Error& error) {
      lose({FailureKind::Unavailable, error.what()});
      return false;
    }
  }
  Result<AgentDescription> description = client_.describe(class_.options.describe_timeout_s);
  if (!description.ok()) {
    lose(description.failure());
    return false;
  }
  if (description->draining) {
    lose({FailureKind::Unavailable, "agent " + client_.address() + " is shutting down"});
    return false;
  }
  description->device = class_.config.name;
  class_.remember(*description);
  connected_ = true;
  class_.set_state(client_.address(), BoardState::Ready, "");
  if (lost_since_s_ >= 0.0) {
    log::info("agent " + client_.address() + " is back after " +
                  format_duration(steady_clock().now_s() - lost_since_s_),
              {{"device", class_.config.name}, {"agent", client_.address()}});
    lost_since_s_ = -1.0;
  }
  return true;
}

/// Notes that the board cannot be used now; says so once per loss.
void BoardWorker::lose(const Failure& failure) {
  connected_ = false;
  lost_ = true;
  lease_.reset();
  if (failure.kind == FailureKind::Cancelled || class_.queue.closed()) return;
  const log::Fields fields = {{"device", class_.config.name}, {"agent", client_.address()}};
  if (failure.kind == FailureKind::Unauthorized) {
    log::error("agent " + client_.address() +
                   " refuses this controller and is out of use: " + failure.message,
               fields);
    retired_ = true;
    if (class_.retire(client_.address(), failure.message)) class_.queue.close(failure);
    return;
  }
  class_.set_state(client_.address(), BoardState::Lost, failure.message);
  if (lost_since_s_ < 0.0) {
    lost_since_s_ = steady_clock().now_s();
    class_.record(client_.address(), 0.0, false);
    log::warning("agent " + client_.address() + " is lost, trying again: " + failure.message,
                 fields);
  }
  class_.fail_expired_jobs();
}

void BoardWorker::wait(double seconds) {
  std::unique_lock<std::mutex> lock(mutex_);
  stopped_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return stop_; });
}

void BoardWorker::wait_before_retry() { wait(back_off_.next_s()); }

bool BoardWorker::check_is_due() const {
  return class_.has_panel() && steady_clock().now_s() >= next_check_s_;
}

/// Measures the reference network and tells the class.
void BoardWorker::check_board() {
  std::optional<Failure> failure;
  if (!lease_is_good()) failure = acquire(class_.options.acquire_patience_s);
  if (!failure) {
    class_.begin_run();
    const Result<double> reference = measure_reference(client_, *lease_, class_.config);
    class_.end_run();
    if (reference.ok()) {
      class_.report_reference(client_.address(), *reference);
    } else {
      failure = reference.failure();
    }
  }
  if (!failure) {
    next_check_s_ = steady_clock().now_s() + class_.options.check_interval_s;
    settle_until_s_ = steady_clock().now_s() + class_.options.check_patience_s;
  } else if (failure->kind == FailureKind::Busy) {
    wait_for_busy_board();
  } else if (concerns_board(failure->kind) || failure->kind == FailureKind::Cancelled) {
    lose(*failure);
  } else {
    // A board that cannot run the reference network as configured fails its jobs for the same
    // reason, by name.
    next_check_s_ = steady_clock().now_s() + class_.options.check_interval_s;
    log::warning("agent " + client_.address() +
                     " could not be checked against the others: " + failure->message,
                 {{"device", class_.config.name}, {"agent", client_.address()}});
  }
}

/// A single value proves nothing: a board that was just checked waits for those that are being
/// checked.
bool BoardWorker::waits_for_panel() const {
  return steady_clock().now_s() < settle_until_s_ && !class_.panel_is_settled();
}

/// Returns whether this board must not take jobs now; then it has waited and been measured again.
bool BoardWorker::quarantined() {
  const std::string& address = client_.address();
  const std::optional<double> expected_ms = class_.disagrees_with(address);
  const log::Fields fields = {{"device", class_.config.name}, {"agent", address}};
  if (!expected_ms) {
    if (in_quarantine_)
      log::info("agent " + address + " agrees with the others again and gets jobs", fields);
    if (in_quarantine_) class_.set_state(address, BoardState::Ready, "");
    in_quarantine_ = false;
    return false;
  }
  char text[160];
  std::snprintf(text, sizeof text,
                "the reference network takes %.3f ms on it and %.3f ms on the other boards",
                class_.reference_ms(address), *expected_ms);
  if (!in_quarantine_) {
    log::error("agent " + address + " disagrees with the other boards of " + class_.config.name +
                   " and is quarantined: " + text,
               fields);
  }
  in_quarantine_ = true;
  class_.set_state(address, BoardState::Quarantined, text);
  lease_.reset();
  class_.fail_expired_jobs();
  wait(class_.options.quarantine_s);
  if (!class_.queue.closed()) check_board();
  return true;
}

bool BoardWorker::lease_is_good() const {
  return lease_ != nullptr && !lease_->lost() &&
         steady_clock().now_s() - leased_since_s_ < class_.options.lease_quantum_s;
}

/// Returns nothing when this board's lease is held.
std::optional<Failure> BoardWorker::acquire(double timeout_s) {
  lease_.reset();
  Result<std::unique_ptr<Lease>> lease = client_.acquire(class_.controller, timeout_s);
  if (!lease.ok()) return lease.failure();
  lease_ = std::move(lease).value();
  leased_since_s_ = steady_clock().now_s();
  back_off_.reset();
  return std::nullopt;
}

/// One try of a job under the lease.
std::optional<Failure> BoardWorker::attempt(Job& job) {
  class_.begin_run();
  std::optional<Failure> failure;
  const Result<bool> provided = client_.provide_model(job.sha256, job.onnx);
  if (!provided.ok()) {
    failure = provided.failure();
  } else {
    // A crashed job's result is kept by the agent under its id: the second try is another job.
    const std::string id =
        job.crashes == 0 ? job.id : job.id + "-again" + std::to_string(job.crashes);
    failure = job.run(client_, *lease_, id);
  }
  class_.end_run();
  // Busy under a lease: the agent has no memory or too many jobs, which may pass.
  const bool lost =
      failure && (failure->kind == FailureKind::Unavailable || failure->kind == FailureKind::Busy);
  if (lost) ++job.losses;
  return failure;
}

void BoardWorker::serve(std::unique_ptr<Job> job) {
  if (job->answer_from_store && job->answer_from_store(class_.boards())) return;
  std::optional<Failure> failure;
  if (!lease_is_good()) failure = acquire(class_.options.acquire_patience_s);
  if (!failure) failure = attempt(*job);
  if (failure) settle(std::move(job), *failure);
}

/// Decides what becomes of a job whose try failed, and of the board.
void BoardWorker::settle(std::unique_ptr<Job> job, const Failure& failure) {
  if (failure.kind == FailureKind::Crashed && job->crashes == 0) {
    ++job->crashes;
    log::warning("the worker died, the job is tried once more: " + failure.message,
                 {{"device", class_.config.name}, {"job", job->id}});
    class_.queue.put_back(std::move(job));
    return;
  }
  // The agent stops, for example for its service's restart; nobody here has given the job up.
  const bool agent_stops = failure.kind == FailureKind::Cancelled && !class_.queue.closed();
  if (agent_stops) ++job->losses;
  if (!concerns_board(failure.kind) && !agent_stops) {
    job->fail(failure);
    return;
  }
  if (job->losses >= class_.options.max_losses) {
    job->fail(
        {FailureKind::Unavailable, "device " + class_.config.name + ": boards were lost in " +
                                       std::to_string(job->losses) +
                                       " tries of this job, the last time: " + failure.message});
  } else {
    class_.queue.put_back(std::move(job));
  }
  if (failure.kind == FailureKind::Busy) {
    wait_for_busy_board();
  } else {
    lose(failure);
  }
}

/// Waits in the agent's queue without a job in hand, so that other boards can take it.
void BoardWorker::wait_for_busy_board() {
  const std::optional<Failure> failure = acquire(class_.options.acquire_timeout_s);
  if (!failure) return;
  if (failure->kind != FailureKind::Busy) {
    lose(*failure);
    return;
  }
  class_.fail_expired_jobs();
  wait_before_retry();
}

}  // namespace lathe::latency
