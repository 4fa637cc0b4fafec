#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "network/pruning/channel_groups.h"

namespace lathe::network {

/// How important a channel is taken to be. The first four need the weights alone.
enum class PruneCriterion {
  L1,              ///< sum of a filter's absolute weights
  L2,              ///< their Euclidean norm
  BnScale,         ///< |gamma| of batch norm (network slimming, Liu et al., 2017)
  Random,          ///< the control that every other one has to beat
  MeanActivation,  ///< mean absolute activation
  Apoz,            ///< share of activations that are not zero (Hu et al., 2016)
  Entropy,         ///< of the distribution of its image means (Luo and Wu, 2017)
  Taylor,          ///< |mean of activation x gradient| of an image (Molchanov et al., 2017)
  Fisher,          ///< squared sum of activation x gradient over all that is tied, divided by the
                   ///< MACs that go (group Fisher, Liu et al., 2021)
};
const char* to_string(PruneCriterion criterion);  ///< "l1", "bn_scale", "mean_activation", ...
/// \throws ConfigError listing the names if there is none called `name`.
PruneCriterion prune_criterion_from_string(const std::string& name);
const std::vector<std::string>& prune_criterion_names();
/// Whether images are needed besides the weights.
bool needs_images(PruneCriterion criterion);

/// The importance of every unit of every group, larger is more important: scores[group][unit]. An
/// empty entry is a group that the criterion cannot judge; it is left alone.
using ChannelScores = std::vector<std::vector<double>>;

/// Scores units by a criterion that needs no images. A unit's score is the sum over its channels in
/// convolutions and linear layers (BnScale: in batch norms; groups without any have no scores).
/// \throws InvariantError if `criterion` needs images or a parameter is missing.
ChannelScores weight_scores(const Model& model, const std::vector<ChannelGroup>& groups,
                            PruneCriterion criterion, uint64_t seed);

/// Returns the multiply-accumulates that removing one unit of each group saves.
std::vector<int64_t> macs_of_units(const Network& network, const std::vector<ChannelGroup>& groups);

}  // namespace lathe::network
