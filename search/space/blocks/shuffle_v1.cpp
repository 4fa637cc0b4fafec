#include <algorithm>

#include "search/space/blocks/families.h"

namespace lathe::search {
namespace {

using network::NodeId;

/// Grouped 1x1 convolution to an inner width of out * expand, shuffle, depthwise convolution,
/// grouped 1x1 convolution. At stride 1 and equal widths the input is added; else the branch makes
/// the channels that the input (averaged over 3x3 at stride 2) lacks and both are joined.
/// Activation last.
///
/// `dense_first: true` leaves the first 1x1 convolution of the stage's first block ungrouped, as
/// the paper does after the stem. With elastic widths a grouped convolution uses the leading slice
/// of the shared [out, in / groups] tensor: each width groups the channels anew.
class ShuffleV1 final : public BlockFamily {
 public:
  const std::string& name() const override {
    static const std::string family_name = "shuffle_v1";
    return family_name;
  }

  const std::vector<OptionSpec>& options() const override {
    static const std::vector<OptionSpec> specs = [] {
      OptionSpec groups{"groups", OptionKind::Integer, "3"};
      groups.integers = {1, 64, 1};
      groups.elastic = false;
      OptionSpec dense_first{"dense_first", OptionKind::Boolean, "false"};
      dense_first.elastic = false;
      return std::vector<OptionSpec>{kernel_option(), expand_option("0.25"), activation_option(),
                                     groups, dense_first};
    }();
    return specs;
  }

  std::string fault(const BlockContext& context, const Choices& choices) const override {
    const int64_t groups = choices.integer("groups");
    const std::string multiple = "a multiple of " + std::to_string(groups) + " groups";
    if (inner_width(context, choices) % groups != 0) return "width * expand to be " + multiple;
    if (first_groups(context, choices) > 1 && context.in_channels % groups != 0) {
      return "the width before the stage to be " + multiple;
    }
    if (adds_input(context))
      return context.out_channels % groups == 0 ? "" : "widths to be " + multiple;
    const int64_t lacking = context.out_channels - context.in_channels;
    if (lacking <= 0) return "widths larger than those before the stage";
    return lacking % groups == 0 ? "" : "the gain in width to be " + multiple;
  }

  NodeId lower(NetworkBuilder& builder, NodeId input, const BlockContext& context,
               const Choices& choices) const override {
    const network::ActivationKind activation = choices.activation("activation");
    const int64_t groups = choices.integer("groups");
    ConvOptions reduce;
    reduce.out_channels = inner_width(context, choices);
    reduce.groups = first_groups(context, choices);
    reduce.activation = activation;
    NodeId x = builder.conv_bn_act(context.name + ".reduce", input, reduce);
    if (groups > 1)
      x = builder.node(context.name + ".shuffle", network::ChannelShuffle{groups}, {x});
    ConvOptions depthwise;
    depthwise.kernel = choices.integer("kernel");
    depthwise.stride = context.stride;
    x = builder.depthwise_bn_act(context.name + ".depthwise", x, depthwise);
    ConvOptions project;
    project.out_channels = context.out_channels - (adds_input(context) ? 0 : context.in_channels);
    project.groups = groups;
    x = builder.conv_bn_act(context.name + ".project", x, project);
    if (adds_input(context)) {
      x = builder.add(context.name + ".add", x, input);
    } else {
      NodeId passed = input;
      if (context.stride > 1) {
        passed = builder.node(context.name + ".pool", network::AveragePool{3, context.stride, 1},
                              {input});
      }
      x = builder.node(context.name + ".join", network::Concat{}, {passed, x});
    }
    return builder.activation(context.name + ".act", x, activation);
  }

  std::string describe(const Choices& choices) const override {
    return "k" + choices.text("kernel") + " e" + choices.text("expand") + " g" +
           choices.text("groups") + " " + choices.text("activation");
  }

 private:
  static bool adds_input(const BlockContext& context) {
    return context.stride == 1 && context.in_channels == context.out_channels;
  }
  static int64_t inner_width(const BlockContext& context, const Choices& choices) {
    const double width = static_cast<double>(context.out_channels) * choices.real("expand");
    return std::max<int64_t>(1, static_cast<int64_t>(width + 0.5));
  }
  static int64_t first_groups(const BlockContext& context, const Choices& choices) {
    const bool dense = context.position == 0 && choices.boolean("dense_first");
    return dense ? 1 : choices.integer("groups");
  }
};

}  // namespace

const BlockFamily& shuffle_v1_family() {
  static const ShuffleV1 family;
  return family;
}

}  // namespace lathe::search
