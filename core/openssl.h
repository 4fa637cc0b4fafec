#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>

namespace lathe {

/// Owners of OpenSSL's objects, for sources that speak TLS or read certificates.
template <typename T, void (*Free)(T*)>
struct OpensslDeleter {
  void operator()(T* object) const { Free(object); }
};

inline void free_bio(BIO* memory) { BIO_free(memory); }

using KeyHandle = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY, EVP_PKEY_free>>;
using CertificateHandle = std::unique_ptr<X509, OpensslDeleter<X509, X509_free>>;
using TimeHandle = std::unique_ptr<ASN1_TIME, OpensslDeleter<ASN1_TIME, ASN1_TIME_free>>;
using BioHandle = std::unique_ptr<BIO, OpensslDeleter<BIO, free_bio>>;

}  // namespace lathe
