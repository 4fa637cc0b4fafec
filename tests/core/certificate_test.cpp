#include "core/certificate.h"

#include <doctest/doctest.h>

#include <fstream>

#include "core/clock.h"
#include "core/error.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_certificates.h"

namespace lathe {
namespace {

using test::TestAuthority;

TEST_CASE("a certificate says what was asked for") {
  const TestAuthority authority;
  CertificateRequest request{CertificateUse::Agent,
                             "pi4-a.local",
                             {"pi4-a.local", "192.168.1.20", "fd00::7"},
                             1577836800,   // 2020-01-01
                             4102444800};  // 2100-01-01: beyond the two digits of UTCTime
  const CertificateFacts facts =
      certificate_facts(authority.issue(request).certificate, "the test's");
  CHECK(facts.name == "pi4-a.local");
  CHECK(facts.issuer == "lathe test authority");
  CHECK(facts.hosts == request.hosts);
  CHECK(facts.not_before_s == request.not_before_s);
  CHECK(facts.not_after_s == request.not_after_s);
  CHECK(utc_date(facts.not_before_s) == "2020-01-01");
  CHECK(utc_date(facts.not_after_s) == "2100-01-01");
  CHECK(certificate_facts(authority.certificate(), "the test's").issuer == "lathe test authority");
}

TEST_CASE("dates are right beyond 2038, in leap years and before 1970") {
  CHECK(utc_date(0) == "1970-01-01");
  CHECK(utc_date(-1) == "1969-12-31");
  CHECK(utc_date(951782400) == "2000-02-29");
  CHECK(utc_date(4107542399) == "2100-02-28");
  CHECK(utc_date(4107542400) == "2100-03-01");
  CHECK(utc_date(2147483648) == "2038-01-19");
  CHECK(utc_date(253402300799) == "9999-12-31");
}

TEST_CASE("a stranger's names cannot write to a terminal") {
  const TestAuthority authority;
  CertificateRequest request = TestAuthority::request(CertificateUse::Agent, {"a\x1b[2J.local"});
  request.name = "pi\x1b[31m";
  const CertificateFacts facts =
      certificate_facts(authority.issue(request).certificate, "the test's");
  CHECK(facts.name == "pi?[31m");
  CHECK(facts.hosts == std::vector<std::string>{"a?[2J.local"});
}

TEST_CASE("the openssl program agrees that a certificate is good for its use and no other") {
  const test::TemporaryFolder folder;
  const TestAuthority authority;
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(folder / name) << text;
    return (folder / name).string();
  };
  const std::string ca = write("ca.pem", authority.certificate());
  const std::string agent = write("agent.pem", authority.agent().certificate);
  const std::string controller = write("controller.pem", authority.controller().certificate);
  const auto verifies = [&](const char* purpose, const std::string& file) {
    const std::string command = "openssl verify -x509_strict -CAfile " + ca + " -purpose " +
                                purpose + " " + file + " > /dev/null 2>&1";
    return std::system(command.c_str()) == 0;
  };
  CHECK(verifies("sslserver", agent));
  CHECK_FALSE(verifies("sslclient", agent));
  CHECK(verifies("sslclient", controller));
  CHECK_FALSE(verifies("sslserver", controller));
  // An identity that is no authority signs nothing that counts.
  CertificateRequest request = TestAuthority::request(CertificateUse::Agent, {"localhost"});
  const Identity board = authority.agent();
  const std::string forged =
      write("forged.pem", issue_certificate(request, &board).certificate + board.certificate);
  CHECK_FALSE(verifies("sslserver", forged));
}

TEST_CASE("an identity is read when its two files belong together") {
  const test::TemporaryFolder folder;
  const TestAuthority authority;
  const Identity identity = authority.agent();
  std::ofstream(folder / "a.pem") << identity.certificate;
  std::ofstream(folder / "a.key") << identity.key;
  const Identity read = read_identity(folder / "a.pem", folder / "a.key");
  CHECK(read.certificate == identity.certificate);
  CHECK(read.key == identity.key);
  std::ofstream(folder / "b.key") << authority.agent().key;
  CHECK(test::message_of<DataError>([&] { read_identity(folder / "a.pem", folder / "b.key"); }) ==
        (folder / "b.key").string() + ": not the key of " + (folder / "a.pem").string() +
            ", expected the two files that were made together");
  CHECK(test::message_of<DataError>([&] { read_identity(folder / "a.key", folder / "a.key"); }) ==
        (folder / "a.key").string() + ": no certificate in it, expected one in PEM form");
  CHECK(test::message_of<DataError>([&] { read_identity(folder / "a.pem", folder / "a.pem"); }) ==
        (folder / "a.pem").string() +
            ": no private key in it, expected one in PEM form without passphrase");
}

TEST_CASE("addresses are told from names") {
  for (const char* address : {"127.0.0.1", "192.168.1.20", "::1", "fd00::7"})
    CHECK_MESSAGE(is_ip_address(address), std::string(address));
  for (const char* name : {"pi4.local", "localhost", "1.2.3", "256.1.1.1", "", "fd00"})
    CHECK_FALSE_MESSAGE(is_ip_address(name), std::string(name));
}

}  // namespace
}  // namespace lathe
