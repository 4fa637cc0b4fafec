#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace lathe::latency {

/// A lathe-agent process on this machine, started on a free loopback port and stopped at
/// destruction (and by the kernel if this process dies). Restarted by ensure_running() if it was
/// killed. Thread-safe.
class LocalAgent {
 public:
  struct Options {
    std::filesystem::path program;  ///< empty: lathe-agent beside this program
    std::vector<std::string> arguments;
  };
  /// \throws DeviceError if the program is missing or does not answer within 10 s, with the end of
  /// its log.
  explicit LocalAgent(const Options& options);
  ~LocalAgent();
  LocalAgent(const LocalAgent&) = delete;
  LocalAgent& operator=(const LocalAgent&) = delete;
  std::string address() const;  ///< "127.0.0.1:PORT"; stays the same over restarts
  std::string token() const;    ///< the bearer token that it asks for, drawn at its start
  int process_id() const;
  /// Returns true if the agent was found dead and was started again.
  /// \throws DeviceError as the constructor does.
  bool ensure_running();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lathe::latency
