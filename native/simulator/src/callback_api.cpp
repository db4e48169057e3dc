// Callbacks in a stream: run by a subscribed application thread (LaunchCallback) or by the runtime (LaunchHostFunc).
#include "runtime.h"

#include <pthread.h>

#include <chrono>
#include <unordered_map>

using namespace ascendsim;

namespace {

struct Callback {
  aclrtCallback function;
  void *argument;
  bool done = false;
};

/** Callbacks that wait for one application thread. */
struct Mailbox {
  std::deque<std::shared_ptr<Callback>> waiting;
  uint32_t subscriptions = 0;
};

struct Mailboxes {
  std::mutex mutex;
  std::condition_variable changed;
  std::unordered_map<uint64_t, Mailbox> byThread;
};

Mailboxes &mailboxes() {
  static Mailboxes *const instance = new Mailboxes;
  return *instance;
}

aclError subscribe(uint64_t threadId, aclrtStream stream, const char *where) {
  int status = kSuccess;
  const std::shared_ptr<Stream> queue = resolveStream(stream, where, status);
  if (queue == nullptr) return status;
  Mailboxes &boxes = mailboxes();
  const std::lock_guard<std::mutex> lock(boxes.mutex);
  const uint64_t current = queue->subscriber.load();
  if (current == threadId) return kSuccess;
  if (current != 0) {
    return fail(kRepeatSubscribe, "EE1018", where, "The stream is subscribed by another thread already.");
  }
  queue->subscriber.store(threadId);
  ++boxes.byThread[threadId].subscriptions;
  return kSuccess;
}

aclError unsubscribe(uint64_t threadId, aclrtStream stream, const char *where) {
  int status = kSuccess;
  const std::shared_ptr<Stream> queue = resolveStream(stream, where, status);
  if (queue == nullptr) return status;
  Mailboxes &boxes = mailboxes();
  const std::lock_guard<std::mutex> lock(boxes.mutex);
  if (queue->subscriber.load() != threadId || threadId == 0) {
    return fail(kRtThreadSubscribe, "EE1018", where, "The thread has not subscribed this stream.");
  }
  queue->subscriber.store(0);
  const auto box = boxes.byThread.find(threadId);
  if (box != boxes.byThread.end() && --box->second.subscriptions == 0) boxes.byThread.erase(box);
  boxes.changed.notify_all();
  return kSuccess;
}

aclError processReport(int32_t timeout, const char *where) {
  if (timeout == 0 || timeout < -1) {
    return fail(kInvalidParam, "EH0001", where, "Value %d for timeout is invalid. Expected value: -1 or positive.",
                timeout);
  }
  const uint64_t self = static_cast<uint64_t>(pthread_self());
  Mailboxes &boxes = mailboxes();
  std::unique_lock<std::mutex> lock(boxes.mutex);
  if (boxes.byThread.count(self) == 0) {
    return fail(kRtThreadSubscribe, "EE1018", where, "This thread has not been subscribed with aclrtSubscribeReport.");
  }
  const auto ready = [&] {
    const auto box = boxes.byThread.find(self);
    return box == boxes.byThread.end() || !box->second.waiting.empty();
  };
  if (timeout < 0) {
    boxes.changed.wait(lock, ready);
  } else if (!boxes.changed.wait_for(lock, std::chrono::milliseconds(timeout), ready)) {
    return fail(kRtReportTimeout, "EE1002", where, "No callback came within %d ms.", timeout);
  }
  const auto box = boxes.byThread.find(self);
  if (box == boxes.byThread.end()) {
    return fail(kRtThreadSubscribe, "EE1018", where, "The subscription of this thread has ended.");
  }
  const std::shared_ptr<Callback> callback = box->second.waiting.front();
  box->second.waiting.pop_front();
  lock.unlock();
  callback->function(callback->argument);
  lock.lock();
  callback->done = true;
  boxes.changed.notify_all();
  return kSuccess;
}

}  // namespace

aclError aclrtSubscribeReport(uint64_t threadId, aclrtStream stream) { return subscribe(threadId, stream, __func__); }

aclError aclrtUnSubscribeReport(uint64_t threadId, aclrtStream stream) {
  return unsubscribe(threadId, stream, __func__);
}

aclError aclrtProcessReport(int32_t timeout) { return processReport(timeout, __func__); }

