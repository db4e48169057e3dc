// The functions that choose the gear of a model.
#include <cstring>

#include "execution_arguments.h"

using namespace ascendsim;

namespace {

/** Writes gear values into the device buffer of the helper input, as the runtime does. */
int setGear(uint32_t modelId, aclmdlDataset *dataset, size_t index, GearKind kind,
            const std::vector<int64_t> &values, const char *where) {
  int status = kSuccess;
  const std::shared_ptr<Dataset> set = requireDataset(dataset, "dataset", where);
  if (set == nullptr) return kInvalidParam;
  const std::shared_ptr<Model> model = requireModel(modelId, where, status);
  if (model == nullptr) return status;
  if (model->info.gearKind != kind || model->info.gearInput < 0 ||
      index != static_cast<size_t>(model->info.gearInput)) {
    return fail(kInvalidParam, "EH0001", where,
                "Value %zu for index is invalid. Reason: it is not the position of %s in a model compiled for this "
                "kind of gear.",
                index, ACL_DYNAMIC_TENSOR_NAME);
  }
  {
    const std::lock_guard<std::mutex> lock(set->mutex);
    if (index >= set->buffers.size()) {
      return fail(kInvalidParam, "EH0001", where, "Value %zu for index is invalid. Expected value: [0, %zu).", index,
                  set->buffers.size());
    }
  }
  const std::shared_ptr<DataBuffer> buffer = bufferAt(*set, index, "dataset", where);
  if (buffer == nullptr) return kInvalidParam;
  const std::lock_guard<std::mutex> lock(buffer->mutex);
  if (buffer->data == nullptr) {
    return fail(kGeDynamicInputAddressInvalid, "E10001", where,
                "Value null for parameter address of %s is invalid. Reason: it needs device memory.",
                ACL_DYNAMIC_TENSOR_NAME);
  }
  const bool wide = model->info.inputs[index].dataType == ACL_INT64;
  const size_t needed = values.size() * (wide ? 8 : 4);
  const std::shared_ptr<Allocation> owner = runtime().allocations.find(buffer->data);
  if (owner == nullptr || owner->device != model->device.id) {
    return fail(kGeDynamicInputAddressInvalid, "E10001", where,
                "Value %p for parameter address of %s is invalid. Reason: it is not device memory.", buffer->data,
                ACL_DYNAMIC_TENSOR_NAME);
  }
  const size_t room = owner->capacity - (reinterpret_cast<uintptr_t>(buffer->data) - owner->base);
  if (buffer->size < needed || room < needed) {
    return fail(kGeDynamicInputLengthInvalid, "E10001", where,
                "Value %zu for parameter size of %s is invalid. Expected value: at least %zu.", buffer->size,
                ACL_DYNAMIC_TENSOR_NAME, needed);
  }
  const int gear = model->findGear(values);
  if (gear < 0) {
    std::string text;
    for (const int64_t value : values) text += (text.empty() ? "" : ",") + std::to_string(value);
    return fail(kGeDynamicBatchSizeInvalid, "E10001", where,
                "Value %s for parameter gear is invalid. Reason: the model was not compiled for it.", text.c_str());
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const int32_t narrow = static_cast<int32_t>(values[i]);
    uint8_t *const target = static_cast<uint8_t *>(buffer->data);
    if (wide) {
      memcpy(target + 8 * i, &values[i], 8);
    } else {
      memcpy(target + 4 * i, &narrow, 4);
    }
  }
  model->currentGear.store(gear);
  return kSuccess;
}

}  // namespace

aclError aclmdlSetDynamicBatchSize(uint32_t modelId, aclmdlDataset *dataset, size_t index, uint64_t batchSize) {
  if (batchSize == 0 || batchSize > INT32_MAX) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %llu for batchSize is invalid. Reason: it must be positive.",
                    static_cast<unsigned long long>(batchSize));
  }
  return setGear(modelId, dataset, index, GearKind::Batch, {static_cast<int64_t>(batchSize)}, __func__);
}

aclError aclmdlSetDynamicHWSize(uint32_t modelId, aclmdlDataset *dataset, size_t index, uint64_t height,
                                uint64_t width) {
  if (height == 0 || width == 0 || height > INT32_MAX || width > INT32_MAX) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %llu,%llu for height,width is invalid. Reason: both must be positive.",
                    static_cast<unsigned long long>(height), static_cast<unsigned long long>(width));
  }
  return setGear(modelId, dataset, index, GearKind::Image,
                 {static_cast<int64_t>(height), static_cast<int64_t>(width)}, __func__);
}

aclError aclmdlSetInputDynamicDims(uint32_t modelId, aclmdlDataset *dataset, size_t index, const aclmdlIODims *dims) {
  ACL_REQUIRE(dims);
  int status = kSuccess;
  const std::shared_ptr<Model> model = requireModel(modelId, __func__, status);
  if (model == nullptr) return status;
  // One value per axis of all data inputs in their order; only those of dynamic axes choose the gear.
  std::vector<int64_t> shape;
  for (size_t input = 0; input < model->info.inputs.size(); ++input) {
    if (static_cast<int>(input) == model->info.gearInput) continue;
    const auto &own = model->info.inputs[input].dims;
    shape.insert(shape.end(), own.begin(), own.end());
  }
  if (dims->dimCount != shape.size() || dims->dimCount > ACL_MAX_DIM_CNT) {
    return ACL_FAIL(kInvalidParam, "EH0001",
                    "Value %zu for dimCount is invalid. Expected value: %zu, all axes of all inputs.", dims->dimCount,
                    shape.size());
  }
  std::vector<int64_t> values;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == -1) {
      values.push_back(dims->dims[axis]);
    } else if (shape[axis] != dims->dims[axis]) {
      return ACL_FAIL(kGeDynamicBatchSizeInvalid, "E10001",
                      "Value %lld for parameter dims[%zu] is invalid. Expected value: %lld, the axis is static.",
                      static_cast<long long>(dims->dims[axis]), axis, static_cast<long long>(shape[axis]));
    }
  }
  return setGear(modelId, dataset, index, GearKind::Dims, values, __func__);
}
