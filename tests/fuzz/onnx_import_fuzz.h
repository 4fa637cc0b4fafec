#pragma once

#include <cstddef>
#include <cstdint>

/// Feeds one file to import_onnx, as libFuzzer calls it. Returns 0 if the file is read or refused
/// with a DataError; any other exception, or a model whose weights do not fit, ends the process.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
