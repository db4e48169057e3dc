// Opaque handles: a caller gets a tagged token, never an address, so a stale or foreign handle is recognised with
// certainty (addresses would be reused by the allocator) and never dereferenced.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace ascendsim {

enum class HandleKind : uint64_t {
  Context = 1,
  Stream,
  Event,
  ModelDesc,
  Dataset,
  DataBuffer,
  TensorDesc,
  LoadConfig,
  ExecuteConfig,
  ExceptionInfo,
};

/** Registry of the live handles of one kind. All functions may be called from any thread. */
template <class T>
class HandleTable {
 public:
  explicit HandleTable(HandleKind kind) : tag_((uint64_t{0x5A0} + static_cast<uint64_t>(kind)) << 36) {}

  void *add(std::shared_ptr<T> object) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const uint64_t token = tag_ + 16 * ++count_;
    live_.emplace(token, std::move(object));
    return reinterpret_cast<void *>(static_cast<uintptr_t>(token));
  }

  /** The object of a live handle, or null for a null, foreign or destroyed one. */
  std::shared_ptr<T> find(const void *handle) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = live_.find(reinterpret_cast<uintptr_t>(handle));
    return found == live_.end() ? nullptr : found->second;
  }

  /** Removes a handle; the object lives on while somebody uses it. Null when the handle is not live. */
  std::shared_ptr<T> take(const void *handle) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = live_.find(reinterpret_cast<uintptr_t>(handle));
    if (found == live_.end()) return nullptr;
    std::shared_ptr<T> object = std::move(found->second);
    live_.erase(found);
    return object;
  }

  size_t size() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return live_.size();
  }

  std::vector<std::pair<void *, std::shared_ptr<T>>> all() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::pair<void *, std::shared_ptr<T>>> result;
    for (const auto &entry : live_) {
      result.emplace_back(reinterpret_cast<void *>(static_cast<uintptr_t>(entry.first)), entry.second);
    }
    return result;
  }

 private:
  const uint64_t tag_;
  mutable std::mutex mutex_;
  uint64_t count_ = 0;
  std::unordered_map<uint64_t, std::shared_ptr<T>> live_;
};

}  // namespace ascendsim
