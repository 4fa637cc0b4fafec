#include "supernet/distributed/work_group.h"

namespace lathe::supernet {
namespace {

constexpr const char* kWhat = "the next work";

}  // namespace

void WorkGroup::order(const WorkOrder& order) {
  communicator_->set_step(-1);
  communicator_->broadcast_bytes(static_cast<char>(order.verb) + order.text, kWhat);
}

WorkOrder WorkGroup::next_order() {
  communicator_->set_step(-1);
  const std::string bytes = communicator_->broadcast_bytes("", kWhat);
  return {static_cast<WorkOrder::Verb>(bytes.at(0)), bytes.substr(1)};
}

void WorkGroup::end() {
  order({WorkOrder::Verb::End, ""});
  communicator_->leave();
}

}  // namespace lathe::supernet
