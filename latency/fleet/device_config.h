#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/config.h"
#include "latency/measurement/latency_estimate.h"

namespace lathe::latency {

/// How a controller proves itself to agents. All empty: plain text, which is allowed on loopback
/// only.
struct Credentials {
  std::string token;                           ///< bearer token
  std::filesystem::path ca, certificate, key;  ///< PEM files for TLS both ways
  bool allow_plaintext = false;                ///< beyond loopback, by explicit wish
};

/// One device class: boards of one kind, measured in one way.
struct DeviceConfig {
  std::string name;  ///< "pi4": as in latency@pi4
  /// "host:port" each, or "dns-sd" for all that announce themselves; empty: lathe starts a local
  /// agent.
  std::vector<std::string> agents;
  std::string engine = "xnnpack";
  int threads = 1;
  Precision precision = Precision::Fp32;
  MeasurementPlan plan;
  int64_t memory_limit_bytes = 0;  ///< of the worker; 0: the agent's default
  Credentials credentials;
  double agreement =
      0.08;  ///< boards of the class agree on the reference network within this; 0: not checked
  double give_up_s = 600.0;  ///< a job fails as Unavailable when no board took it for so long
  /// Whether the agents run on this machine; absent: a local agent and agents on loopback do. A
  /// board behind a tunnel looks like loopback and is told apart by this alone.
  std::optional<bool> shares_host_override;
  /// True if accuracy must not be computed while the device measures.
  bool shares_host() const;
};

/// Reads the key `name` of a device.
std::string read_device_name(ConfigSection& section);

/// Reads the list `devices`, recording faults; an absent list gives one local device named "local".
std::vector<DeviceConfig> read_devices(const std::vector<ConfigSection>& sections);

/// In DeviceConfig::agents: the agents that DNS service discovery finds when the fleet starts.
constexpr char kDiscover[] = "dns-sd";

/// Splits "host:port" or "[v6]:port"; an empty host if `address` is neither.
std::pair<std::string, std::string> split_address(const std::string& address);

/// Returns whether `address` = "host:port" is this machine's loopback: 127.x.y.z, [::1] or
/// localhost.
bool is_loopback(const std::string& address);

/// Returns what is wrong with `address`, as text that completes "expected", or an empty string.
std::string address_fault(const std::string& address);

}  // namespace lathe::latency
