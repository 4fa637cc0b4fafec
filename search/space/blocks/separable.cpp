#include "search/space/blocks/families.h"

namespace lathe::search {
namespace {

using network::NodeId;

/// Depthwise convolution and 1x1 convolution, each with BN and activation.
class Separable final : public BlockFamily {
 public:
  const std::string& name() const override {
    static const std::string family_name = "separable";
    return family_name;
  }

  const std::vector<OptionSpec>& options() const override {
    static const std::vector<OptionSpec> specs = {kernel_option(), activation_option()};
    return specs;
  }

  NodeId lower(NetworkBuilder& builder, NodeId input, const BlockContext& context,
               const Choices& choices) const override {
    ConvOptions depthwise;
    depthwise.kernel = choices.integer("kernel");
    depthwise.stride = context.stride;
    depthwise.activation = choices.activation("activation");
    const NodeId x = builder.depthwise_bn_act(context.name + ".depthwise", input, depthwise);
    ConvOptions pointwise;
    pointwise.out_channels = context.out_channels;
    pointwise.activation = depthwise.activation;
    return builder.conv_bn_act(context.name + ".pointwise", x, pointwise);
  }

  std::string describe(const Choices& choices) const override {
    return "k" + choices.text("kernel") + " " + choices.text("activation");
  }
};

}  // namespace

const BlockFamily& separable_family() {
  static const Separable family;
  return family;
}

}  // namespace lathe::search
