#include "latency/fleet/discovery.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>

#include "core/clock.h"
#include "core/error.h"
#include "core/file_descriptor.h"
#include "latency/fleet/mdns_message.h"

namespace lathe::latency {
namespace {

using mdns::Record;
using mdns::RecordType;

constexpr size_t kMaxAgents = 1000;

/// A UDP socket that asks on all networks.
class Socket {
 public:
  explicit Socket(const DiscoveryOptions& options)
      : descriptor_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    destination_.sin_family = AF_INET;
    destination_.sin_port = htons(options.port);
    if (!descriptor_.valid())
      throw DeviceError(std::string("discovery: no socket: ") + std::strerror(errno));
    if (inet_pton(AF_INET, options.group.c_str(), &destination_.sin_addr) != 1) {
      throw DeviceError("discovery: group = " + options.group + ", expected an IPv4 address");
    }
    const int ttl = 255;
    setsockopt(descriptor_.get(), IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl);
  }

  /// \throws DeviceError if it could be sent nowhere.
  void ask(const std::string& message) const {
    if (!IN_MULTICAST(ntohl(destination_.sin_addr.s_addr))) {
      send_from(nullptr, message);
      return;
    }
    bool sent = false;
    for (const in_addr& network : networks()) sent = send_from(&network, message) || sent;
    if (!sent)
      throw DeviceError("discovery: no network takes multicast questions, expected one that is up");
  }

  /// Returns the next answer, or an empty string after `timeout_s`.
  std::string receive(double timeout_s) const {
    pollfd waiting{descriptor_.get(), POLLIN, 0};
    if (poll(&waiting, 1, static_cast<int>(timeout_s * 1e3) + 1) <= 0) return "";
    std::string message(9000, '\0');
    const ssize_t size = recv(descriptor_.get(), message.data(), message.size(), 0);
    message.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
    return message;
  }

 private:
  static std::vector<in_addr> networks() {
    std::vector<in_addr> found;
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return found;
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
      if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
      if ((entry->ifa_flags & IFF_UP) == 0 || (entry->ifa_flags & IFF_MULTICAST) == 0) continue;
      sockaddr_in address{};
      std::memcpy(&address, entry->ifa_addr, sizeof address);
      found.push_back(address.sin_addr);
    }
    freeifaddrs(list);
    return found;
  }

  bool send_from(const in_addr* network, const std::string& message) const {
    if (network != nullptr)
      setsockopt(descriptor_.get(), IPPROTO_IP, IP_MULTICAST_IF, network, sizeof *network);
    return sendto(descriptor_.get(), message.data(), message.size(), 0,
                  reinterpret_cast<const sockaddr*>(&destination_),  // NOLINT: the socket interface
                  sizeof destination_) == static_cast<ssize_t>(message.size());
  }

  FileDescriptor descriptor_;
  sockaddr_in destination_{};
};

/// What the answers have told so far.
class Findings {
 public:
  explicit Findings(const std::string& service) : service_(service) {}

  void add(const Record& record) {
    if (agents_.size() >= kMaxAgents || addresses_.size() >= kMaxAgents) return;
    const bool ours = record.name.size() > service_.size() + 1 &&
                      record.name.compare(record.name.size() - service_.size() - 1,
                                          std::string::npos, "." + service_) == 0;
    if (record.type == RecordType::Ptr && record.name == service_)
      agents_[record.target].instance = record.target;
    if (record.type == RecordType::A) addresses_[record.name] = record.ipv4;
    if (!ours) return;
    DiscoveredAgent& agent = agents_[record.name];
    agent.instance = record.name;
    if (record.type == RecordType::Srv) {
      agent.host = record.target;
      agent.port = record.port;
    }
    if (record.type == RecordType::Txt) agent.texts = record.texts;
  }

  /// What has to be asked next, each question once.
  std::vector<std::pair<std::string, RecordType>> questions() {
    std::vector<std::pair<std::string, RecordType>> open;
    for (const auto& [instance, agent] : agents_) {
      if (agent.host.empty()) {
        open.emplace_back(instance, RecordType::Srv);
        open.emplace_back(instance, RecordType::Txt);
      } else if (addresses_.count(agent.host) == 0) {
        open.emplace_back(agent.host, RecordType::A);
      }
    }
    open.erase(std::remove_if(open.begin(), open.end(),
                              [this](const auto& question) { return asked_.count(question) != 0; }),
               open.end());
    if (open.size() > 30) open.resize(30);  // fits one message
    asked_.insert(open.begin(), open.end());
    return open;
  }

  /// Questions without an answer are open again.
  void ask_again() { asked_.clear(); }

  std::vector<DiscoveredAgent> complete() const {
    std::vector<DiscoveredAgent> found;
    for (const auto& [instance, agent] : agents_) {
      const auto address = addresses_.find(agent.host);
      if (agent.port == 0 || address == addresses_.end()) continue;
      found.push_back(agent);
      found.back().ipv4 = address->second;
    }
    return found;
  }

 private:
  std::string service_;
  std::map<std::string, DiscoveredAgent> agents_;
  std::map<std::string, std::string> addresses_;
  std::set<std::pair<std::string, RecordType>> asked_;
};

}  // namespace

std::vector<DiscoveredAgent> discover_agents(const DiscoveryOptions& options) {
  const Socket socket(options);
  Findings findings(options.service);
  const std::string question = mdns::encode_query({{options.service, RecordType::Ptr}});
  const double start_s = steady_clock().now_s();
  socket.ask(question);
  bool repeated = false;
  while (true) {
    const double elapsed_s = steady_clock().now_s() - start_s;
    if (elapsed_s >= options.duration_s) break;
    if (!repeated && elapsed_s >= options.duration_s / 3.0) {  // a datagram may be lost
      socket.ask(question);
      findings.ask_again();
      repeated = true;
    }
    const double until_s = repeated ? options.duration_s : options.duration_s / 3.0;
    for (const Record& record : mdns::decode_response(socket.receive(until_s - elapsed_s)))
      findings.add(record);
    const auto open = findings.questions();
    if (!open.empty()) socket.ask(mdns::encode_query(open));
  }
  return findings.complete();
}

}  // namespace lathe::latency
