// Device memory (host memory behind the scenes, charged against the device's capacity) and the copy functions.
#include "runtime.h"

#include <cstdlib>
#include <cstring>
#include <limits>

namespace ascendsim {

Allocation::~Allocation() { free(reinterpret_cast<void *>(base)); }

void AllocationMap::add(std::shared_ptr<Allocation> allocation) {
  const std::lock_guard<std::mutex> lock(mutex_);
  live_.emplace(allocation->base, std::move(allocation));
}

std::shared_ptr<Allocation> AllocationMap::find(const void *pointer) const {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const std::lock_guard<std::mutex> lock(mutex_);
  auto next = live_.upper_bound(address);
  if (next == live_.begin()) return nullptr;
  --next;
  return address - next->second->base < next->second->capacity ? next->second : nullptr;
}

std::shared_ptr<Allocation> AllocationMap::take(const void *pointer, bool device) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = live_.find(reinterpret_cast<uintptr_t>(pointer));
  if (found == live_.end() || (found->second->device >= 0) != device) return nullptr;
  std::shared_ptr<Allocation> allocation = std::move(found->second);
  live_.erase(found);
  return allocation;
}

std::vector<std::shared_ptr<Allocation>> AllocationMap::takeDevice(int32_t device) {
  std::vector<std::shared_ptr<Allocation>> taken;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto entry = live_.begin(); entry != live_.end();) {
    if (entry->second->device == device) {
      taken.push_back(std::move(entry->second));
      entry = live_.erase(entry);
    } else {
      ++entry;
    }
  }
  return taken;
}

bool AllocationMap::empty() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return live_.empty();
}

bool Device::charge(uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(memoryMutex_);
  if (bytes > capacity - used_) return false;
  used_ += bytes;
  if (used_ > peak_) peak_ = used_;
  return true;
}

void Device::release(uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(memoryMutex_);
  used_ -= bytes;
}

uint64_t Device::used() const {
  const std::lock_guard<std::mutex> lock(memoryMutex_);
  return used_;
}

uint64_t Device::peak() const {
  const std::lock_guard<std::mutex> lock(memoryMutex_);
  return peak_;
}

namespace {

constexpr size_t kAlignment = 64;
constexpr uint64_t kHugePage = 2 * 1024 * 1024;
constexpr size_t kMaxRequest = std::numeric_limits<size_t>::max() / 2;

void *hostAllocate(size_t size) {
  void *memory = nullptr;
  return posix_memalign(&memory, kAlignment, size) == 0 ? memory : nullptr;
}

/** Pages behind an allocation: 2 MB ones above 1 MB unless normal pages were asked for (CANN, aclrtMemMallocPolicy). */
uint64_t chargedBytes(uint64_t padded, int policy) {
  const int pages = policy & 0xFF;
  const bool normal = pages == ACL_MEM_MALLOC_NORMAL_ONLY || pages == ACL_MEM_MALLOC_NORMAL_ONLY_P2P;
  if (normal || padded <= 1024 * 1024) return padded;
  return (padded + kHugePage - 1) / kHugePage * kHugePage;
}

bool knownPolicy(int policy) {
  constexpr int kBandwidth = ACL_MEM_TYPE_LOW_BAND_WIDTH | ACL_MEM_TYPE_HIGH_BAND_WIDTH;
  return (policy & ~(0xFF | kBandwidth)) == 0 && (policy & 0xFF) <= ACL_MEM_MALLOC_HUGE1G_ONLY_P2P;
}

}  // namespace

std::shared_ptr<Allocation> allocateDevice(Device &device, size_t size, int policy, bool slack, const char *where,
                                           int &status) {
  const auto outOfMemory = [&]() -> std::shared_ptr<Allocation> {
    status = fail(kRtMemoryAllocation, "EL0004", where,
                  "Failed to allocate memory requested by APP module. Size: %zu, free: %llu of %llu bytes on device %d.",
                  size, static_cast<unsigned long long>(device.capacity - device.used()),
                  static_cast<unsigned long long>(device.capacity), device.id);
    return nullptr;
  };
  if (size > kMaxRequest) return outOfMemory();
  // Rounded up to a multiple of 32 plus 32 bytes that kernels may read past the end (CANN, aclrtMalloc).
  const size_t padded = (size + 31) / 32 * 32 + (slack ? 32 : 0);
  const uint64_t charged = chargedBytes(padded, policy);
  if (!device.charge(charged)) return outOfMemory();
  void *const memory = hostAllocate(padded);
  if (memory == nullptr) {
    device.release(charged);
    return outOfMemory();
  }
  status = kSuccess;
  auto allocation =
      std::make_shared<Allocation>(reinterpret_cast<uintptr_t>(memory), padded, charged, device.id);
  runtime().allocations.add(allocation);
  return allocation;
}

