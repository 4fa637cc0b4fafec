#include "network/reference_networks.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/text.h"

namespace lathe::network {
namespace {

/// Appends layers to a network, one block after the other.
class Builder {
 public:
  explicit Builder(const ReferenceOptions& options) : options_(options) {
    last_ =
        network_.add_input("input", {1, options.channels, options.resolution, options.resolution});
  }

  struct Conv {
    int64_t out = 0;
    int64_t kernel = 1;
    int64_t stride = 1;
    int64_t groups = 1;
    ActivationKind activation = ActivationKind::Identity;
  };

  NodeId last() const { return last_; }
  void go_to(NodeId id) { last_ = id; }
  int64_t channels() const { return network_.node(last_).shape[1]; }

  NodeId add(const std::string& name, Operator op, const std::vector<NodeId>& inputs) {
    last_ = network_.add(name, std::move(op), inputs);
    return last_;
  }
  NodeId then(const std::string& name, Operator op) { return add(name, std::move(op), {last_}); }

  /// Convolution with "same" padding, BatchNorm, activation.
  NodeId conv(const std::string& name, const Conv& layer) {
    Conv2d op;
    op.out_channels = layer.out;
    op.kernel = layer.kernel;
    op.stride = layer.stride;
    op.padding = layer.kernel / 2;
    op.groups = layer.groups;
    then(name + ".conv", op);
    then(name + ".bn", BatchNorm{});
    return activate(name, layer.activation);
  }
  NodeId depthwise(const std::string& name, int64_t kernel, int64_t stride, ActivationKind kind) {
    return conv(name, {channels(), kernel, stride, channels(), kind});
  }
  NodeId activate(const std::string& name, ActivationKind kind) {
    if (kind == ActivationKind::Identity) return last_;
    return then(name + ".activation", Activation{kind});
  }

  /// Hu et al., 2018, with the two layers as convolutions.
  void squeeze_excite(const std::string& name, int64_t squeezed, ActivationKind kind) {
    const NodeId value = last_;
    Conv2d reduce;
    reduce.out_channels = squeezed;
    reduce.bias = true;
    Conv2d expand = reduce;
    expand.out_channels = channels();
    then(name + ".pool", GlobalAveragePool{});
    then(name + ".reduce", reduce);
    activate(name, kind);
    then(name + ".expand", expand);
    const NodeId gate = then(name + ".gate", Activation{ActivationKind::Sigmoid});
    add(name, Multiply{}, {value, gate});
  }

  Network classify() {
    then("pool", GlobalAveragePool{});
    then("flatten", Flatten{});
    then("classifier", Linear{options_.classes});
    return std::move(network_);
  }

