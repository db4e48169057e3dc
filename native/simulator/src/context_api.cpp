// The functions for contexts.
#include "device_access.h"

using namespace ascendsim;

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