void releaseDevice(const Allocation &allocation) {
  Device *const device = runtime().device(allocation.device);
  if (device != nullptr) device->release(allocation.accounted);
}

namespace {

aclError mallocDevice(void **devPtr, size_t size, int policy, bool slack, const char *where) {
  if (devPtr == nullptr) return fail(kInvalidParam, "EH0002", where, "Argument devPtr must not be null.");
  if (size == 0) {
    return fail(kInvalidParam, "EH0001", where, "Value 0 for size is invalid. Reason: it must be greater than zero.");
  }
  if (!knownPolicy(policy)) {
    return fail(kRtInvalidMallocType, "EE1001", where,
                "The argument is invalid. Reason: %d is not a memory allocation policy.", policy);
  }
  int status = kSuccess;
  const std::shared_ptr<Context> context = requireContext(where, status);
  if (context == nullptr) return status;
  const std::shared_ptr<Allocation> allocation =
      allocateDevice(context->device, size, policy, slack, where, status);
  if (allocation != nullptr) *devPtr = reinterpret_cast<void *>(allocation->base);
  return status;
}

aclError freeDevice(void *devPtr, const char *where) {
  if (devPtr == nullptr) return fail(kInvalidParam, "EH0002", where, "Argument devPtr must not be null.");
  const std::shared_ptr<Allocation> allocation = runtime().allocations.take(devPtr, true);
  if (allocation == nullptr) {
    return fail(kRtParamInvalid, "EE1001", where,
                "The argument is invalid. Reason: %p is not the start of a device allocation.", devPtr);
  }
  releaseDevice(*allocation);
  return kSuccess;
}

/** One side of a copy: memory that the runtime handed out (and is kept alive), or the caller's own. */
struct Side {
  std::shared_ptr<Allocation> memory;  // null for pageable host memory
  bool onDevice() const { return memory != nullptr && memory->device >= 0; }
  bool pageable() const { return memory == nullptr; }
};

Side sideOf(const void *pointer) { return {runtime().allocations.find(pointer)}; }

bool withinAllocation(const Side &side, const void *pointer, size_t bytes) {
  if (side.memory == nullptr) return true;
  const size_t offset = reinterpret_cast<uintptr_t>(pointer) - side.memory->base;
  return bytes <= side.memory->capacity - offset;
}

/** Checks that addresses and the kind of a copy agree, as the driver of a real device does. */
aclError checkSides(const Side &to, const Side &from, const void *dst, const void *src, size_t dstBytes,
                    size_t srcBytes, int kind, const char *where) {
  const bool toDevice = to.onDevice();
  const bool fromDevice = from.onDevice();
  bool agrees = false;
  switch (kind) {
    case ACL_MEMCPY_HOST_TO_HOST: agrees = !toDevice && !fromDevice; break;
    case ACL_MEMCPY_HOST_TO_DEVICE:
    case ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE: agrees = toDevice && !fromDevice; break;
    case ACL_MEMCPY_DEVICE_TO_HOST: agrees = !toDevice && fromDevice; break;
    case ACL_MEMCPY_DEVICE_TO_DEVICE:
    case ACL_MEMCPY_INNER_DEVICE_TO_DEVICE:
    case ACL_MEMCPY_INTER_DEVICE_TO_DEVICE: agrees = toDevice && fromDevice; break;
    case ACL_MEMCPY_DEFAULT: agrees = true; break;
    default:
      return fail(kInvalidParam, "EH0001", where, "Value %d for kind is invalid. Reason: it is not a copy kind.", kind);
  }
  if (!agrees) {
    return fail(kRtDriverInternal, "EE1001", where,
                "The argument is invalid. Reason: copy kind %d does not fit a copy from %s memory to %s memory.", kind,
                fromDevice ? "device" : "host", toDevice ? "device" : "host");
  }
  if (!withinAllocation(to, dst, dstBytes) || !withinAllocation(from, src, srcBytes)) {
    return fail(kRtDriverInternal, "EE1001", where,
                "The argument is invalid. Reason: %zu bytes reach beyond the end of an allocation.",
                withinAllocation(to, dst, dstBytes) ? srcBytes : dstBytes);
  }
  return kSuccess;
}

struct CopyCost {
  Engine engine;
  uint64_t ns;
};

CopyCost copyCost(bool toDevice, bool fromDevice, size_t bytes) {
  const Soc &soc = *runtime().settings.soc;
  if (toDevice && fromDevice) return {Engine::Compute, deviceCopyNs(soc, bytes, 2)};
  if (toDevice) return {Engine::HostToDevice, hostCopyNs(soc, bytes)};
  if (fromDevice) return {Engine::DeviceToHost, hostCopyNs(soc, bytes)};
  return {Engine::Compute, 0};
}

}  // namespace
}  // namespace ascendsim

