#include "latency/fleet/device_config.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "core/error.h"
#include "core/file.h"

namespace lathe::latency {
namespace {

bool is_name(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
  });
}

MeasurementPlan read_plan(ConfigSection section) {
  MeasurementPlan plan;
  plan.target_half_width = section.real("half_width", plan.target_half_width, {1e-4, 0.5});
  plan.budget_s = section.duration_s("budget", plan.budget_s, {0.05, 3600.0});
  plan.min_blocks = static_cast<int>(section.integer("min_blocks", plan.min_blocks, {2, 100000}));
  plan.max_blocks = static_cast<int>(
      section.integer("max_blocks", std::max(plan.max_blocks, plan.min_blocks), {2, 1000000}));
  plan.processes = static_cast<int>(section.integer("processes", plan.processes, {1, 64}));
  plan.min_block_s = section.duration_s("min_block", plan.min_block_s, {1e-6, 10.0});
  plan.sustain_s = section.duration_s("sustain", plan.sustain_s, {0.0, 3600.0});
  if (plan.sustain_s > 0.0 && plan.sustain_s < 40.0) {
    section.fault("sustain", "0s or at least 40s: a steady state takes half a minute to be seen");
  }
  plan.energy_s = section.duration_s("energy", plan.energy_s, {0.0, 600.0});
  if (plan.energy_s > 0.0 && plan.energy_s < 0.1) section.fault("energy", "0s or at least 100ms");
  if (plan.max_blocks < plan.min_blocks) section.fault("max_blocks", "at least min_blocks");
  section.finish();
  return plan;
}

void read_credentials(ConfigSection& section, DeviceConfig& device) {
  Credentials& credentials = device.credentials;
  const std::string token_file = section.text("token_file", std::string());
  if (!token_file.empty()) {
    try {
      credentials.token = read_file(token_file, 4096);
      while (!credentials.token.empty() &&
             std::isspace(static_cast<unsigned char>(credentials.token.back())) != 0) {
        credentials.token.pop_back();
      }
      if (credentials.token.empty())
        section.fault("token_file", "a file with a bearer token, this one is empty");
    } catch (const DataError& error) {
      section.fault("token_file", std::string("a readable file: ") + error.what());
    }
  }
  ConfigSection tls = section.section("tls");
  if (tls.present()) {
    credentials.ca = tls.text("ca", std::nullopt);
    credentials.certificate = tls.text("certificate", std::string());
    credentials.key = tls.text("key", std::string());
    if (credentials.certificate.empty() != credentials.key.empty()) {
      tls.fault(credentials.key.empty() ? "certificate" : "key", "certificate and key together");
    }
  }
  tls.finish();
  credentials.allow_plaintext = section.boolean("allow_plaintext", false);
}

void check_agents(ConfigSection& section, const DeviceConfig& device) {
  std::set<std::string> seen;
  for (const std::string& address : device.agents) {
    const std::string fault = address == kDiscover ? "" : address_fault(address);
    if (!fault.empty()) {
      section.fault("agents", fault);
    } else if (!seen.insert(address).second) {
      section.fault("agents", "each agent once, " + address + " is repeated");
    } else if (!is_loopback(address) && device.credentials.ca.empty() &&
               !device.credentials.allow_plaintext) {
      section.fault("agents", "tls or allow_plaintext: true for " + address + " beyond loopback");
    }
  }
}

DeviceConfig read_device(ConfigSection section) {
  DeviceConfig device;
  device.name = read_device_name(section);
  device.agents = section.texts("agents", std::vector<std::string>());
  device.engine = section.text("engine", device.engine);
  device.threads = static_cast<int>(section.integer("threads", device.threads, {1, 256}));
  device.precision = precision_from_string(
      section.choice("precision", std::string("fp32"), {"fp32", "fp16", "int8"}));
  device.memory_limit_bytes = section.size_bytes("memory_limit", int64_t{0}, {0});
  device.give_up_s = section.duration_s("give_up", device.give_up_s, {0.0, 1e6});
  device.agreement = section.real("agreement", device.agreement, {0.0, 1.0});
  if (section.has("shares_host")) {
    device.shares_host_override = section.boolean("shares_host", std::nullopt);
  }
  device.plan = read_plan(section.section("measure"));
  read_credentials(section, device);
  check_agents(section, device);
  section.finish();
  return device;
}

}  // namespace

std::pair<std::string, std::string> split_address(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return {};
  std::string host = address.substr(0, colon);
  if (!host.empty() && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    return {};
  }
  return {host, address.substr(colon + 1)};
}

std::string read_device_name(ConfigSection& section) {
  std::string name = section.text("name", std::nullopt);
  if (!name.empty() && !is_name(name)) section.fault("name", "letters, digits, '_', '-' and '.'");
  return name;
}

std::string address_fault(const std::string& address) {
  const auto [host, port] = split_address(address);
  const bool digits =
      !port.empty() && port.size() <= 5 &&
      std::all_of(port.begin(), port.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  const bool spaces =
      std::any_of(host.begin(), host.end(), [](unsigned char c) { return std::isspace(c) != 0; });
  if (host.empty() || spaces || host.find('/') != std::string::npos || !digits ||
      std::stoi(port) < 1 || std::stoi(port) > 65535) {
    return "host:port with a port from 1 to 65535, such as pi4.local:50051, instead of '" +
           address + "'";
  }
  return "";
}

bool is_loopback(const std::string& address) {
  const std::string host = split_address(address).first;
  return host == "localhost" || host == "::1" ||
         (host.rfind("127.", 0) == 0 && std::all_of(host.begin(), host.end(), [](unsigned char c) {
            return std::isdigit(c) != 0 || c == '.';
          }));
}

bool DeviceConfig::shares_host() const {
  if (shares_host_override) return *shares_host_override;
  return agents.empty() || std::any_of(agents.begin(), agents.end(), is_loopback);
}

std::vector<DeviceConfig> read_devices(const std::vector<ConfigSection>& sections) {
  std::vector<DeviceConfig> devices;
  std::set<std::string> names;
  for (ConfigSection section : sections) {
    devices.push_back(read_device(section));
    if (!names.insert(devices.back().name).second) section.fault("name", "each device's name once");
  }
  if (devices.empty()) {
    devices.emplace_back();
    devices.back().name = "local";
  }
  return devices;
}

}  // namespace lathe::latency
