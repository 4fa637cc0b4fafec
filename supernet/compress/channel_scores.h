#pragma once

#include <cstdint>

#include "network/pruning/criteria.h"
#include "supernet/data/batches.h"

namespace lathe::supernet {

/// Scores the units of `groups` by a criterion that needs images, on the first `count` of `images`
/// without augmentation. A layer is judged where its values are handed on: behind the batch norm
/// and activation that alone read the convolution (or linear layer), as one number for every image:
/// the mean over the pixels of |a| (MeanActivation), a != 0 (Apoz), a (Entropy: 32 equal bins
/// between the smallest and the largest of all images) and a * da (Taylor, absolute), or the sum of
/// a * da (Fisher), where da is the gradient of the image's cross entropy. A unit's score is the
/// sum over its channels of the means over the images; for Fisher the mean of the squared sum,
/// divided by the multiply-accumulates that go with the unit. Gradients are those of a training
/// pass (batch norm by batch statistics), the others of inference. Deterministic. \throws
/// InvariantError if the criterion needs no images.
network::ChannelScores image_scores(const network::Model& model,
                                    const std::vector<network::ChannelGroup>& groups,
                                    network::PruneCriterion criterion, const Batches& images,
                                    int64_t count, int64_t batch, at::Device device);

}  // namespace lathe::supernet
