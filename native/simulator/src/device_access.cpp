// Devices and contexts: finding, making and ending them.
#include "device_access.h"

#include "model_registry.h"

namespace ascendsim {

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

std::shared_ptr<Context> makeContext(Device &device, bool isDefault) {
  auto context = std::make_shared<Context>(device, isDefault);
  context->handle = runtime().contexts.add(context);
  context->defaultStream = makeStream(*context, 0, 0, &context->defaultStreamHandle);
  return context;
}

void closeDevice(Device &device) {
  if (device.references > 0 || device.contexts > 0) return;
  for (const auto &allocation : runtime().allocations.takeDevice(device.id)) releaseDevice(*allocation);
}

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
