// The functions for devices.
#include "device_access.h"

#include <unistd.h>

#include <algorithm>

namespace ascendsim {
namespace {

/** What aclrtResetDevice and aclrtResetDeviceForce share. */
aclError resetDevice(int32_t deviceId, bool force, const char *where) {
  int status = kSuccess;
  Runtime &state = runtime();
  std::shared_ptr<Context> ended;
  {
    const std::lock_guard<std::mutex> lock(state.mutex);
    Device *const device = requireDevice(deviceId, where, status);
    if (device == nullptr) return status;
    if (device->references == 0) return kSuccess;
    device->references = force ? 0 : device->references - 1;
    if (device->references > 0) return kSuccess;
    ended = std::move(device->defaultContext);
    device->defaultContext.reset();
  }
  if (ended != nullptr) tearDown(ended, force);
  const std::lock_guard<std::mutex> lock(state.mutex);
  closeDevice(*state.device(deviceId));
  return kSuccess;
}

}  // namespace
}  // namespace ascendsim

using namespace ascendsim;

aclError aclrtSetDevice(int32_t deviceId) {
  int status = kSuccess;
  Runtime &state = runtime();
  const std::lock_guard<std::mutex> lock(state.mutex);
  Device *const device = requireDevice(deviceId, __func__, status);
  if (device == nullptr) return status;
  if (device->defaultContext == nullptr) device->defaultContext = makeContext(*device, true);
  ++device->references;
  setCurrentContext(device->defaultContext);
  return kSuccess;
}

aclError aclrtResetDevice(int32_t deviceId) { return resetDevice(deviceId, false, __func__); }

aclError aclrtResetDeviceForce(int32_t deviceId) { return resetDevice(deviceId, true, __func__); }

aclError aclrtGetDevice(int32_t *deviceId) {
  ACL_REQUIRE(deviceId);
  ACL_CONTEXT(context);
  *deviceId = context->device.id;
  return kSuccess;
}

aclError aclrtGetDeviceCount(uint32_t *count) {
  ACL_REQUIRE(count);
  *count = static_cast<uint32_t>(runtime().devices.size());
  if (*count == 0) return ACL_FAIL(kRtNoDevice, "EL0002", "No device is available (ASCENDSIM_DEVICES is 0).");
  return kSuccess;
}

aclError aclrtGetRunMode(aclrtRunMode *runMode) {
  ACL_REQUIRE(runMode);
  *runMode = ACL_HOST;
  return kSuccess;
}

aclError aclrtSynchronizeDeviceWithTimeout(int32_t timeout) {
  const int checked = checkTimeout(timeout, __func__);
  if (checked != kSuccess) return checked;
  ACL_CONTEXT(context);
  const uint64_t deadline = wallNs() + static_cast<uint64_t>(timeout < 0 ? 0 : timeout) * 1'000'000;
  for (const auto &[handle, stream] : runtime().streams.all()) {
    if (&stream->device != &context->device) continue;
    const uint64_t now = wallNs();
    const int32_t left = timeout < 0 ? -1 : now < deadline ? static_cast<int32_t>((deadline - now) / 1'000'000) : 0;
    if (!stream->drain(left)) {
      return ACL_FAIL(kRtStreamSyncTimeout, "EE1002", "Stream %d did not finish within %d ms.", stream->id, timeout);
    }
    context->device.clock.observe(stream->timeNs());
    std::string message;
    const int status = stream->takeError(message);
    if (status != kSuccess) {
      setLastTaskError(status);
      return failWith(status, message);
    }
  }
  return kSuccess;
}

aclError aclrtSynchronizeDevice(void) { return aclrtSynchronizeDeviceWithTimeout(-1); }

aclError aclrtQueryDeviceStatus(int32_t deviceId, aclrtDeviceStatus *deviceStatus) {
  ACL_REQUIRE(deviceStatus);
  int status = kSuccess;
  if (requireDevice(deviceId, __func__, status) == nullptr) return status;
  *deviceStatus = ACL_RT_DEVICE_STATUS_NORMAL;
  return kSuccess;
}

