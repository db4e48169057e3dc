// The functions for events.
#include "runtime.h"

#include <chrono>

using namespace ascendsim;

namespace {

constexpr uint32_t kKnownEventFlags = 0x7B;

std::shared_ptr<Event> findEvent(aclrtEvent handle, const char *where, int &status) {
  status = kSuccess;
  if (handle == nullptr) {
    status = fail(kInvalidParam, "EH0002", where, "Argument event must not be null.");
    return nullptr;
  }
  std::shared_ptr<Event> event = runtime().events.find(handle);
  if (event == nullptr) {
    status = fail(kRtInvalidHandle, "EE1001", where,
                  "The argument is invalid. Reason: the event does not exist or has been destroyed.");
  }
  return event;
}

/** An event of a kind that aclrtQueryEvent and aclrtQueryEventWaitStatus answer for. */
std::shared_ptr<Event> findPlainEvent(aclrtEvent handle, const char *where, int &status) {
  std::shared_ptr<Event> event = findEvent(handle, where, status);
  if (event == nullptr || event->kind != Event::Kind::ExWithFlag) return event;
  status = fail(kRtParamInvalid, "EE1001", where,
                "The argument is invalid. Reason: use aclrtQueryEventStatus for this kind of event.");
  return nullptr;
}

aclError createEvent(aclrtEvent *handle, Event::Kind kind, uint32_t flags, const char *where) {
  if (handle == nullptr) return fail(kInvalidParam, "EH0002", where, "Argument event must not be null.");
  if (kind != Event::Kind::Plain && (flags == 0 || (flags & ~kKnownEventFlags) != 0)) {
    return fail(kRtParamInvalid, "EE1001", where, "The argument is invalid. Reason: flag 0x%x is not an event flag.",
                flags);
  }
  int status = kSuccess;
  const std::shared_ptr<Context> context = requireContext(where, status);
  if (context == nullptr) return status;
  if (kind != Event::Kind::ExWithFlag &&
      runtime().events.size() >= static_cast<size_t>(runtime().settings.soc->maxEvents)) {
    return fail(kRtNoEventResource, "EE1023", where, "No event is left: the device has %d.",
                runtime().settings.soc->maxEvents);
  }
  auto event = std::make_shared<Event>();
  event->kind = kind;
  event->flags = flags;
  event->id = runtime().eventCount.fetch_add(1);
  event->deviceId = context->device.id;
  *handle = runtime().events.add(std::move(event));
  return kSuccess;
}

/** True when an event may be waited for or reset by a stream. */
bool synchronises(const Event &event) {
  return event.kind != Event::Kind::WithFlag || (event.flags & ACL_EVENT_SYNC) != 0;
}

aclError synchronizeEvent(aclrtEvent handle, int32_t timeout, const char *where) {
  const int checked = checkTimeout(timeout, where);
  if (checked != kSuccess) return checked;
  int status = kSuccess;
  const std::shared_ptr<Event> event = findEvent(handle, where, status);
  if (event == nullptr) return status;
  std::unique_lock<std::mutex> lock(event->mutex);
  if (!event->recorded()) {
    if (event->kind == Event::Kind::ExWithFlag) return kSuccess;
    return fail(kRtParamInvalid, "EE1018", where, "The event has not been recorded: waiting for it would never end.");
  }
  const uint64_t wanted = event->recordCount;
  const auto reached = [&] { return event->completedCount >= wanted; };
  if (timeout < 0) {
    event->changed.wait(lock, reached);
  } else if (!event->changed.wait_for(lock, std::chrono::milliseconds(timeout), reached)) {
    return fail(kRtEventSyncTimeout, "EE1003", where, "Event %u was not reached within %d ms.", event->id, timeout);
  }
  Device *const device = runtime().device(event->deviceId);
  if (device != nullptr) device->clock.observe(event->timeNs);
  return kSuccess;
}

/** Device time of a completed, timed event. */
aclError eventTime(aclrtEvent handle, uint64_t &timeNs, const char *where) {
  int status = kSuccess;
  const std::shared_ptr<Event> event = findEvent(handle, where, status);
  if (event == nullptr) return status;
  const std::lock_guard<std::mutex> lock(event->mutex);
  if (!event->timed() || !event->recorded()) {
    return fail(kRtEventTimestampInvalid, "EE1018", where,
                "Event %u has no timestamp: it has not been recorded, or was created without ACL_EVENT_TIME_LINE.",
                event->id);
  }
  if (!event->complete()) {
    return fail(kRtEventNotComplete, "EE1018", where, "Event %u is not complete. Synchronise the stream first.",
                event->id);
  }
  timeNs = event->timeNs;
  return kSuccess;
}

}  // namespace

