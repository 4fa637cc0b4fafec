#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lathe::latency {

/// An agent that announces itself on the local network.
struct DiscoveredAgent {
  std::string instance;  ///< "pi4-kitchen._lathe-agent._tcp.local"
  std::string host;      ///< "pi4-kitchen.local"
  std::string ipv4;
  uint16_t port = 0;
  std::vector<std::string> texts;  ///< what it says of itself: "model=Raspberry Pi 4 Model B"
  std::string address() const { return ipv4 + ":" + std::to_string(port); }
};

struct DiscoveryOptions {
  double duration_s = 2.0;  ///< answers are gathered so long
  std::string service = "_lathe-agent._tcp.local";
  std::string group =
      "224.0.0.251";  ///< where the question goes; a plain address is asked directly
  uint16_t port = 5353;
};

/// Asks by DNS service discovery (RFC 6763) over multicast DNS on every IPv4 network of this
/// machine who serves lathe. Returns the answers sorted by instance; each agent once. Only agents
/// with a name, an address and a port count. \throws DeviceError if no network can be asked.
std::vector<DiscoveredAgent> discover_agents(const DiscoveryOptions& options = {});

}  // namespace lathe::latency
