#include "supernet/executor/kernels/channel_kernels.h"
#include "supernet/executor/kernels/depthwise_kernels.h"
#include "supernet/executor/kernels/rounding_kernels.h"

namespace lathe::supernet {
namespace {

enum class InstructionSet { Baseline, Avx2, Avx512 };

InstructionSet best_instruction_set() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    return InstructionSet::Avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return InstructionSet::Avx2;
#endif
  return InstructionSet::Baseline;
}

/// Returns the one of three tables that fits this processor.
template <typename Table>
const Table& best(const Table& baseline, const Table& avx2, const Table& avx512) {
  static const InstructionSet kBest = best_instruction_set();
  switch (kBest) {
    case InstructionSet::Avx512:
      return avx512;
    case InstructionSet::Avx2:
      return avx2;
    case InstructionSet::Baseline:
      break;
  }
  return baseline;
}

}  // namespace

#if !defined(__x86_64__)
namespace kernels_avx2 = kernels_baseline;
namespace kernels_avx512 = kernels_baseline;
#endif

int64_t DepthwiseShape::scratch() const {
  constexpr int64_t kLanes = 16;
  const int64_t margin = kernel - 1;
  const int64_t padded_input = (height + 2 * padding) * (width + 2 * padding);
  const int64_t padded_output = (out_height() + 2 * margin) * (out_width() + 2 * margin);
  return kLanes * (padded_input + padded_output);
}

template <>
const ChannelKernels<float>& channel_kernels<float>() {
  return best(kernels_baseline::kFloat, kernels_avx2::kFloat, kernels_avx512::kFloat);
}
template <>
const ChannelKernels<double>& channel_kernels<double>() {
  return best(kernels_baseline::kDouble, kernels_avx2::kDouble, kernels_avx512::kDouble);
}
template <>
const DepthwiseKernels<float>& depthwise_kernels<float>() {
  return best(kernels_baseline::kDepthwiseFloat, kernels_avx2::kDepthwiseFloat,
              kernels_avx512::kDepthwiseFloat);
}
template <>
const DepthwiseKernels<double>& depthwise_kernels<double>() {
  return best(kernels_baseline::kDepthwiseDouble, kernels_avx2::kDepthwiseDouble,
              kernels_avx512::kDepthwiseDouble);
}
template <>
const RoundingKernels<float>& rounding_kernels<float>() {
  return best(kernels_baseline::kRoundingFloat, kernels_avx2::kRoundingFloat,
              kernels_avx512::kRoundingFloat);
}
template <>
const RoundingKernels<double>& rounding_kernels<double>() {
  return best(kernels_baseline::kRoundingDouble, kernels_avx2::kRoundingDouble,
              kernels_avx512::kRoundingDouble);
}

}  // namespace lathe::supernet
