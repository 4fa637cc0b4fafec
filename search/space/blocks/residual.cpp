#include "search/space/blocks/families.h"

namespace lathe::search {
namespace {

using network::ActivationKind;
using network::NodeId;

/// Both kinds of ResNet block: convolutions to an inner width of make_divisible(out * expand) and
/// back, the shortcut (a 1x1 convolution with BN where stride or widths differ), and the activation
/// after the sum. With elastic widths a shortcut convolution exists only for the widths that need
/// it.
class Residual final : public BlockFamily {
 public:
  Residual(std::string family_name, bool bottleneck, const std::string& expand)
      : name_(std::move(family_name)),
        bottleneck_(bottleneck),
        options_{kernel_option(), expand_option(expand), squeeze_excite_option(),
                 activation_option()} {}

  const std::string& name() const override { return name_; }
  const std::vector<OptionSpec>& options() const override { return options_; }

  NodeId lower(NetworkBuilder& builder, NodeId input, const BlockContext& context,
               const Choices& choices) const override {
    const ActivationKind activation = choices.activation("activation");
    ConvOptions inner;
    inner.out_channels =
        make_divisible(static_cast<double>(context.out_channels) * choices.real("expand"));
    inner.kernel = choices.integer("kernel");
    inner.stride = context.stride;
    inner.activation = activation;
    ConvOptions last;
    last.out_channels = context.out_channels;
    NodeId x = input;
    if (bottleneck_) {
      ConvOptions reduce;
      reduce.out_channels = inner.out_channels;
      reduce.activation = activation;
      x = builder.conv_bn_act(context.name + ".reduce", x, reduce);
    } else {
      last.kernel = inner.kernel;
    }
    x = builder.conv_bn_act(context.name + ".inner", x, inner);
    x = builder.conv_bn_act(context.name + ".project", x, last);
    if (choices.boolean("squeeze_excite")) {
      const int64_t hidden = make_divisible(static_cast<double>(context.out_channels) / 16.0);
      x = builder.squeeze_excite(context.name + ".squeeze", x,
                                 {hidden, ActivationKind::Relu, ActivationKind::Sigmoid});
    }
    x = builder.add(context.name + ".add", x, shortcut(builder, input, context));
    return builder.activation(context.name + ".act", x, activation);
  }

  std::string describe(const Choices& choices) const override {
    return "k" + choices.text("kernel") + " e" + choices.text("expand") +
           (choices.boolean("squeeze_excite") ? " se " : " ") + choices.text("activation");
  }

 private:
  static NodeId shortcut(NetworkBuilder& builder, NodeId input, const BlockContext& context) {
    if (context.stride == 1 && context.in_channels == context.out_channels) return input;
    ConvOptions conv;
    conv.out_channels = context.out_channels;
    conv.stride = context.stride;
    return builder.conv_bn_act(context.name + ".shortcut", input, conv);
  }

  std::string name_;
  bool bottleneck_;
  std::vector<OptionSpec> options_;
};

}  // namespace

const BlockFamily& residual_basic_family() {
  static const Residual family("residual_basic", false, "1");
  return family;
}

const BlockFamily& residual_bottleneck_family() {
  static const Residual family("residual_bottleneck", true, "0.25");
  return family;
}

}  // namespace lathe::search
