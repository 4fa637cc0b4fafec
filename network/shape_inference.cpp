#include "network/shape_inference.h"

#include <cmath>

namespace lathe::network {
namespace {

/// Returns whether the product of positive dimensions is at most kMaxTensorElements, without
/// overflow.
bool fits(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t dimension : shape) {
    if (dimension > kMaxTensorElements / count) return false;
    count *= dimension;
  }
  return true;
}

/// Infers one node; every member of the variant has its overload.
class Inference {
 public:
  Inference(std::string where, const std::vector<Shape>& inputs)
      : where_(std::move(where)), inputs_(inputs) {}

  InferredNode operator()(const Input&) const { fail("cannot follow another node, use add_input"); }

  InferredNode operator()(const Conv2d& op) const {
    const Shape& image = only_image();
    const std::string shown = "input " + to_string(image);
    require_at_least("out_channels", op.out_channels, 1);
    require_at_least("groups", op.groups, 1);
    if (image[1] % op.groups != 0) {
      fail(shown + ", groups " + std::to_string(op.groups) + ": channels differ");
    }
    if (op.out_channels % op.groups != 0) {
      fail("out_channels " + std::to_string(op.out_channels) + ", groups " +
           std::to_string(op.groups) + ": not divisible");
    }
    const Shape window = slide(image, op.kernel, op.stride, op.padding);
    InferredNode result{
        {image[0], op.out_channels, window[0], window[1]},
        {{"weight", {op.out_channels, image[1] / op.groups, op.kernel, op.kernel}}}};
    if (op.bias) result.parameters.push_back({"bias", {op.out_channels}});
    return result;
  }

  InferredNode operator()(const BatchNorm& op) const {
    const Shape& image = only_image();
    if (!std::isfinite(op.epsilon) || op.epsilon <= 0.0) {
      fail("epsilon " + std::to_string(op.epsilon) + ", expected a positive number");
    }
    const Shape channels{image[1]};
    return {image,
            {{"gamma", channels}, {"beta", channels}, {"mean", channels}, {"variance", channels}}};
  }

  InferredNode operator()(const Activation& op) const {
    to_string(op.kind);  // refuses values outside the enumeration
    return {only_input(), {}};
  }

  InferredNode operator()(const Add&) const {
    require_inputs(2);
    if (inputs_[0] != inputs_[1]) fail(shown_pair() + ": shapes differ");
    return {inputs_[0], {}};
  }

  InferredNode operator()(const Multiply&) const {
    require_inputs(2);
    const Shape& left = inputs_[0];
    const Shape& right = inputs_[1];
    const bool gate = left.size() == 4 && right == Shape{left[0], left[1], 1, 1};
    if (left != right && !gate) {
      fail(shown_pair() + ": shapes differ, expected equal shapes or a gate [1, C, 1, 1]");
    }
    return {left, {}};
  }

  InferredNode operator()(const Concat&) const {
    if (inputs_.size() < 2) {
      fail("inputs " + std::to_string(inputs_.size()) + ", expected at least 2");
    }
    Shape joined = image(0);
    for (size_t i = 1; i < inputs_.size(); ++i) {
      const Shape& next = image(i);
      if (next[0] != joined[0] || next[2] != joined[2] || next[3] != joined[3]) {
        fail("inputs " + to_string(inputs_[0]) + " and " + to_string(next) +
             ": height or width differ");
      }
      joined[1] += next[1];
    }
    return {joined, {}};
  }

  InferredNode operator()(const ChannelSlice& op) const {
    const Shape& image = only_image();
    if (op.begin < 0 || op.begin >= op.end || op.end > image[1]) {
      fail("input " + to_string(image) + ", channels [" + std::to_string(op.begin) + ", " +
           std::to_string(op.end) + "): out of range");
    }
    return {{image[0], op.end - op.begin, image[2], image[3]}, {}};
  }

  InferredNode operator()(const ChannelShuffle& op) const {
    const Shape& image = only_image();
    require_at_least("groups", op.groups, 1);
    if (image[1] % op.groups != 0) {
      fail("input " + to_string(image) + ", groups " + std::to_string(op.groups) +
           ": channels not divisible");
    }
    return {image, {}};
  }

  InferredNode operator()(const MaxPool& op) const {
    return pooled(op.kernel, op.stride, op.padding);
  }
  InferredNode operator()(const AveragePool& op) const {
    return pooled(op.kernel, op.stride, op.padding);
  }