aclError aclrtCreateEvent(aclrtEvent *event) { return createEvent(event, Event::Kind::Plain, 0, __func__); }

aclError aclrtCreateEventWithFlag(aclrtEvent *event, uint32_t flag) {
  return createEvent(event, Event::Kind::WithFlag, flag, __func__);
}

aclError aclrtCreateEventExWithFlag(aclrtEvent *event, uint32_t flag) {
  return createEvent(event, Event::Kind::ExWithFlag, flag, __func__);
}

aclError aclrtDestroyEvent(aclrtEvent event) {
  int status = kSuccess;
  if (findEvent(event, __func__, status) == nullptr) return status;
  runtime().events.take(event);
  return kSuccess;
}

aclError aclrtRecordEvent(aclrtEvent event, aclrtStream stream) {
  int status = kSuccess;
  const std::shared_ptr<Event> found = findEvent(event, __func__, status);
  if (found == nullptr) return status;
  const std::shared_ptr<Stream> queue = resolveStream(stream, __func__, status);
  if (queue == nullptr) return status;
  uint64_t number = 0;
  {
    const std::lock_guard<std::mutex> lock(found->mutex);
    number = ++found->recordCount;
  }
  const auto reach = [found, number](uint64_t time) {
    const std::lock_guard<std::mutex> lock(found->mutex);
    found->completedCount = std::max(found->completedCount, number);
    found->timeNs = std::max(found->timeNs, time);
    found->changed.notify_all();
  };
  queue->enqueue(
      [reach](Stream &self, const TaskInfo &info) {
        reach(self.timeAt(info));
        return static_cast<int>(kSuccess);
      },
      [reach, queue] { reach(queue->timeNs()); });
  return kSuccess;
}

aclError aclrtResetEvent(aclrtEvent event, aclrtStream stream) {
  int status = kSuccess;
  const std::shared_ptr<Event> found = findEvent(event, __func__, status);
  if (found == nullptr) return status;
  const std::shared_ptr<Stream> queue = resolveStream(stream, __func__, status);
  if (queue == nullptr) return status;
  if (found->kind == Event::Kind::ExWithFlag || !synchronises(*found)) {
    return ACL_FAIL(kRtParamInvalid, "EE1001", "The argument is invalid. Reason: this kind of event cannot be reset.");
  }
  queue->enqueue([found](Stream &, const TaskInfo &) {
    const std::lock_guard<std::mutex> lock(found->mutex);
    found->resetCount = found->completedCount;
    return static_cast<int>(kSuccess);
  });
  return kSuccess;
}

aclError aclrtStreamWaitEvent(aclrtStream stream, aclrtEvent event) {
  int status = kSuccess;
  const std::shared_ptr<Event> found = findEvent(event, __func__, status);
  if (found == nullptr) return status;
  const std::shared_ptr<Stream> queue = resolveStream(stream, __func__, status);
  if (queue == nullptr) return status;
  if (!synchronises(*found)) {
    return ACL_FAIL(kRtParamInvalid, "EE1001",
                    "The argument is invalid. Reason: the event was created without ACL_EVENT_SYNC.");
  }
  uint64_t wanted = 0;
  {
    const std::lock_guard<std::mutex> lock(found->mutex);
    ++found->pendingWaits;
    // Not recorded yet: the stream waits for the first record to come.
    wanted = found->recorded() ? found->recordCount : found->recordCount + 1;
  }
  queue->enqueue(
      [found, wanted](Stream &self, const TaskInfo &) {
        std::unique_lock<std::mutex> lock(found->mutex);
        while (found->completedCount < wanted && !self.stopping()) {
          found->changed.wait_for(lock, std::chrono::milliseconds(20));
        }
        --found->pendingWaits;
        const uint64_t time = found->timeNs;
        lock.unlock();
        self.advanceTo(time);
        return static_cast<int>(kSuccess);
      },
      [found] {
        const std::lock_guard<std::mutex> lock(found->mutex);
        --found->pendingWaits;
      });
  return kSuccess;
}

