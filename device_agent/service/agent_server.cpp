#include "device_agent/service/agent_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <chrono>
#include <mutex>
#include <utility>

#include "core/certificate.h"
#include "core/error.h"
#include "device_agent/service/agent_service.h"

namespace lathe::device {

namespace {

constexpr int kMaxMessageBytes = 64 << 20;  // of one Run request
constexpr int kMaxStreams = 32;             // of a connection; a controller uses a few
constexpr const char* kServiceName = "lathe.v1.DeviceAgent";

std::string host_of(const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  return host;
}

// Checks what can be checked without the network, before anything is started.
void check(const ServerOptions& options) {
  const size_t colon = options.listen.rfind(':');
  if (options.listen.rfind("unix:", 0) != 0 &&
      (colon == std::string::npos || colon + 1 == options.listen.size())) {
    throw ConfigError("listen = " + options.listen + ", expected HOST:PORT");
  }
  const int files = static_cast<int>(!options.certificate.empty()) +
                    static_cast<int>(!options.key.empty()) + static_cast<int>(!options.ca.empty());
  if (files != 0 && files != 3) {
    throw ConfigError(
        "TLS: " + std::to_string(files) +
        " of 3 files given, expected --tls-certificate, --tls-key and --tls-ca together");
  }
  if (files == 0 && !options.allow_plaintext && !is_loopback(options.listen)) {
    throw ConfigError(
        "listen = " + options.listen +
        " without TLS, expected a loopback address, the three --tls files, or --allow-plaintext");
  }
  if (!options.token.empty() && options.token.size() < 16) {
    throw ConfigError("token has " + std::to_string(options.token.size()) +
                      " characters, expected at least 16");
  }
}

std::shared_ptr<grpc::ServerCredentials> credentials(const ServerOptions& options) {
  if (options.certificate.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_root_certs = read_authorities(options.ca);
  const Identity identity = read_identity(options.certificate, options.key);
  tls.pem_key_cert_pairs.push_back({identity.key, identity.certificate});
  return grpc::SslServerCredentials(tls);
}

// A controller that vanished without closing its connection is noticed within half a minute.
void add_keepalive(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 15000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
}

}  // namespace

bool is_loopback(const std::string& address) {
  if (address.rfind("unix:", 0) == 0) return true;
  const std::string host = host_of(address);
  // A name that only begins like an address may lead anywhere.
  const bool digits = host.find_first_not_of("0123456789.") == std::string::npos;
  return host == "localhost" || host == "::1" || (digits && host.rfind("127.", 0) == 0);
}

struct AgentServer::State {
  State(const AgentSettings& settings, AgentService::Options options)
      : token(options.token), service(settings, std::move(options)) {}
  const std::string token;
  AgentService service;
  std::unique_ptr<grpc::Server> server;
  std::mutex mutex;
  bool stopped = false;
};

AgentServer::AgentServer(const AgentSettings& settings, const ServerOptions& options) {
  check(options);
  AgentService::Options service_options;
  service_options.token = options.token;
  service_options.max_model_bytes = options.max_model_bytes;
  service_options.model_capacity_bytes = options.model_capacity_bytes;
  service_options.orphan_grace_s = options.orphan_grace_s;
  service_options.beat_s = options.beat_s;
  state_ = std::make_unique<State>(settings, std::move(service_options));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(options.listen, credentials(options), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // two agents never share a port
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  add_keepalive(builder);
  builder.RegisterService(&state_->service);
  state_->server = builder.BuildAndStart();
  if (state_->server == nullptr || port == 0) {
    throw ConfigError("listen = " + options.listen +
                      ", expected an address of this machine that is free");
  }
  address_ = options.listen.rfind("unix:", 0) == 0
                 ? options.listen
                 : options.listen.substr(0, options.listen.rfind(':') + 1) + std::to_string(port);
  if (auto* health = state_->server->GetHealthCheckService())
    health->SetServingStatus(kServiceName, true);
}

bool AgentServer::responds(double timeout_s) {
  const auto stub = v1::DeviceAgent::NewStub(state_->server->InProcessChannel({}));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(static_cast<int64_t>(1e3 * timeout_s)));
  if (!state_->token.empty()) context.AddMetadata("authorization", "Bearer " + state_->token);
  v1::DescribeResponse response;
  return stub->Describe(&context, {}, &response).ok();
}

bool AgentServer::leased() const { return state_->service.leased(); }

AgentServer::~AgentServer() { stop(0.0); }

void AgentServer::stop(double limit_s) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  if (state_->stopped) return;
  state_->stopped = true;
  if (auto* health = state_->server->GetHealthCheckService()) health->SetServingStatus(false);
  state_->service.drain(limit_s);
  state_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
}

}  // namespace lathe::device
