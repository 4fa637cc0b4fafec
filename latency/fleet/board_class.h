#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "latency/fleet/agent_client.h"
#include "latency/fleet/back_off.h"
#include "latency/fleet/board_panel.h"
#include "latency/fleet/board_status.h"
#include "latency/fleet/device_config.h"
#include "latency/fleet/job_queue.h"

namespace lathe::latency {

/// How patient the fleet is. The defaults suit boards on a local network.
struct FleetOptions {
  BackOffOptions back_off;
  double describe_timeout_s = 5.0;
  double acquire_patience_s =
      1.0;  ///< then a job is offered to other boards while this one is waited for
  double acquire_timeout_s = 60.0;  ///< of one wait for a board that others hold
  double lease_quantum_s =
      10.0;  ///< a lease is given back after this time, so that other controllers get their turn
  int max_losses = 8;  ///< a job in whose run boards were lost so often is blamed and failed
  double check_interval_s = 1800.0;  ///< between checks of a board against the others of its class
  double check_patience_s =
      10.0;  ///< a board that was checked waits so long for the others before it takes jobs
  double quarantine_s = 60.0;  ///< between checks of a board that disagrees
  double sick_pause_s = 0.5;   ///< a board whose health is below 0.5 waits so long before each job
  uint64_t seed = 1;           ///< of the back-off's jitter
};

/// What the boards of one class share. Thread-safe.
class BoardClass {
 public:
  BoardClass(const DeviceConfig& config, const std::string& controller,
             const FleetOptions& options);

  const DeviceConfig config;
  const std::string controller;
  const FleetOptions options;
  JobQueue queue;

  /// To be called for every board before any thread starts.
  void add_board(const std::string& address);

  /// Descriptions of the boards met so far, one an address.
  std::vector<AgentDescription> boards() const;
  void remember(const AgentDescription& board);
  std::vector<BoardStatus> statuses() const;
  void set_state(const std::string& address, BoardState state, const std::string& fault);
  /// One board is out of use for good. Returns true if it was the last one.
  bool retire(const std::string& address, const std::string& fault);

  /// A board begins, and ends, to run a job under a lease.
  void begin_run();
  void end_run();
  /// Fails the jobs that waited longer than give_up_s without any board running a job all that
  /// time.
  void fail_expired_jobs();

  /// Whether boards of this class have to be checked against each other.
  bool has_panel() const;
  void report_reference(const std::string& address, double reference_ms);
  /// The latency of the reference network that this board should have, if it disagrees.
  std::optional<double> disagrees_with(const std::string& address) const;
  double reference_ms(const std::string& address) const;
  /// Whether every board that is ready has been checked.
  bool panel_is_settled() const;

  /// Counts a delivered result or a loss towards the board's health; says when it becomes sick and
  /// well.
  void record(const std::string& address, double goodness, bool delivered);
  double health(const std::string& address) const;

 private:
  struct Board {
    BoardStatus status;
    BoardHealth health;
    bool sick = false;
    std::optional<AgentDescription> description;
  };

  mutable std::mutex mutex_;
  std::map<std::string, Board> boards_;
  BoardPanel panel_;
  int running_ = 0;
  double last_run_s_;
};

}  // namespace lathe::latency
