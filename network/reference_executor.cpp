#include <algorithm>
#include <cmath>
#include <limits>

#include "network/passes.h"

namespace lathe::network {

float activate(ActivationKind kind, float x) {
  switch (kind) {
    case ActivationKind::Identity:
      return x;
    case ActivationKind::Relu:
      return std::max(x, 0.0F);
    case ActivationKind::Relu6:
      return std::min(std::max(x, 0.0F), 6.0F);
    case ActivationKind::HardSwish:
      return x * std::min(std::max(x + 3.0F, 0.0F), 6.0F) / 6.0F;
    case ActivationKind::Swish:
      return x / (1.0F + std::exp(-x));
    case ActivationKind::HardSigmoid:
      return std::min(std::max(x + 3.0F, 0.0F), 6.0F) / 6.0F;
    case ActivationKind::Sigmoid:
      return 1.0F / (1.0F + std::exp(-x));
    case ActivationKind::NegatedRelu:
      return std::max(-x, 0.0F);
  }
  throw InvariantError("activation: unknown kind");
}

namespace {

void activate_all(ActivationKind kind, Tensor& tensor) {
  for (float& value : tensor.values) value = activate(kind, value);
}

/// Where a window starts and ends inside one image row or column.
struct Window {
  int64_t origin;
  int64_t begin;
  int64_t end;
};
Window window_at(int64_t output, int64_t kernel, int64_t stride, int64_t padding, int64_t size) {
  const int64_t origin = output * stride - padding;
  return {origin, std::max<int64_t>(origin, 0), std::min(origin + kernel, size)};
}

/// An image tensor [N, C, H, W] seen by plane and position.
class Image {
 public:
  explicit Image(const Tensor& tensor) : tensor_(tensor) {}
  int64_t batch() const { return tensor_.shape[0]; }
  int64_t channels() const { return tensor_.shape[1]; }
  int64_t height() const { return tensor_.shape[2]; }
  int64_t width() const { return tensor_.shape[3]; }
  float at(int64_t n, int64_t c, int64_t y, int64_t x) const {
    return tensor_.values[static_cast<size_t>(((n * channels() + c) * height() + y) * width() + x)];
  }

 private:
  const Tensor& tensor_;
};

/// Runs one node. Sums are accumulated in double, so that the result is better than any engine's.
class NodeRunner {
 public:
  NodeRunner(const Node& node, const Weights& weights, std::vector<const Tensor*> inputs)
      : node_(node), weights_(weights), inputs_(std::move(inputs)) {
    output_.shape = node.shape;
    output_.shape[0] = inputs_[0]->shape[0];
    output_.values.resize(static_cast<size_t>(element_count(output_.shape)));
  }

  Tensor run() {
    std::visit([this](const auto& op) { this->compute(op); }, node_.op);
    return std::move(output_);
  }

 private:
  void compute(const Input&) { output_ = *inputs_[0]; }

  void compute(const Conv2d& op) {
    const Image image(*inputs_[0]);
    const std::vector<float>& weight = parameter(0);
    const int64_t in_group = image.channels() / op.groups;
    const int64_t out_group = op.out_channels / op.groups;
    each_pixel([&](int64_t n, int64_t c, int64_t y, int64_t x) {
      const Window rows = window_at(y, op.kernel, op.stride, op.padding, image.height());
      const Window columns = window_at(x, op.kernel, op.stride, op.padding, image.width());
      double sum = op.bias ? double{parameter(1)[static_cast<size_t>(c)]} : 0.0;
      for (int64_t i = 0; i < in_group; ++i) {
        const int64_t channel = c / out_group * in_group + i;
        for (int64_t row = rows.begin; row < rows.end; ++row) {
          const int64_t line = ((c * in_group + i) * op.kernel + row - rows.origin) * op.kernel;
          for (int64_t column = columns.begin; column < columns.end; ++column) {
            const auto tap = static_cast<size_t>(line + column - columns.origin);
            sum += double{image.at(n, channel, row, column)} * double{weight[tap]};
          }
        }
      }
      return activate(op.activation, static_cast<float>(sum));
    });
  }

