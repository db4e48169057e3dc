// A thread that runs one task at a time for whoever waits: ONNX Runtime needs a stack of the usual size and keeps buffers
// per thread, while callers come from stacks of 256 KiB and change from call to call.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace observer {

class TaskThread {
 public:
  TaskThread() : thread_([this] { work(); }) {}
  ~TaskThread() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  TaskThread(const TaskThread &) = delete;
  TaskThread &operator=(const TaskThread &) = delete;

  /** Returns when the task is done. */
  void run(const std::function<void()> &task) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return task_ == nullptr; });
    task_ = &task;
    changed_.notify_all();
    changed_.wait(lock, [this, &task] { return task_ != &task; });
  }

 private:
  void work() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ending_ || task_ != nullptr; });
      if (task_ == nullptr) return;
      const std::function<void()> &task = *task_;
      lock.unlock();
      task();
      lock.lock();
      task_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()> *task_ = nullptr;
  bool ending_ = false;
  std::thread thread_;  // last: it uses the members above
};

}  // namespace observer
