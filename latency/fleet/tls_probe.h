#pragma once

#include <string>

#include "latency/fleet/credential_check.h"

namespace lathe::latency {

/// What one try of a TLS handshake showed.
struct TlsFindings {
  bool connected = false;             ///< somebody listens
  bool speaks_tls = false;            ///< the first bytes that came are TLS
  bool silent = true;                 ///< no byte came
  int verify_error = 0;               ///< X509_V_ERR_...; 0: their certificate is good
  std::string their_certificate;      ///< PEM of the one that `verify_error` is about
  std::string their_own_certificate;  ///< PEM of the agent itself; empty: none was shown
  bool shook_hands = false;           ///< this side accepts theirs
  bool welcomed = false;              ///< and they sent data, so they accept ours
  bool closed = false;                ///< they closed the connection
  std::string alert;                  ///< what they said instead, in TLS's words; empty: nothing
};

/// Connects to "host:port" and shakes hands as gRPC does; `pem` null: without verifying or showing
/// anything, to see whether TLS is spoken at all. Takes `timeout_s` at most, besides the resolving
/// of names. \throws InvariantError if OpenSSL refuses what `pem` holds.
TlsFindings probe_tls(const std::string& host, const std::string& port, const PemTexts* pem,
                      double timeout_s);

}  // namespace lathe::latency
