#include <doctest/doctest.h>

#include <chrono>
#include <fstream>

#include "core/error.h"
#include "latency/fleet/fleet.h"
#include "tests/latency/fleet/fleet_fixture.h"
#include "tests/support/fake_agent.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_certificates.h"

namespace lathe::latency {
namespace {

using lathe::test::FakeAgent;
using lathe::test::TemporaryFolder;
using lathe::test::TestAuthority;

FakeAgent::Options agent_options(const TestAuthority& authority, const Identity& identity) {
  FakeAgent::Options options;
  options.certificate = identity.certificate;
  options.key = identity.key;
  options.authority = authority.certificate();
  return options;
}

FakeAgent::Options agent_options(const TestAuthority& authority) {
  return agent_options(authority, authority.agent());
}

std::filesystem::path write(const TemporaryFolder& folder, const std::string& name,
                            const std::string& text) {
  std::ofstream(folder / name) << text;
  return folder / name;
}

Credentials credentials_of(const TemporaryFolder& folder, const std::string& authority,
                           const Identity& identity) {
  Credentials credentials;
  credentials.ca = write(folder, "ca.pem", authority);
  credentials.certificate = write(folder, "me.pem", identity.certificate);
  credentials.key = write(folder, "me.key", identity.key);
  return credentials;
}

Credentials credentials_of(const TemporaryFolder& folder, const TestAuthority& authority) {
  return credentials_of(folder, authority.certificate(), authority.controller());
}

Result<LatencyEstimate> measure(const FakeAgent& agent, const Credentials& credentials) {
  DeviceConfig device = test::device_of("pi4", {agent.address()});
  device.credentials = credentials;
  device.give_up_s = 600.0;
  Fleet fleet({device}, nullptr, "run", test::impatient());
  auto future = fleet.evaluator("pi4").measure(test::candidate_of(8), {});
  REQUIRE(future.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  return future.get();
}

/// What the first connection to `address` says, which has to be final.
std::string refusal(const std::string& address, const Credentials& credentials) {
  AgentClient client(address, credentials);
  const auto answer = client.describe_patiently(20.0);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.failure().kind == FailureKind::Unauthorized);
  const std::string where = "agent " + address + ", describe: ";
  REQUIRE(answer.failure().message.rfind(where, 0) == 0);
  return answer.failure().message.substr(where.size());
}

std::string today(int64_t later_s = 0) { return utc_date(unix_now_s() + later_s); }

/// " (signed by ..., valid ... to ...)" of a certificate that TestAuthority made just now.
std::string signature() {
  return "test (signed by lathe test authority, valid " + today(-60) + " to " + today(3600) + ")";
}

std::string port_of(const std::string& address) { return address.substr(address.rfind(':') + 1); }

TEST_CASE("Fleet and agent prove themselves to each other by certificates") {
  const TestAuthority authority;
  const TemporaryFolder folder;
  const FakeAgent agent(agent_options(authority));
  const auto result = measure(agent, credentials_of(folder, authority));
  if (!result.ok()) FAIL(result.failure().message);
  CHECK(result->median_ms == 5.0);
}

TEST_CASE("certificates and a token are asked for together") {
  const TestAuthority authority;
  const TemporaryFolder folder;
  FakeAgent::Options options = agent_options(authority);
  options.token = "a secret of the lab";
  const FakeAgent agent(options);
  Credentials credentials = credentials_of(folder, authority);
  const auto without = measure(agent, credentials);
  REQUIRE_FALSE(without.ok());
  CHECK(without.failure().kind == FailureKind::Unauthorized);
  credentials.token = options.token;
  CHECK(measure(agent, credentials).ok());
}

TEST_CASE("a job fails at once, with the reason, when its only agent's certificate is refused") {
  const TestAuthority authority;
  const TestAuthority stranger;
  const TemporaryFolder folder;
  const FakeAgent agent(agent_options(stranger));
  const auto result = measure(agent, credentials_of(folder, authority));
  REQUIRE_FALSE(result.ok());
  CHECK(result.failure().kind == FailureKind::Unauthorized);
  CHECK(result.failure().message.find("was not signed by the authority in ") != std::string::npos);
  CHECK(agent.describes() == 0);
}

TEST_CASE("an agent's certificate that cannot be accepted is named with what mends it") {
  const TestAuthority authority;
  const TemporaryFolder folder;
  const Credentials credentials = credentials_of(folder, authority);

  SUBCASE("signed by another authority") {
    const TestAuthority stranger;
    const FakeAgent agent(agent_options(stranger));
    CHECK(refusal(agent.address(), credentials) ==
          "its certificate " + signature() + " was not signed by the authority in " +
              credentials.ca.string() +
              ": give tls.ca (--tls-ca) the ca.pem with which the agent's certificate was made");
  }
  SUBCASE("expired") {
    CertificateRequest request = TestAuthority::request(CertificateUse::Agent, {"127.0.0.1"});
    request.not_before_s = 1577836800;  // 2020-01-01
    request.not_after_s = 1609459200;   // 2021-01-01
    const FakeAgent agent(agent_options(authority, authority.issue(request)));
    CHECK(refusal(agent.address(), credentials) ==
          "its certificate test (signed by lathe test authority, valid 2020-01-01 to 2021-01-01) "
          "has expired: make a new one (lathe certs FOLDER NAME --renew) and copy it to the board, then restart the agent there");
  }
  SUBCASE("not valid yet") {
    CertificateRequest request = TestAuthority::request(CertificateUse::Agent, {"127.0.0.1"});
    request.not_before_s = 4102444800;  // 2100-01-01
    request.not_after_s = 4133980800;   // 2101-01-01
    const FakeAgent agent(agent_options(authority, authority.issue(request)));
    CHECK(refusal(agent.address(), credentials) ==
          "its certificate test (signed by lathe test authority, valid 2100-01-01 to 2101-01-01) "
          "is not valid yet and this machine says it is " +
              today() + ": set the clock");
  }
  SUBCASE("for another address") {
    const FakeAgent agent(
        agent_options(authority, authority.agent({"pi4-a.local", "192.168.1.20", "fd00::7"})));
    CHECK(refusal(agent.address(), credentials) ==
          "its certificate is for pi4-a.local, 192.168.1.20, fd00::7, not for 127.0.0.1: name the "
          "agent as its certificate does, or make one that names 127.0.0.1 too (lathe certs FOLDER "
          "NAME,127.0.0.1)");
  }
  SUBCASE("for another name") {
    const FakeAgent agent(agent_options(authority, authority.agent({"127.0.0.1"})));
    const std::string address = "localhost:" + port_of(agent.address());
    CHECK(refusal(address, credentials) ==
          "its certificate is for 127.0.0.1, not for localhost: name the agent as its certificate "
          "does, or make one that names localhost too (lathe certs FOLDER NAME,localhost)");
  }
  SUBCASE("of a controller") {
    const FakeAgent agent(agent_options(
        authority,
        authority.issue(TestAuthority::request(CertificateUse::Controller, {"127.0.0.1"}))));
    CHECK(refusal(agent.address(), credentials) ==
          "its certificate " + signature() +
              " is not an agent's: give the agent one of `lathe certs FOLDER NAME`");
  }
}

TEST_CASE("an agent that does not accept this controller is named with what mends it") {
  const TestAuthority authority;
  const TemporaryFolder folder;
  const FakeAgent agent(agent_options(authority));
  const std::string has_to_be =
      ": it has to be a controller's, signed by the authority of the agent's --tls-ca, and the "
      "board's clock has to be right";

  SUBCASE("no certificate") {
    Credentials credentials = credentials_of(folder, authority);
    credentials.certificate.clear();
    credentials.key.clear();
    CHECK(refusal(agent.address(), credentials) ==
          "it asks for a certificate of this controller: give tls.certificate and tls.key "
          "(--tls-certificate, --tls-key), made by `lathe certs FOLDER`");
  }
  SUBCASE("a stranger's certificate, or one of a board") {
    const TestAuthority stranger;
    for (const Identity& identity : {stranger.controller(), authority.agent()}) {
      const Credentials credentials = credentials_of(folder, authority.certificate(), identity);
      const std::string text = refusal(agent.address(), credentials);
      CHECK(text.rfind("it refuses this controller's certificate " +
                           credentials.certificate.string() + ", " + signature(),
                       0) == 0);
      CHECK(text.substr(text.size() - has_to_be.size()) == has_to_be);
    }
  }
  SUBCASE("plain text") {
    CHECK(refusal(agent.address(), {}) ==
          "it speaks TLS and this controller plain text: give tls: {ca, certificate, key} "
          "(--tls-ca, --tls-certificate, --tls-key), made by `lathe certs`");
  }
  CHECK(agent.describes() == 0);
}

TEST_CASE("a controller with TLS and an agent without it are told apart from a broken link") {
  const TestAuthority authority;
  const TemporaryFolder folder;
  FakeAgent agent;
  CHECK(refusal(agent.address(), credentials_of(folder, authority)) ==
        "it speaks plain text and this controller TLS: start it with --tls-certificate, --tls-key "
        "and --tls-ca, or leave out tls here and allow plain text");
  agent.kill();
  AgentClient client(agent.address(), credentials_of(folder, authority));
  const auto answer = client.describe(20.0);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.failure().kind == FailureKind::Unavailable);
}

TEST_CASE("credentials that worked once are tried again: a board may wake up with a wrong clock") {
  const TestAuthority authority;
  const TemporaryFolder folder;
  FakeAgent agent(agent_options(authority));
  AgentClient client(agent.address(), credentials_of(folder, authority));
  REQUIRE(client.describe(20.0).ok());
  agent.kill();
  FakeAgent::Options plain;
  plain.port = std::stoi(port_of(agent.address()));
  const FakeAgent woken(plain);
  const auto answer = client.describe_patiently(1.0);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.failure().kind == FailureKind::Unavailable);
  CHECK(answer.failure().message.find("it speaks plain text") != std::string::npos);
}

