// The functions for streams.
#include "runtime.h"

using namespace ascendsim;

namespace {

constexpr uint32_t kKnownStreamFlags = 0x3F;

/** Null with the message recorded unless `handle` is a live stream of the current context. Null handles are refused. */
std::shared_ptr<Stream> explicitStream(aclrtStream handle, const char *where, int &status) {
  if (handle == nullptr) {
    status = fail(kInvalidParam, "EH0002", where, "Argument stream must not be null.");
    return nullptr;
  }
  return resolveStream(handle, where, status);
}

aclError createStream(aclrtStream *stream, uint32_t priority, uint32_t flag, const char *where) {
  if (stream == nullptr) return fail(kInvalidParam, "EH0002", where, "Argument stream must not be null.");
  if (priority > 7 || (flag & ~kKnownStreamFlags) != 0) {
    return fail(kRtParamInvalid, "EE1001", where,
                "The argument is invalid. Reason: priority %u or flag 0x%x is out of range.", priority, flag);
  }
  int status = kSuccess;
  const std::shared_ptr<Context> context = requireContext(where, status);
  if (context == nullptr) return status;
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

aclError synchronizeStream(aclrtStream handle, int32_t timeout, const char *where) {
  const int checked = checkTimeout(timeout, where);
  if (checked != kSuccess) return checked;
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
