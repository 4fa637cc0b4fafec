#include "latency/fleet/credential_check.h"

#include <openssl/x509_vfy.h>

#include "core/certificate.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/text.h"
#include "latency/fleet/tls_probe.h"

namespace lathe::latency {
namespace {

/// "pi4.local (signed by lathe authority 1f3c, valid 2026-01-01 to 2028-04-05)"
std::string described(const CertificateFacts& facts) {
  return facts.name + " (signed by " + facts.issuer + ", valid " + utc_date(facts.not_before_s) +
         " to " + utc_date(facts.not_after_s) + ")";
}

std::string facts_text(const std::string& pem) {
  return pem.empty() ? "that it shows"
                     : described(certificate_facts(pem, "the agent's certificate"));
}

std::string wrong_host(const std::string& host, const std::string& pem) {
  const std::vector<std::string> hosts =
      pem.empty() ? std::vector<std::string>()
                  : certificate_facts(pem, "the agent's certificate").hosts;
  return "its certificate is for " + (hosts.empty() ? "no host" : join(hosts, ", ")) +
         ", not for " + host + ": name the agent as its certificate does, or make one that names " +
         host + " too (lathe certs FOLDER NAME," + host + ")";
}

/// Why this side does not accept the agent's certificate.
std::string rejection(const TlsFindings& findings, const std::string& host,
                      const Credentials& credentials) {
  switch (findings.verify_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "its certificate " + facts_text(findings.their_certificate) +
             " has expired: make a new one (lathe certs FOLDER NAME --renew) and copy it to the "
             "board, then restart the agent there";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "its certificate " + facts_text(findings.their_certificate) +
             " is not valid yet and this machine says it is " + utc_date(unix_now_s()) +
             ": set the clock";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return wrong_host(host, findings.their_own_certificate);
    case X509_V_ERR_INVALID_PURPOSE:
      return "its certificate " + facts_text(findings.their_own_certificate) +
             " is not an agent's: give the agent one of `lathe certs FOLDER NAME`";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "its certificate " + facts_text(findings.their_own_certificate) +
             " was not signed by the authority in " + credentials.ca.string() +
             ": give tls.ca (--tls-ca) the ca.pem with which the agent's certificate was made";
    default:
      return "its certificate " + facts_text(findings.their_own_certificate) +
             " is refused: " + X509_verify_cert_error_string(findings.verify_error);
  }
}

/// Why the agent does not accept this side's certificate, as far as it can be told from here.
std::string refusal(const PemTexts& pem, const Credentials& credentials, const std::string& alert) {
  if (pem.certificate.empty()) {
    return "it asks for a certificate of this controller: give tls.certificate and tls.key "
           "(--tls-certificate, --tls-key), made by `lathe certs FOLDER`";
  }
  const std::string file = credentials.certificate.string();
  return "it refuses this controller's certificate " + file + ", " +
         described(certificate_facts(pem.certificate, file)) +
         (alert.empty() ? "" : ", as \"" + alert + "\"") +
         ": it has to be a controller's, signed by the authority of the agent's --tls-ca, and the "
         "board's clock has to be right";
}

}  // namespace

PemTexts read_pem_texts(const Credentials& credentials) {
  try {
    PemTexts pem;
    pem.authorities = read_authorities(credentials.ca);
    if (credentials.certificate.empty()) return pem;
    Identity identity = read_identity(credentials.certificate, credentials.key);
    const std::string file = credentials.certificate.string();
    const CertificateFacts facts = certificate_facts(identity.certificate, file);
    if (facts.not_after_s < unix_now_s()) {
      throw DataError(file + ": expired on " + utc_date(facts.not_after_s) +
                      ", expected a valid certificate: make a new one with lathe certs FOLDER "
                      "--controller NAME --renew");
    }
    pem.certificate = std::move(identity.certificate);
    pem.key = std::move(identity.key);
    return pem;
  } catch (const DataError& error) {
    throw DeviceError(std::string("credentials: ") + error.what());
  }
}

std::optional<std::string> credential_fault(const std::string& address,
                                            const Credentials& credentials, double timeout_s) {
  const auto [host, port] = split_address(address);
  if (credentials.ca.empty()) {
    if (!probe_tls(host, port, nullptr, timeout_s).speaks_tls) return std::nullopt;
    return "it speaks TLS and this controller plain text: give tls: {ca, certificate, key} "
           "(--tls-ca, --tls-certificate, --tls-key), made by `lathe certs`";
  }
  const PemTexts pem = read_pem_texts(credentials);
  TlsFindings findings = probe_tls(host, port, &pem, timeout_s);
  // An agent that is being stopped closes without a word, too, but not twice.
  if (findings.closed && findings.alert.empty()) findings = probe_tls(host, port, &pem, timeout_s);
  if (findings.verify_error != 0) return rejection(findings, host, credentials);
  if (!findings.connected || findings.welcomed) return std::nullopt;
  if (!findings.speaks_tls) {
    if (findings.silent) return std::nullopt;
    return "it speaks plain text and this controller TLS: start it with --tls-certificate, "
           "--tls-key and --tls-ca, or leave out tls here and allow plain text";
  }
  if (!findings.closed && findings.alert.empty()) return std::nullopt;  // it is slow, or hangs
  return refusal(pem, credentials, findings.alert);
}

}  // namespace lathe::latency
