// lathe-agent with engines that misbehave, for tests.
#include "device_agent/engine/engines.h"
#include "device_agent/service/agent_main.h"
#include "tests/device_agent/service/fault_engines.h"

int main(int argc, char** argv) {
  lathe::device::EngineRegistry engines;
  lathe::device::add_engines(engines);
  lathe::device::testing::add_test_engines(engines);
  return lathe::device::agent_main(argc, argv, engines);
}