aclError aclrtQueryEvent(aclrtEvent event, aclrtEventStatus *status) {
  ACL_REQUIRE(status);
  int code = kSuccess;
  const std::shared_ptr<Event> found = findPlainEvent(event, __func__, code);
  if (found == nullptr) return code;
  const std::lock_guard<std::mutex> lock(found->mutex);
  *status = found->complete() ? ACL_EVENT_STATUS_COMPLETE : ACL_EVENT_STATUS_NOT_READY;
  return kSuccess;
}

aclError aclrtQueryEventStatus(aclrtEvent event, aclrtEventRecordedStatus *status) {
  ACL_REQUIRE(status);
  int code = kSuccess;
  const std::shared_ptr<Event> found = findEvent(event, __func__, code);
  if (found == nullptr) return code;
  const std::lock_guard<std::mutex> lock(found->mutex);
  const bool fresh = found->kind == Event::Kind::ExWithFlag && found->recordCount == 0;
  *status = fresh || found->complete() ? ACL_EVENT_RECORDED_STATUS_COMPLETE : ACL_EVENT_RECORDED_STATUS_NOT_READY;
  return kSuccess;
}

aclError aclrtQueryEventWaitStatus(aclrtEvent event, aclrtEventWaitStatus *status) {
  ACL_REQUIRE(status);
  int code = kSuccess;
  const std::shared_ptr<Event> found = findPlainEvent(event, __func__, code);
  if (found == nullptr) return code;
  const std::lock_guard<std::mutex> lock(found->mutex);
  *status = found->pendingWaits == 0 ? ACL_EVENT_WAIT_STATUS_COMPLETE : ACL_EVENT_WAIT_STATUS_NOT_READY;
  return kSuccess;
}

aclError aclrtSynchronizeEvent(aclrtEvent event) { return synchronizeEvent(event, -1, __func__); }

aclError aclrtSynchronizeEventWithTimeout(aclrtEvent event, int32_t timeout) {
  return synchronizeEvent(event, timeout, __func__);
}

aclError aclrtEventElapsedTime(float *ms, aclrtEvent startEvent, aclrtEvent endEvent) {
  ACL_REQUIRE(ms);
  uint64_t start = 0;
  uint64_t end = 0;
  int status = eventTime(startEvent, start, __func__);
  if (status != kSuccess) return status;
  status = eventTime(endEvent, end, __func__);
  if (status != kSuccess) return status;
  if (end < start) {
    return ACL_FAIL(kRtEventTimestampReversal, "EE1018", "The end event happened before the start event.");
  }
  *ms = static_cast<float>(static_cast<double>(end - start) / 1e6);
  return kSuccess;
}

aclError aclrtEventGetTimestamp(aclrtEvent event, uint64_t *timestamp) {
  ACL_REQUIRE(timestamp);
  uint64_t time = 0;
  const int status = eventTime(event, time, __func__);
  if (status == kSuccess) *timestamp = time / 1000;
  return status;
}

aclError aclrtGetEventId(aclrtEvent event, uint32_t *eventId) {
  ACL_REQUIRE(eventId);
  int status = kSuccess;
  const std::shared_ptr<Event> found = findEvent(event, __func__, status);
  if (found == nullptr) return status;
  *eventId = found->id;
  return kSuccess;
}

aclError aclrtGetEventAvailNum(uint32_t *eventCount) {
  ACL_REQUIRE(eventCount);
  ACL_CONTEXT(context);
  const size_t used = runtime().events.size();
  const size_t limit = static_cast<size_t>(runtime().settings.soc->maxEvents);
  *eventCount = static_cast<uint32_t>(used < limit ? limit - used : 0);
  return kSuccess;
}
