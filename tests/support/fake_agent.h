#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace lathe::test {

/// An agent of lathe.v1.DeviceAgent in this process, with scripted faults instead of a board.
/// Listens on a free loopback port. Thread-safe.
class FakeAgent {
 public:
  /// What the agent does with a Measure call. Each scripted act is used once, then every call gives
  /// a Result.
  enum class Act {
    Result,
    ResultTwice,        ///< sends the same result two times and another one after it
    DropAfterRunning,   ///< runs the job, but the stream breaks before its result
    DropBeforeRunning,  ///< the stream breaks at once
    EndWithoutResult,   ///< the stream ends with OK and nothing
    CrashedWorker,      ///< JobFailure "crashed"
    OutOfMemory,        ///< JobFailure "out_of_memory"
    UnknownFailure,     ///< JobFailure of a kind that only a newer agent knows
    NegativeLatency,    ///< a result that no honest agent sends
    LoseLease,          ///< the lease's stream breaks while the job runs
    ForgetModel,        ///< NOT_FOUND, and the model is gone
    Disturbed,          ///< a result with the verdict "disturbed"
    Hang,               ///< no answer until the call is cancelled
  };

  struct Options {
    std::string token;          ///< required of every call, if not empty
    double median_ms = 5.0;     ///< of every network
    double run_s = 0.0;         ///< how long a job takes
    double reference_ms = 0.0;  ///< calibrated time of the reference network; 0: an older agent
    std::string fingerprint = "fake-board";
    /// PEM texts: TLS with a certificate asked of the controller; empty: plain text.
    std::string certificate, key, authority;
    int port = 0;  ///< 0: a free one
  };

  FakeAgent();
  explicit FakeAgent(const Options& options);
  ~FakeAgent();
  FakeAgent(const FakeAgent&) = delete;
  FakeAgent& operator=(const FakeAgent&) = delete;

  std::string address() const;

  /// Changes the latency of every network from now on.
  void set_median_ms(double median_ms);
  void script(const std::vector<Act>& acts);
  /// Whether the agent says that it is about to stop.
  void set_draining(bool draining);
  /// While held, Measure calls wait before they do anything.
  void hold_measurements(bool hold);
  /// Takes the lease for a controller of another process; blocks until it is free.
  void occupy();
  void release();
  /// Breaks the current lease, as an agent does that lost sight of its controller.
  void revoke_lease();
  /// Closes the port and breaks every call; all state is lost, as with kill -9.
  void kill();
  /// Listens again on the same port.
  void restart();

  int64_t runs() const;  ///< jobs that really ran
  int64_t uploads() const;
  int64_t measure_calls() const;
  int64_t leases_granted() const;
  int64_t stale_calls() const;  ///< refused for an old lease
  int64_t describes() const;
  /// The longest time without a new Measure call since this was last asked.
  double take_longest_pause_s();
  /// Job ids in the order of their Measure calls.
  std::vector<std::string> job_ids() const;
  /// Of each Measure call, whether another controller waited for the lease meanwhile.
  std::vector<bool> contended() const;
  /// Images of the largest Run call.
  int64_t largest_run() const;
  /// Waits until `count` Measure calls have arrived, at most 20 s. Returns whether they have.
  bool wait_for_measure_calls(int64_t count) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lathe::test
