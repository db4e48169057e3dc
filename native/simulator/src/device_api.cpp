// Initialisation, errors, versions, devices and contexts.
#include "model_registry.h"
#include "runtime.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

namespace ascendsim {
namespace {

constexpr char kVersion[] = "0.1.0";
constexpr size_t kMaxConfigBytes = 10 * 1024 * 1024;

/** Nesting of `{` and `[` in a JSON text outside strings; -1 when brackets do not match. */
int jsonDepth(const std::string &text) {
  std::string open;
  int deepest = 0;
  bool inString = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (inString) {
      if (c == '\\') ++i;
      if (c == '"') inString = false;
    } else if (c == '"') {
      inString = true;
    } else if (c == '{' || c == '[') {
      open += c;
      deepest = std::max(deepest, static_cast<int>(open.size()));
    } else if (c == '}' || c == ']') {
      if (open.empty() || open.back() != (c == '}' ? '{' : '[')) return -1;
      open.pop_back();
    }
  }
  return open.empty() && !inString && deepest > 0 ? deepest : -1;
}

/** Value of a string member of acl.json ("" when absent); enough for the switches the simulator honours. */
std::string jsonString(const std::string &text, const std::string &key) {
  size_t at = text.find('"' + key + '"');
  if (at == std::string::npos) return "";
  at = text.find(':', at + key.size() + 2);
  if (at == std::string::npos) return "";
  const size_t begin = text.find_first_not_of(" \t\r\n", at + 1);
  if (begin == std::string::npos || text[begin] != '"') return "";
  const size_t end = text.find('"', begin + 1);
  return end == std::string::npos ? "" : text.substr(begin + 1, end - begin - 1);
}

/** Reads and checks acl.json. */
int readConfig(const char *path, std::string &text, const char *where) {
  struct stat info {};
  std::ifstream file(path, std::ios::binary);
  if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || !file) {
    return fail(kInvalidFile, "EH0003", where, "Path %s is invalid. Reason: the file cannot be opened.", path);
  }
  if (static_cast<size_t>(info.st_size) > kMaxConfigBytes) {
    return fail(kInvalidFile, "EH0004", where, "File %s is invalid. Reason: it is larger than 10 MB.", path);
  }
  std::ostringstream content;
  content << file.rdbuf();
  text = content.str();
  const int depth = jsonDepth(text);
  if (depth < 0 || depth > 10) {
    return fail(kParseFile, "EH0004", where,
                "File %s is invalid. Reason: it is not a JSON object, or nested deeper than 10 levels.", path);
  }
  return kSuccess;
}

/** Device for an id, or null with the message recorded. */
Device *requireDevice(int64_t id, const char *where, int &status) {
  Runtime &state = runtime();
  if (state.settings.soc == nullptr) {
    status = fail(kRtSocVersion, "EE1001", where, "ASCENDSIM_SOC is %s, which is no known SoC. Known: %s.",
                  state.settings.socName.c_str(), knownSocs().c_str());
    return nullptr;
  }
  Device *const device = state.device(id);
  status = kSuccess;
  if (device == nullptr) {
    status = fail(kRtInvalidDeviceId, "EL0002", where, "Device id %lld is invalid. Expected value: [0, %zu).",
                  static_cast<long long>(id), state.devices.size());
  }
  return device;
}

/** Makes a context with its default stream. */
std::shared_ptr<Context> makeContext(Device &device, bool isDefault) {
  auto context = std::make_shared<Context>(device, isDefault);
  context->handle = runtime().contexts.add(context);
  context->defaultStream = makeStream(*context, 0, 0, &context->defaultStreamHandle);
  return context;
}

/** Ends the use of a device when nothing refers to it any more: its memory returns to the driver. */
void closeDevice(Device &device) {
  if (device.references > 0 || device.contexts > 0) return;
  for (const auto &allocation : runtime().allocations.takeDevice(device.id)) releaseDevice(*allocation);
}

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

int finalize(uint64_t *remaining, bool all, const char *where) {
  Runtime &state = runtime();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.initCount == 0 && state.spareFinalizes > 0) {
    --state.spareFinalizes;
    if (remaining != nullptr) *remaining = 0;
    return kSuccess;
  }
  if (state.initCount == 0) {
    return fail(kRepeatFinalize, "EE1018", where, "aclFinalize is called without aclInit, or more than once.");
  }
  state.spareFinalizes = all ? state.initCount - 1 : 0;
  state.initCount = all ? 0 : state.initCount - 1;
  if (remaining != nullptr) *remaining = state.initCount;
  if (state.initCount == 0) {
    setProcessMessages(false);
    state.exceptionCallback.store(nullptr);
  }
  return kSuccess;
}

}  // namespace

void tearDown(const std::shared_ptr<Context> &context, bool force) {
  Runtime &state = runtime();
  for (const auto &[handle, stream] : state.streams.all()) {
    if (stream->context.lock() != context) continue;
    if (!force) stream->drain(-1);
    state.streams.take(handle);
    stream->stop();
  }
  context->alive.store(false);
  unloadModelsOf(*context);
  state.contexts.take(context->handle);
}

}  // namespace ascendsim

using namespace ascendsim;

