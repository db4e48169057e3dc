// A stream's worker thread and its place on the virtual clock.
#include "runtime.h"

#include <algorithm>
#include <chrono>
#include <system_error>

namespace ascendsim {

Stream::Stream(Context &owner, int32_t id, uint32_t priority, uint32_t flags)
    : id(id), priority(priority), flags(flags), context(owner.weak_from_this()), device(owner.device) {}

Stream::~Stream() {
  stop();
  if (!worker_.joinable()) return;
  // stop() joined the thread unless this is that very thread, which held the last reference.
  worker_.detach();
}

void Stream::enqueue(Task task, std::function<void()> cancel) {
  const TaskInfo info{device.clock.observed(), wallNs(), runtime().taskCount.fetch_add(1)};
  std::deque<Entry> refused;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back({std::move(task), info, std::move(cancel)});
    try {
      if (!stopping_.load() && !worker_.joinable()) {
        worker_ = std::thread([self = shared_from_this()] { self->work(); });
      }
    } catch (const std::system_error &) {
      error_ = kRtNoStreamResource;
      errorMessage_ = formatError(error_, "EE1023", "enqueue", "The host has no thread left for the stream.");
    }
    if (stopping_.load() || !worker_.joinable()) refused.swap(queue_);
    wake_.notify_one();
  }
  discard(refused);
}

void Stream::discard(std::deque<Entry> &entries) {
  for (Entry &entry : entries) {
    if (entry.cancel) entry.cancel();
  }
  entries.clear();
}

void Stream::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_.load() || !queue_.empty(); });
    if (queue_.empty()) break;
    Entry entry = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    const int status = entry.task(*this, entry.info);
    entry.task = nullptr;  // releases what the task held before waiters go on
    lock.lock();
    busy_ = false;
    if (status != kSuccess && error_ == kSuccess) error_ = status;
    if (queue_.empty()) done_.notify_all();
  }
  done_.notify_all();
}

bool Stream::drain(int32_t timeoutMs) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto finished = [this] { return queue_.empty() && !busy_; };
  if (timeoutMs < 0) {
    done_.wait(lock, finished);
    return true;
  }
  return done_.wait_for(lock, std::chrono::milliseconds(timeoutMs), finished);
}

int Stream::takeError(std::string &message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const int status = error_;
  error_ = kSuccess;
  message.swap(errorMessage_);
  errorMessage_.clear();
  return status;
}

bool Stream::idle() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return queue_.empty() && !busy_;
}

void Stream::abort() {
  std::deque<Entry> dropped;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    dropped.swap(queue_);
    if (!busy_) done_.notify_all();
  }
  discard(dropped);
}

void Stream::stop() {
  std::deque<Entry> dropped;
  std::thread worker;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_.store(true);
    dropped.swap(queue_);
    wake_.notify_all();
    if (worker_.joinable() && worker_.get_id() != std::this_thread::get_id()) worker.swap(worker_);
  }
  discard(dropped);
  if (worker.joinable()) worker.join();
}

int Stream::runTimed(const TaskInfo &info, Engine engine, uint64_t durationNs, const std::function<int()> &body) {
  const uint64_t ready = timeAt(info);
  const Interval interval = device.clock.reserve(engine, ready, durationNs);
  const uint64_t wallReady = std::max(info.wallNs, pacedUntil_);
  const int status = body();
  advanceTo(interval.end);
  if (status == kSuccess && runtime().settings.pace) {
    pacedUntil_ = wallReady + (interval.end - ready);
    waitUntil(pacedUntil_);
  }
  return status;
}

uint64_t Stream::timeAt(const TaskInfo &info) {
  const std::lock_guard<std::mutex> lock(mutex_);
  timeNs_ = std::max(timeNs_, info.submitNs);
  return timeNs_;
}

void Stream::advanceTo(uint64_t time) {
  const std::lock_guard<std::mutex> lock(mutex_);
  timeNs_ = std::max(timeNs_, time);
}

uint64_t Stream::timeNs() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return timeNs_;
}

void Stream::setErrorMessage(const std::string &message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (errorMessage_.empty()) errorMessage_ = message;
}

}  // namespace ascendsim
