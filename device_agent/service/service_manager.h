#pragma once

#include <string>

namespace lathe::device {

/// Tells the service manager how the agent is (systemd's protocol: a datagram to $NOTIFY_SOCKET).
/// Without that variable every call does nothing. Not thread-safe.
class ServiceManager {
 public:
  /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID of the environment.
  ServiceManager();

  /// Sends lines such as "READY=1". A manager that does not listen is not waited for.
  void tell(const std::string& lines) const;

  /// How often the manager wants a sign of life at least, halved for safety; negative: never.
  double watchdog_interval_s() const { return watchdog_interval_s_; }

 private:
  std::string socket_;
  double watchdog_interval_s_ = -1.0;
};

}  // namespace lathe::device
