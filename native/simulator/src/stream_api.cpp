// Streams and events.
#include "runtime.h"

#include <chrono>

using namespace ascendsim;

namespace {

constexpr uint32_t kKnownStreamFlags = 0x3F;
constexpr uint32_t kKnownEventFlags = 0x7B;

/** Null with the message recorded unless `handle` is a live stream of the current context. Null handles are refused. */
std::shared_ptr<Stream> explicitStream(aclrtStream handle, const char *where, int &status) {
  if (handle == nullptr) {
    status = fail(kInvalidParam, "EH0002", where, "Argument stream must not be null.");
    return nullptr;
  }
  return resolveStream(handle, where, status);
}

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

aclError createStream(aclrtStream *stream, uint32_t priority, uint32_t flag, const char *where) {
  if (stream == nullptr) return fail(kInvalidParam, "EH0002", where, "Argument stream must not be null.");
  if (priority > 7 || (flag & ~kKnownStreamFlags) != 0) {
    return fail(kRtParamInvalid, "EE1001", where,
                "The argument is invalid. Reason: priority %u or flag 0x%x is out of range.", priority, flag);
  }
  const std::shared_ptr<Context> context = currentContext();
  if (context == nullptr) {
    return fail(kRtContextNull, "EE1018", where,
                "No context is current on this thread. Call aclrtSetDevice or aclrtSetCurrentContext first.");
  }
  if (runtime().streams.size() >= static_cast<size_t>(runtime().settings.soc->maxStreams)) {
    return fail(kRtNoStreamResource, "EE1023", where, "No stream is left: the device has %d.",
                runtime().settings.soc->maxStreams);
  }
  makeStream(*context, priority, flag, stream);
  return kSuccess;
}

aclError destroyStream(aclrtStream handle, bool force, const char *where) {
  int status = kSuccess;
  const std::shared_ptr<Stream> stream = explicitStream(handle, where, status);
  if (stream == nullptr) return status;
  const std::shared_ptr<Context> context = stream->context.lock();
  if (context != nullptr && context->defaultStreamHandle == handle) {
    return fail(kRtParamInvalid, "EE1001", where,
                "The argument is invalid. Reason: the default stream ends with its context.");
  }
  if (!force) stream->drain(-1);
  if (runtime().streams.take(handle) == nullptr) {
    return fail(kRtInvalidHandle, "EE1001", where, "The argument is invalid. Reason: the stream has been destroyed.");
  }
  stream->stop();
  return kSuccess;
}

bool validTimeout(int32_t timeout) { return timeout == -1 || timeout > 0; }

aclError synchronizeStream(aclrtStream handle, int32_t timeout, const char *where) {
  if (!validTimeout(timeout)) {
    return fail(kRtParamInvalid, "EE1001", where,
                "The argument is invalid. Reason: timeout %d is neither -1 nor positive.", timeout);
  }
  int status = kSuccess;
  const std::shared_ptr<Stream> stream = resolveStream(handle, where, status);
  if (stream == nullptr) return status;
  if (!stream->drain(timeout)) {
    return fail(kRtStreamSyncTimeout, "EE1002", where, "Stream %d did not finish within %d ms.", stream->id, timeout);
  }
  stream->device.clock.observe(stream->timeNs());
  std::string message;
  status = stream->takeError(message);
  if (status == kSuccess) return kSuccess;
  setLastTaskError(status);
  return failWith(status, message);
}

aclError createEvent(aclrtEvent *handle, Event::Kind kind, uint32_t flags, const char *where) {
  if (handle == nullptr) return fail(kInvalidParam, "EH0002", where, "Argument event must not be null.");
  if (kind != Event::Kind::Plain && (flags == 0 || (flags & ~kKnownEventFlags) != 0)) {
    return fail(kRtParamInvalid, "EE1001", where, "The argument is invalid. Reason: flag 0x%x is not an event flag.",
                flags);
  }
  const std::shared_ptr<Context> context = currentContext();
  if (context == nullptr) {
    return fail(kRtContextNull, "EE1018", where,
                "No context is current on this thread. Call aclrtSetDevice or aclrtSetCurrentContext first.");
  }
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
  if (!validTimeout(timeout)) {
    return fail(kRtParamInvalid, "EE1001", where,
                "The argument is invalid. Reason: timeout %d is neither -1 nor positive.", timeout);
  }
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

}  // namespace

aclError aclrtCreateStream(aclrtStream *stream) { return createStream(stream, 0, 0, __func__); }

aclError aclrtCreateStreamWithConfig(aclrtStream *stream, uint32_t priority, uint32_t flag) {
  return createStream(stream, priority, flag, __func__);
}

aclError aclrtDestroyStream(aclrtStream stream) { return destroyStream(stream, false, __func__); }

aclError aclrtDestroyStreamForce(aclrtStream stream) { return destroyStream(stream, true, __func__); }

aclError aclrtSynchronizeStream(aclrtStream stream) { return synchronizeStream(stream, -1, __func__); }

aclError aclrtSynchronizeStreamWithTimeout(aclrtStream stream, int32_t timeout) {
  return synchronizeStream(stream, timeout, __func__);
}

aclError aclrtStreamQuery(aclrtStream stream, aclrtStreamStatus *status) {
  ACL_REQUIRE(status);
  int code = kSuccess;
  const std::shared_ptr<Stream> found = resolveStream(stream, __func__, code);
  if (found == nullptr) return code;
  *status = found->idle() ? ACL_STREAM_STATUS_COMPLETE : ACL_STREAM_STATUS_NOT_READY;
  return kSuccess;
}

aclError aclrtStreamGetId(aclrtStream stream, int32_t *streamId) {
  ACL_REQUIRE(streamId);
  int code = kSuccess;
  const std::shared_ptr<Stream> found = resolveStream(stream, __func__, code);
  if (found == nullptr) return code;
  *streamId = found->id;
  return kSuccess;
}

aclError aclrtStreamGetPriority(aclrtStream stream, uint32_t *priority) {
  ACL_REQUIRE(priority);
  int code = kSuccess;
  const std::shared_ptr<Stream> found = resolveStream(stream, __func__, code);
  if (found == nullptr) return code;
  *priority = found->priority;
  return kSuccess;
}

aclError aclrtStreamGetFlags(aclrtStream stream, uint32_t *flags) {
  ACL_REQUIRE(flags);
  int code = kSuccess;
  const std::shared_ptr<Stream> found = resolveStream(stream, __func__, code);
  if (found == nullptr) return code;
  *flags = found->flags;
  return kSuccess;
}

aclError aclrtSetStreamFailureMode(aclrtStream stream, uint64_t mode) {
  int code = kSuccess;
  if (explicitStream(stream, __func__, code) == nullptr) return code;
  if (mode > 1) {
    return ACL_FAIL(kRtParamInvalid, "EE1001", "The argument is invalid. Reason: failure mode %llu is not 0 or 1.",
                    static_cast<unsigned long long>(mode));
  }
  return kSuccess;
}

aclError aclrtStreamAbort(aclrtStream stream) {
  int code = kSuccess;
  const std::shared_ptr<Stream> found = explicitStream(stream, __func__, code);
  if (found == nullptr) return code;
  found->abort();
  return kSuccess;
}

aclError aclrtStreamStop(aclrtStream stream) {
  int code = kSuccess;
  const std::shared_ptr<Stream> found = explicitStream(stream, __func__, code);
  if (found == nullptr) return code;
  found->abort();
  return kSuccess;
}

aclError aclrtGetStreamAvailableNum(uint32_t *streamCount) {
  ACL_REQUIRE(streamCount);
  ACL_CONTEXT(context);
  const size_t used = runtime().streams.size();
  const size_t limit = static_cast<size_t>(runtime().settings.soc->maxStreams);
  *streamCount = static_cast<uint32_t>(used < limit ? limit - used : 0);
  return kSuccess;
}

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
  const std::shared_ptr<Event> found = findEvent(event, __func__, code);
  if (found == nullptr) return code;
  if (found->kind == Event::Kind::ExWithFlag) {
    return ACL_FAIL(kRtParamInvalid, "EE1001",
                    "The argument is invalid. Reason: use aclrtQueryEventStatus for this kind of event.");
  }
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
  const std::shared_ptr<Event> found = findEvent(event, __func__, code);
  if (found == nullptr) return code;
  if (found->kind == Event::Kind::ExWithFlag) {
    return ACL_FAIL(kRtParamInvalid, "EE1001",
                    "The argument is invalid. Reason: use aclrtQueryEventStatus for this kind of event.");
  }
  const std::lock_guard<std::mutex> lock(found->mutex);
  *status = found->pendingWaits == 0 ? ACL_EVENT_WAIT_STATUS_COMPLETE : ACL_EVENT_WAIT_STATUS_NOT_READY;
  return kSuccess;
}

aclError aclrtSynchronizeEvent(aclrtEvent event) { return synchronizeEvent(event, -1, __func__); }

aclError aclrtSynchronizeEventWithTimeout(aclrtEvent event, int32_t timeout) {
  return synchronizeEvent(event, timeout, __func__);
}

namespace {

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
