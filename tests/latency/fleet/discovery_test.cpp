#include "latency/fleet/discovery.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <sstream>
#include <thread>

#include "core/error.h"
#include "core/rng.h"
#include "latency/fleet/mdns_message.h"

namespace lathe::latency {
namespace {

using mdns::Record;
using mdns::RecordType;

constexpr char kService[] = "_lathe-agent._tcp.local";

Record pointer(const std::string& instance) {
  return {kService, RecordType::Ptr, instance, 0, "", {}};
}
Record service(const std::string& instance, const std::string& host, uint16_t port) {
  return {instance, RecordType::Srv, host, port, "", {}};
}
Record address(const std::string& host, const std::string& ipv4) {
  return {host, RecordType::A, "", 0, ipv4, {}};
}
Record text(const std::string& instance, const std::vector<std::string>& texts) {
  return {instance, RecordType::Txt, "", 0, "", texts};
}

void put16(std::string& out, uint16_t value) {
  out += static_cast<char>(value >> 8U);
  out += static_cast<char>(value & 0xFFU);
}

void put_name(std::string& out, const std::string& name) {
  std::istringstream labels(name);
  for (std::string label; std::getline(labels, label, '.');)
    out += static_cast<char>(label.size()) + label;
  out += '\0';
}

std::string record_data(const Record& record) {
  std::string data;
  switch (record.type) {
    case RecordType::A: {
      in_addr address{};
      REQUIRE(inet_pton(AF_INET, record.ipv4.c_str(), &address) == 1);
      data.assign(reinterpret_cast<const char*>(&address), 4);
      break;
    }
    case RecordType::Ptr:
      put_name(data, record.target);
      break;
    case RecordType::Srv:
      put16(data, 0);
      put16(data, 0);
      put16(data, record.port);
      put_name(data, record.target);
      break;
    case RecordType::Txt:
      for (const std::string& text : record.texts) data += static_cast<char>(text.size()) + text;
      break;
  }
  return data;
}

/// What an announcing machine sends (RFC 1035, section 4), without compression.
std::string encode_response(const std::vector<Record>& records) {
  std::string message;
  for (const size_t field :
       {size_t{0}, size_t{0x8400}, size_t{0}, records.size(), size_t{0}, size_t{0}})
    put16(message, static_cast<uint16_t>(field));
  for (const Record& record : records) {
    put_name(message, record.name);
    put16(message, static_cast<uint16_t>(record.type));
    put16(message, 1);  // class: Internet
    put16(message, 0);
    put16(message, 120);  // time to live, seconds
    const std::string data = record_data(record);
    put16(message, static_cast<uint16_t>(data.size()));
    message += data;
  }
  return message;
}

/// Answers every datagram at a loopback port with what `answer` makes of it.
class Responder {
 public:
  using Answer = std::function<std::vector<std::string>(const std::string& question)>;

  explicit Responder(Answer answer)
      : answer_(std::move(answer)), socket_(socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in bound{};
    bound.sin_family = AF_INET;
    bound.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof bound;
    REQUIRE(bind(socket_, reinterpret_cast<sockaddr*>(&bound), size) == 0);
    REQUIRE(getsockname(socket_, reinterpret_cast<sockaddr*>(&bound), &size) == 0);
    port_ = ntohs(bound.sin_port);
    timeval wait{0, 10000};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    thread_ = std::thread([this] { loop(); });
  }
  ~Responder() {
    stop_ = true;
    thread_.join();
    close(socket_);
  }

  DiscoveryOptions options(double duration_s = 0.3) const {
    DiscoveryOptions options;
    options.duration_s = duration_s;
    options.group = "127.0.0.1";
    options.port = port_;
    return options;
  }

 private:
  void loop() {
    while (!stop_) {
      std::string question(9000, '\0');
      sockaddr_in from{};
      socklen_t size = sizeof from;
      const ssize_t got = recvfrom(socket_, question.data(), question.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &size);
      if (got < 0) continue;
      question.resize(static_cast<size_t>(got));
      for (const std::string& message : answer_(question)) {
        sendto(socket_, message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&from),
               size);
      }
    }
  }

