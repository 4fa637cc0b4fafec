#pragma once

#include <memory>
#include <string>
#include <utility>

#include "supernet/distributed/communicator.h"
#include "supernet/supernet.h"

namespace lathe::supernet {

/// What rank 0 calls on the others for: a verb and what it is about.
struct WorkOrder {
  enum class Verb : char { Create = 'c', Train = 't', Evaluate = 'e', End = 'x' };
  Verb verb = Verb::End;
  std::string text;
};

/// A group over a communicator. Not thread-safe.
class WorkGroup : public Group {
 public:
  WorkGroup(Launch launch, std::unique_ptr<Communicator> communicator)
      : launch_(std::move(launch)), communicator_(std::move(communicator)) {}

  const Launch& launch() const override { return launch_; }
  void give_up(const std::string& reason) noexcept override { communicator_->give_up(reason); }
  void end() override;

  Communicator& communicator() { return *communicator_; }
  /// Rank 0: tells the others what to do next.
  void order(const WorkOrder& order);
  /// The others: waits for the next order, as long as rank 0 lives.
  WorkOrder next_order();

 private:
  Launch launch_;
  std::unique_ptr<Communicator> communicator_;
};

}  // namespace lathe::supernet