  void compute(const BatchNorm& op) {
    const Image image(*inputs_[0]);
    each_pixel([&](int64_t n, int64_t c, int64_t y, int64_t x) {
      const auto channel = static_cast<size_t>(c);
      const double deviation = std::sqrt(double{parameter(3)[channel]} + op.epsilon);
      const double centred = double{image.at(n, c, y, x)} - double{parameter(2)[channel]};
      return static_cast<float>(centred / deviation * double{parameter(0)[channel]} +
                                double{parameter(1)[channel]});
    });
  }

  void compute(const Activation& op) {
    output_.values = inputs_[0]->values;
    activate_all(op.kind, output_);
  }

  void compute(const Add& op) {
    for (size_t i = 0; i < output_.values.size(); ++i) {
      output_.values[i] = inputs_[0]->values[i] + inputs_[1]->values[i];
    }
    activate_all(op.activation, output_);
  }

  void compute(const Multiply&) {
    const std::vector<float>& gate = inputs_[1]->values;
    const size_t repeats = output_.values.size() / gate.size();
    for (size_t i = 0; i < output_.values.size(); ++i) {
      output_.values[i] = inputs_[0]->values[i] * gate[i / repeats];
    }
  }

  void compute(const Concat&) {
    output_.values.clear();
    const int64_t batch = output_.shape[0];
    for (int64_t n = 0; n < batch; ++n) {
      for (const Tensor* input : inputs_) {
        const auto part = static_cast<std::ptrdiff_t>(element_count(input->shape) / batch);
        const auto begin = input->values.begin() + static_cast<std::ptrdiff_t>(n) * part;
        output_.values.insert(output_.values.end(), begin, begin + part);
      }
    }
  }

  void compute(const ChannelSlice& op) {
    const Image image(*inputs_[0]);
    each_pixel([&](int64_t n, int64_t c, int64_t y, int64_t x) {
      return image.at(n, op.begin + c, y, x);
    });
  }

  void compute(const ChannelShuffle& op) {
    const Image image(*inputs_[0]);
    const int64_t in_group = image.channels() / op.groups;
    each_pixel([&](int64_t n, int64_t c, int64_t y, int64_t x) {
      return image.at(n, c % op.groups * in_group + c / op.groups, y, x);
    });
  }

  void compute(const MaxPool& op) {
    const Image image(*inputs_[0]);
    each_pixel([&](int64_t n, int64_t c, int64_t y, int64_t x) {
      const Window rows = window_at(y, op.kernel, op.stride, op.padding, image.height());
      const Window columns = window_at(x, op.kernel, op.stride, op.padding, image.width());
      float largest = -std::numeric_limits<float>::infinity();
      for (int64_t row = rows.begin; row < rows.end; ++row) {
        for (int64_t column = columns.begin; column < columns.end; ++column) {
          largest = std::max(largest, image.at(n, c, row, column));
        }
      }
      return largest;
    });
  }

  void compute(const AveragePool& op) {
    const Image image(*inputs_[0]);
    each_pixel([&](int64_t n, int64_t c, int64_t y, int64_t x) {
      return mean(image, n, c, window_at(y, op.kernel, op.stride, op.padding, image.height()),
                  window_at(x, op.kernel, op.stride, op.padding, image.width()));
    });
  }

  void compute(const GlobalAveragePool&) {
    const Image image(*inputs_[0]);
    each_pixel([&](int64_t n, int64_t c, int64_t, int64_t) {
      return mean(image, n, c, {0, 0, image.height()}, {0, 0, image.width()});
    });
  }

  void compute(const Flatten&) { output_.values = inputs_[0]->values; }

