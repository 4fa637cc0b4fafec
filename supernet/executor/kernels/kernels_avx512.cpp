#define LATHE_KERNEL_NAMESPACE kernels_avx512
#include "supernet/executor/kernels/channel_kernels.inc"
#include "supernet/executor/kernels/depthwise_kernels.inc"
#include "supernet/executor/kernels/rounding_kernels.inc"
