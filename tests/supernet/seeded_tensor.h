#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace lathe::test {

/// Standard normal values of `shape` from a generator of its own. The process's generator gives
/// other values on another CPU and after another order of tests.
inline at::Tensor normal(at::IntArrayRef shape, std::uint64_t seed,
                         at::ScalarType type = at::kDouble) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kDouble).to(type);
}

}  // namespace lathe::test
