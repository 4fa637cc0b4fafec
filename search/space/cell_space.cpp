#include "search/space/cell_space.h"

#include <algorithm>
#include <set>

#include "core/error.h"

namespace lathe::search {
namespace {

constexpr uint64_t kMostGenotypes = 1'000'000;
constexpr int kStages = 3;

/// Returns K of "nor_conv_KxK" or "avg_pool_KxK", 0 if `name` does not begin with `prefix`.
int64_t kernel_of(const std::string& name, const std::string& prefix) {
  if (name.compare(0, prefix.size(), prefix) != 0) return 0;
  const std::string rest = name.substr(prefix.size());
  for (const int64_t kernel : {1, 3, 5, 7}) {
    const std::string k = std::to_string(kernel);
    if (rest == k + "x" + k) return kernel;
  }
  return 0;
}

size_t position(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

std::string joined(const std::multiset<std::string>& terms) {
  std::string text;
  for (const std::string& term : terms) text += (text.empty() ? "" : "+") + term;
  return text;
}

}  // namespace

CellSpace::CellSpace(const CellSpec& spec) : spec_(spec) {
  if (spec.nodes < 2 || spec.nodes > 8) {
    throw ConfigError("cell space " + spec.name + ": nodes = " + std::to_string(spec.nodes) +
                      ", expected 2 to 8");
  }
  std::set<std::string> seen;
  for (const std::string& operation : spec.operations) {
    const int64_t kernel = kernel_of(operation, "nor_conv_");
    const bool known = operation == "none" || operation == "skip_connect" || kernel > 0 ||
                       kernel_of(operation, "avg_pool_") > 0;
    if (!known || !seen.insert(operation).second) {
      throw ConfigError("cell space " + spec.name + ": operation = " + operation +
                        ", expected none, skip_connect, nor_conv_KxK or avg_pool_KxK, each once");
    }
    kernels_.push_back(kernel);
  }
  none_ = position(spec.operations, "none");
  skip_ = position(spec.operations, "skip_connect");
  uint64_t genotypes = 1;
  for (int to = 1; to < spec.nodes; ++to) {
    for (int from = 0; from < to; ++from) {
      genes_.push_back({"edge" + std::to_string(from) + std::to_string(to), spec.operations});
      genotypes *= spec.operations.size();
      if (genotypes == 0 || genotypes > kMostGenotypes) {
        throw ConfigError("cell space " + spec.name + ": " +
                          std::to_string(spec.operations.size()) +
                          " operations, expected at least 1 and at most a million genotypes");
      }
    }
  }
  // In increasing order of genes the first of a class is its smallest member.
  class_of_.resize(genotypes);
  std::unordered_map<std::string, uint32_t> classes;
  Architecture architecture{std::vector<uint16_t>(genes_.size(), 0)};
  for (uint64_t number = 0; number < genotypes; ++number) {
    uint64_t rest = number;
    for (size_t gene = genes_.size(); gene-- > 0;) {
      architecture.genes[gene] = static_cast<uint16_t>(rest % spec.operations.size());
      rest /= spec.operations.size();
    }
    const auto next = static_cast<uint32_t>(distinct_.size());
    const auto [it, is_new] = classes.emplace(normal_form(architecture), next);
    if (is_new) distinct_.push_back(architecture);
    class_of_[number] = it->second;
  }
}

std::vector<bool> CellSpace::active(const Architecture& architecture) const {
  return std::vector<bool>(architecture.genes.size(), true);
}

uint64_t CellSpace::number_of(const Architecture& architecture) const {
  uint64_t number = 0;
  for (const uint16_t gene : architecture.genes) number = number * spec_.operations.size() + gene;
  return number;
}

Architecture CellSpace::canonical(const Architecture& architecture) const {
  validate(architecture);
  return distinct_[class_of_[number_of(architecture)]];
}

/// What the output node computes by the benchmark's own rule: the sum of its inputs in a fixed
/// order, where a skip stands for its node and nothing (none, or anything that reads a node of a
/// single nothing) for zero.
std::string CellSpace::normal_form(const Architecture& architecture) const {
  static const std::string kZero = "#";
  std::vector<std::string> nodes(static_cast<size_t>(spec_.nodes));
  nodes[0] = "0";
  size_t gene = 0;
  for (size_t to = 1; to < nodes.size(); ++to) {
    std::multiset<std::string> terms;
    for (size_t from = 0; from < to; ++from, ++gene) {
      const size_t option = architecture.genes[gene];
      if (option == none_ || nodes[from] == kZero) {
        terms.insert(kZero);
      } else if (option == skip_) {
        terms.insert(nodes[from]);
      } else {
        terms.insert("(" + nodes[from] + ")@" + spec_.operations[option]);
      }
    }
    nodes[to] = joined(terms);
  }
  return nodes.back();
}

Architecture CellSpace::largest() const {
  const auto heaviest = std::max_element(kernels_.begin(), kernels_.end()) - kernels_.begin();
  return canonical({std::vector<uint16_t>(genes_.size(), static_cast<uint16_t>(heaviest))});
}

Architecture CellSpace::smallest() const {
  const size_t lightest = skip_ < spec_.operations.size() ? skip_ : 0;
  return canonical({std::vector<uint16_t>(genes_.size(), static_cast<uint16_t>(lightest))});
}

network::Network CellSpace::lower(const Architecture& architecture) const {
  throw InvariantError("space " + spec_.name + ": architecture " + architecture.to_string() +
                       " has no network, expected to be looked up in a table");
}

std::string CellSpace::describe(const Architecture& architecture) const {
  validate(architecture);
  std::string text;
  size_t gene = 0;
  for (int to = 1; to < spec_.nodes; ++to) {
    text += to == 1 ? "|" : "+|";
    for (int from = 0; from < to; ++from, ++gene) {
      text += spec_.operations[architecture.genes[gene]] + "~" + std::to_string(from) + "|";
    }
  }
  return text;
}

Architecture CellSpace::parse_cell(const std::string& text) const {
  Architecture architecture;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = text.find_first_of("|+", begin);
    const std::string item = text.substr(begin, end == std::string::npos ? end : end - begin);
    begin = end == std::string::npos ? text.size() : end + 1;
    if (item.empty()) continue;
    const size_t option = position(spec_.operations, item.substr(0, item.find('~')));
    architecture.genes.push_back(static_cast<uint16_t>(option));
  }
  const bool fits = architecture.genes.size() == genes_.size() &&
                    std::all_of(architecture.genes.begin(), architecture.genes.end(),
                                [&](uint16_t gene) { return gene < spec_.operations.size(); });
  if (!fits || describe(architecture) != text) {
    throw DataError("space " + spec_.name + ": cell = " + text + ", expected one like " +
                    describe(largest()));
  }
  return architecture;
}

int64_t CellSpace::sum_cost(const Architecture& architecture, bool macs) const {
  validate(architecture);
  int64_t total = 0;
  const auto conv = [&](int64_t in, int64_t out, int64_t kernel, int64_t side) {
    const int64_t weights = in * out * kernel * kernel;
    total += macs ? weights * side * side : weights + 2 * out;  // with BN
  };
  conv(spec_.channels, spec_.width, 3, spec_.resolution);
  for (int stage = 0; stage < kStages; ++stage) {
    const int64_t width = spec_.width << stage;
    const int64_t side = spec_.resolution >> stage;
    if (stage > 0) {  // residual block: two 3x3 and the shortcut's 1x1, which has no BN
      conv(width / 2, width, 3, side);
      conv(width, width, 3, side);
      total += width / 2 * width * (macs ? side * side : 1);
    }
    for (const uint16_t option : architecture.genes) {
      if (kernels_[option] == 0) continue;
      for (int64_t cell = 0; cell < spec_.cells; ++cell) conv(width, width, kernels_[option], side);
    }
  }
  const int64_t features = spec_.width << (kStages - 1);
  return total + features * spec_.classes + (macs ? 0 : spec_.classes + 2 * features);
}

std::vector<int64_t> CellSpace::work(const Architecture& architecture) const {
  validate(architecture);
  const auto nodes = static_cast<size_t>(spec_.nodes);
  std::vector<int64_t> counts(spec_.operations.size() + 1, 0);
  std::vector<bool> needed(nodes, false);
  needed.back() = true;
  for (size_t to = nodes - 1; to > 0; --to) {
    if (!needed[to]) continue;
    int64_t inputs = 0;
    for (size_t from = 0; from < to; ++from) {
      const size_t option = architecture.genes[to * (to - 1) / 2 + from];
      if (option == none_) continue;
      needed[from] = true;
      ++counts[option];
      ++inputs;
    }
    counts.back() += std::max<int64_t>(0, inputs - 1);
  }
  return counts;
}

int64_t CellSpace::operation_macs(size_t operation) const {
  int64_t total = 0;
  for (int stage = 0; stage < kStages; ++stage) {
    const int64_t values = (spec_.width << stage) * (spec_.resolution >> stage);
    total += spec_.cells * values * values * kernels_.at(operation) * kernels_.at(operation);
  }
  return total;
}

int64_t CellSpace::macs(const Architecture& architecture) const {
  return sum_cost(architecture, true);
}

int64_t CellSpace::params(const Architecture& architecture) const {
  return sum_cost(architecture, false);
}

}  // namespace lathe::search
