#include "device_agent/service/agent_server.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/file.h"
#include "tests/device_agent/service/agent_fixture.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_certificates.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::device::testing;

namespace {

std::string refusal(const ServerOptions& options) {
  return test::message_of<ConfigError>([&] { AgentFixture agent(options); });
}

grpc::Status describe(const std::string& address,
                      const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  const auto stub = v1::DeviceAgent::NewStub(grpc::CreateChannel(address, credentials));
  grpc::ClientContext context;
  v1::DescribeResponse response;
  return stub->Describe(&context, {}, &response);
}

std::shared_ptr<grpc::ChannelCredentials> client(const std::string& ca, const Identity& identity) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ca;
  options.pem_private_key = identity.key;
  options.pem_cert_chain = identity.certificate;
  return grpc::SslCredentials(options);
}

}  // namespace

TEST_CASE("plain text beyond loopback needs an explicit wish") {
  ServerOptions options;
  options.listen = "0.0.0.0:0";
  CHECK(refusal(options) ==
        "listen = 0.0.0.0:0 without TLS, expected a loopback address, the three --tls files, or "
        "--allow-plaintext");
  CHECK(is_loopback("127.0.0.1:1"));
  CHECK(is_loopback("localhost:1"));
  CHECK(is_loopback("[::1]:1"));
  CHECK(is_loopback("unix:/run/agent"));
  CHECK_FALSE(is_loopback("127x.example.com:1"));
  CHECK_FALSE(is_loopback("localhost.example.com:1"));
  CHECK_FALSE(is_loopback("127.evil.example.com:1"));
  CHECK_FALSE(is_loopback("127.0.0.1.example.com:1"));
  CHECK_FALSE(is_loopback("10.0.0.1:1"));
}

TEST_CASE("options that cannot work are refused before anything starts") {
  ServerOptions options;
  options.listen = "nonsense";
  CHECK(refusal(options) == "listen = nonsense, expected HOST:PORT");
  options = {};
  options.key = "/some/key";
  CHECK(refusal(options) ==
        "TLS: 1 of 3 files given, expected --tls-certificate, --tls-key and --tls-ca together");
  options = {};
  options.token = "short";
  CHECK(refusal(options) == "token has 5 characters, expected at least 16");
}

TEST_CASE("a port is never shared between two agents") {
  AgentFixture first;
  ServerOptions options;
  options.listen = first.server().address();
  CHECK(refusal(options) ==
        "listen = " + options.listen + ", expected an address of this machine that is free");
}

namespace {

ServerOptions tls_options(const test::TemporaryFolder& folder, const test::TestAuthority& authority,
                          const Identity& identity) {
  write_file_atomically(folder / "ca.pem", authority.certificate());
  write_file_atomically(folder / "agent.pem", identity.certificate);
  write_file_atomically(folder / "agent.key", identity.key);
  ServerOptions options;
  options.certificate = folder / "agent.pem";
  options.key = folder / "agent.key";
  options.ca = folder / "ca.pem";
  return options;
}

}  // namespace

TEST_CASE("with TLS both sides prove themselves") {
  test::TemporaryFolder folder;
  const test::TestAuthority authority;
  AgentFixture agent(tls_options(folder, authority, authority.agent()));
  const std::string& address = agent.server().address();
  const auto describe_as = [&](const std::string& ca, const Identity& identity) {
    return describe(address, client(ca, identity)).error_code();
  };
  CHECK(describe_as(authority.certificate(), authority.controller()) == grpc::StatusCode::OK);
  const test::TestAuthority stranger;
  CHECK(describe_as(authority.certificate(), stranger.controller()) ==
        grpc::StatusCode::UNAVAILABLE);
  CHECK(describe_as(stranger.certificate(), authority.controller()) ==
        grpc::StatusCode::UNAVAILABLE);
  CHECK(describe_as(authority.certificate(), {}) == grpc::StatusCode::UNAVAILABLE);
  CHECK(describe(address, grpc::InsecureChannelCredentials()).error_code() ==
        grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("a board's certificate does not make its holder a controller") {
  test::TemporaryFolder folder;
  const test::TestAuthority authority;
  AgentFixture agent(tls_options(folder, authority, authority.agent()));
  CHECK(describe(agent.server().address(), client(authority.certificate(), authority.agent()))
            .error_code() == grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("TLS files that cannot serve are named before anything starts") {
  test::TemporaryFolder folder;
  const test::TestAuthority authority;
  const auto refused = [&](const ServerOptions& options) {
    return test::message_of<DataError>([&] { AgentFixture agent(options); });
  };
  const ServerOptions good = tls_options(folder, authority, authority.agent());
  write_file_atomically(folder / "other.key", authority.agent().key);
  write_file_atomically(folder / "text", "no PEM\n");
  ServerOptions options = good;
  options.key = folder / "other.key";
  CHECK(refused(options) == options.key.string() + ": not the key of " +
                                options.certificate.string() +
                                ", expected the two files that were made together");
  options = good;
  options.certificate = folder / "text";
  CHECK(refused(options) ==
        options.certificate.string() + ": no certificate in it, expected one in PEM form");
  options = good;
  options.key = folder / "text";
  CHECK(refused(options) == options.key.string() +
                                ": no private key in it, expected one in PEM form without "
                                "passphrase");
  options = good;
  options.ca = folder / "text";
  CHECK(refused(options) ==
        options.ca.string() + ": no certificate in it, expected one in PEM form");
  options = good;
  options.ca = folder / "none";
  CHECK(refused(options).find(options.ca.string() + ": cannot open for reading") == 0);
}

TEST_CASE("stopping twice does nothing more") {
  AgentFixture agent;
  agent.server().stop(0.0);
  agent.server().stop(0.0);
  CHECK_FALSE(describe(agent.server().address(), grpc::InsecureChannelCredentials()).ok());
}