aclError aclInit(const char *configPath) {
  std::string config;
  if (configPath != nullptr && *configPath != '\0') {
    const int status = readConfig(configPath, config, __func__);
    if (status != kSuccess) return status;
  }
  Runtime &state = runtime();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.initCount > 0) {
    ++state.initCount;
    return ACL_FAIL(kRepeatInitialize, "EE1018", "aclInit has been called before in this process.");
  }
  state.refreshSettings();
  state.initCount = 1;
  state.spareFinalizes = 0;
  setProcessMessages(jsonString(config, "err_msg_mode") == "1");
  return kSuccess;
}

aclError aclFinalize(void) { return finalize(nullptr, true, __func__); }

aclError aclFinalizeReference(uint64_t *refCount) {
  ACL_REQUIRE(refCount);
  return finalize(refCount, false, __func__);
}

const char *aclGetRecentErrMsg(void) { return takeRecentMessage(); }

aclError aclrtPeekAtLastError(aclrtLastErrLevel) { return lastTaskError(false); }

aclError aclrtGetLastError(aclrtLastErrLevel) { return lastTaskError(true); }

aclError aclrtGetVersion(int32_t *majorVersion, int32_t *minorVersion, int32_t *patchVersion) {
  ACL_REQUIRE(majorVersion);
  ACL_REQUIRE(minorVersion);
  ACL_REQUIRE(patchVersion);
  *majorVersion = 1;
  *minorVersion = 17;
  *patchVersion = 0;
  return kSuccess;
}

aclError aclsysGetVersionStr(char *pkgName, char *versionStr) {
  ACL_REQUIRE(pkgName);
  ACL_REQUIRE(versionStr);
  snprintf(versionStr, 128, "ascendsim-%s", kVersion);
  return kSuccess;
}

aclError aclsysGetVersionNum(char *pkgName, int32_t *versionNum) {
  ACL_REQUIRE(pkgName);
  ACL_REQUIRE(versionNum);
  *versionNum = 100'000;  // major * 10^7 + minor * 10^5 + patch * 10^3 of 0.1.0
  return kSuccess;
}

const char *aclrtGetSocName(void) {
  const Settings &settings = runtime().settings;
  if (settings.soc != nullptr) return settings.soc->name;
  ACL_FAIL(kRtSocVersion, "EE1001", "ASCENDSIM_SOC is %s, which is no known SoC. Known: %s.",
           settings.socName.c_str(), knownSocs().c_str());
  return nullptr;
}

void aclAppLog(int logLevel, const char *func, const char *, uint32_t, const char *fmt, ...) {
  if (func == nullptr || fmt == nullptr) return;
  char text[1024];
  va_list arguments;
  va_start(arguments, fmt);
  vsnprintf(text, sizeof text, fmt, arguments);
  va_end(arguments);
  static const char *const levels[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
  logLine(logLevel >= 0 && logLevel < 4 ? levels[logLevel] : "EVENT", func, text);
}

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
  if (timeout == 0 || timeout < -1) {
    return ACL_FAIL(kRtParamInvalid, "EE1001", "The argument is invalid. Reason: timeout %d is neither -1 nor positive.",
                    timeout);
  }
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

aclError aclrtCreateContext(aclrtContext *context, int32_t deviceId) {
  ACL_REQUIRE(context);
  int status = kSuccess;
  Runtime &state = runtime();
  const std::lock_guard<std::mutex> lock(state.mutex);
  Device *const device = requireDevice(deviceId, __func__, status);
  if (device == nullptr) return status;
  std::shared_ptr<Context> made = makeContext(*device, false);
  ++device->contexts;
  *context = made->handle;
  setCurrentContext(std::move(made));
  return kSuccess;
}

aclError aclrtDestroyContext(aclrtContext context) {
  ACL_REQUIRE(context);
  Runtime &state = runtime();
  const std::shared_ptr<Context> found = state.contexts.find(context);
  if (found == nullptr) {
    return ACL_FAIL(kRtInvalidHandle, "EE1001",
                    "The argument is invalid. Reason: the context does not exist or has been destroyed.");
  }
  if (found->isDefault) {
    return ACL_FAIL(kRtParamInvalid, "EE1001",
                    "The argument is invalid. Reason: the default context ends with aclrtResetDevice.");
  }
  if (!found->alive.exchange(false)) {
    return ACL_FAIL(kRtInvalidHandle, "EE1001", "The argument is invalid. Reason: the context is being destroyed.");
  }
  tearDown(found, false);
  const std::lock_guard<std::mutex> lock(state.mutex);
  --found->device.contexts;
  closeDevice(found->device);
  return kSuccess;
}

aclError aclrtSetCurrentContext(aclrtContext context) {
  ACL_REQUIRE(context);
  std::shared_ptr<Context> found = runtime().contexts.find(context);
  if (found == nullptr || !found->alive.load()) {
    return ACL_FAIL(kRtInvalidHandle, "EE1001",
                    "The argument is invalid. Reason: the context does not exist or has been destroyed.");
  }
  setCurrentContext(std::move(found));
  return kSuccess;
}

aclError aclrtGetCurrentContext(aclrtContext *context) {
  ACL_REQUIRE(context);
  ACL_CONTEXT(current);
  *context = current->handle;
  return kSuccess;
}

aclError aclrtCtxGetCurrentDefaultStream(aclrtStream *stream) {
  ACL_REQUIRE(stream);
  ACL_CONTEXT(context);
  *stream = context->defaultStreamHandle;
  return kSuccess;
}

const char *ascendsim_version(void) { return kVersion; }

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
