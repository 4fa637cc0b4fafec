#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/clock.h"
#include "tests/support/child_process.h"

namespace lathe::test {

/// A port of the loopback that nobody used a moment ago.
inline int free_port() {
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const bool bound = bind(descriptor, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                     getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  close(descriptor);
  if (!bound) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

/// What torchrun would set for one of `size` processes of this machine.
inline std::vector<std::string> rank_environment(int rank, int size, int port) {
  return {"RANK=" + std::to_string(rank), "WORLD_SIZE=" + std::to_string(size),
          "LOCAL_RANK=" + std::to_string(rank), "MASTER_ADDR=127.0.0.1",
          "MASTER_PORT=" + std::to_string(port)};
}

using Processes = std::vector<std::unique_ptr<ChildProcess>>;

/// Starts `size` processes of one group; rank r gets `arguments(r)`.
template <typename Arguments>
Processes start_group(int size, const Arguments& arguments,
                      const std::vector<std::string>& environment = {}) {
  const int port = free_port();
  Processes processes;
  for (int rank = 0; rank < size; ++rank) {
    std::vector<std::string> all = rank_environment(rank, size, port);
    all.insert(all.end(), environment.begin(), environment.end());
    processes.push_back(std::make_unique<ChildProcess>(arguments(rank), all));
  }
  return processes;
}

/// Waits until `done`, at most so long: what the contract of lathe promises, or a test's patience.
template <typename Done>
bool within(double seconds, const Done& done) {
  const double end_s = steady_clock().now_s() + seconds;
  while (!done()) {
    if (steady_clock().now_s() > end_s) return false;
    steady_clock().sleep_s(0.02);
  }
  return true;
}

}  // namespace lathe::test