  void compute(const Linear& op) {
    const int64_t in = inputs_[0]->shape[1];
    for (size_t i = 0; i < output_.values.size(); ++i) {
      const auto batch = static_cast<int64_t>(i) / op.out_features;
      const auto out = static_cast<int64_t>(i) % op.out_features;
      double sum = op.bias ? double{parameter(1)[static_cast<size_t>(out)]} : 0.0;
      for (int64_t k = 0; k < in; ++k) {
        sum += double{inputs_[0]->values[static_cast<size_t>(batch * in + k)]} *
               double{parameter(0)[static_cast<size_t>(out * in + k)]};
      }
      output_.values[i] = activate(op.activation, static_cast<float>(sum));
    }
  }

  void compute(const Resize& op) {
    const Image image(*inputs_[0]);
    each_pixel([&](int64_t n, int64_t c, int64_t y, int64_t x) {
      const Blend rows = blend(y, op.height, image.height());
      const Blend columns = blend(x, op.width, image.width());
      const auto row = [&](int64_t at) {
        return double{image.at(n, c, at, columns.low)} * (1.0 - columns.share) +
               double{image.at(n, c, at, columns.high)} * columns.share;
      };
      return static_cast<float>(row(rows.low) * (1.0 - rows.share) + row(rows.high) * rows.share);
    });
  }

  /// The two neighbours of a resampled position, and the share of the second.
  struct Blend {
    int64_t low;
    int64_t high;
    double share;
  };
  static Blend blend(int64_t output, int64_t output_size, int64_t input_size) {
    const double scale = static_cast<double>(input_size) / static_cast<double>(output_size);
    const double centre = (static_cast<double>(output) + 0.5) * scale - 0.5;
    const double at = std::min(std::max(centre, 0.0), static_cast<double>(input_size - 1));
    const auto low = static_cast<int64_t>(at);
    return {low, std::min(low + 1, input_size - 1), at - static_cast<double>(low)};
  }

  static float mean(const Image& image, int64_t n, int64_t c, Window rows, Window columns) {
    double sum = 0.0;
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      for (int64_t column = columns.begin; column < columns.end; ++column) {
        sum += double{image.at(n, c, row, column)};
      }
    }
    const int64_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
    return static_cast<float>(sum / static_cast<double>(count));
  }

  const std::vector<float>& parameter(size_t index) const {
    return weights_.at(node_.parameters[index].name).values;
  }

  /// Fills the output image with `value(n, c, y, x)`.
  template <typename Value>
  void each_pixel(Value value) {
    size_t at = 0;
    for (int64_t n = 0; n < output_.shape[0]; ++n) {
      for (int64_t c = 0; c < output_.shape[1]; ++c) {
        for (int64_t y = 0; y < output_.shape[2]; ++y) {
          for (int64_t x = 0; x < output_.shape[3]; ++x) output_.values[at++] = value(n, c, y, x);
        }
      }
    }
  }

  const Node& node_;
  const Weights& weights_;
  std::vector<const Tensor*> inputs_;
  Tensor output_;
};

}  // namespace

Tensor run_reference_node(const Node& node, const Weights& weights,
                          const std::vector<const Tensor*>& inputs) {
  return NodeRunner(node, weights, inputs).run();
}

Tensor run_reference(const Model& model, const Tensor& input,
                     const std::function<void(const Node&, const Tensor&)>& observe) {
  check_weights(model.network, model.weights);
  Shape expected = model.network.input_shape();
  if (!input.shape.empty()) expected[0] = input.shape[0];
  const bool filled = input.values.size() == static_cast<size_t>(element_count(expected));
  if (input.shape != expected || expected[0] < 1 || !filled) {
    throw InvariantError("run_reference: input " + to_string(input.shape) + " of " +
                         std::to_string(input.values.size()) + " values, expected " +
                         to_string(model.network.input_shape()) + " with any batch");
  }
  std::vector<Tensor> values;
  for (const Node& node : model.network.nodes()) {
    std::vector<const Tensor*> inputs;
    for (const NodeId id : node.inputs) inputs.push_back(&values[static_cast<size_t>(id)]);
    if (inputs.empty()) inputs.push_back(&input);
    values.push_back(run_reference_node(node, model.weights, inputs));
    if (observe) observe(node, values.back());
  }
  return values[static_cast<size_t>(model.network.output())];
}

}  // namespace lathe::network
