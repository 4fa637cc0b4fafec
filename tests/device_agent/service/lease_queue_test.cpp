#include "device_agent/service/lease_queue.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace lathe::device;

namespace {

struct Recorder : LeaseWaiter {
  explicit Recorder(std::vector<std::string>& log, std::string name)
      : log_(log), name_(std::move(name)) {}
  void on_place(uint32_t place) override { log_.push_back(name_ + " " + std::to_string(place)); }
  void on_granted(const LeaseGrant& grant) override {
    grant_ = grant;
    log_.push_back(name_ + " granted " + std::to_string(grant.fencing_token));
  }
  void on_closed() override { log_.push_back(name_ + " closed"); }
  std::vector<std::string>& log_;
  std::string name_;
  LeaseGrant grant_;
};

using Log = std::vector<std::string>;

}  // namespace

TEST_CASE("the board goes to one after the other in the order of joining") {
  Log log;
  LeaseQueue queue([&](const LeaseGrant& grant) {
    log.push_back("end " + std::to_string(grant.fencing_token));
  });
  const auto a = std::make_shared<Recorder>(log, "a");
  const auto b = std::make_shared<Recorder>(log, "b");
  const auto c = std::make_shared<Recorder>(log, "c");
  CHECK(queue.join(a));
  CHECK(queue.join(b));
  CHECK(queue.join(c));
  CHECK(log == Log{"a granted 1", "b 1", "c 2"});
  CHECK(queue.length() == 2);
  CHECK(queue.holds(a->grant_.id, 1));
  CHECK_FALSE(queue.holds(a->grant_.id, 2));
  CHECK_FALSE(queue.holds("other", 1));
  log.clear();
  queue.leave(a.get());
  CHECK(log == Log{"end 1", "b granted 2", "c 1"});
  CHECK_FALSE(queue.holds(a->grant_.id, 1));
  log.clear();
  queue.leave(a.get());  // twice does nothing
  CHECK(log.empty());
  queue.leave(c.get());
  queue.leave(b.get());
  CHECK(log == Log{"end 2"});
  CHECK_FALSE(queue.held());
  CHECK(queue.last_token() == 2);
}

TEST_CASE("one who gives up waiting lets the others move up; a holder cannot give up so") {
  Log log;
  LeaseQueue queue([](const LeaseGrant&) {});
  const auto a = std::make_shared<Recorder>(log, "a");
  const auto b = std::make_shared<Recorder>(log, "b");
  const auto c = std::make_shared<Recorder>(log, "c");
  queue.join(a);
  queue.join(b);
  queue.join(c);
  log.clear();
  CHECK_FALSE(queue.abandon(a.get()));
  CHECK(queue.abandon(b.get()));
  CHECK(log == Log{"c 1"});
}

TEST_CASE("a full or closed queue takes nobody, and closing tells those who wait") {
  Log log;
  LeaseQueue queue([](const LeaseGrant&) {});
  const auto a = std::make_shared<Recorder>(log, "a");
  const auto b = std::make_shared<Recorder>(log, "b");
  const auto c = std::make_shared<Recorder>(log, "c");
  CHECK(queue.join(a, 1));
  CHECK(queue.join(b, 1));
  CHECK_FALSE(queue.join(c, 1));
  log.clear();
  queue.close();
  CHECK(log == Log{"b closed"});
  CHECK(queue.held());
  CHECK_FALSE(queue.join(c));
  queue.close_holder();
  CHECK(log == Log{"b closed", "a closed"});
}
