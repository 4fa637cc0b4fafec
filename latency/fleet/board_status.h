#pragma once

#include <cstdint>
#include <string>

namespace lathe::latency {

enum class BoardState {
  Connecting,  ///< not reached yet
  Ready,
  Lost,         ///< was reached or tried, is being tried again
  Quarantined,  ///< disagrees with the other boards of its class, gets no jobs until it agrees
  Refused,      ///< does not accept this controller's credentials; out of use
};
const char* to_string(BoardState state);  ///< "connecting", "ready", ...

/// How one board of a class is doing.
struct BoardStatus {
  std::string device;  ///< name of the class
  std::string address;
  BoardState state = BoardState::Connecting;
  double health = 1.0;        ///< 1: every recent result was clean; 0: none was
  double reference_ms = 0.0;  ///< latency of the reference network here; 0: not checked
  int64_t jobs = 0;           ///< results delivered
  std::string fault;          ///< why it is lost, quarantined or refused; else empty
};

}  // namespace lathe::latency
