#pragma once

#include <string>
#include <vector>

#include "core/certificate.h"
#include "core/clock.h"

namespace lathe::test {

/// A certificate authority for one test.
class TestAuthority {
 public:
  TestAuthority() : own_(issue_certificate(request(CertificateUse::Authority, {}), nullptr)) {}

  const std::string& certificate() const { return own_.certificate; }
  const Identity& identity() const { return own_; }
  /// Valid for an hour, for "localhost" and 127.0.0.1.
  Identity agent() const { return agent({"localhost", "127.0.0.1"}); }
  Identity agent(const std::vector<std::string>& hosts) const {
    return issue(request(CertificateUse::Agent, hosts));
  }
  Identity controller() const { return issue(request(CertificateUse::Controller, {})); }
  Identity issue(const CertificateRequest& wish) const { return issue_certificate(wish, &own_); }

  /// A request that tests may bend.
  static CertificateRequest request(CertificateUse use, const std::vector<std::string>& hosts) {
    const int64_t now_s = unix_now_s();
    return {use, use == CertificateUse::Authority ? "lathe test authority" : "test", hosts,
            now_s - 60, now_s + 3600};
  }

 private:
  Identity own_;
};

}  // namespace lathe::test
