#include "core/result.h"

#include <array>

namespace lathe {
namespace {

struct KindName {
  FailureKind kind;
  const char* name;
};

constexpr std::array<KindName, 11> kKindNames = {{
    {FailureKind::Unavailable, "unavailable"},
    {FailureKind::Busy, "busy"},
    {FailureKind::DeadlineExceeded, "deadline_exceeded"},
    {FailureKind::Cancelled, "cancelled"},
    {FailureKind::Unsupported, "unsupported"},
    {FailureKind::InvalidModel, "invalid_model"},
    {FailureKind::Crashed, "crashed"},
    {FailureKind::OutOfMemory, "out_of_memory"},
    {FailureKind::Infeasible, "infeasible"},
    {FailureKind::Unauthorized, "unauthorized"},
    {FailureKind::Internal, "internal"},
}};

}  // namespace

const char* to_string(FailureKind kind) {
  for (const KindName& entry : kKindNames) {
    if (entry.kind == kind) return entry.name;
  }
  throw InvariantError("to_string(FailureKind): value = " + std::to_string(static_cast<int>(kind)) +
                       ", expected a declared kind");
}

FailureKind failure_kind_from_string(const std::string& name) {
  for (const KindName& entry : kKindNames) {
    if (name == entry.name) return entry.kind;
  }
  throw InvariantError("failure_kind_from_string: name = \"" + name +
                       "\", expected a name written by to_string(FailureKind)");
}

}  // namespace lathe