using namespace ascendsim;

aclError aclrtMalloc(void **devPtr, size_t size, aclrtMemMallocPolicy policy) {
  return mallocDevice(devPtr, size, static_cast<int>(policy), true, __func__);
}

aclError aclrtMallocAlign32(void **devPtr, size_t size, aclrtMemMallocPolicy policy) {
  return mallocDevice(devPtr, size, static_cast<int>(policy), false, __func__);
}

aclError aclrtMallocCached(void **devPtr, size_t size, aclrtMemMallocPolicy policy) {
  return mallocDevice(devPtr, size, static_cast<int>(policy), true, __func__);
}

aclError aclrtMallocWithCfg(void **devPtr, size_t size, aclrtMemMallocPolicy policy, void *cfg) {
  if (cfg != nullptr) {
    return ACL_FAIL(kRtFeatureNotSupport, "EE1005", "Allocation attributes are not supported by the simulator.");
  }
  return mallocDevice(devPtr, size, static_cast<int>(policy), true, __func__);
}

aclError aclrtFree(void *devPtr) { return freeDevice(devPtr, __func__); }

aclError acldvppMalloc(void **devPtr, size_t size) {
  return mallocDevice(devPtr, size, ACL_MEM_MALLOC_HUGE_FIRST, true, __func__);
}

aclError acldvppFree(void *devPtr) { return freeDevice(devPtr, __func__); }

aclError aclrtMallocHost(void **hostPtr, size_t size) {
  ACL_REQUIRE(hostPtr);
  if (size == 0) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value 0 for size is invalid. Reason: it must be greater than zero.");
  }
  ACL_CONTEXT(context);
  void *const memory = size > kMaxRequest ? nullptr : hostAllocate(size);
  if (memory == nullptr) {
    return ACL_FAIL(kRtMemoryAllocation, "EL0004", "Failed to allocate %zu bytes of host memory.", size);
  }
  runtime().allocations.add(std::make_shared<Allocation>(reinterpret_cast<uintptr_t>(memory), size, 0, -1));
  *hostPtr = memory;
  return kSuccess;
}

aclError aclrtFreeHost(void *hostPtr) {
  ACL_REQUIRE(hostPtr);
  if (runtime().allocations.take(hostPtr, false) == nullptr) {
    return ACL_FAIL(kRtParamInvalid, "EE1001",
                    "The argument is invalid. Reason: %p was not returned by aclrtMallocHost.", hostPtr);
  }
  return kSuccess;
}

aclError aclrtMemcpy(void *dst, size_t destMax, const void *src, size_t count, aclrtMemcpyKind kind) {
  ACL_REQUIRE(dst);
  ACL_REQUIRE(src);
  if (destMax < count) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %zu for count is invalid. Reason: it is greater than destMax %zu.",
                    count, destMax);
  }
  ACL_CONTEXT(context);
  const Side to = sideOf(dst);
  const Side from = sideOf(src);
  const int status = checkSides(to, from, dst, src, count, count, static_cast<int>(kind), __func__);
  if (status != kSuccess) return status;
  const CopyCost cost = copyCost(to.onDevice(), from.onDevice(), count);
  const auto copy = [&] {
    memmove(dst, src, count);
    return static_cast<int>(kSuccess);
  };
  return cost.ns == 0 ? copy() : runSynchronously(context->device, cost.engine, cost.ns, copy);
}

aclError aclrtMemcpyAsync(void *dst, size_t destMax, const void *src, size_t count, aclrtMemcpyKind kind,
                          aclrtStream stream) {
  ACL_REQUIRE(dst);
  ACL_REQUIRE(src);
  if (destMax < count) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %zu for count is invalid. Reason: it is greater than destMax %zu.",
                    count, destMax);
  }
  int status = kSuccess;
  const std::shared_ptr<Stream> queue = resolveStream(stream, __func__, status);
  if (queue == nullptr) return status;
  const Side to = sideOf(dst);
  const Side from = sideOf(src);
  if (!to.onDevice() && !from.onDevice()) {
    return ACL_FAIL(kRtFeatureNotSupport, "EE1005", "Asynchronous copies between host addresses are not supported.");
  }
  status = checkSides(to, from, dst, src, count, count, static_cast<int>(kind), __func__);
  if (status != kSuccess) return status;
  const CopyCost cost = copyCost(to.onDevice(), from.onDevice(), count);
  const bool pageable = to.pageable() || from.pageable();
  queue->enqueue([=](Stream &self, const TaskInfo &info) {
    return self.runTimed(info, cost.engine, cost.ns, [&] {
      (void)to, (void)from;  // keep both allocations alive
      memmove(dst, src, count);
      return static_cast<int>(kSuccess);
    });
  });
  // Only page-locked host memory is copied in the background (CANN, aclrtMemcpyAsync).
  if (pageable) queue->drain(-1);
  return kSuccess;
}

