#pragma once

#include <optional>
#include <string>

#include "latency/fleet/device_config.h"

namespace lathe::latency {

/// The PEM texts of credentials, read and checked.
struct PemTexts {
  std::string authorities, certificate, key;
};

/// \throws DeviceError naming the file that cannot be read or understood, a key that is another
/// certificate's, or a certificate that has expired.
PemTexts read_pem_texts(const Credentials& credentials);

/// Returns why the agent at `address` and this controller do not accept each other, and what mends
/// it: gRPC itself only tells that a handshake failed. It finds out by a connection and a handshake
/// of its own, in about `timeout_s` at most. Nothing where credentials are not the reason: nobody
/// listens, the connection breaks without a word, or all is well.
std::optional<std::string> credential_fault(const std::string& address,
                                            const Credentials& credentials, double timeout_s);

}  // namespace lathe::latency
