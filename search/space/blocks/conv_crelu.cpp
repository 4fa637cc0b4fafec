#include "search/space/blocks/families.h"

namespace lathe::search {
namespace {

using network::ActivationKind;
using network::NodeId;

/// Convolution and BN to half of the block's channels; the other half are their negations, and both
/// are rectified. Early filters come in pairs of opposite phase, of which this computes one.
class ConvCrelu final : public BlockFamily {
 public:
  const std::string& name() const override {
    static const std::string family_name = "conv_crelu";
    return family_name;
  }

  const std::vector<OptionSpec>& options() const override {
    static const std::vector<OptionSpec> specs = {kernel_option()};
    return specs;
  }

  std::string fault(const BlockContext& context, const Choices& /*choices*/) const override {
    return context.out_channels % 2 == 0 ? "" : "even widths";
  }

  NodeId lower(NetworkBuilder& builder, NodeId input, const BlockContext& context,
               const Choices& choices) const override {
    ConvOptions conv;
    conv.out_channels = context.out_channels / 2;
    conv.kernel = choices.integer("kernel");
    conv.stride = context.stride;
    const NodeId x = builder.conv_bn_act(context.name, input, conv);
    const NodeId positive = builder.activation(context.name + ".positive", x, ActivationKind::Relu);
    const NodeId negative =
        builder.activation(context.name + ".negative", x, ActivationKind::NegatedRelu);
    return builder.node(context.name + ".join", network::Concat{}, {positive, negative});
  }

  std::string describe(const Choices& choices) const override {
    return "k" + choices.text("kernel") + " crelu";
  }
};

}  // namespace

const BlockFamily& conv_crelu_family() {
  static const ConvCrelu family;
  return family;
}

}  // namespace lathe::search