aclError aclrtMemcpy2d(void *dst, size_t dpitch, const void *src, size_t spitch, size_t width, size_t height,
                       aclrtMemcpyKind kind) {
  ACL_REQUIRE(dst);
  ACL_REQUIRE(src);
  if (width == 0 || height == 0 || width > dpitch || width > spitch || dpitch > kMaxRequest / height ||
      spitch > kMaxRequest / height) {
    return ACL_FAIL(kInvalidParam, "EH0001",
                    "Value %zu x %zu for width x height is invalid. Reason: it does not fit pitches %zu and %zu.",
                    width, height, dpitch, spitch);
  }
  ACL_CONTEXT(context);
  const Side to = sideOf(dst);
  const Side from = sideOf(src);
  const int status = checkSides(to, from, dst, src, dpitch * (height - 1) + width, spitch * (height - 1) + width,
                                static_cast<int>(kind), __func__);
  if (status != kSuccess) return status;
  const CopyCost cost = copyCost(to.onDevice(), from.onDevice(), width * height);
  const auto copy = [&] {
    for (size_t row = 0; row < height; ++row) {
      memmove(static_cast<char *>(dst) + row * dpitch, static_cast<const char *>(src) + row * spitch, width);
    }
    return static_cast<int>(kSuccess);
  };
  return cost.ns == 0 ? copy() : runSynchronously(context->device, cost.engine, cost.ns, copy);
}

namespace {

aclError checkFill(const Side &side, void *devPtr, size_t maxCount, size_t count, const char *where) {
  if (count > maxCount) {
    return fail(kInvalidParam, "EH0001", where,
                "Value %zu for count is invalid. Reason: it is greater than maxCount %zu.", count, maxCount);
  }
  if (!withinAllocation(side, devPtr, count)) {
    return fail(kRtDriverInternal, "EE1001", where,
                "The argument is invalid. Reason: %zu bytes reach beyond the end of an allocation.", count);
  }
  return kSuccess;
}

}  // namespace

aclError aclrtMemset(void *devPtr, size_t maxCount, int32_t value, size_t count) {
  ACL_REQUIRE(devPtr);
  ACL_CONTEXT(context);
  const Side side = sideOf(devPtr);
  const int status = checkFill(side, devPtr, maxCount, count, __func__);
  if (status != kSuccess) return status;
  const uint64_t ns = side.onDevice() ? deviceCopyNs(*runtime().settings.soc, count, 1) : 0;
  return runSynchronously(context->device, Engine::Compute, ns, [&] {
    memset(devPtr, value, count);
    return static_cast<int>(kSuccess);
  });
}

aclError aclrtMemsetAsync(void *devPtr, size_t maxCount, int32_t value, size_t count, aclrtStream stream) {
  ACL_REQUIRE(devPtr);
  int status = kSuccess;
  const std::shared_ptr<Stream> queue = resolveStream(stream, __func__, status);
  if (queue == nullptr) return status;
  const Side side = sideOf(devPtr);
  status = checkFill(side, devPtr, maxCount, count, __func__);
  if (status != kSuccess) return status;
  const uint64_t ns = deviceCopyNs(*runtime().settings.soc, count, 1);
  queue->enqueue([=](Stream &self, const TaskInfo &info) {
    return self.runTimed(info, Engine::Compute, ns, [&] {
      (void)side;
      memset(devPtr, value, count);
      return static_cast<int>(kSuccess);
    });
  });
  if (side.pageable()) queue->drain(-1);
  return kSuccess;
}

aclError aclrtPointerGetAttributes(const void *ptr, aclrtPtrAttributes *attributes) {
  ACL_REQUIRE(ptr);
  ACL_REQUIRE(attributes);
  const std::shared_ptr<Allocation> allocation = runtime().allocations.find(ptr);
  // Location types: 0 host (page-locked), 1 device, 2 not registered with the runtime.
  *attributes = aclrtPtrAttributes{};
  attributes->location.type = allocation == nullptr ? 2 : allocation->device >= 0 ? 1 : 0;
  attributes->location.id = allocation != nullptr && allocation->device > 0 ? static_cast<uint32_t>(allocation->device) : 0;
  attributes->pageSize = 4096;
  return kSuccess;
}

aclError aclrtMemFlush(void *devPtr, size_t) {
  ACL_REQUIRE(devPtr);
  return kSuccess;
}

aclError aclrtMemInvalidate(void *devPtr, size_t) {
  ACL_REQUIRE(devPtr);
  return kSuccess;
}
