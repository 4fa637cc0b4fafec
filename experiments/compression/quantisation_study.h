#pragma once

namespace lathe::study {

/// Trains a few networks, makes int8 of them in every way, and compares them with fp32: accuracy on
/// the validation split, agreement with the engine and ONNX Runtime, speed of the engine.
int quantisation_main(int argc, char** argv);

}  // namespace lathe::study
