// The process-wide state, thread-bound contexts and synchronous device work.
#include "runtime.h"

namespace ascendsim {
namespace {

thread_local std::shared_ptr<Context> threadContext;

}  // namespace

Runtime::Runtime() {
  settings = readSettings();
  for (uint32_t id = 0; id < settings.deviceCount; ++id) {
    devices.push_back(std::make_unique<Device>(static_cast<int32_t>(id), settings.memoryBytes));
  }
}

bool Runtime::initialised() {
  const std::lock_guard<std::mutex> lock(mutex);
  return initCount > 0;
}

void Runtime::refreshSettings() {
  if (contexts.size() > 0 || !allocations.empty()) return;
  {
    const std::lock_guard<std::mutex> lock(modelsMutex);
    if (!models.empty()) return;
  }
  for (const auto &device : devices) {
    if (device->references > 0) return;
  }
  settings = readSettings();
  devices.clear();
  for (uint32_t id = 0; id < settings.deviceCount; ++id) {
    devices.push_back(std::make_unique<Device>(static_cast<int32_t>(id), settings.memoryBytes));
  }
}

Device *Runtime::device(int64_t id) {
  return id >= 0 && static_cast<uint64_t>(id) < devices.size() ? devices[static_cast<size_t>(id)].get() : nullptr;
}

Runtime &runtime() {
  static Runtime *const instance = new Runtime;
  return *instance;
}

std::shared_ptr<Context> currentContext() {
  if (threadContext != nullptr && !threadContext->alive.load()) threadContext.reset();
  return threadContext;
}

void setCurrentContext(std::shared_ptr<Context> context) { threadContext = std::move(context); }

std::shared_ptr<Context> requireContext(const char *where, int &status) {
  std::shared_ptr<Context> context = currentContext();
  status = context != nullptr
               ? static_cast<int>(kSuccess)
               : fail(kRtContextNull, "EE1018", where,
                      "No context is current on this thread. Call aclrtSetDevice or aclrtSetCurrentContext first.");
  return context;
}

int checkTimeout(int32_t timeout, const char *where) {
  if (timeout == -1 || timeout > 0) return kSuccess;
  return fail(kRtParamInvalid, "EE1001", where,
              "The argument is invalid. Reason: timeout %d is neither -1 nor positive.", timeout);
}

std::shared_ptr<Stream> makeStream(Context &context, uint32_t priority, uint32_t flags, aclrtStream *handle) {
  auto stream = std::make_shared<Stream>(context, runtime().streamCount.fetch_add(1), priority, flags);
  *handle = runtime().streams.add(stream);
  return stream;
}

std::shared_ptr<Stream> resolveStream(aclrtStream handle, const char *where, int &status) {
  const std::shared_ptr<Context> context = requireContext(where, status);
  if (context == nullptr) return nullptr;
  if (handle == nullptr) return context->defaultStream;
  std::shared_ptr<Stream> stream = runtime().streams.find(handle);
  if (stream == nullptr) {
    status = fail(kRtInvalidHandle, "EE1001", where,
                  "The argument is invalid. Reason: the stream does not exist or has been destroyed.");
    return nullptr;
  }
  if (stream->context.lock() != context) {
    status = fail(kRtStreamContext, "EE1010", where, "The stream does not belong to the current context.");
    return nullptr;
  }
  return stream;
}

int runSynchronously(Device &device, Engine engine, uint64_t durationNs, const std::function<int()> &body) {
  const uint64_t wallStart = wallNs();
  const uint64_t submitted = device.clock.observed();
  const Interval interval = device.clock.reserve(engine, submitted, durationNs);
  const int status = body();
  device.clock.observe(interval.end);
  if (status == kSuccess && runtime().settings.pace) waitUntil(wallStart + (interval.end - submitted));
  return status;
}

void reportException(const ExceptionRecord &record) {
  const aclrtExceptionInfoCallback callback = runtime().exceptionCallback.load();
  if (callback == nullptr) return;
  void *const handle = runtime().exceptions.add(std::make_shared<ExceptionRecord>(record));
  callback(static_cast<aclrtExceptionInfo *>(handle));
  runtime().exceptions.take(handle);
}

}  // namespace ascendsim
