#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lathe::latency::mdns {

// Multicast DNS messages (RFC 1035, RFC 6762), as far as service discovery (RFC 6763) over IPv4
// needs them.

enum class RecordType : uint16_t { A = 1, Ptr = 12, Txt = 16, Srv = 33 };

/// One answer. Names are lower case without the final dot.
struct Record {
  std::string name;
  RecordType type = RecordType::A;
  std::string target;              ///< Ptr, Srv
  uint16_t port = 0;               ///< Srv
  std::string ipv4;                ///< A: "192.168.1.7"
  std::vector<std::string> texts;  ///< Txt: "key=value"
};

/// Returns a query that asks for unicast answers. \throws InvariantError if a name has an empty or
/// over-long label.
std::string encode_query(const std::vector<std::pair<std::string, RecordType>>& questions);

/// Returns the records of the types above in any section of a response; nothing for a query or a
/// message that is malformed anywhere. Never reads outside `message`, follows at most 32
/// compression pointers a name.
std::vector<Record> decode_response(const std::string& message);

}  // namespace lathe::latency::mdns
