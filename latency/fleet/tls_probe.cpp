#include "latency/fleet/tls_probe.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "core/certificate.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/openssl.h"

namespace lathe::latency {
namespace {

using ContextHandle = std::unique_ptr<SSL_CTX, OpensslDeleter<SSL_CTX, SSL_CTX_free>>;
using ConnectionHandle = std::unique_ptr<SSL, OpensslDeleter<SSL, SSL_free>>;
using AddressList = std::unique_ptr<addrinfo, OpensslDeleter<addrinfo, freeaddrinfo>>;

constexpr unsigned char kHandshakeRecord = 0x16;
constexpr unsigned char kAlertRecord = 0x15;

/// Waits for `events`; false when the time is up.
bool wait_for(int socket, short events, double deadline_s) {
  pollfd watched{socket, events, 0};
  while (true) {
    const double left_s = deadline_s - steady_clock().now_s();
    if (left_s <= 0.0) return false;
    const int ready = ::poll(&watched, 1, static_cast<int>(1e3 * left_s) + 1);
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

FileDescriptor connect_to(const addrinfo& address, double deadline_s) {
  FileDescriptor socket(
      ::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return {};
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) == 0) return socket;
  if (errno != EINPROGRESS || !wait_for(socket.get(), POLLOUT, deadline_s)) return {};
  int fault = 0;
  socklen_t size = sizeof fault;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &fault, &size) != 0 || fault != 0) return {};
  return socket;
}

FileDescriptor connect_to(const std::string& host, const std::string& port, double deadline_s) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return {};
  const AddressList addresses(found);
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    FileDescriptor socket = connect_to(*address, deadline_s);
    if (socket.valid()) return socket;
  }
  return {};
}

std::string to_pem(X509* certificate) {
  if (certificate == nullptr) return "";
  const BioHandle memory(BIO_new(BIO_s_mem()));
  if (memory == nullptr || PEM_write_bio_X509(memory.get(), certificate) != 1) return "";
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<size_t>(size)};
}

/// Called by OpenSSL instead of its own verification; `argument` is a TlsFindings. The first fault
/// is kept with the certificate that has it. OpenSSL may only be told "good" or "bad".
int verify(X509_STORE_CTX* chain, void* argument) {
  auto& findings = *static_cast<TlsFindings*>(argument);
  findings.their_own_certificate = to_pem(X509_STORE_CTX_get0_cert(chain));
  const int good = X509_verify_cert(chain);
  if (good == 1) return 1;
  findings.verify_error = X509_STORE_CTX_get_error(chain);
  findings.their_certificate = to_pem(X509_STORE_CTX_get_current_cert(chain));
  return 0;
}