aclError aclrtGetDeviceUtilizationRate(int32_t deviceId, aclrtUtilizationInfo *utilizationInfo) {
  ACL_REQUIRE(utilizationInfo);
  if (utilizationInfo->utilizationExtend != nullptr) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %p for utilizationExtend is invalid. Expected value: null.",
                    utilizationInfo->utilizationExtend);
  }
  int status = kSuccess;
  Device *const device = requireDevice(deviceId, __func__, status);
  if (device == nullptr) return status;
  // Share of modelled compute time in the wall time since the previous query.
  const std::lock_guard<std::mutex> lock(device->utilisationMutex);
  const uint64_t now = wallNs();
  const uint64_t busy = device->clock.computeBusyNs();
  const uint64_t elapsed = now - device->utilisationWallNs;
  uint64_t share = 0;
  if (device->utilisationWallNs != 0 && elapsed > 0) {
    share = std::min<uint64_t>(100, (busy - device->utilisationBusyNs) * 100 / elapsed);
  }
  device->utilisationWallNs = now;
  device->utilisationBusyNs = busy;
  utilizationInfo->cubeUtilization = static_cast<int32_t>(share);
  utilizationInfo->vectorUtilization = runtime().settings.soc->vectorCores > 0 ? static_cast<int32_t>(share) : -1;
  utilizationInfo->aicpuUtilization = 0;
  utilizationInfo->memoryUtilization = -1;
  return kSuccess;
}

aclError aclrtGetMemInfo(aclrtMemAttr attr, size_t *free, size_t *total) {
  ACL_REQUIRE(free);
  ACL_REQUIRE(total);
  ACL_CONTEXT(context);
  const int kind = static_cast<int>(attr);
  if (kind < 0 || kind > 17) {
    return ACL_FAIL(kRtParamInvalid, "EE1001", "The argument is invalid. Reason: %d is not a memory attribute.", kind);
  }
  // A DDR query on an HBM part finds nothing; an HBM query on a DDR part is answered with DDR (CANN, aclrtGetMemInfo).
  const bool ddrQuery = kind == 0 || kind == 2 || kind == 3 || kind == 6 || kind == 7;
  const bool nothing = ddrQuery && runtime().settings.soc->hbm;
  *total = nothing ? 0 : context->device.capacity;
  *free = nothing ? 0 : context->device.capacity - context->device.used();
  return kSuccess;
}

aclError aclrtGetDeviceInfo(uint32_t deviceId, int attr, int64_t *value) {
  ACL_REQUIRE(value);
  int status = kSuccess;
  Device *const device = requireDevice(deviceId, __func__, status);
  if (device == nullptr) return status;
  const Soc &soc = *runtime().settings.soc;
  switch (attr) {
    case 1: *value = soc.aiCpus; break;
    case 101:
    case 102: *value = soc.aiCores; break;
    case 201: *value = soc.vectorCores; break;
    case 301: *value = static_cast<int64_t>(device->capacity); break;
    case 302: *value = static_cast<int64_t>(soc.l2Bytes); break;
    case 402: *value = device->id; break;
    case 501: *value = 0; break;
    default:
      return ACL_FAIL(kRtFeatureNotSupport, "EE1005", "Device attribute %d is not supported by the simulator.", attr);
  }
  return kSuccess;
}

aclError aclrtGetDeviceCapability(int32_t deviceId, int, int32_t *value) {
  ACL_REQUIRE(value);
  int status = kSuccess;
  if (requireDevice(deviceId, __func__, status) == nullptr) return status;
  *value = 0;
  return kSuccess;
}

aclError aclrtDeviceCanAccessPeer(int32_t *canAccessPeer, int32_t deviceId, int32_t peerDeviceId) {
  ACL_REQUIRE(canAccessPeer);
  int status = kSuccess;
  if (requireDevice(deviceId, __func__, status) == nullptr) return status;
  if (requireDevice(peerDeviceId, __func__, status) == nullptr) return status;
  *canAccessPeer = 0;
  return kSuccess;
}

aclError aclrtDeviceGetStreamPriorityRange(int32_t *leastPriority, int32_t *greatestPriority) {
  ACL_REQUIRE(leastPriority);
  ACL_REQUIRE(greatestPriority);
  ACL_CONTEXT(context);
  *leastPriority = 7;
  *greatestPriority = 0;
  return kSuccess;
}

aclError aclrtDeviceGetBareTgid(int32_t *pid) {
  ACL_REQUIRE(pid);
  *pid = static_cast<int32_t>(getpid());
  return kSuccess;
}

aclError aclrtSetTsDevice(int tsId) {
  if (tsId < 0 || tsId > 1) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %d for tsId is invalid. Expected value: 0 or 1.", tsId);
  }
  return kSuccess;
}

uint64_t ascendsim_device_time_ns(int device) {
  const Device *const found = runtime().device(device);
  return found != nullptr ? found->clock.observed() : 0;
}

int ascendsim_device_memory(int device, uint64_t *used, uint64_t *peak, uint64_t *capacity) {
  const Device *const found = runtime().device(device);
  if (found == nullptr || used == nullptr || peak == nullptr || capacity == nullptr) return 0;
  *used = found->used();
  *peak = found->peak();
  *capacity = found->capacity;
  return 1;
}