  Answer answer_;
  int socket_;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST_CASE("discover_agents finds agents that tell everything in one answer, each once and sorted") {
  const std::string a = std::string("pi4-a.") + kService;
  const std::string b = std::string("pi4-b.") + kService;
  Responder responder([&](const std::string&) {
    const std::string one =
        encode_response({pointer(b), service(b, "pi4-b.local", 50051),
                         address("pi4-b.local", "192.0.2.7"), text(b, {"model=Pi 4"})});
    const std::string two = encode_response(
        {pointer(a), service(a, "pi4-a.local", 50052), address("pi4-a.local", "192.0.2.8")});
    return std::vector<std::string>{one, two, one};
  });
  const auto agents = discover_agents(responder.options());
  REQUIRE(agents.size() == 2);
  CHECK(agents[0].instance == a);
  CHECK(agents[0].address() == "192.0.2.8:50052");
  CHECK(agents[1].host == "pi4-b.local");
  CHECK(agents[1].texts == std::vector<std::string>{"model=Pi 4"});
}

TEST_CASE("discover_agents asks again for what an answer leaves open") {
  const std::string a = std::string("pi4.") + kService;
  std::atomic<int> questions{0};
  Responder responder([&](const std::string& question) -> std::vector<std::string> {
    ++questions;
    if (question == mdns::encode_query({{kService, RecordType::Ptr}}))
      return {encode_response({pointer(a)})};
    if (question == mdns::encode_query({{a, RecordType::Srv}, {a, RecordType::Txt}})) {
      return {encode_response({service(a, "pi4.local", 50051)})};
    }
    if (question == mdns::encode_query({{"pi4.local", RecordType::A}})) {
      return {encode_response({address("pi4.local", "192.0.2.9")})};
    }
    return {};
  });
  const auto agents = discover_agents(responder.options());
  REQUIRE(agents.size() == 1);
  CHECK(agents[0].address() == "192.0.2.9:50051");
  CHECK(questions == 4);  // the first one twice, the others once
}

TEST_CASE("discover_agents ignores other services, half answers, rubbish and queries") {
  const std::string other = "printer._ipp._tcp.local";
  const std::string half = std::string("half.") + kService;
  Responder responder([&](const std::string& question) {
    return std::vector<std::string>{encode_response({service(other, "printer.local", 631)}),
                                    encode_response({address("printer.local", "192.0.2.1")}),
                                    encode_response({pointer(half)}),
                                    "rubbish",
                                    question,
                                    ""};
  });
  CHECK(discover_agents(responder.options(0.1)).empty());
}

TEST_CASE("discover_agents names a group that is no address") {
  DiscoveryOptions options;
  options.group = "everyone";
  CHECK_THROWS_WITH_AS(discover_agents(options),
                       "discovery: group = everyone, expected an IPv4 address", DeviceError);
}

TEST_CASE("decode_response follows compression pointers") {
  // The answer's name is at 12, its target "pi4." + pointer to it.
  std::string message("\x00\x00\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00", 12);
  message += std::string("\x0c_Lathe-Agent\x04_tcp\x05local\x00", 25);
  message += std::string("\x00\x0c\x00\x01\x00\x00\x00\x78\x00\x06\x03pi4\xc0\x0c", 16);
  const auto records = mdns::decode_response(message);
  REQUIRE(records.size() == 1);
  CHECK(records[0].name == kService);  // in lower case
  CHECK(records[0].target == std::string("pi4.") + kService);
}

TEST_CASE("decode_response survives loops of pointers and every damage to a good message") {
  std::string loop(
      "\x00\x00\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\xc0\x0c\x00\x0c\x00\x01\x00\x00\x00\x78\x00"
      "\x00",
      24);
  CHECK(mdns::decode_response(loop).empty());

  const std::string instance = std::string("pi4.") + kService;
  const std::string good =
      encode_response({pointer(instance), service(instance, "pi4.local", 50051),
                       text(instance, {"a=b", "c"}), address("pi4.local", "192.0.2.7")});
  REQUIRE(mdns::decode_response(good).size() == 4);
  for (size_t size = 0; size < good.size(); ++size)
    CHECK(mdns::decode_response(good.substr(0, size)).size() <= 4);
  Rng rng(4);
  for (int trial = 0; trial < 20000; ++trial) {
    std::string bad = good;
    for (int change = 0; change < 4; ++change)
      bad[rng.below(bad.size())] = static_cast<char>(rng.below(256));
    mdns::decode_response(bad);  // under ASan: no byte outside is read
  }
}

TEST_CASE("names that nobody could ask about are no answers") {
  const auto answer = [](const std::string& target) {
    std::string message("\0\0\x84\0\0\0\0\1\0\0\0\0", 12);
    put_name(message, kService);
    put16(message, static_cast<uint16_t>(RecordType::Ptr));
    put16(message, 1);
    put16(message, 0);
    put16(message, 60);
    put16(message, static_cast<uint16_t>(target.size()));
    return mdns::decode_response(message + target).size();
  };
  CHECK(answer(std::string("\2pi\5local\0", 10)) == 1);
  CHECK(answer(std::string("\0", 1)) == 0);         // the root
  CHECK(answer(std::string("\3a..\0", 5)) == 0);   // a label of dots
}

TEST_CASE("encode_query refuses names that DNS cannot carry") {
  CHECK_THROWS_AS(mdns::encode_query({{"a..b", RecordType::A}}), InvariantError);
  CHECK_THROWS_AS(mdns::encode_query({{std::string(64, 'a'), RecordType::A}}), InvariantError);
}

}  // namespace
}  // namespace lathe::latency
