#pragma once

#include "network/network.h"
#include "supernet/evaluate/recalibration.h"

namespace lathe::supernet {

/// Returns the network as a model of its own: the parameters' values and the moments of its batch
/// norms. `moments` is indexed by the steps of make_plan(network). \throws InvariantError if two
/// nodes use different slices of one tensor.
network::Model make_model(const network::Network& network, ParameterSource& parameters,
                          const std::map<size_t, ChannelMoments>& moments);

/// Returns the logits of a model (its own batch norm statistics; in int8 if it is quantised) on
/// images [N, C, H, W], in batches.
at::Tensor model_logits(const network::Model& model, const at::Tensor& images, int64_t batch);

/// Returns the accuracy of a model with its own statistics, in int8 if it is quantised, on
/// `images`.
search::AccuracyEstimate model_accuracy(const network::Model& model, const Batches& images,
                                        int64_t batch, at::Device device);

}  // namespace lathe::supernet
