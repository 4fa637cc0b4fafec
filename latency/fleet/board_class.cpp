#include "latency/fleet/board_class.h"

#include <algorithm>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"

namespace lathe::latency {
namespace {

constexpr double kSick = 0.5;
constexpr double kWell = 0.8;

}  // namespace

const char* to_string(BoardState state) {
  switch (state) {
    case BoardState::Connecting:
      return "connecting";
    case BoardState::Ready:
      return "ready";
    case BoardState::Lost:
      return "lost";
    case BoardState::Quarantined:
      return "quarantined";
    case BoardState::Refused:
      return "refused";
  }
  throw InvariantError("to_string: BoardState = " + std::to_string(static_cast<int>(state)) +
                       ", expected one of the enumerators");
}

BoardClass::BoardClass(const DeviceConfig& device, const std::string& controller_name,
                       const FleetOptions& fleet_options)
    : config(device),
      controller(controller_name),
      options(fleet_options),
      panel_(device.agreement),
      last_run_s_(steady_clock().now_s()) {}

void BoardClass::add_board(const std::string& address) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Board& board = boards_[address];
  board.status.device = config.name;
  board.status.address = address;
}

std::vector<AgentDescription> BoardClass::boards() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<AgentDescription> known;
  for (const auto& [address, board] : boards_) {
    if (board.description) known.push_back(*board.description);
  }
  return known;
}

void BoardClass::remember(const AgentDescription& description) {
  const std::lock_guard<std::mutex> lock(mutex_);
  boards_.at(description.address).description = description;
}

std::vector<BoardStatus> BoardClass::statuses() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<BoardStatus> statuses;
  for (const auto& [address, board] : boards_) {
    statuses.push_back(board.status);
    statuses.back().health = board.health.score();
    statuses.back().reference_ms = panel_.reference_ms(address);
  }
  return statuses;
}

void BoardClass::set_state(const std::string& address, BoardState state, const std::string& fault) {
  const std::lock_guard<std::mutex> lock(mutex_);
  boards_.at(address).status.state = state;
  boards_.at(address).status.fault = fault;
}

bool BoardClass::retire(const std::string& address, const std::string& fault) {
  set_state(address, BoardState::Refused, fault);
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::all_of(boards_.begin(), boards_.end(), [](const auto& entry) {
    return entry.second.status.state == BoardState::Refused;
  });
}

void BoardClass::begin_run() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++running_;
}

void BoardClass::end_run() {
  const std::lock_guard<std::mutex> lock(mutex_);
  --running_;
  last_run_s_ = steady_clock().now_s();
}

void BoardClass::fail_expired_jobs() {
  const double latest_s = steady_clock().now_s() - config.give_up_s;
  std::string faults;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (running_ > 0 || last_run_s_ > latest_s) return;
    for (const auto& [address, board] : boards_) {
      if (!board.status.fault.empty()) {
        faults +=
            "; " + address + " is " + to_string(board.status.state) + ": " + board.status.fault;
      }
    }
  }
  for (const std::unique_ptr<Job>& job : queue.take_older_than(latest_s)) {
    job->fail({FailureKind::Unavailable, "device " + config.name + ": no board took the job for " +
                                             format_duration(config.give_up_s) + faults});
  }
}

bool BoardClass::has_panel() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return config.agreement > 0.0 && boards_.size() > 1;
}

void BoardClass::report_reference(const std::string& address, double reference_ms) {
  const std::lock_guard<std::mutex> lock(mutex_);
  panel_.report(address, reference_ms);
}

std::optional<double> BoardClass::disagrees_with(const std::string& address) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return panel_.disagrees_with(address);
}

double BoardClass::reference_ms(const std::string& address) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return panel_.reference_ms(address);
}

bool BoardClass::panel_is_settled() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::all_of(boards_.begin(), boards_.end(), [this](const auto& entry) {
    return entry.second.status.state != BoardState::Ready || panel_.reference_ms(entry.first) > 0.0;
  });
}

void BoardClass::record(const std::string& address, double goodness, bool delivered) {
  bool fell = false;
  bool rose = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    Board& board = boards_.at(address);
    board.status.jobs += delivered ? 1 : 0;
    board.health.record(goodness);
    fell = !board.sick && board.health.score() < kSick;
    rose = board.sick && board.health.score() > kWell;
    board.sick = (board.sick || fell) && !rose;
  }
  const log::Fields fields = {{"device", config.name}, {"agent", address}};
  if (fell) {
    log::warning("agent " + address +
                     " is in poor health: most of its recent results are disturbed or were lost; "
                     "`lathe devices` says what may be wrong with the board",
                 fields);
  }
  if (rose) log::info("agent " + address + " is in good health again", fields);
}

double BoardClass::health(const std::string& address) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return boards_.at(address).health.score();
}

}  // namespace lathe::latency
