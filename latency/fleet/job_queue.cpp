#include "latency/fleet/job_queue.h"

#include <utility>

namespace lathe::latency {

bool JobQueue::push(std::unique_ptr<Job>& job) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return false;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

void JobQueue::put_back(std::unique_ptr<Job> job) {
  std::optional<Failure> failure;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    failure = closed_;
    if (!failure) jobs_.push_front(std::move(job));
  }
  if (failure) {
    job->fail(*failure);
    return;
  }
  changed_.notify_one();
}

std::unique_ptr<Job> JobQueue::take(const std::function<void()>& on_wait) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!closed_ && jobs_.empty()) {
    lock.unlock();
    on_wait();
    lock.lock();
  }
  changed_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
  if (closed_) return nullptr;
  std::unique_ptr<Job> job = std::move(jobs_.front());
  jobs_.pop_front();
  return job;
}

std::vector<std::unique_ptr<Job>> JobQueue::take_older_than(double time_s) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::unique_ptr<Job>> old;
  std::deque<std::unique_ptr<Job>> young;
  for (std::unique_ptr<Job>& job : jobs_) {
    if (job->waiting_since_s <= time_s) {
      old.push_back(std::move(job));
    } else {
      young.push_back(std::move(job));
    }
  }
  jobs_ = std::move(young);
  return old;
}

void JobQueue::close(const Failure& failure) {
  std::deque<std::unique_ptr<Job>> waiting;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!closed_) closed_ = failure;
    waiting.swap(jobs_);
  }
  changed_.notify_all();
  for (const std::unique_ptr<Job>& job : waiting) job->fail(failure);
}

std::optional<Failure> JobQueue::closed() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return closed_;
}

}  // namespace lathe::latency
