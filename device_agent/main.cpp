#include <cstdio>
#include <exception>

#include "device_agent/engine/engines.h"
#include "device_agent/service/agent_main.h"

int main(int argc, char** argv) {
  try {
    lathe::device::EngineRegistry engines;
    lathe::device::add_engines(engines);
    return lathe::device::agent_main(argc, argv, engines);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lathe-agent: %s\n", error.what());
    return 4;
  }
}