TEST_CASE("Fleet names the credentials that cannot be used before it starts") {
  const TestAuthority authority;
  const TemporaryFolder folder;
  const auto refused = [](const Credentials& credentials) {
    DeviceConfig device = test::device_of("pi4", {"192.0.2.1:50051"});
    device.credentials = credentials;
    return lathe::test::message_of<DeviceError>(
        [&] { Fleet({device}, nullptr, "run", test::impatient()); });
  };
  const Credentials good = credentials_of(folder, authority);
  Credentials credentials = good;
  credentials.ca = "/nowhere/ca.pem";
  CHECK(refused(credentials).rfind("credentials: /nowhere/ca.pem: cannot open", 0) == 0);
  credentials = good;
  credentials.ca = good.key;
  CHECK(refused(credentials) ==
        "credentials: " + good.key.string() + ": no certificate in it, expected one in PEM form");
  credentials = good;
  credentials.key = write(folder, "other.key", authority.controller().key);
  CHECK(refused(credentials) == "credentials: " + credentials.key.string() + ": not the key of " +
                                    good.certificate.string() +
                                    ", expected the two files that were made together");
  CertificateRequest request = TestAuthority::request(CertificateUse::Controller, {});
  request.not_after_s = 1609459200;  // 2021-01-01
  credentials = credentials_of(folder, authority.certificate(), authority.issue(request));
  CHECK(
      refused(credentials) ==
      "credentials: " + credentials.certificate.string() +
          ": expired on 2021-01-01, expected a valid certificate: make a new one with lathe certs "
          "FOLDER --controller NAME --renew");
}

}  // namespace
}  // namespace lathe::latency
