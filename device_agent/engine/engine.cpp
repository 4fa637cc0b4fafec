#include "device_agent/engine/engine.h"

#include <utility>

#include "core/text.h"

namespace lathe::device {

void EngineRegistry::add(std::unique_ptr<Engine> engine) {
  for (const auto& other : engines_) {
    if (other->name() == engine->name()) {
      throw InvariantError("EngineRegistry::add: engine = " + engine->name() +
                           ", expected a new name");
    }
  }
  engines_.push_back(std::move(engine));
}

const Engine& EngineRegistry::get(const std::string& name) const {
  for (const auto& engine : engines_) {
    if (engine->name() == name) return *engine;
  }
  const auto name_of = [](const auto& engine) { return engine->name(); };
  throw EngineError(FailureKind::Unsupported,
                    "engine = " + name + ", expected one of: " + join(engines_, ", ", name_of));
}

}  // namespace lathe::device
