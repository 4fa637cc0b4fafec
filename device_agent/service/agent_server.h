#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "device_agent/service/job.h"

namespace lathe::device {

struct ServerOptions {
  std::string listen = "127.0.0.1:0";          ///< HOST:PORT; port 0: a free one
  std::string token;                           ///< bearer token; empty: none
  std::filesystem::path certificate, key, ca;  ///< PEM files for TLS both ways; all or none
  bool allow_plaintext = false;                ///< beyond loopback without TLS
  int64_t max_model_bytes = int64_t{256} << 20;
  int64_t model_capacity_bytes = int64_t{256} << 20;
  double orphan_grace_s = 1.0;
  double beat_s = 5.0;  ///< see AgentService::Options
};

/// The agent's gRPC server with health and reflection, listening from construction to stop().
/// Thread-safe.
class AgentServer {
 public:
  /// `settings` must outlive the server.
  /// \throws ConfigError for an address, certificate or token that cannot be used: plain text
  /// beyond loopback, an incomplete set of TLS files, an address that is taken; DataError for a TLS
  /// file that cannot be read or understood, or a key that is not the certificate's.
  AgentServer(const AgentSettings& settings, const ServerOptions& options);
  ~AgentServer();
  AgentServer(const AgentServer&) = delete;
  AgentServer& operator=(const AgentServer&) = delete;

  /// Returns "HOST:PORT" with the real port.
  const std::string& address() const { return address_; }

  /// Whether the service answers a call of its own within `timeout_s`: the sign of life that a
  /// watchdog waits for.
  bool responds(double timeout_s);
  /// Whether a controller holds the board now.
  bool leased() const;

  /// Drains: refuses new work, lets the current job end within `limit_s`, closes every stream and
  /// stops. Idempotent.
  void stop(double limit_s);

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::string address_;
};

/// Returns true for "localhost:1", "127.0.0.1:1", "[::1]:1" and unix sockets.
bool is_loopback(const std::string& address);

}  // namespace lathe::device
