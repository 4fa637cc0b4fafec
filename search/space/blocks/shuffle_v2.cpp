#include "search/space/blocks/families.h"

namespace lathe::search {
namespace {

using network::NodeId;

/// At stride 1 and equal widths the first half of the channels passes by and the second goes
/// through 1x1, depthwise and 1x1 convolutions; else both halves come from the whole input, the
/// first through a depthwise and a 1x1 convolution. Then the halves are joined and shuffled. The
/// inner width of the branch is make_divisible(out / 2 * expand), or exactly out / 2 at expand 1.
///
/// Elastic widths: the half that passes by holds no weights, and each convolution of a branch reads
/// and writes the leading channels of its half, so that every width is a slice of the same tensors.
class ShuffleV2 final : public BlockFamily {
 public:
  const std::string& name() const override {
    static const std::string family_name = "shuffle_v2";
    return family_name;
  }

  const std::vector<OptionSpec>& options() const override {
    static const std::vector<OptionSpec> specs = {kernel_option(), expand_option("1"),
                                                  squeeze_excite_option(), activation_option()};
    return specs;
  }

  std::string fault(const BlockContext& context, const Choices&) const override {
    return context.out_channels % 2 == 0 ? "" : "even widths";
  }

  NodeId lower(NetworkBuilder& builder, NodeId input, const BlockContext& context,
               const Choices& choices) const override {
    const bool split = context.stride == 1 && context.in_channels == context.out_channels;
    const int64_t half = context.out_channels / 2;
    NodeId first = input;
    NodeId second = input;
    if (split) {
      first = builder.node(context.name + ".pass", network::ChannelSlice{0, half}, {input});
      second = builder.node(context.name + ".split",
                            network::ChannelSlice{half, context.out_channels}, {input});
    } else {
      first = lower_first_half(builder, input, context, choices);
    }
    second = lower_second_half(builder, second, context, choices);
    const NodeId joined = builder.node(context.name + ".join", network::Concat{}, {first, second});
    return builder.node(context.name + ".shuffle", network::ChannelShuffle{2}, {joined});
  }

  std::string describe(const Choices& choices) const override {
    return "k" + choices.text("kernel") + " e" + choices.text("expand") +
           (choices.boolean("squeeze_excite") ? " se " : " ") + choices.text("activation");
  }

 private:
  static ConvOptions depthwise(const BlockContext& context, const Choices& choices) {
    ConvOptions conv;
    conv.kernel = choices.integer("kernel");
    conv.stride = context.stride;
    return conv;
  }

  static NodeId lower_first_half(NetworkBuilder& builder, NodeId input, const BlockContext& context,
                                 const Choices& choices) {
    ConvOptions pointwise;
    pointwise.out_channels = context.out_channels / 2;
    pointwise.activation = choices.activation("activation");
    const NodeId x = builder.depthwise_bn_act(context.name + ".first.depthwise", input,
                                              depthwise(context, choices));
    return builder.conv_bn_act(context.name + ".first.pointwise", x, pointwise);
  }

  static NodeId lower_second_half(NetworkBuilder& builder, NodeId input,
                                  const BlockContext& context, const Choices& choices) {
    const int64_t half = context.out_channels / 2;
    const double expand = choices.real("expand");
    ConvOptions pointwise;
    pointwise.out_channels =
        expand == 1.0 ? half : make_divisible(static_cast<double>(half) * expand);
    pointwise.activation = choices.activation("activation");
    NodeId x = builder.conv_bn_act(context.name + ".second.expand", input, pointwise);
    x = builder.depthwise_bn_act(context.name + ".second.depthwise", x,
                                 depthwise(context, choices));
    pointwise.out_channels = half;
    x = builder.conv_bn_act(context.name + ".second.project", x, pointwise);
    if (!choices.boolean("squeeze_excite")) return x;
    return builder.squeeze_excite(
        context.name + ".squeeze", x,
        {make_divisible(static_cast<double>(half) / 4.0), network::ActivationKind::Relu,
         network::ActivationKind::HardSigmoid});
  }
};

}  // namespace

const BlockFamily& shuffle_v2_family() {
  static const ShuffleV2 family;
  return family;
}

}  // namespace lathe::search
