#include <algorithm>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands/commands.h"
#include "cli/pipeline/run_config.h"
#include "cli/text_table.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/progress.h"
#include "latency/fleet/fleet.h"
#include "network/cost.h"
#include "network/onnx.h"

namespace lathe::cli {
namespace {

using Json = nlohmann::json;
constexpr double kDescribeTimeoutS = 10.0;
constexpr double kLookS = 1.2;  // how long the doctor watches the cores
constexpr size_t kLargestModelBytes = size_t{256} << 20;

std::string trimmed_file(const std::string& path) {
  std::string text = read_file(path, 1 << 16);
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return text;
}

std::vector<latency::DeviceConfig> devices_from(const DeviceArguments& arguments) {
  if (!arguments.config.empty()) {
    std::vector<latency::DeviceConfig> boards =
        read_run_config(arguments.config, arguments.overrides).boards();
    if (boards.empty()) {
      throw ConfigError(arguments.config.string() +
                        ": every device is a table (`replay`), expected a board to talk to");
    }
    return boards;
  }
  latency::DeviceConfig device;
  device.name = arguments.agents.empty() ? "local" : "device";
  device.agents = arguments.agents;
  device.engine = arguments.engine;
  device.threads = arguments.threads;
  device.credentials.allow_plaintext = arguments.allow_plaintext;
  if (!arguments.token_file.empty()) {
    device.credentials.token = trimmed_file(arguments.token_file);
    if (device.credentials.token.empty()) {
      throw ConfigError("--token-file " + arguments.token_file + ": the file is empty");
    }
  }
  device.credentials.ca = arguments.tls_ca;
  device.credentials.certificate = arguments.tls_certificate;
  device.credentials.key = arguments.tls_key;
  return {device};
}

Json findings_of(const latency::AgentDescription& agent) {
  Json findings = Json::array();
  for (const auto& finding : agent.findings) {
    findings.push_back({{"severity", finding.severity},
                        {"topic", finding.topic},
                        {"read", finding.read},
                        {"effect", finding.effect},
                        {"remedy", finding.remedy}});
  }
  return findings;
}

Json to_json(const latency::AgentDescription& agent) {
  Json engines = Json::array();
  for (const auto& engine : agent.engines) {
    engines.push_back({{"name", engine.name},
                       {"version", engine.version},
                       {"precisions", engine.precisions},
                       {"operators", engine.operators}});
  }
  return {{"address", agent.address},
          {"agent_version", agent.agent_version},
          {"hostname", agent.hostname},
          {"model", agent.model},
          {"soc", agent.soc},
          {"kernel", agent.kernel},
          {"isa", agent.isa},
          {"fingerprint", agent.fingerprint},
          {"governor", agent.governor},
          {"usable_cores", agent.usable_cores},
          {"memory_bytes", agent.memory_bytes},
          {"energy_sensor", agent.energy_sensor},
          {"emulated", agent.emulated},
          {"jobs_done", agent.jobs_done},
          {"engines", engines},
          {"findings", findings_of(agent)}};
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

void print_agent(const latency::AgentDescription& agent) {
  const auto line = [](const char* name, const std::string& value) {
    std::printf("  %-12s %s\n", name, value.empty() ? "unknown" : value.c_str());
  };
  std::printf("%s  %s\n", agent.address.c_str(), agent.hostname.c_str());
  line("board", agent.model);
  line("soc", agent.soc);
  line("cores", std::to_string(agent.usable_cores) + " usable, governor " +
                    (agent.governor.empty() ? "unknown" : agent.governor));
  line("memory", format_bytes(static_cast<double>(agent.memory_bytes)));
  line("energy", agent.energy_sensor.empty() ? "no sensor" : agent.energy_sensor);
  line("isa", agent.isa);
  line("kernel", agent.kernel);
  for (const auto& engine : agent.engines) {
    line("engine", engine.name + " " + engine.version + ": " + joined(engine.precisions));
  }
  line("agent", agent.agent_version + ", " + std::to_string(agent.jobs_done) +
                    " jobs done, fingerprint " + agent.fingerprint);
  if (agent.emulated) line("emulated", "yes: latencies from here are not those of a board");
  for (const auto& finding : agent.findings) {
    if (finding.severity != "note") line(finding.severity.c_str(), finding.topic);
  }
  if (!agent.findings.empty()) line("doctor", "lathe devices --doctor says what mends it");
}

void print_findings(const latency::AgentDescription& agent) {
  std::printf("%s  %s  %s: ", agent.address.c_str(), agent.hostname.c_str(),
              agent.model.empty() ? "unknown board" : agent.model.c_str());
  if (agent.findings.empty()) std::printf("nothing found\n");
  if (!agent.findings.empty()) std::printf("%zu findings\n", agent.findings.size());
  for (const auto& finding : agent.findings) {
    std::printf("\n  %-8s %s\n    read   %s\n    effect %s\n    mend   %s\n",
                finding.severity.c_str(), finding.topic.c_str(), finding.read.c_str(),
                finding.effect.c_str(), finding.remedy.c_str());
  }
}

Json to_json(const latency::OperatorTime& time) {
  return {{"node", time.node},
          {"operator", time.op},
          {"median_ms", time.median_ms},
          {"macs", time.macs}};
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

void print_profile(const std::vector<latency::OperatorTime>& operators) {
  double total = 0.0;
  for (const auto& time : operators) total += time.median_ms;
  TextTable table({"node", "operator", "ms", "share %", "MACs", "GMAC/s"});
  for (const auto& time : operators) {
    table.add(
        {time.node, time.op, fixed(time.median_ms, 4), fixed(100.0 * time.median_ms / total, 1),
         time.macs > 0 ? format_count(static_cast<double>(time.macs)) : "-",
         time.macs > 0 ? fixed(static_cast<double>(time.macs) / time.median_ms / 1e6, 1) : "-"});
  }
  std::printf("\n%s", table.text().c_str());
}

/// One network on one device.
struct Measured {
  std::string device;
  latency::LatencyEstimate latency;
  std::vector<latency::OperatorTime> operators;  ///< empty unless profiled
};

std::vector<latency::DeviceConfig> wanted_devices(const MeasureArguments& arguments,
                                                  const network::Model& model) {
  std::vector<latency::DeviceConfig> devices = devices_from(arguments.device);
  for (latency::DeviceConfig& device : devices) {
    if (!arguments.precision.empty()) {
      device.precision = latency::precision_from_string(arguments.precision);
    } else if (model.quantization) {
      device.precision = latency::Precision::Int8;
    }
  }
  if (arguments.device_name.empty()) return devices;
  std::string names;
  for (const auto& device : devices) {
    if (device.name == arguments.device_name) return {device};
    names += (names.empty() ? "" : ", ") + device.name;
  }
  throw ConfigError("--device " + arguments.device_name + ": expected a device of " +
                    arguments.device.config.string() + ": " + names);
}

/// Sets `seconds` from an option that was given. \throws ConfigError for what is no time or out of
/// range.
void set_duration(const char* option, const std::string& text, double low, double high,
                  const char* expected, double& seconds) {
  if (text.empty()) return;
  const std::optional<double> given = parse_duration_s(text);
  if (!given || *given < low || *given > high) {
    throw ConfigError(std::string(option) + " " + text + ": expected a time " + expected);
  }
  seconds = *given;
}

latency::MeasurementPlan plan_of(const latency::DeviceConfig& device,
                                 const MeasureArguments& arguments) {
  latency::MeasurementPlan plan = device.plan;
  if (arguments.half_width) plan.target_half_width = *arguments.half_width;
  set_duration("--budget", arguments.budget, std::numeric_limits<double>::min(),
               std::numeric_limits<double>::max(), "such as 20s or 500ms", plan.budget_s);
  set_duration("--sustain", arguments.sustain, 40.0, 3600.0, "from 40s to 1h, such as 5min",
               plan.sustain_s);
  set_duration("--energy", arguments.energy, 0.1, 600.0, "from 100ms to 10min, such as 5s",
               plan.energy_s);
  return plan;
}

Measured measure_on(latency::Fleet& fleet, const latency::DeviceConfig& device,
                    const std::string& onnx, const MeasureArguments& arguments) {
  const latency::MeasurementPlan plan = plan_of(device, arguments);
  const auto result = fleet.measure_model(device.name, onnx, plan);
  if (!result.ok()) {
    throw DeviceError("device " + device.name + ": " + arguments.model.string() + ": " +
                      to_string(result.failure().kind) + ": " + result.failure().message);
  }
  Measured measured{device.name, *result, {}};
  if (!arguments.profile) return measured;
  const auto profile = fleet.profile_model(device.name, onnx, plan.budget_s);
  if (!profile.ok()) {
    throw DeviceError("device " + device.name + ": profile: " + profile.failure().message);
  }
  measured.operators = *profile;
  return measured;
}

Json to_json(const Measured& measured) {
  Json row = {{"device", measured.device},
              {"latency", Json::parse(latency::to_json(measured.latency))}};
  for (const auto& time : measured.operators) row["operators"].push_back(to_json(time));
  return row;
}

/// Says what was measured where that does not go without saying.
std::string precision_remark(const network::Model& model, const std::vector<Measured>& results) {
  const bool int8 = std::any_of(results.begin(), results.end(), [](const Measured& measured) {
    return measured.latency.conditions.precision == latency::Precision::Int8;
  });
  if (model.quantization) {
    return int8 ? "The model is quantised and was measured in int8 (--precision fp32: the floats "
                  "that its integers stand for).\n"
                : "The model is quantised, but was measured on the floats that its integers stand "
                  "for.\n";
  }
  if (int8) {
    return "The model has no weights and was measured in int8 with made-up scales, which do not "
           "change the time.\n";
  }
  return "";
}

void print_measured(const std::vector<Measured>& results) {
  TextTable table(
      {"device", "precision", "median ms", "95 % interval", "p90", "p99", "blocks", "verdict"});
  for (const Measured& measured : results) {
    const latency::LatencyEstimate& latency = measured.latency;
    table.add(
        {measured.device, latency::to_string(latency.conditions.precision),
         fixed(latency.median_ms, 4),
         fixed(latency.interval_ms.low, 4) + " .. " + fixed(latency.interval_ms.high, 4),
         fixed(latency.p90_ms, 4), fixed(latency.p99_ms, 4),
         std::to_string(latency.kept) + " of " + std::to_string(latency.kept + latency.rejected),
         latency::to_string(latency.verdict)});
  }
  std::printf("%s", table.text().c_str());
  for (const Measured& measured : results) {
    if (!measured.latency.energy) continue;
    const latency::EnergyEstimate& energy = *measured.latency.energy;
    std::printf("%s: %s mJ an inference, 95 %% interval %s .. %s; %s W by %s while it runs\n",
                measured.device.c_str(), fixed(energy.mean_mj, 3).c_str(),
                fixed(energy.interval_mj.low, 3).c_str(), fixed(energy.interval_mj.high, 3).c_str(),
                fixed(energy.power_w, 2).c_str(), energy.sensor.c_str());
  }
  for (const Measured& measured : results) {
    if (!measured.operators.empty()) print_profile(measured.operators);
  }
}

}  // namespace

void devices_command(const DeviceArguments& arguments, bool doctor) {
  latency::Fleet fleet(devices_from(arguments), nullptr, "lathe devices");
  auto agents = fleet.describe(kDescribeTimeoutS);
  if (doctor) {  // the agents count what happens on their cores between two looks
    steady_clock().sleep_s(kLookS);
    agents = fleet.describe(kDescribeTimeoutS);
  }
  if (arguments.json) {
    Json json = Json::array();
    for (const auto& agent : agents) json.push_back(to_json(agent));
    std::printf("%s\n", json.dump(1).c_str());
    return;
  }
  for (const auto& agent : agents) {
    if (&agent != &agents.front()) std::printf("\n");
    doctor ? print_findings(agent) : print_agent(agent);
  }
}

void measure_command(const MeasureArguments& arguments) {
  const std::string bytes = read_file(arguments.model, kLargestModelBytes);
  const network::Model model = network::read_onnx_file(arguments.model);
  const network::Cost cost = network::cost(model.network);
  const auto devices = wanted_devices(arguments, model);
  latency::Fleet fleet(devices, nullptr, "lathe measure");
  std::vector<Measured> results;
  for (const auto& device : devices) results.push_back(measure_on(fleet, device, bytes, arguments));
  Json rows = Json::array();
  for (const Measured& measured : results) rows.push_back(to_json(measured));
  const Json json = {{"model", arguments.model.string()},
                     {"quantized", model.quantization.has_value()},
                     {"macs", cost.macs},
                     {"params", cost.params},
                     {"peak_activation_bytes", cost.peak_activation_bytes},
                     {"measurements", rows}};
  if (!arguments.output.empty()) write_file_atomically(arguments.output, json.dump(1) + "\n");
  if (arguments.device.json) {
    std::printf("%s\n", json.dump(1).c_str());
    return;
  }
  std::printf("%s: %s MACs, %s parameters, %s of activations at most in fp32\n",
              arguments.model.c_str(), format_count(static_cast<double>(cost.macs)).c_str(),
              format_count(static_cast<double>(cost.params)).c_str(),
              format_bytes(static_cast<double>(cost.peak_activation_bytes)).c_str());
  std::printf("%s\n", precision_remark(model, results).c_str());
  print_measured(results);
}

}  // namespace lathe::cli