  InferredNode operator()(const GlobalAveragePool&) const {
    const Shape& image = only_image();
    return {{image[0], image[1], 1, 1}, {}};
  }

  InferredNode operator()(const Flatten&) const {
    const Shape& input = only_input();
    return {{input[0], element_count(input) / input[0]}, {}};
  }

  InferredNode operator()(const Linear& op) const {
    const Shape& input = only_input();
    if (input.size() != 2) fail("input " + to_string(input) + ", expected [1, features]");
    require_at_least("out_features", op.out_features, 1);
    InferredNode result{{input[0], op.out_features}, {{"weight", {op.out_features, input[1]}}}};
    if (op.bias) result.parameters.push_back({"bias", {op.out_features}});
    return result;
  }

  InferredNode operator()(const Resize& op) const {
    const Shape& image = only_image();
    require_at_least("height", op.height, 1);
    require_at_least("width", op.width, 1);
    return {{image[0], image[1], op.height, op.width}, {}};
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw InvariantError(where_ + ": " + what);
  }

 private:
  void require_inputs(size_t expected) const {
    if (inputs_.size() != expected) {
      fail("inputs " + std::to_string(inputs_.size()) + ", expected " + std::to_string(expected));
    }
  }
  void require_at_least(const std::string& attribute, int64_t value, int64_t low) const {
    if (value < low || value > kMaxTensorElements) {
      fail(attribute + " " + std::to_string(value) + ", expected " + std::to_string(low) + " to " +
           std::to_string(kMaxTensorElements));
    }
  }
  const Shape& only_input() const {
    require_inputs(1);
    return inputs_[0];
  }
  const Shape& image(size_t index) const {
    const Shape& shape = inputs_[index];
    if (shape.size() != 4) fail("input " + to_string(shape) + ", expected [1, C, H, W]");
    return shape;
  }
  const Shape& only_image() const {
    require_inputs(1);
    return image(0);
  }
  std::string shown_pair() const {
    return "inputs " + to_string(inputs_[0]) + " and " + to_string(inputs_[1]);
  }

  /// Height and width after sliding a square window with floor rounding.
  Shape slide(const Shape& image, int64_t kernel, int64_t stride, int64_t padding) const {
    require_at_least("kernel", kernel, 1);
    require_at_least("stride", stride, 1);
    require_at_least("padding", padding, 0);
    Shape result;
    for (const int64_t size : {image[2], image[3]}) {
      const int64_t room = size + 2 * padding - kernel;
      if (room < 0) {
        fail("input " + to_string(image) + ", kernel " + std::to_string(kernel) + ", padding " +
             std::to_string(padding) + ": the window is larger than the padded image");
      }
      result.push_back(room / stride + 1);
    }
    return result;
  }

  InferredNode pooled(int64_t kernel, int64_t stride, int64_t padding) const {
    const Shape& image = only_image();
    const Shape window = slide(image, kernel, stride, padding);
    if (padding >= kernel) {
      fail("kernel " + std::to_string(kernel) + ", padding " + std::to_string(padding) +
           ": a window would lie outside the image");
    }
    return {{image[0], image[1], window[0], window[1]}, {}};
  }

  std::string where_;
  const std::vector<Shape>& inputs_;
};

}  // namespace

InferredNode infer(const std::string& name, const Operator& op, const std::vector<Shape>& inputs) {
  const Inference inference(std::string(operator_name(op)) + " " + name, inputs);
  InferredNode result = std::visit(inference, op);
  if (!fits(result.shape)) {
    inference.fail("output " + to_string(result.shape) + ", expected at most " +
                   std::to_string(kMaxTensorElements) + " values");
  }
  for (const auto& [role, shape] : result.parameters) {
    if (!fits(shape)) {
      inference.fail(role + " " + to_string(shape) + ", expected at most " +
                     std::to_string(kMaxTensorElements) + " values");
    }
  }
  return result;
}

void check_input_shape(const std::string& name, const Shape& shape) {
  bool good = shape.size() == 4 && shape[0] == 1;
  for (const int64_t dimension : shape) good = good && dimension > 0;
  if (!good) {
    throw InvariantError("input " + name + ": shape " + to_string(shape) +
                         ", expected [1, C, H, W] with positive dimensions");
  }
  if (!fits(shape)) {
    throw InvariantError("input " + name + ": shape " + to_string(shape) + ", expected at most " +
                         std::to_string(kMaxTensorElements) + " values");
  }
}

}  // namespace lathe::network