aclError aclrtSubscribeHostFunc(uint64_t threadId, aclrtStream stream) { return subscribe(threadId, stream, __func__); }

aclError aclrtUnSubscribeHostFunc(uint64_t threadId, aclrtStream stream) {
  return unsubscribe(threadId, stream, __func__);
}

aclError aclrtProcessHostFunc(int32_t timeout) { return processReport(timeout, __func__); }

aclError aclrtLaunchCallback(aclrtCallback fn, void *userData, aclrtCallbackBlockType blockType, aclrtStream stream) {
  ACL_REQUIRE(fn);
  const int block = static_cast<int>(blockType);
  if (block != ACL_CALLBACK_NO_BLOCK && block != ACL_CALLBACK_BLOCK) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %d for blockType is invalid. Expected value: 0 or 1.", block);
  }
  int status = kSuccess;
  const std::shared_ptr<Stream> queue = resolveStream(stream, __func__, status);
  if (queue == nullptr) return status;
  const uint64_t threadId = queue->subscriber.load();
  if (threadId == 0) {
    return ACL_FAIL(kRtStreamNoCallbackRegistered, "EE1018",
                    "No thread processes the callbacks of this stream. Call aclrtSubscribeReport first.");
  }
  queue->enqueue([fn, userData, block, threadId](Stream &self, const TaskInfo &) {
    Mailboxes &boxes = mailboxes();
    std::unique_lock<std::mutex> lock(boxes.mutex);
    const auto box = boxes.byThread.find(threadId);
    if (box == boxes.byThread.end()) return static_cast<int>(kSuccess);  // unsubscribed meanwhile
    const auto callback = std::make_shared<Callback>(Callback{fn, userData});
    box->second.waiting.push_back(callback);
    boxes.changed.notify_all();
    if (block == ACL_CALLBACK_BLOCK) {
      while (!callback->done && !self.stopping() && boxes.byThread.count(threadId) != 0) {
        boxes.changed.wait_for(lock, std::chrono::milliseconds(20));
      }
    }
    return static_cast<int>(kSuccess);
  });
  return kSuccess;
}

aclError aclrtLaunchHostFunc(aclrtStream stream, aclrtHostFunc fn, void *args) {
  ACL_REQUIRE(fn);
  int status = kSuccess;
  const std::shared_ptr<Stream> queue = resolveStream(stream, __func__, status);
  if (queue == nullptr) return status;
  queue->enqueue([fn, args](Stream &, const TaskInfo &) {
    fn(args);
    return static_cast<int>(kSuccess);
  });
  return kSuccess;
}

aclError aclrtSetExceptionInfoCallback(aclrtExceptionInfoCallback callback) {
  runtime().exceptionCallback.store(callback);
  return kSuccess;
}

namespace {

constexpr uint32_t kNoValue = 0xFFFFFFFFu;

std::shared_ptr<ExceptionRecord> exceptionOf(const aclrtExceptionInfo *info, const char *where) {
  std::shared_ptr<ExceptionRecord> record = runtime().exceptions.find(info);
  if (record == nullptr) {
    fail(kInvalidParam, "EH0001", where, "Value %p for info is invalid. Reason: it is only valid inside the callback.",
         static_cast<const void *>(info));
  }
  return record;
}

}  // namespace

uint32_t aclrtGetTaskIdFromExceptionInfo(const aclrtExceptionInfo *info) {
  const auto record = exceptionOf(info, __func__);
  return record != nullptr ? record->taskId : kNoValue;
}

uint32_t aclrtGetStreamIdFromExceptionInfo(const aclrtExceptionInfo *info) {
  const auto record = exceptionOf(info, __func__);
  return record != nullptr ? record->streamId : kNoValue;
}

uint32_t aclrtGetThreadIdFromExceptionInfo(const aclrtExceptionInfo *info) {
  const auto record = exceptionOf(info, __func__);
  return record != nullptr ? record->threadId : kNoValue;
}

uint32_t aclrtGetDeviceIdFromExceptionInfo(const aclrtExceptionInfo *info) {
  const auto record = exceptionOf(info, __func__);
  return record != nullptr ? record->deviceId : kNoValue;
}

uint32_t aclrtGetErrorCodeFromExceptionInfo(const aclrtExceptionInfo *info) {
  const auto record = exceptionOf(info, __func__);
  return record != nullptr ? record->errorCode : kNoValue;
}
