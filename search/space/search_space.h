#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/rng.h"
#include "network/network.h"
#include "search/space/architecture.h"

namespace lathe::search {

/// A set of networks described by genes. Immutable; concurrent use is safe.
class SearchSpace {
 public:
  virtual ~SearchSpace() = default;

  virtual const std::string& name() const = 0;
  virtual const std::vector<Gene>& genes() const = 0;

  /// Returns which genes have an effect, given the others.
  virtual std::vector<bool> active(const Architecture& architecture) const = 0;

  /// Returns the exact number of distinct architectures, as decimal digits.
  virtual std::string count() const = 0;

  /// Draws uniformly over the distinct architectures (each canonical one equally likely).
  virtual Architecture sample(Rng& rng) const = 0;

  /// The architectures whose every gene is the largest, or the smallest, choice.
  virtual Architecture largest() const = 0;
  virtual Architecture smallest() const = 0;

  /// Returns the network. Parameter names and shapes name slices of the largest architecture's
  /// tensors. \throws InvariantError if `architecture` is not of this space, or the space is a
  /// table without networks.
  virtual network::Network lower(const Architecture& architecture) const = 0;

  /// Returns networks that together hold every shared tensor at its full size in each dimension:
  /// first the largest architecture, then others where that one cannot hold all tensors (blocks
  /// that choose between families, shortcuts that only some widths need). Default: the largest
  /// alone.
  virtual std::vector<network::Network> covering() const;

  /// Returns a short description for people, stage by stage: "28px  s1 2x mbconv k3 e4 w16 ...".
  virtual std::string describe(const Architecture& architecture) const = 0;

  /// Returns the name of the block family that made the nodes whose names start with `block`
  /// ("stage2.block0" -> "mbconv"); "conv" and "linear" for stem, head and classifier. Default:
  /// empty. \throws InvariantError if the architecture has no such block.
  virtual std::string family(const Architecture& architecture, const std::string& block) const;

  // Shared by all spaces, in terms of the above.

  /// \throws InvariantError if the number of genes or an index is out of range.
  void validate(const Architecture& architecture) const;
  /// Returns the one genotype that stands for all that give the same network. Default: every
  /// inactive gene set to 0; spaces in which different options of active genes can give one network
  /// override it.
  virtual Architecture canonical(const Architecture& architecture) const;
  /// Draws every gene uniformly by itself (then canonical): the sampler of supernet training, which
  /// favours small depths more than sample() does.
  Architecture sample_genes(Rng& rng) const;
};

/// Returns the name and full shape of every shared tensor: the largest extent in each dimension
/// over covering().
std::map<std::string, network::Shape> shared_shapes(const SearchSpace& space);

struct VariationOptions {
  double gene_mutation_probability = 0.1;  ///< per active gene
};

/// Returns a canonical architecture that differs from `parent` in at least one active gene (if the
/// space has more than one architecture). Genes that a mutation brings to life are drawn uniformly.
/// \throws InvariantError if the probability is outside [0, 1] or `parent` is not of the space.
Architecture mutate(const SearchSpace& space, const Architecture& parent,
                    const VariationOptions& options, Rng& rng);
/// Uniform crossover per gene; the result is canonical and may equal a parent. A gene that is
/// active in one parent only comes from that one.
Architecture crossover(const SearchSpace& space, const Architecture& a, const Architecture& b,
                       Rng& rng);

/// Reads a space from YAML or JSON (configs/spaces/*.yaml).
/// \throws ConfigError with every fault of the file.
std::unique_ptr<SearchSpace> read_search_space(const std::filesystem::path& path,
                                               const std::vector<std::string>& overrides = {});
/// The same for text; `name` stands for the path in messages.
std::unique_ptr<SearchSpace> read_search_space_text(const std::string& text,
                                                    const std::string& name);

}  // namespace lathe::search
