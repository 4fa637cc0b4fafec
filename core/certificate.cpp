#include "core/certificate.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/file.h"
#include "core/openssl.h"
#include "core/text.h"

namespace lathe {
namespace {

constexpr uint64_t kMaxPemBytes = uint64_t{1} << 20;
constexpr int64_t kDay_s = 86400;

/// OpenSSL's functions return 0 or null where they fail, which only lack of memory brings about.
template <typename T>
T checked(T result, const char* function) {
  if (!result) throw InvariantError(std::string(function) + " failed");
  return result;
}

BioHandle reading(const std::string& text) {
  return BioHandle(
      checked(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), "BIO_new_mem_buf"));
}

template <typename Write>
std::string written(Write write) {
  const BioHandle memory(checked(BIO_new(BIO_s_mem()), "BIO_new"));
  checked(write(memory.get()), "PEM_write_bio");
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<size_t>(size)};
}

CertificateHandle parse_certificate(const std::string& pem, const std::string& where) {
  const BioHandle memory = reading(pem);
  CertificateHandle certificate(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr)
    throw DataError(where + ": no certificate in it, expected one in PEM form");
  return certificate;
}

/// A key with a passphrase counts as unreadable: nobody is there to be asked.
KeyHandle parse_key(const std::string& pem, const std::string& where) {
  const BioHandle memory = reading(pem);
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  KeyHandle key(PEM_read_bio_PrivateKey(memory.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) {
    throw DataError(where + ": no private key in it, expected one in PEM form without passphrase");
  }
  return key;
}

void extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension =
      checked(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()), "X509V3_EXT_conf_nid");
  const int added = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  checked(added, "X509_add_ext");
}

void set_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  checked(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1, "RAND_bytes");
  bytes[0] &= 0x7F;  // a serial number is positive
  BIGNUM* number =
      checked(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr), "BN_bin2bn");
  const bool set = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  checked(set, "BN_to_ASN1_INTEGER");
}

// In days and seconds since 1970: on a 32-bit board a time_t ends in 2038.
void set_time(ASN1_TIME* time, int64_t unix_s) {
  checked(
      ASN1_TIME_adj(time, 0, static_cast<int>(unix_s / kDay_s), static_cast<long>(unix_s % kDay_s)),
      "ASN1_TIME_adj");
}

void set_times(X509* certificate, const CertificateRequest& request) {
  set_time(X509_getm_notBefore(certificate), request.not_before_s);
  set_time(X509_getm_notAfter(certificate), request.not_after_s);
}

/// The names, as OpenSSL's configuration writes them: "DNS:pi4.local,IP:192.168.1.20".
std::string alternative_names(const std::vector<std::string>& hosts) {
  return join(hosts, ",", [](const std::string& host) {
    return (is_ip_address(host) ? "IP:" : "DNS:") + host;
  });
}

void add_extensions(X509* certificate, X509* issuer, const CertificateRequest& request) {
  const bool authority = request.use == CertificateUse::Authority;
  extend(certificate, issuer, NID_basic_constraints,
         authority ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE");
  extend(certificate, issuer, NID_key_usage,
         authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
  extend(certificate, issuer, NID_subject_key_identifier, "hash");
  if (authority) return;
  extend(certificate, issuer, NID_authority_key_identifier, "keyid");
  // A board's key, should it be stolen, opens no other board.
  extend(certificate, issuer, NID_ext_key_usage,
         request.use == CertificateUse::Agent ? "serverAuth" : "clientAuth");
  if (!request.hosts.empty())
    extend(certificate, issuer, NID_subject_alt_name, alternative_names(request.hosts));
}

/// Names come from strangers and go to terminals.
std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7F; }, '?');
  return text;
}

std::string common_name(const X509_NAME* name) {
  std::array<char, 256> text{};
  const int size = X509_NAME_get_text_by_NID(const_cast<X509_NAME*>(name), NID_commonName,
                                             text.data(), static_cast<int>(text.size()));
  return size < 0 ? "" : printable(text.data());
}

int64_t unix_time(const ASN1_TIME* time) {
  const TimeHandle epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0;
  int seconds = 0;
  if (epoch == nullptr || ASN1_TIME_diff(&days, &seconds, epoch.get(), time) != 1) return 0;
  return kDay_s * days + seconds;
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;
  if (family == AF_INET6 && ASN1_STRING_length(address) != 16) return "";
  ::inet_ntop(family, ASN1_STRING_get0_data(address), text.data(), text.size());
  return text.data();
}

std::vector<std::string> hosts_of(const X509* certificate) {
  std::vector<std::string> hosts;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) {
      const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
      const auto size = static_cast<size_t>(ASN1_STRING_length(name->d.dNSName));
      hosts.push_back(printable(std::string(data, size)));
    } else if (name->type == GEN_IPADD) {
      hosts.push_back(address_text(name->d.iPAddress));
    }
  }
  GENERAL_NAMES_free(names);
  return hosts;
}

}  // namespace

Identity issue_certificate(const CertificateRequest& request, const Identity* issuer) {
  const KeyHandle key(checked(EVP_EC_gen("P-256"), "EVP_EC_gen"));
  const CertificateHandle certificate(checked(X509_new(), "X509_new"));
  checked(X509_set_version(certificate.get(), 2), "X509_set_version");
  set_serial(certificate.get());
  set_times(certificate.get(), request);
  checked(X509_set_pubkey(certificate.get(), key.get()), "X509_set_pubkey");
  checked(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                                     reinterpret_cast<const unsigned char*>(request.name.c_str()),
                                     -1, -1, 0),
          "X509_NAME_add_entry_by_txt");
  CertificateHandle parent;
  KeyHandle parent_key;
  if (issuer != nullptr) {
    parent = parse_certificate(issuer->certificate, "issuer");
    parent_key = parse_key(issuer->key, "issuer");
  }
  X509* signer = issuer == nullptr ? certificate.get() : parent.get();
  checked(X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer)),
          "X509_set_issuer_name");
  add_extensions(certificate.get(), signer, request);
  checked(
      X509_sign(certificate.get(), issuer == nullptr ? key.get() : parent_key.get(), EVP_sha256()),
      "X509_sign");
  return {written([&](BIO* out) { return PEM_write_bio_X509(out, certificate.get()); }),
          written([&](BIO* out) {
            return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

CertificateFacts certificate_facts(const std::string& pem, const std::string& where) {
  const CertificateHandle certificate = parse_certificate(pem, where);
  return {common_name(X509_get_subject_name(certificate.get())),
          common_name(X509_get_issuer_name(certificate.get())), hosts_of(certificate.get()),
          unix_time(X509_get0_notBefore(certificate.get())),
          unix_time(X509_get0_notAfter(certificate.get()))};
}

Identity read_identity(const std::filesystem::path& certificate, const std::filesystem::path& key) {
  Identity identity{read_file(certificate, kMaxPemBytes), read_file(key, kMaxPemBytes)};
  const CertificateHandle parsed = parse_certificate(identity.certificate, certificate.string());
  const KeyHandle parsed_key = parse_key(identity.key, key.string());
  if (X509_check_private_key(parsed.get(), parsed_key.get()) != 1) {
    throw DataError(key.string() + ": not the key of " + certificate.string() +
                    ", expected the two files that were made together");
  }
  return identity;
}

std::string read_authorities(const std::filesystem::path& path) {
  std::string pem = read_file(path, kMaxPemBytes);
  parse_certificate(pem, path.string());
  return pem;
}

bool is_ip_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

}  // namespace lathe
