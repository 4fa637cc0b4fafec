#include <cstdio>
#include <exception>

#include "device_agent/engine/engine.h"
#include "device_agent/engine/xnnpack/xnnpack_engine.h"
#include "device_agent/service/agent_main.h"

int main(int argc, char** argv) {
  try {
    lathe::device::EngineRegistry engines;
    engines.add(lathe::device::make_xnnpack_engine());
    return lathe::device::agent_main(argc, argv, engines);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lathe-agent: %s\n", error.what());
    return 4;
  }
}
