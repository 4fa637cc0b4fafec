#include "search/space/blocks/families.h"

namespace lathe::search {
namespace {

using network::NodeId;

/// Convolution, BN, activation.
class PlainConv final : public BlockFamily {
 public:
  const std::string& name() const override {
    static const std::string family_name = "conv";
    return family_name;
  }

  const std::vector<OptionSpec>& options() const override {
    static const std::vector<OptionSpec> specs = {kernel_option(), activation_option()};
    return specs;
  }

  NodeId lower(NetworkBuilder& builder, NodeId input, const BlockContext& context,
               const Choices& choices) const override {
    ConvOptions conv;
    conv.out_channels = context.out_channels;
    conv.kernel = choices.integer("kernel");
    conv.stride = context.stride;
    conv.activation = choices.activation("activation");
    return builder.conv_bn_act(context.name, input, conv);
  }

  std::string describe(const Choices& choices) const override {
    return "k" + choices.text("kernel") + " " + choices.text("activation");
  }
};

}  // namespace

const BlockFamily& conv_family() {
  static const PlainConv family;
  return family;
}

}  // namespace lathe::search
