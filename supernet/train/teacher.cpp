#include "supernet/train/teacher.h"

#include "core/error.h"

namespace lathe::supernet {

Teacher::Teacher(const network::Model& model, at::Device device,
                 const std::vector<network::NodeId>& also)
    : parts_(std::make_shared<Parts>()) {
  parts_->plan = make_plan(model.network, also);
  parts_->policy = std::make_unique<StoredBatchNorm>();
  ModelParameters parameters(model.weights, device);
  parts_->executor = std::make_unique<Executor>(parts_->plan, parameters, *parts_->policy);
}

Teacher::Teacher(const network::Network& network, const SharedWeights& weights,
                 const at::Tensor& values, Communicator* group)
    : parts_(std::make_shared<Parts>()) {
  parts_->plan = make_plan(network);
  parts_->policy = std::make_unique<TrainBatchNorm>(group);
  FrozenSlices parameters(weights, values);
  parts_->executor = std::make_unique<Executor>(parts_->plan, parameters, *parts_->policy);
}

at::Tensor Teacher::logits(const at::Tensor& images) const { return outputs(images).front(); }

std::vector<at::Tensor> Teacher::outputs(const at::Tensor& images) const {
  if (!exists()) throw InvariantError("teacher: there is none");
  at::NoGradGuard no_gradients;
  std::vector<at::Tensor> outputs(parts_->plan.results.size());
  parts_->executor->run(images, [&](size_t r, const at::Tensor& value) { outputs[r] = value; });
  return outputs;
}

}  // namespace lathe::supernet
