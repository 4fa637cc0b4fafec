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

/// Whether nobody else holds the tensor or any view of its memory, so that it may be overwritten.
bool is_last_reference(const at::Tensor& tensor);

}  // namespace lathe::supernet
