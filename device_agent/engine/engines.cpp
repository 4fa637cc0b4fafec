#include "device_agent/engine/engines.h"

#ifdef LATHE_WITH_XNNPACK
#include "device_agent/engine/xnnpack/xnnpack_engine.h"
#endif
#ifdef LATHE_WITH_ONNXRUNTIME
#include "device_agent/engine/onnxruntime/onnxruntime_engine.h"
#endif

namespace lathe::device {

void add_engines(EngineRegistry& engines) {
#ifdef LATHE_WITH_XNNPACK
  engines.add(make_xnnpack_engine());
#endif
#ifdef LATHE_WITH_ONNXRUNTIME
  engines.add(make_onnxruntime_engine());
#endif
}

}  // namespace lathe::device
