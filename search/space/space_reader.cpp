#include <optional>
#include <set>

#include "core/config.h"
#include "search/space/cell_space.h"
#include "search/space/staged_space.h"

namespace lathe::search {
namespace {

constexpr int64_t kMaxWidth = 65536;

OptionSpec integer_option(const std::string& name, const std::string& fallback, int64_t low,
                          int64_t high) {
  OptionSpec spec{name, OptionKind::Integer, fallback};
  spec.integers = {low, high, 1};
  return spec;
}

StemSpec read_stem(ConfigSection section) {
  StemSpec stem;
  stem.width = read_option(section, integer_option("width", "", 1, kMaxWidth));
  stem.kernel = read_option(section, kernel_option());
  stem.activation = read_option(section, activation_option());
  stem.stride = section.integer("stride", 1, {1, 4, 1});
  stem.pool = section.boolean("pool", false);
  section.finish();
  return stem;
}

HeadSpec read_head(ConfigSection section) {
  HeadSpec head;
  head.width = read_option(section, integer_option("width", "0", 0, kMaxWidth));
  head.hidden = read_option(section, integer_option("hidden", "0", 0, kMaxWidth));
  head.activation = read_option(section, activation_option());
  for (const Option* option : {&head.width, &head.hidden}) {
    if (option->values.size() > 1 && option->values[option->smallest].number == 0.0) {
      section.fault(option->name, "widths of at least 1 in a list (0 alone leaves the layer out)");
    }
  }
  const bool has_layer = head.width.values[head.width.largest].number > 0.0 ||
                         head.hidden.values[head.hidden.largest].number > 0.0;
  if (!has_layer && head.activation.values.size() > 1) {
    section.fault("activation", "one activation: without width and hidden it is not used");
  }
  section.finish();
  return head;
}

std::vector<Option> read_family_options(ConfigSection& section, const BlockFamily& family) {
  std::vector<Option> options;
  for (const OptionSpec& spec : family.options()) options.push_back(read_option(section, spec));
  return options;
}

bool is_name(const std::string& text) {
  if (text.empty() || text[0] < 'a' || text[0] > 'z') return false;
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

/// Reads `block` and its options: one family's stand in the stage itself, those of several in a
/// section named as the family. Returns false if `block` is wrong, and then the rest is unknown.
bool read_families(ConfigSection& section, StageSpec& stage) {
  std::vector<std::string> names;
  if (section.is_list("block")) {
    const std::vector<std::string> none;
    names = section.choices("block", none, block_family_names());
    // An empty list is no fault to the reader, and gives no fallback.
    const std::vector<std::string> all = block_family_names();
    if (section.choices("block", all, all).empty()) section.fault("block", "at least one family");
    const std::set<std::string> unique(names.begin(), names.end());
    if (unique.size() != names.size()) section.fault("block", "each family once");
  } else {
    const std::string name = section.choice("block", std::nullopt, block_family_names());
    if (!name.empty()) names.push_back(name);
  }
  for (const std::string& name : names) {
    const BlockFamily& family = block_family(name);
    stage.families.push_back(&family);
    if (!section.is_list("block")) {
      stage.options.push_back(read_family_options(section, family));
      continue;
    }
    ConfigSection own = section.section(name);
    stage.options.push_back(read_family_options(own, family));
    own.finish();
  }
  return !names.empty();
}

StageSpec read_stage(ConfigSection section, size_t index, std::set<std::string>& used) {
  StageSpec stage;
  stage.name = section.text("name", "stage" + std::to_string(index + 1));
  if (!is_name(stage.name)) section.fault("name", "lower-case letters, digits and '_'");
  if (!used.insert(stage.name).second) section.fault("name", "a name that no other part has");
  stage.depth = read_option(section, integer_option("depth", "1", 1, 64));
  stage.width = read_option(section, integer_option("width", "", 1, kMaxWidth));
  stage.stride = section.integer("stride", 1, {1, 4, 1});
  if (read_families(section, stage)) section.finish();
  return stage;
}

StagedSpec read_spec(ConfigDocument& document, std::vector<ConfigSection>& stage_sections) {
  ConfigSection root = document.root();
  StagedSpec spec;
  spec.name = root.text("name", document.path().stem().string());
  spec.classes = root.integer("classes", std::nullopt, {2, 1000000, 1});
  ConfigSection input = root.section("input");
  spec.channels = input.integer("channels", 3, {1, 1024, 1});
  spec.resolution = read_option(input, integer_option("resolution", "", 1, 4096));
  input.finish();
  spec.stem = read_stem(root.section("stem"));
  std::set<std::string> used = {"input", "stem", "head", "classifier"};
  stage_sections = root.sections("stages");
  for (size_t i = 0; i < stage_sections.size(); ++i) {
    spec.stages.push_back(read_stage(stage_sections[i], i, used));
  }
  if (stage_sections.empty() && (!root.has("stages") || root.is_list("stages"))) {
    root.fault("stages", "a list of at least one stage");
  }
  spec.head = read_head(root.section("head"));
  ConfigSection batch_norm = root.section("batch_norm");
  spec.batch_norm_epsilon = batch_norm.real("epsilon", 1e-5, {0.0, 1.0, true});
  batch_norm.finish();
  root.finish();
  return spec;
}

/// Reads {name, classes, input: {channels, resolution}, cell: {nodes, operations, cells, width}}.
std::unique_ptr<SearchSpace> read_cell_space(const ConfigDocument& document) {
  ConfigSection root = document.root();
  CellSpec spec;
  spec.name = root.text("name", document.path().stem().string());
  spec.classes = root.integer("classes", spec.classes, {2, 1000000, 1});
  ConfigSection input = root.section("input");
  spec.channels = input.integer("channels", spec.channels, {1, 1024, 1});
  spec.resolution = input.integer("resolution", spec.resolution, {1, 4096, 1});
  input.finish();
  ConfigSection cell = root.section("cell");
  spec.nodes = static_cast<int>(cell.integer("nodes", spec.nodes, {2, 8, 1}));
  spec.operations = cell.texts("operations", spec.operations);
  spec.cells = cell.integer("cells", spec.cells, {1, 1000, 1});
  spec.width = cell.integer("width", spec.width, {1, kMaxWidth, 1});
  cell.finish();
  root.finish();
  document.throw_if_faults();
  try {
    return std::make_unique<CellSpace>(spec);
  } catch (const ConfigError& error) {
    throw ConfigError(root.where("cell") + ": " + error.what());
  }
}

std::unique_ptr<SearchSpace> read_space(ConfigDocument document) {
  if (document.root().has("cell")) return read_cell_space(document);
  std::vector<ConfigSection> stage_sections;
  StagedSpec spec = read_spec(document, stage_sections);
  document.throw_if_faults();
  for (const StageFault& fault : find_faults(spec)) {
    stage_sections[fault.stage].fault(fault.key, fault.expected);
  }
  document.throw_if_faults();
  return std::make_unique<StagedSpace>(std::move(spec));
}

}  // namespace

std::unique_ptr<SearchSpace> read_search_space(const std::filesystem::path& path,
                                               const std::vector<std::string>& overrides) {
  return read_space(ConfigDocument::read_file(path, overrides));
}

std::unique_ptr<SearchSpace> read_search_space_text(const std::string& text,
                                                    const std::string& name) {
  return read_space(ConfigDocument::read_text(text, name));
}

}  // namespace lathe::search
