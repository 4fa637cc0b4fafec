#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/rng.h"
#include "latency/measurement/latency_estimate.h"
#include "latency/models/model_report.h"
#include "latency/models/regressor.h"
#include "network/digest.h"
#include "network/network.h"
#include "search/space/search_space.h"

namespace lathe::search {

/// A block that networks of a space are made of.
struct SpaceBlock {
  std::string name;           ///< of one place where it stands: "stage2.block0"
  network::Digest structure;  ///< network::Block::structure; CostPart::key is its first word
  network::Network network;   ///< the block alone, deployed
  int64_t macs = 0;
  int64_t occurrences = 0;  ///< in the drawn networks
};

/// Draws `networks` architectures (the smallest and the largest first) and returns the blocks that
/// occur in them, the most frequent first, then by digest. \throws InvariantError for a space
/// without networks.
std::vector<SpaceBlock> sample_blocks(const SearchSpace& space, int64_t networks, const Rng& rng);

/// What the blocks of a space cost on one device, each measured alone, as FBNet's and
/// ProxylessNAS's look-up tables (Wu et al., 2019; Cai et al., 2019); whole networks show how far
/// their sum can be trusted. Latencies in ms at batch 1.
struct BlockTable {
  struct Block {
    network::Digest structure;
    std::string name, input, output;  ///< shapes as text
    int64_t macs = 0;
    int64_t occurrences = 0;
    double median_ms = 0.0;
    Interval interval_ms;
    latency::Verdict verdict = latency::Verdict::Clean;
  };
  /// A whole network measured, beside the sum of its blocks' entries.
  struct Whole {
    Architecture architecture;
    double median_ms = 0.0;
    double sum_ms = 0.0;
  };

  /// Fewer whole networks cannot tell a model of four unknowns from the truth.
  static constexpr size_t kLeastNetworks = 8;

  std::string space, device, fingerprint, engine, engine_version;
  latency::Precision precision = latency::Precision::Fp32;
  int threads = 1;
  double covered = 0.0;  ///< share of the drawn networks' blocks that were measured, 0..1
  std::vector<Block> blocks;
  std::vector<Whole> networks;
  /// On the whole networks, each predicted without its own label: "sum", "reconciled" (the additive
  /// table that starts from these entries) and "by MACs" (the one that does not).
  std::vector<models::ModelReport> reports;

  /// By CostPart::key, for models.
  models::PartCosts costs() const;
};

/// Fills `sum_ms` of the networks and `reports`. Blocks without an entry count with the table's
/// median time per MAC. \throws InvariantError if there are fewer than kLeastNetworks
/// networks or no block.
void reconcile(const SearchSpace& space, BlockTable& table);

std::string to_json(const BlockTable& table);
/// \throws DataError naming the file and what is wrong with it.
BlockTable read_block_table(const std::filesystem::path& file);

}  // namespace lathe::search
