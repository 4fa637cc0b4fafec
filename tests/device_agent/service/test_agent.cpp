// lathe-agent with engines that misbehave, for tests.
#include "device_agent/engine/xnnpack/xnnpack_engine.h"
#include "device_agent/service/agent_main.h"
#include "tests/device_agent/service/fault_engines.h"

int main(int argc, char** argv) {
  lathe::device::EngineRegistry engines;
  engines.add(lathe::device::make_xnnpack_engine());
  lathe::device::testing::add_test_engines(engines);
  return lathe::device::agent_main(argc, argv, engines);
}
