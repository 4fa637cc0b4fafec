#pragma once

namespace lathe::study {

/// Trains ResNet-20 (He et al., 2016) by itself and writes it as ONNX: what lathe's networks are
/// compared with. Goes on where it was interrupted.
int baseline_main(int argc, char** argv);

}  // namespace lathe::study