void trust(SSL_CTX* context, const std::string& authorities) {
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  const BioHandle memory(BIO_new_mem_buf(authorities.data(), static_cast<int>(authorities.size())));
  while (memory != nullptr) {
    const CertificateHandle authority(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
    if (authority == nullptr) break;
    X509_STORE_add_cert(store, authority.get());
  }
  ERR_clear_error();  // the end of the text
}

void show(SSL_CTX* context, const PemTexts& pem) {
  if (pem.certificate.empty()) return;
  const BioHandle certificates(
      BIO_new_mem_buf(pem.certificate.data(), static_cast<int>(pem.certificate.size())));
  const BioHandle keys(BIO_new_mem_buf(pem.key.data(), static_cast<int>(pem.key.size())));
  const CertificateHandle own(PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr));
  while (true) {
    CertificateHandle further(PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr));
    if (further == nullptr) break;
    if (SSL_CTX_add_extra_chain_cert(context, further.get()) == 1) further.release();
  }
  const KeyHandle key(PEM_read_bio_PrivateKey(keys.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (own == nullptr || key == nullptr || SSL_CTX_use_certificate(context, own.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    throw InvariantError("probe_tls: certificate and key that read_pem_texts took are refused");
  }
}

/// One handshake over memory, so that a closed socket raises no SIGPIPE and every wait has an end.
class Handshake {
 public:
  Handshake(FileDescriptor socket, double deadline_s, const std::string& host, const PemTexts* pem,
            TlsFindings& findings)
      : socket_(std::move(socket)), deadline_s_(deadline_s), findings_(findings) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    if (context_ == nullptr) throw InvariantError("SSL_CTX_new failed");
    SSL_CTX_set_verify(context_.get(), pem == nullptr ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
    if (pem != nullptr) {
      trust(context_.get(), pem->authorities);
      show(context_.get(), *pem);
      SSL_CTX_set_cert_verify_callback(context_.get(), verify, &findings_);
    }
    connection_.reset(SSL_new(context_.get()));
    if (connection_ == nullptr) throw InvariantError("SSL_new failed");
    constexpr std::array<unsigned char, 3> kHttp2{2, 'h', '2'};
    SSL_set_alpn_protos(connection_.get(), kHttp2.data(), kHttp2.size());
    name_peer(host);
    SSL_set_bio(connection_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(connection_.get());
  }

  void run() {
    ERR_clear_error();
    findings_.shook_hands = pump([this] { return SSL_do_handshake(connection_.get()); });
    if (findings_.shook_hands) {
      // An HTTP/2 server speaks first. One that refuses this side's certificate closes instead.
      std::array<char, 16> data{};
      findings_.welcomed = pump(
          [&] { return SSL_read(connection_.get(), data.data(), static_cast<int>(data.size())); });
    }
    const unsigned long fault = ERR_peek_last_error();
    const int reason = ERR_GET_REASON(fault);
    if (ERR_GET_LIB(fault) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET)
      findings_.alert = SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET);
    ERR_clear_error();
  }

 private:
  void name_peer(const std::string& host) {
    X509_VERIFY_PARAM* parameters = SSL_get0_param(connection_.get());
    if (is_ip_address(host)) {
      X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str());
    } else {
      X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), 0);
      SSL_set_tlsext_host_name(connection_.get(), host.c_str());
    }
  }

  /// Repeats `step` while it only needs data from the other side.
  template <typename Step>
  bool pump(Step step) {
    while (true) {
      const int result = step();
      flush();
      if (result > 0) return true;
      if (SSL_get_error(connection_.get(), result) != SSL_ERROR_WANT_READ || !fill()) return false;
    }
  }

  void flush() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(connection_.get()), &data);
    for (long sent = 0; sent < size;) {
      const ssize_t count =
          ::send(socket_.get(), data + sent, static_cast<size_t>(size - sent), MSG_NOSIGNAL);
      if (count > 0) sent += count;
      if (count > 0 || errno == EINTR) continue;
      // Closed or too slow: what they said before is still to be read.
      if (errno != EAGAIN || !wait_for(socket_.get(), POLLOUT, deadline_s_)) break;
    }
    BIO_reset(SSL_get_wbio(connection_.get()));
  }

  bool fill() {
    std::array<unsigned char, 4096> piece{};
    while (wait_for(socket_.get(), POLLIN, deadline_s_)) {
      const ssize_t count = ::recv(socket_.get(), piece.data(), piece.size(), 0);
      if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      findings_.closed = count <= 0;
      if (findings_.closed) return false;
      if (findings_.silent) {
        findings_.speaks_tls = piece[0] == kHandshakeRecord || piece[0] == kAlertRecord;
        findings_.silent = false;
      }
      if (!findings_.speaks_tls) return false;
      BIO_write(SSL_get_rbio(connection_.get()), piece.data(), static_cast<int>(count));
      return true;
    }
    return false;
  }

  FileDescriptor socket_;
  double deadline_s_;
  TlsFindings& findings_;
  ContextHandle context_;
  ConnectionHandle connection_;
};

}  // namespace

TlsFindings probe_tls(const std::string& host, const std::string& port, const PemTexts* pem,
                      double timeout_s) {
  TlsFindings findings;
  const double deadline_s = steady_clock().now_s() + timeout_s;
  FileDescriptor socket = connect_to(host, port, deadline_s);
  if (!socket.valid()) return findings;
  findings.connected = true;
  Handshake(std::move(socket), deadline_s, host, pem, findings).run();
  return findings;
}

}  // namespace lathe::latency
