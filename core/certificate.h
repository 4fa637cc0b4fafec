#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lathe {

/// A certificate (X.509) and its private key, as PEM text.
struct Identity {
  std::string certificate;
  std::string key;
};

/// What a certificate may be used for; TLS refuses every other use.
enum class CertificateUse {
  Authority,   ///< signs the others
  Agent,       ///< a server
  Controller,  ///< a client
};

struct CertificateRequest {
  CertificateUse use = CertificateUse::Agent;
  std::string name;                ///< common name, 1 to 64 characters
  std::vector<std::string> hosts;  ///< DNS names and IP addresses that it stands for
  int64_t not_before_s = 0;        ///< Unix time
  int64_t not_after_s = 0;         ///< Unix time
};

/// Makes a key on the curve P-256 and a certificate of it, signed by `issuer`; null: by itself.
/// \throws InvariantError if OpenSSL refuses, DataError if `issuer` cannot be read.
Identity issue_certificate(const CertificateRequest& request, const Identity* issuer);

/// What a certificate says of itself; names are printable ASCII, with '?' for other characters.
struct CertificateFacts {
  std::string name;                ///< common name; empty: none
  std::string issuer;              ///< common name of who signed it
  std::vector<std::string> hosts;  ///< DNS names and IP addresses
  int64_t not_before_s = 0;        ///< Unix time
  int64_t not_after_s = 0;         ///< Unix time
};

/// Returns what the first certificate in `pem` says. \throws DataError beginning with `where` if
/// there is none.
CertificateFacts certificate_facts(const std::string& pem, const std::string& where);

/// Reads a certificate (further ones of its chain may follow it in the file) and its key.
/// \throws DataError naming the file that cannot be read or understood, or both when they do not
/// belong together.
Identity read_identity(const std::filesystem::path& certificate, const std::filesystem::path& key);

/// Returns the PEM text of a file with one or more certificates of authorities.
/// \throws DataError naming the file if it cannot be read or holds no certificate.
std::string read_authorities(const std::filesystem::path& path);

/// Returns whether `host` is an IPv4 or IPv6 address rather than a name.
bool is_ip_address(const std::string& host);

}  // namespace lathe
