#pragma once

#include <vector>

#include "supernet/executor/plan.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Runs every operator but Input and BatchNorm, its activation included; differentiable where
/// gradients are on. `in_place`: the first input may be overwritten. \throws InvariantError naming
/// the step if it is one of the two.
at::Tensor run_operator(const Step& step, const std::vector<at::Tensor>& inputs,
                        const std::vector<at::Tensor>& parameters, bool in_place);

/// Whether an operator with these parameters gains by low precision: a convolution or linear layer
/// that LibTorch runs (depthwise convolutions on the CPU have kernels of their own). run_operator()
/// then takes parameters of that type.
bool multiplies_in_low_precision(const network::Operator& op,
                                 const std::vector<at::Tensor>& parameters);

/// Whether nobody else holds the tensor or any view of its memory, so that it may be overwritten.
bool is_last_reference(const at::Tensor& tensor);

}  // namespace lathe::supernet
