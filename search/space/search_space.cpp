#include "search/space/search_space.h"

#include <algorithm>

namespace lathe::search {
namespace {

size_t option_count(const SearchSpace& space, size_t gene) {
  return space.genes()[gene].options.size();
}

uint16_t draw(const SearchSpace& space, size_t gene, Rng& rng) {
  return static_cast<uint16_t>(rng.below(option_count(space, gene)));
}

/// Returns an option of `gene` other than `current`, which must have one.
uint16_t draw_other(const SearchSpace& space, size_t gene, uint16_t current, Rng& rng) {
  const auto other = static_cast<uint16_t>(rng.below(option_count(space, gene) - 1));
  return static_cast<uint16_t>(other < current ? other : other + 1);
}

/// Draws the genes of `child` that are active now and were not in the parent. A drawn gene may
/// bring others to life (a block's family, then that family's options), hence the loop.
void draw_awakened(const SearchSpace& space, std::vector<bool> settled, Architecture& child,
                   Rng& rng) {
  for (bool changed = true; changed;) {
    changed = false;
    const std::vector<bool> active = space.active(child);
    for (size_t gene = 0; gene < active.size(); ++gene) {
      if (!active[gene] || settled[gene]) continue;
      settled[gene] = true;
      child.genes[gene] = draw(space, gene, rng);
      changed = true;
    }
  }
}

/// Returns the first canonical architecture that one changed active gene leads to.
Architecture first_neighbour(const SearchSpace& space, const Architecture& parent,
                             const std::vector<size_t>& active) {
  for (const size_t gene : active) {
    Architecture child = parent;
    for (size_t option = 0; option < option_count(space, gene); ++option) {
      child.genes[gene] = static_cast<uint16_t>(option);
      const Architecture neighbour = space.canonical(child);
      if (neighbour != parent) return neighbour;
    }
  }
  throw InvariantError("space " + space.name() + ": architecture " + parent.to_string() +
                       " has active genes that change nothing");
}

}  // namespace

std::string SearchSpace::family(const Architecture& /*architecture*/,
                                const std::string& /*block*/) const {
  return {};
}

std::vector<network::Network> SearchSpace::covering() const { return {lower(largest())}; }

void SearchSpace::validate(const Architecture& architecture) const {
  const std::vector<Gene>& all = genes();
  if (architecture.genes.size() != all.size()) {
    throw InvariantError("space " + name() + ": architecture " + architecture.to_string() +
                         " has " + std::to_string(architecture.genes.size()) + " genes, expected " +
                         std::to_string(all.size()));
  }
  for (size_t gene = 0; gene < all.size(); ++gene) {
    if (architecture.genes[gene] < all[gene].options.size()) continue;
    throw InvariantError("space " + name() + ": gene " + all[gene].name + " = " +
                         std::to_string(architecture.genes[gene]) + ", expected an index below " +
                         std::to_string(all[gene].options.size()));
  }
}

Architecture SearchSpace::canonical(const Architecture& architecture) const {
  validate(architecture);
  const std::vector<bool> is_active = active(architecture);
  Architecture result = architecture;
  for (size_t gene = 0; gene < result.genes.size(); ++gene) {
    if (!is_active[gene]) result.genes[gene] = 0;
  }
  return result;
}

Architecture SearchSpace::sample_genes(Rng& rng) const {
  Architecture architecture;
  architecture.genes.reserve(genes().size());
  for (size_t gene = 0; gene < genes().size(); ++gene) {
    architecture.genes.push_back(draw(*this, gene, rng));
  }
  return canonical(architecture);
}

std::map<std::string, network::Shape> shared_shapes(const SearchSpace& space) {
  std::map<std::string, network::Shape> shapes;
  for (const network::Network& network : space.covering()) {
    for (const network::Node& node : network.nodes()) {
      for (const network::Parameter& parameter : node.parameters) {
        const auto [position, is_new] = shapes.emplace(parameter.name, parameter.shape);
        if (is_new) continue;
        network::Shape& full = position->second;
        if (full.size() != parameter.shape.size()) {
          throw InvariantError("space " + space.name() + ": tensor " + parameter.name +
                               " has shapes " + network::to_string(full) + " and " +
                               network::to_string(parameter.shape) + ", expected one rank");
        }
        for (size_t d = 0; d < full.size(); ++d) full[d] = std::max(full[d], parameter.shape[d]);
      }
    }
  }
  return shapes;
}

Architecture mutate(const SearchSpace& space, const Architecture& parent,
                    const VariationOptions& options, Rng& rng) {
  const double probability = options.gene_mutation_probability;
  if (!(probability >= 0.0 && probability <= 1.0)) {
    throw InvariantError("mutate: gene_mutation_probability = " + std::to_string(probability) +
                         ", expected a value in [0, 1]");
  }
  const Architecture origin = space.canonical(parent);
  const std::vector<bool> is_active = space.active(origin);
  std::vector<size_t> active;
  for (size_t gene = 0; gene < is_active.size(); ++gene) {
    if (is_active[gene]) active.push_back(gene);
  }
  if (active.empty()) return origin;

  // A change may be undone by canonicalisation (two options that give one network), hence the
  // tries.
  constexpr int kTries = 16;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    Architecture child = origin;
    const size_t forced = active[rng.below(active.size())];
    for (const size_t gene : active) {
      const bool chosen = rng.bernoulli(probability);
      if (chosen) child.genes[gene] = draw_other(space, gene, origin.genes[gene], rng);
    }
    if (child == origin) child.genes[forced] = draw_other(space, forced, origin.genes[forced], rng);
    draw_awakened(space, is_active, child, rng);
    child = space.canonical(child);
    if (child != origin) return child;
  }
  return first_neighbour(space, origin, active);
}

Architecture crossover(const SearchSpace& space, const Architecture& a, const Architecture& b,
                       Rng& rng) {
  const Architecture first = space.canonical(a);
  const Architecture second = space.canonical(b);
  const std::vector<bool> first_active = space.active(first);
  const std::vector<bool> second_active = space.active(second);
  Architecture child = first;
  for (size_t gene = 0; gene < child.genes.size(); ++gene) {
    bool from_second = rng.bernoulli(0.5);
    if (first_active[gene] != second_active[gene]) from_second = second_active[gene];
    if (from_second) child.genes[gene] = second.genes[gene];
  }
  return space.canonical(child);
}

}  // namespace lathe::search
