#include "cli/guarded.h"

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "core/error.h"

namespace lathe::cli {
namespace {

int fail(int code, const std::exception& error) {
  std::fprintf(stderr, "lathe: %s\n", error.what());
  return code;
}

}  // namespace

int guarded(const std::function<void()>& command) {
  try {
    command();
    return kExitOk;
  } catch (const ConfigError& error) {
    return fail(kExitUsage, error);
  } catch (const DataError& error) {
    return fail(kExitData, error);
  } catch (const DeviceError& error) {
    return fail(kExitDevice, error);
  } catch (const PeerError& error) {
    fail(kExitOther, error);
    std::fflush(nullptr);
    std::_Exit(kExitOther);  // threads wait for somebody who is gone, and nobody can end them
  } catch (const std::exception& error) {
    return fail(kExitOther, error);
  }
}

}  // namespace lathe::cli