 private:
  ReferenceOptions options_;
  Network network_;
  NodeId last_ = -1;
};

/// A stage of inverted residual blocks (Sandler et al., 2018).
struct Stage {
  int64_t expand;
  int64_t out;
  int64_t repeats;
  int64_t stride;
  int64_t kernel;
};

struct MbConvStyle {
  ActivationKind activation = ActivationKind::Relu6;
  bool squeeze_excite = false;
};

void mb_conv(Builder& builder, const std::string& name, const Stage& stage, int64_t stride,
             const MbConvStyle& style) {
  const NodeId input = builder.last();
  const int64_t in = builder.channels();
  const int64_t hidden = in * stage.expand;
  if (stage.expand != 1) builder.conv(name + ".expand", {hidden, 1, 1, 1, style.activation});
  builder.depthwise(name + ".depthwise", stage.kernel, stride, style.activation);
  if (style.squeeze_excite) {
    builder.squeeze_excite(name + ".se", std::max<int64_t>(in / 4, 1), style.activation);
  }
  const NodeId output = builder.conv(name + ".project", {stage.out});
  if (stride == 1 && in == stage.out) builder.add(name + ".add", Add{}, {output, input});
}

void mb_conv_stages(Builder& builder, const std::vector<Stage>& stages, const MbConvStyle& style) {
  for (size_t i = 0; i < stages.size(); ++i) {
    for (int64_t block = 0; block < stages[i].repeats; ++block) {
      const std::string name = "stage" + std::to_string(i + 1) + ".block" + std::to_string(block);
      mb_conv(builder, name, stages[i], block == 0 ? stages[i].stride : 1, style);
    }
  }
}

/// Howard et al., 2017.
Network mobilenet_v1(const ReferenceOptions& options) {
  static const std::pair<int64_t, int64_t> kLayers[] = {
      {64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2}, {512, 1},
      {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};
  constexpr ActivationKind kRelu = ActivationKind::Relu;
  Builder builder(options);
  builder.conv("stem", {32, 3, 2, 1, kRelu});
  int index = 0;
  for (const auto& [out, stride] : kLayers) {
    const std::string name = "block" + std::to_string(index++);
    builder.depthwise(name + ".depthwise", 3, stride, kRelu);
    builder.conv(name + ".pointwise", {out, 1, 1, 1, kRelu});
  }
  return builder.classify();
}

/// Rounds channels to a multiple of eight, never down by more than a tenth.
int64_t rounded_channels(double channels) {
  const int64_t rounded = std::max<int64_t>(8, static_cast<int64_t>(channels + 4.0) / 8 * 8);
  return static_cast<double>(rounded) < 0.9 * channels ? rounded + 8 : rounded;
}

/// Sandler et al., 2018.
Network mobilenet_v2(const ReferenceOptions& options, double width) {
  std::vector<Stage> stages = {{1, 16, 1, 1, 3}, {6, 24, 2, 2, 3}, {6, 32, 3, 2, 3},
                               {6, 64, 4, 2, 3}, {6, 96, 3, 1, 3}, {6, 160, 3, 2, 3},
                               {6, 320, 1, 1, 3}};
  for (Stage& stage : stages) stage.out = rounded_channels(static_cast<double>(stage.out) * width);
  Builder builder(options);
  builder.conv("stem", {rounded_channels(32 * width), 3, 2, 1, ActivationKind::Relu6});
  mb_conv_stages(builder, stages, {ActivationKind::Relu6, false});
  builder.conv("head",
               {rounded_channels(1280 * std::max(width, 1.0)), 1, 1, 1, ActivationKind::Relu6});
  return builder.classify();
}

/// MNASNet-B1, Tan et al., 2019.
Network mnasnet(const ReferenceOptions& options) {
  constexpr ActivationKind kRelu = ActivationKind::Relu;
  Builder builder(options);
  builder.conv("stem", {32, 3, 2, 1, kRelu});
  builder.depthwise("stem.depthwise", 3, 1, kRelu);
  builder.conv("stem.project", {16});
  mb_conv_stages(builder,
                 {{3, 24, 3, 2, 3},
                  {3, 40, 3, 2, 5},
                  {6, 80, 3, 2, 5},
                  {6, 96, 2, 1, 3},
                  {6, 192, 4, 2, 5},
                  {6, 320, 1, 1, 3}},
                 {kRelu, false});
  builder.conv("head", {1280, 1, 1, 1, kRelu});
  return builder.classify();
}

/// Tan and Le, 2019.
Network efficientnet_b0(const ReferenceOptions& options) {
  constexpr ActivationKind kSwish = ActivationKind::Swish;
  Builder builder(options);
  builder.conv("stem", {32, 3, 2, 1, kSwish});
  mb_conv_stages(builder,
                 {{1, 16, 1, 1, 3},
                  {6, 24, 2, 2, 3},
                  {6, 40, 2, 2, 5},
                  {6, 80, 3, 2, 3},
                  {6, 112, 3, 1, 5},
                  {6, 192, 4, 2, 5},
                  {6, 320, 1, 1, 3}},
                 {kSwish, true});
  builder.conv("head", {1280, 1, 1, 1, kSwish});
  return builder.classify();
}

void shuffle_unit(Builder& builder, const std::string& name, int64_t out, int64_t stride) {
  constexpr ActivationKind kRelu = ActivationKind::Relu;
  const NodeId input = builder.last();
  const int64_t half = out / 2;
  NodeId left = -1;
  if (stride == 1) {
    left = builder.add(name + ".left", ChannelSlice{0, half}, {input});
    builder.add(name + ".right", ChannelSlice{half, out}, {input});
  } else {
    builder.depthwise(name + ".left.depthwise", 3, stride, ActivationKind::Identity);
    left = builder.conv(name + ".left.project", {half, 1, 1, 1, kRelu});
    builder.go_to(input);
  }
  builder.conv(name + ".right.expand", {half, 1, 1, 1, kRelu});
  builder.depthwise(name + ".right.depthwise", 3, stride, ActivationKind::Identity);
  const NodeId right = builder.conv(name + ".right.project", {half, 1, 1, 1, kRelu});
  builder.add(name + ".concat", Concat{}, {left, right});
  builder.then(name + ".shuffle", ChannelShuffle{2});
}

/// Ma et al., 2018, width 1.
Network shufflenet_v2(const ReferenceOptions& options) {
  static const std::pair<int64_t, int64_t> kStages[] = {{116, 4}, {232, 8}, {464, 4}};
  constexpr ActivationKind kRelu = ActivationKind::Relu;
  Builder builder(options);
  builder.conv("stem", {24, 3, 2, 1, kRelu});
  builder.then("stem.pool", MaxPool{3, 2, 1});
  int stage = 1;
  for (const auto& [out, repeats] : kStages) {
    for (int64_t block = 0; block < repeats; ++block) {
      const std::string name = "stage" + std::to_string(stage) + ".block" + std::to_string(block);
      shuffle_unit(builder, name, out, block == 0 ? 2 : 1);
    }
    ++stage;
  }
  builder.conv("head", {1024, 1, 1, 1, kRelu});
  return builder.classify();
}

void basic_block(Builder& builder, const std::string& name, int64_t out, int64_t stride) {
  constexpr ActivationKind kRelu = ActivationKind::Relu;
  const NodeId input = builder.last();
  const int64_t in = builder.channels();
  builder.conv(name + ".first", {out, 3, stride, 1, kRelu});
  const NodeId residual = builder.conv(name + ".second", {out, 3});
  NodeId shortcut = input;
  if (stride != 1 || in != out) {
    builder.go_to(input);
    shortcut = builder.conv(name + ".shortcut", {out, 1, stride});
  }
  builder.add(name + ".add", Add{}, {residual, shortcut});
  builder.activate(name, kRelu);
}

/// He et al., 2016.
Network resnet18(const ReferenceOptions& options) {
  Builder builder(options);
  builder.conv("stem", {64, 7, 2, 1, ActivationKind::Relu});
  builder.then("stem.pool", MaxPool{3, 2, 1});
  int64_t out = 64;
  for (int stage = 1; stage <= 4; ++stage, out *= 2) {
    for (int block = 0; block < 2; ++block) {
      const std::string name = "stage" + std::to_string(stage) + ".block" + std::to_string(block);
      basic_block(builder, name, out, stage > 1 && block == 0 ? 2 : 1);
    }
  }
  return builder.classify();
}

struct Reference {
  const char* name;
  Network (*build)(const ReferenceOptions&);
};

constexpr Reference kReferences[] = {
    {"mobilenet_v1", mobilenet_v1},
    {"mobilenet_v2", [](const ReferenceOptions& options) { return mobilenet_v2(options, 1.0); }},
    {"mobilenet_v2_0.35",
     [](const ReferenceOptions& options) { return mobilenet_v2(options, 0.35); }},
    {"mnasnet", mnasnet},
    {"efficientnet_b0", efficientnet_b0},
    {"shufflenet_v2", shufflenet_v2},
    {"resnet18", resnet18},
};

}  // namespace

std::vector<std::string> reference_network_names() {
  std::vector<std::string> names;
  for (const Reference& reference : kReferences) names.emplace_back(reference.name);
  return names;
}

Network reference_network(const std::string& name, const ReferenceOptions& options) {
  for (const Reference& reference : kReferences) {
    if (name == reference.name) return reference.build(options);
  }
  throw ConfigError("reference network = " + name + ", expected one of " +
                    join(reference_network_names(), ", "));
}

}  // namespace lathe::network
