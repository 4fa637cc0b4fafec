#include "supernet/distributed/monitor.h"

#include <unistd.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "core/clock.h"

namespace lathe::supernet {
namespace {

using Lock = std::unique_lock<std::mutex>;

constexpr char kBeat = 'b';
constexpr char kFailed = 'f';

std::string key_of(int rank) { return "process/" + std::to_string(rank); }

/// "host, process 123".
std::string who_am_i() {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return std::string(host) + ", process " + std::to_string(getpid());
}

std::chrono::duration<double> seconds(double s) { return std::chrono::duration<double>(s); }

/// What is known of another process.
struct Peer {
  std::string value;  ///< the last that it wrote
  double since_s = 0.0;
  bool came = false;
};

}  // namespace

struct Monitor::State {
  c10::intrusive_ptr<c10d::Store> store;
  Options options;
  std::string name;
  std::mutex mutex;
  std::condition_variable changed;
  // The following belong to the mutex.
  std::map<int, Peer> peers;
  std::string failure;
  std::string giving_up;  ///< why this process gives up
  bool told = false;      ///< that is written
  bool leaving = false, stop = false, ended = false;
  double round_end_s = 0.0;  ///< when the store last answered
  int64_t beats = 0;

  void write_own(Lock& lock);
  void read_peer(int rank, Lock& lock);
  void judge(int rank, const std::string& value);
};

/// Writes a beat, or why this process or the group cannot go on.
void Monitor::State::write_own(Lock& lock) {
  const std::string reason = giving_up.empty() ? failure : giving_up;
  const std::string value =
      reason.empty() ? kBeat + std::to_string(++beats) + "\n" + name : kFailed + reason;
  lock.unlock();
  store->set(key_of(options.rank), std::vector<uint8_t>(value.begin(), value.end()));
  lock.lock();
  told = !reason.empty();
  changed.notify_all();
}

void Monitor::State::read_peer(int rank, Lock& lock) {
  lock.unlock();
  std::vector<uint8_t> value;
  const bool came = store->check({key_of(rank)});  // get() would wait
  if (came) value = store->get(key_of(rank));
  lock.lock();
  peers[rank].came = came;
  if (came) judge(rank, {value.begin(), value.end()});
}

void Monitor::State::judge(int rank, const std::string& value) {
  Peer& peer = peers[rank];
  const double now_s = steady_clock().now_s();
  if (value != peer.value) {
    peer.value = value;
    peer.since_s = now_s;
  }
  if (leaving || !failure.empty()) return;
  if (value[0] == kFailed) {
    // Rank 0 also passes on what it knows of others.
    failure = rank == 0 && value.compare(1, 5, "rank ") == 0
                  ? value.substr(1)
                  : "rank " + std::to_string(rank) + " gave up: " + value.substr(1);
  } else if (now_s - peer.since_s > options.silence_s) {
    failure = "rank " + std::to_string(rank) + " (" + value.substr(value.find('\n') + 1) +
              ") has not answered for " + std::to_string(std::lround(options.silence_s)) + " s";
  }
}

void Monitor::run(const std::shared_ptr<State>& state) {
  Lock lock(state->mutex);
  while (!state->stop) {
    try {
      state->write_own(lock);
      for (int rank = 0; rank < state->options.size; ++rank) {
        const bool watched = state->options.rank == 0 || rank == 0;
        if (watched && rank != state->options.rank) state->read_peer(rank, lock);
      }
      state->round_end_s = steady_clock().now_s();
    } catch (const std::exception&) {  // of the store's connection
      if (!lock.owns_lock()) lock.lock();
      if (!state->leaving && state->failure.empty()) {
        state->failure = "rank 0's store does not answer: rank 0 ended or cannot be reached";
      }
      break;
    }
    if (!state->failure.empty() && !state->told) continue;  // at once to the others
    state->changed.wait_for(lock, seconds(state->options.beat_s), [&] {
      return state->stop || (!state->giving_up.empty() && !state->told);
    });
  }
  state->ended = true;
  state->changed.notify_all();
}

Monitor::Monitor(c10::intrusive_ptr<c10d::Store> store, const Options& options)
    : state_(std::make_shared<State>()) {
  state_->store = std::move(store);
  state_->options = options;
  state_->name = who_am_i();
  state_->round_end_s = steady_clock().now_s();
  {
    Lock lock(state_->mutex);
    state_->write_own(lock);
  }
  std::thread([state = state_] { run(state); }).detach();
}

Monitor::~Monitor() {
  Lock lock(state_->mutex);
  state_->stop = true;
  state_->changed.notify_all();
  state_->changed.wait_for(lock, seconds(2.0 * state_->options.beat_s),
                           [this] { return state_->ended; });
}

bool Monitor::complete() const { return missing().empty(); }

std::string Monitor::missing() const {
  const Lock lock(state_->mutex);
  std::string ranks;
  for (int rank = 0; rank < state_->options.size; ++rank) {
    const bool watched = state_->options.rank == 0 || rank == 0;
    if (!watched || rank == state_->options.rank || state_->peers[rank].came) continue;
    ranks += (ranks.empty() ? "" : ", ") + std::to_string(rank);
  }
  return ranks;
}

std::string Monitor::failure() const {
  const Lock lock(state_->mutex);
  if (state_->leaving || !state_->failure.empty()) return state_->failure;
  const double silent_s = steady_clock().now_s() - state_->round_end_s;
  if (silent_s <= state_->options.silence_s) return "";
  return "rank 0's store has not answered for " + std::to_string(std::lround(silent_s)) + " s";
}

void Monitor::give_up(const std::string& reason) noexcept {
  Lock lock(state_->mutex);
  if (state_->leaving || !state_->giving_up.empty()) return;
  state_->giving_up = reason;
  state_->changed.notify_all();
  state_->changed.wait_for(lock, seconds(2.0 * state_->options.beat_s),
                           [this] { return state_->told || state_->ended; });
  const bool told = state_->told;
  lock.unlock();
  // The store ends with rank 0, so the others are given the time to read.
  if (told && state_->options.rank == 0) steady_clock().sleep_s(2.0 * state_->options.beat_s);
}

void Monitor::leave() {
  const Lock lock(state_->mutex);
  state_->leaving = true;
}

}  // namespace lathe::supernet
