// Executing a loaded model: gear selection, numerics and their cache.
#include "model.h"

#include <algorithm>
#include <cstring>

#include "model_registry.h"

namespace ascendsim {

Model::Model(uint32_t id, const std::shared_ptr<Context> &context, OmInfo info, CostTable cost,
             std::unique_ptr<Executor> executor)
    : id(id), context(context), device(context->device), info(std::move(info)), cost(std::move(cost)),
      executor_(std::move(executor)) {}

Model::~Model() { device.release(chargedBytes); }

int Model::findGear(const std::vector<int64_t> &values) const {
  for (size_t gear = 0; gear < info.gears.size(); ++gear) {
    if (info.gears[gear] == values) return static_cast<int>(gear);
  }
  return -1;
}

int Model::gearOf(const Execution &execution) const {
  if (info.gears.empty()) return -1;
  // Values that name no gear (nothing was set) mean the largest one, as on the device.
  const int fallback = info.largestGear();
  if (info.gearInput < 0) return fallback;
  const DeviceRange &helper = execution.inputs[static_cast<size_t>(info.gearInput)];
  const size_t count = info.gears[0].size();
  const bool wide = info.inputs[static_cast<size_t>(info.gearInput)].dataType == ACL_INT64;
  if (helper.size < count * (wide ? 8 : 4)) return fallback;
  std::vector<int64_t> values;
  for (size_t i = 0; i < count; ++i) {
    int64_t wideValue = 0;
    int32_t narrowValue = 0;
    if (wide) {
      memcpy(&wideValue, helper.data + 8 * i, sizeof wideValue);
    } else {
      memcpy(&narrowValue, helper.data + 4 * i, sizeof narrowValue);
    }
    values.push_back(wide ? wideValue : narrowValue);
  }
  const int gear = findGear(values);
  return gear >= 0 ? gear : fallback;
}

uint64_t Model::durationNs(int gear) const { return cost.totalNs[gear < 0 ? 0 : static_cast<size_t>(gear)]; }

bool Model::sameInputs(const Execution &execution, int gear) const {
  if (!cached_ || cachedGear_ != gear) return false;
  for (size_t index = 0; index < execution.inputs.size(); ++index) {
    if (static_cast<int>(index) == info.gearInput) continue;
    const std::vector<uint8_t> &last = cachedInputs_[index];
    const DeviceRange &now = execution.inputs[index];
    const size_t present = std::min(now.size, last.size());
    // A buffer may be up to 64 bytes short; what is missing reads as zero.
    if (present > 0 && memcmp(last.data(), now.data, present) != 0) return false;
    if (std::any_of(last.begin() + static_cast<ptrdiff_t>(present), last.end(), [](uint8_t b) { return b != 0; })) {
      return false;
    }
  }
  return true;
}

std::string Model::compute(const Execution &execution, int gear) {
  cached_ = false;
  cachedInputs_.resize(execution.inputs.size());
  std::vector<TensorView> views;
  for (size_t index = 0; index < execution.inputs.size(); ++index) {
    if (static_cast<int>(index) == info.gearInput) continue;
    TensorView view;
    view.dims = info.inputDims(index, gear);
    if (!tensorBytes(info.inputs[index].dataType, view.dims, view.bytes)) {
      return "the shape of input " + info.inputs[index].name + " is not known";
    }
    const DeviceRange &source = execution.inputs[index];
    std::vector<uint8_t> &copy = cachedInputs_[index];
    copy.assign(static_cast<size_t>(view.bytes), 0);
    const size_t present = std::min<size_t>(copy.size(), source.size);
    if (present > 0) memcpy(copy.data(), source.data, present);
    view.data = copy.data();
    views.push_back(std::move(view));
  }
  const std::string error = executor_->run(views, cachedOutputs_);
  if (error.empty()) {
    cached_ = true;
    cachedGear_ = gear;
  }
  return error;
}

std::string Model::run(const Execution &execution, int gear) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!sameInputs(execution, gear)) {
    const std::string error = compute(execution, gear);
    if (!error.empty()) return error;
  }
  for (size_t index = 0; index < cachedOutputs_.size(); ++index) {
    const std::vector<uint8_t> &bytes = cachedOutputs_[index].bytes;
    const DeviceRange &target = execution.outputs[index];
    if (bytes.size() > target.size + 64) {
      return "output " + info.outputs[index].name + " has " + std::to_string(bytes.size()) + " bytes, its buffer " +
             std::to_string(target.size);
    }
    if (!bytes.empty()) memcpy(target.data, bytes.data(), std::min(bytes.size(), target.size));
  }
  return "";
}

std::shared_ptr<Model> findModel(uint32_t id) {
  Runtime &state = runtime();
  const std::lock_guard<std::mutex> lock(state.modelsMutex);
  const auto found = state.models.find(id);
  return found == state.models.end() ? nullptr : found->second;
}

void unloadModelsOf(const Context &context) {
  Runtime &state = runtime();
  std::vector<std::shared_ptr<Model>> ended;  // destroyed after the lock is released
  const std::lock_guard<std::mutex> lock(state.modelsMutex);
  for (auto entry = state.models.begin(); entry != state.models.end();) {
    if (entry->second->context.lock().get() == &context) {
      ended.push_back(std::move(entry->second));
      entry = state.models.erase(entry);
    } else {
      ++entry;
    }
  }
}

}  // namespace ascendsim
