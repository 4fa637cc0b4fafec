#include "cli/pipeline/run_config.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "cli/pipeline/baselines.h"
#include "cli/pipeline/run_identity.h"
#include "cli/run_section.h"
#include "core/config.h"
#include "core/error.h"
#include "network/onnx.h"
#include "network/reference_networks.h"
#include "search/evaluation/candidate.h"
#include "search/strategy/block_table.h"
#include "search/strategy/strategy.h"

namespace lathe::cli {
namespace {

constexpr const char* kReplay = "replay";

/// "stage2", or "stage2=stage3": of the student and of the teacher.
supernet::Hint hint_of(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return {text, text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void read_distil(ConfigSection section, const std::filesystem::path& file, DistilOptions& options) {
  options.epochs = section.real("epochs", options.epochs, {0.0, 10000.0});
  options.learning_rate = section.real("learning_rate", options.learning_rate, {0.0, 10.0, true});
  options.warmup_epochs = section.real("warmup_epochs", options.warmup_epochs, {0.0, 10000.0});
  if (section.is_list("teacher")) {
    options.teachers = section.texts("teacher", options.teachers);
  } else {
    options.teachers = {section.text("teacher", options.teachers.front())};
  }
  if (options.teachers == std::vector<std::string>{"none"}) options.teachers.clear();
  for (std::string& teacher : options.teachers) {
    if (teacher != "largest") teacher = beside(file, teacher).string();
  }
  options.loss.alpha = section.real("alpha", options.loss.alpha, {0.0, 1000.0});
  options.loss.beta = section.real("beta", options.loss.beta, {0.0, 1000.0});
  options.loss.temperature =
      section.real("temperature", options.loss.temperature, {0.0, 1000.0, true});
  options.loss.hint_weight = section.real("hint_weight", options.loss.hint_weight, {0.0, 1e6});
  for (const std::string& hint : section.texts("hints", std::vector<std::string>{})) {
    options.loss.hints.push_back(hint_of(hint));
  }
  options.mutual = section.boolean("mutual", options.mutual);
  if (!options.teachers.empty()) {
    if (options.mutual && !options.loss.hints.empty()) {
      section.fault("hints", "none beside `mutual: true`: they are a fixed teacher's");
    }
  } else if (options.mutual || !options.loss.hints.empty()) {
    section.fault("teacher", "one, which `mutual` and `hints` need");
  }
  section.finish();
}

void read_compress(ConfigSection section, RunConfig& config) {
  read_distil(section.section("distil"), config.file, config.distil);
  config.prune = supernet::read_prune_options(section.section("prune"));
  config.quantize = supernet::read_quantize_config(section);
  section.finish();
}

/// What the steps of compression need of the devices.
void check_compress(ConfigSection section, const RunConfig& config) {
  const std::vector<latency::DeviceConfig> boards = config.boards();
  const char* why = "none, since a device is a table, which knows no compressed networks";
  if (config.quantize.enabled && !config.tables.empty()) section.fault("quantize", why);
  if (config.prune.enabled() && !config.tables.empty()) section.fault("prune", why);
  const auto& target = config.prune.target;
  if (!target || target->metric.device.empty()) return;
  const bool known = std::any_of(boards.begin(), boards.end(), [&](const auto& board) {
    return board.name == target->metric.device;
  });
  if (!known) {
    section.section("prune").fault(
        "target", "latency@ a board of the list `devices`, not " + target->metric.device);
  }
}

/// Loads the block tables that the strategy names, each made for the device that it is for.
void read_block_tables(ConfigSection search, RunConfig& config) {
  search::StrategyOptions& strategy = config.search.strategy;
  if (strategy.block_tables.empty()) return;
  ConfigSection tables = search.section("strategy").section("block_tables");
  for (const auto& [name, file] : strategy.block_tables) {
    const std::string& wanted = name;
    const auto device = std::find_if(config.devices.begin(), config.devices.end(),
                                     [&](const auto& each) { return each.name == wanted; });
    if (device == config.devices.end() || config.tables.count(name) != 0) {
      tables.fault(name, "the name of a board of the list `devices`");
      continue;
    }
    try {
      const search::BlockTable table = search::read_block_table(beside(config.file, file));
      if (table.engine != device->engine || table.precision != device->precision ||
          table.threads != device->threads) {
        tables.fault(name, "a table of " + device->engine + ", " +
                               latency::to_string(device->precision) + ", " +
                               std::to_string(device->threads) + " threads as the device, not " +
                               table.engine + ", " + latency::to_string(table.precision) + ", " +
                               std::to_string(table.threads));
      }
      strategy.block_costs[name] = table.costs();
    } catch (const DataError& error) {
      tables.fault(name, std::string("a file of `lathe table build` (") + error.what() + ")");
    }
  }
}

/// A table is data that lathe does not carry, so the fault says how to name one's own.
void check_table(ConfigSection& section, const std::string& key, const std::string& override_key,
                 const search::ReplayOptions& options) {
  if (!section.has(key) || std::filesystem::is_regular_file(options.table)) return;
  section.fault(key, "the CSV file of a table (" + options.table.string() +
                         " does not exist); name yours with --set " + override_key +
                         "=/path/to/table.csv");
}

/// Reads `accuracy`, and refuses what has no meaning beside it.
void read_accuracy(ConfigSection& root, RunConfig& config) {
  if (!root.has("accuracy")) return;
  ConfigSection section = root.section("accuracy");
  config.accuracy = search::read_replay_accuracy(section, config.file.parent_path());
  check_table(section, "table", "accuracy.table", *config.accuracy);
  for (const char* other : {"data", "supernet", "compress"}) {
    if (root.has(other)) root.fault(other, "no such section beside `accuracy`: nothing is trained");
  }
  ConfigSection exported = root.section("export");
  for (const char* key : {"check", "check_images"}) {
    if (exported.has(key)) {
      exported.fault(key, "no such key beside `accuracy`: no file is exported");
    }
  }
}

latency::DeviceConfig read_table_device(ConfigSection section, size_t index, RunConfig& config) {
  latency::DeviceConfig device;
  device.name = latency::read_device_name(section);
  device.engine = kReplay;
  device.shares_host_override = false;
  const search::ReplayOptions options =
      search::read_replay_latency(section, config.file.parent_path());
  check_table(section, kReplay, "devices." + std::to_string(index) + "." + kReplay, options);
  section.finish();
  config.tables[device.name] = options;
  return device;
}

/// Boards and tables in one list, in the order of the file.
void read_device_list(const std::vector<ConfigSection>& sections, RunConfig& config) {
  std::vector<ConfigSection> of_boards;
  std::copy_if(sections.begin(), sections.end(), std::back_inserter(of_boards),
               [](const ConfigSection& section) { return !section.has(kReplay); });
  std::vector<latency::DeviceConfig> boards;
  if (sections.empty() || !of_boards.empty()) boards = latency::read_devices(of_boards);
  if (sections.empty()) config.devices = boards;
  auto next = boards.begin();
  for (size_t i = 0; i < sections.size(); ++i) {
    ConfigSection section = sections[i];
    const bool is_table = section.has(kReplay);
    const latency::DeviceConfig device = is_table ? read_table_device(section, i, config) : *next++;
    const bool taken = std::any_of(config.devices.begin(), config.devices.end(),
                                   [&](const auto& other) { return other.name == device.name; });
    if (taken && (is_table || config.tables.count(device.name) != 0)) {
      section.fault("name", "each device's name once");
    }
    config.devices.push_back(device);
  }
}

void read_export(ConfigSection section, ExportOptions& options) {
  options.networks = static_cast<int>(section.integer("networks", options.networks, {1, 1000}));
  options.check = section.boolean("check", options.check);
  options.check_images = section.integer("check_images", options.check_images, {1, 1000000});
  ConfigSection confirm = section.section("confirm");
  options.confirm_half_width = confirm.real("half_width", options.confirm_half_width, {1e-4, 0.5});
  options.confirm_budget_s = confirm.duration_s("budget", options.confirm_budget_s, {0.1, 3600.0});
  confirm.finish();
  section.finish();
}

void read_report(ConfigSection section, RunConfig& config) {
  const std::vector<std::string>& published = network::reference_network_names();
  config.baselines = section.texts("baselines", default_baselines());
  for (std::string& baseline : config.baselines) {
    if (baseline == kLargestBaseline) continue;
    if (std::count(published.begin(), published.end(), baseline) != 0) continue;
    if (is_baseline_file(baseline)) {
      baseline = beside(config.file, baseline).string();
      continue;
    }
    const std::string nearest = nearest_name(baseline, published);
    std::string names;
    for (const std::string& name : published) names += name + ", ";
    section.fault("baselines", "a list of largest, " + names +
                                   "or files whose names end in .onnx, not " + baseline +
                                   (nearest.empty() ? "" : "; did you mean " + nearest + "?"));
  }
  section.finish();
}

/// Every device that an objective or constraint names must be configured.
void check_devices(ConfigSection search, const RunConfig& config) {
  std::vector<std::string> names;
  for (const auto& device : config.devices) names.push_back(device.name);
  const auto check = [&](const std::string& key, const search::Metric& metric) {
    if (metric.device.empty()) return;
    if (std::find(names.begin(), names.end(), metric.device) != names.end()) return;
    std::string known;
    for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
    search.fault(key,
                 "a device of the list `devices` (" + known + ") after @, not " + metric.device);
  };
  for (const search::Metric& metric : config.search.problem.objectives) check("objectives", metric);
  for (const search::Constraint& constraint : config.search.problem.constraints) {
    check("constraints", constraint.metric);
  }
}

/// A board that energy is asked of measures it, for a while that gives most sensors a percent.
void settle_energy(ConfigSection search, RunConfig& config) {
  constexpr double kEnergyS = 5.0;
  for (const search::Metric& metric : config.search.problem.metrics()) {
    if (metric.kind != search::MetricKind::Energy) continue;
    for (latency::DeviceConfig& device : config.devices) {
      if (device.name != metric.device) continue;
      if (device.plan.energy_s == 0.0) device.plan.energy_s = kEnergyS;
      const auto table = config.tables.find(device.name);
      if (table != config.tables.end() && table->second.energy.empty()) {
        search.fault("objectives", "no " + search::to_string(metric) + " unless device " +
                                       device.name + " has a key `energy: COLUMN`");
      }
    }
  }
}

/// As a shell takes it.
std::string quoted(const std::string& word) {
  const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=+-:,@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

/// A space of table entries has no networks: nothing of it can be trained, measured or counted
/// beyond what the space itself knows.
void check_table_space(ConfigSection root, RunConfig& config) {
  if (search::has_networks(*config.space)) return;
  const std::string why = " (" + config.space->name() + " is a table's space, without networks)";
  if (!config.accuracy) root.fault("space", "`accuracy: {table: FILE, ...}` beside it" + why);
  if (!root.has("devices") && !config.searches(config.devices.front().name)) {
    config.devices.clear();  // the local agent that stands there by default
  }
  for (const latency::DeviceConfig& board : config.boards()) {
    root.fault("devices", "`replay: FILE` for device " + board.name + why);
  }
  const search::Metrics counted =
      search::make_candidate(*config.space, config.space->smallest(), 0).counted;
  for (const search::Metric& metric : config.search.problem.metrics()) {
    if (search::is_counted(metric.kind) && counted.count(metric) == 0) {
      root.fault("search", "no " + search::to_string(metric) + why);
    }
  }
}

/// Without a board there is nothing to measure baselines on, and without data nothing to test them
/// with.
void settle_baselines(ConfigSection root, RunConfig& config) {
  ConfigSection report = root.section("report");
  if (!config.boards().empty()) {
    if (!config.accuracy) return;
    std::vector<std::string>& baselines = config.baselines;
    const auto has_weights = [](const std::string& entry) {
      return entry == kLargestBaseline || is_baseline_file(entry);
    };
    if (report.has("baselines") && std::any_of(baselines.begin(), baselines.end(), has_weights)) {
      report.fault("baselines", "published networks alone, since accuracies are a table's");
    }
    baselines.erase(std::remove_if(baselines.begin(), baselines.end(), has_weights),
                    baselines.end());
    return;
  }
  if (report.has("baselines") && !config.baselines.empty()) {
    report.fault("baselines", "[], since no device is a board");
  }
  config.baselines.clear();
}

}  // namespace

std::vector<latency::DeviceConfig> RunConfig::boards() const {
  std::vector<latency::DeviceConfig> boards;
  std::copy_if(devices.begin(), devices.end(), std::back_inserter(boards),
               [&](const auto& device) { return tables.count(device.name) == 0; });
  return boards;
}

bool RunConfig::searches(const std::string& device) const {
  const std::vector<search::Metric> metrics = search.problem.metrics();
  return std::any_of(metrics.begin(), metrics.end(),
                     [&](const search::Metric& metric) { return metric.device == device; });
}

RunConfig read_run_config(const std::filesystem::path& file,
                          const std::vector<std::string>& overrides,
                          const std::filesystem::path& folder,
                          const std::filesystem::path& original) {
  ConfigDocument document = ConfigDocument::read_file(file, overrides);
  ConfigSection root = document.root();
  RunConfig config;
  config.file = original.empty() ? file : original;
  const RunSection run = read_run_section(root.section("run"), file, folder);
  config.name = run.name;
  config.seed = config.supernet.seed = run.seed;
  config.supernet.threads = run.threads;
  config.folder = run.folder;
  config.measurements = run.measurements;
  read_accuracy(root, config);
  config.supernet.data = supernet::read_data_options(root.section("data"));
  supernet::read_supernet_options(root.section("supernet"), config.supernet);
  std::filesystem::path& teacher = config.supernet.train.teacher.model;
  if (!teacher.empty()) teacher = beside(config.file, teacher);
  read_device_list(root.sections("devices"), config);
  ConfigSection search = root.section("search");
  config.search = search::read_search_options(search);
  check_devices(search, config);
  settle_energy(search, config);
  read_block_tables(search, config);
  ConfigSection compress = root.section("compress");
  read_compress(compress, config);
  if (!config.accuracy) check_compress(compress, config);
  read_export(root.section("export"), config.exported);
  read_report(root.section("report"), config);
  config.space_file = beside(config.file, root.text("space", std::nullopt));
  root.finish();
  document.throw_if_faults();
  config.space = search::read_search_space(config.space_file);
  check_table_space(root, config);
  settle_baselines(root, config);
  const std::string fault = search::strategy_fault(config.search.strategy, *config.space);
  if (!fault.empty()) search.fault("strategy", fault);
  document.throw_if_faults();
  config.yaml = document.to_yaml();
  config.identity = run_identity(config, document);
  config.command = "lathe run " + quoted(file.string());
  for (const std::string& each : overrides) config.command += " --set " + quoted(each);
  if (!folder.empty()) config.command += " --folder " + quoted(folder.string());
  return config;
}

void load_teacher(supernet::SupernetOptions& options) {
  const std::filesystem::path& file = options.train.teacher.model;
  if (file.empty() || options.teacher) return;
  options.teacher = std::make_shared<network::Model>(network::read_onnx_file(file));
}

}  // namespace lathe::cli
