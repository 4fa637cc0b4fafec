#pragma once

#include <string>

namespace lathe::test {

/// Returns the message of the `Exception` that `call` throws, or "(nothing was thrown)". Another
/// exception passes through, so that a wrong type fails the case.
template <typename Exception, typename Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Exception& error) {
    return error.what();
  }
  return "(nothing was thrown)";
}

}  // namespace lathe::test
