#include "tests/fuzz/onnx_import_fuzz.h"

#include <cstdlib>
#include <string>

#include "core/error.h"
#include "network/cost.h"
#include "network/digest.h"
#include "network/onnx.h"
#include "network/passes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lathe::network;
  OnnxLimits limits;
  limits.max_parameters = 1 << 16;
  limits.max_activation_elements = 1 << 16;
  try {
    const Model model = import_onnx({reinterpret_cast<const char*>(data), size}, limits);
    // Whatever is accepted must be usable.
    const Model deployed = deploy(model);
    check_weights(deployed.network, deployed.weights);
    if (cost(deployed.network).params < 0) std::abort();
    if (digest(import_onnx(to_onnx(deployed)).network, DigestKind::Structure) !=
        digest(deployed.network, DigestKind::Structure)) {
      std::abort();
    }
  } catch (const lathe::DataError&) {
    // Refused with a reason.
  }
  return 0;
}
