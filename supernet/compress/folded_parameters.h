#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "network/network.h"
#include "supernet/weights/shared_weights.h"

namespace lathe::supernet {

/// How a layer's weight is rounded while it is trained.
enum class WeightRounding { Float, Int8, Binary };

/// The parameters of a deployed network as functions of the learned ones of the network it was
/// deployed from: each batch norm is folded into its convolution by its stored statistics, which
/// training does not change (Krishnamoorthi, 2018, section 3.2.2), and weights are rounded as the
/// integers will be. Differentiable in the learned parameters. For one forward and backward pass.
/// Not thread-safe.
class FoldedParameters : public ParameterSource {
 public:
  /// What stays the same over all passes: which nodes become which. Value type.
  class Layout {
   public:
    /// `start` deploys to a network with the layers of `deployed`; `rounding` has each by node.
    /// \throws ConfigError naming a batch norm that follows no convolution: it cannot be folded.
    Layout(const network::Model& start, const network::Network& deployed,
           std::map<std::string, WeightRounding> rounding, at::Device device);

   private:
    friend class FoldedParameters;
    struct Layer {
      network::Parameter weight;
      std::vector<network::Parameter> bias;  ///< none or one
      std::vector<network::Parameter> norm;  ///< none, or gamma and beta
      at::Tensor mean, inverse;              ///< inverse: 1 / sqrt(variance + epsilon)
      WeightRounding rounding = WeightRounding::Int8;
    };
    std::map<std::string, Layer> layers_;         ///< by the deployed node
    std::map<std::string, std::string> node_of_;  ///< by the deployed parameter
  };

  FoldedParameters(const Layout& layout, SharedWeights& weights)
      : layout_(layout), slices_(weights) {}

  /// Returns the folded and rounded weight or the folded bias of a deployed node.
  at::Tensor value(const network::Parameter& parameter) override;

  /// Returns the folded weight or bias before rounding, and the scales of a rounded weight.
  at::Tensor exact(const network::Parameter& parameter);
  at::Tensor scales(const network::Parameter& parameter);

  /// Adds the gradients to the shared ones. Call once, after the backward pass.
  void add_gradients() { slices_.add_gradients(); }

 private:
  const Layout::Layer& layer_of(const network::Parameter& parameter) const;

  const Layout& layout_;
  TrainableSlices slices_;
};

}  // namespace lathe::supernet
