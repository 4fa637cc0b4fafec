#include <algorithm>

#include "search/space/blocks/families.h"

namespace lathe::search {
namespace {

using network::ActivationKind;
using network::NodeId;

/// 1x1 expansion, depthwise convolution, squeeze-excite, 1x1 projection, and a residual where
/// stride and widths allow it. The expanded width is make_divisible(in * expand); expand = 1 has no
/// expansion. `squeeze: expanded` gates as MobileNetV3 (hidden = expanded / 4 rounded, relu,
/// hard_sigmoid), `squeeze: input` as EfficientNet (hidden = in / 4, the block's activation,
/// sigmoid).
class MbConv final : public BlockFamily {
 public:
  const std::string& name() const override {
    static const std::string family_name = "mbconv";
    return family_name;
  }

  const std::vector<OptionSpec>& options() const override {
    static const std::vector<OptionSpec> specs = [] {
      OptionSpec squeeze{"squeeze", OptionKind::Name, "expanded"};
      squeeze.names = {"expanded", "input"};
      squeeze.elastic = false;
      return std::vector<OptionSpec>{kernel_option(), expand_option("6"), squeeze_excite_option(),
                                     activation_option(), squeeze};
    }();
    return specs;
  }

  NodeId lower(NetworkBuilder& builder, NodeId input, const BlockContext& context,
               const Choices& choices) const override {
    const ActivationKind activation = choices.activation("activation");
    const double expand = choices.real("expand");
    NodeId x = input;
    if (expand != 1.0) {
      const int64_t expanded = make_divisible(static_cast<double>(context.in_channels) * expand);
      x = builder.conv_bn_act(context.name + ".expand", x, {expanded, 1, 1, 1, activation});
    }
    ConvOptions depthwise;
    depthwise.kernel = choices.integer("kernel");
    depthwise.stride = context.stride;
    depthwise.activation = activation;
    x = builder.depthwise_bn_act(context.name + ".depthwise", x, depthwise);
    if (choices.boolean("squeeze_excite")) {
      x = builder.squeeze_excite(
          context.name + ".squeeze", x,
          squeeze_options(choices, context.in_channels, builder.channels(x)));
    }
    x = builder.conv_bn_act(context.name + ".project", x, {context.out_channels});
    const bool residual = context.stride == 1 && context.in_channels == context.out_channels;
    return residual ? builder.add(context.name + ".add", x, input) : x;
  }

  std::string describe(const Choices& choices) const override {
    return "k" + choices.text("kernel") + " e" + choices.text("expand") +
           (choices.boolean("squeeze_excite") ? " se " : " ") + choices.text("activation");
  }

 private:
  static SqueezeExciteOptions squeeze_options(const Choices& choices, int64_t in,
                                              int64_t expanded) {
    if (choices.text("squeeze") == "input") {
      return {std::max<int64_t>(1, in / 4), choices.activation("activation"),
              ActivationKind::Sigmoid};
    }
    return {make_divisible(static_cast<double>(expanded) / 4.0), ActivationKind::Relu,
            ActivationKind::HardSigmoid};
  }
};

}  // namespace

const BlockFamily& mbconv_family() {
  static const MbConv family;
  return family;
}

}  // namespace lathe::search
