// Checks what an application hands to the functions for execution.
#include "execution_arguments.h"

namespace ascendsim {

std::shared_ptr<Model> requireModel(uint32_t modelId, const char *where, int &status) {
  const std::shared_ptr<Context> context = requireContext(where, status);
  if (context == nullptr) return nullptr;
  std::shared_ptr<Model> model = findModel(modelId);
  if (model == nullptr) {
    status = fail(kGeModelIdInvalid, "E10001", where,
                  "Value %u for parameter modelId is invalid. Reason: no such model is loaded.", modelId);
    return nullptr;
  }
  if (model->context.lock() != context) {
    status = fail(kRtModelContext, "EE1010", where, "Model %u was loaded in another context than the current one.",
                  modelId);
    return nullptr;
  }
  return model;
}

std::shared_ptr<Dataset> requireDataset(const aclmdlDataset *handle, const char *what, const char *where) {
  if (handle == nullptr) {
    fail(kInvalidParam, "EH0002", where, "Argument %s must not be null.", what);
    return nullptr;
  }
  std::shared_ptr<Dataset> set = datasets().find(handle);
  if (set == nullptr) {
    fail(kInvalidParam, "EH0001", where, "Value %p for %s is invalid. Reason: it does not exist or was destroyed.",
         static_cast<const void *>(handle), what);
  }
  return set;
}

std::shared_ptr<DataBuffer> bufferAt(Dataset &set, size_t index, const char *what, const char *where) {
  aclDataBuffer *handle = nullptr;
  {
    const std::lock_guard<std::mutex> lock(set.mutex);
    handle = set.buffers[index];
  }
  std::shared_ptr<DataBuffer> buffer = dataBuffers().find(handle);
  if (buffer == nullptr) {
    fail(kInvalidParam, "EH0001", where, "Value %zu for index is invalid. Reason: data buffer %zu of %s was destroyed.",
         index, index, what);
  }
  return buffer;
}

namespace {

/** Device memory behind a data buffer. On failure `status` is set and the message recorded. */
DeviceRange rangeOf(DataBuffer &buffer, const Device &device, const char *kind, size_t index, const char *where,
                    int &status) {
  const std::lock_guard<std::mutex> lock(buffer.mutex);
  DeviceRange range{static_cast<uint8_t *>(buffer.data), buffer.size, nullptr};
  if (buffer.data == nullptr) {
    status = fail(kInvalidParam, "EH0002", where, "Argument data of %s buffer %zu must not be null.", kind, index);
    return range;
  }
  range.owner = runtime().allocations.find(buffer.data);
  if (range.owner == nullptr || range.owner->device != device.id) {
    status = fail(kRtModelExecute, "EE1009", where,
                  "Failed to execute model. Reason: %s %zu at %p is not memory of device %d.", kind, index, buffer.data,
                  device.id);
    return range;
  }
  const size_t room = range.owner->capacity - (reinterpret_cast<uintptr_t>(buffer.data) - range.owner->base);
  if (buffer.size > room) {
    status = fail(kRtModelExecute, "EE1009", where,
                  "Failed to execute model. Reason: %s %zu claims %zu bytes, its allocation has %zu.", kind, index,
                  buffer.size, room);
  }
  return range;
}

/** Bytes that an input needs in the smallest gear: what lies between is checked when the gear is known. */
int checkInputSize(const Model &model, size_t index, size_t provided, const char *where) {
  const OmInfo &info = model.info;
  const TensorInfo &tensor = info.inputs[index];
  const bool dynamic = !info.gears.empty() && static_cast<int>(index) != info.gearInput;
  if (dynamic || provided + kSizeSlack >= tensor.size) return kSuccess;
  return fail(kGeParamInvalid, "E13025", where,
              "Input tensor is invalid. Reason: input %zu (%s): the provided %zu bytes plus the aligned 64 bytes is "
              "less than the tensor size of %llu bytes.",
              index, tensor.name.c_str(), provided, static_cast<unsigned long long>(tensor.size));
}

int collectInputs(const Model &model, Dataset &set, Execution &execution, const char *where) {
  const size_t count = model.info.inputs.size();
  size_t given = 0;
  {
    const std::lock_guard<std::mutex> lock(set.mutex);
    given = set.buffers.size();
  }
  if (given != count) {
    return fail(kGeParamInvalid, "E13025", where,
                "Input tensor is invalid. Reason: the model has %zu inputs, the data set %zu.", count, given);
  }
  for (size_t index = 0; index < count; ++index) {
    const std::shared_ptr<DataBuffer> buffer = bufferAt(set, index, "input", where);
    if (buffer == nullptr) return kInvalidParam;
    int status = kSuccess;
    DeviceRange range = rangeOf(*buffer, model.device, "input", index, where, status);
    if (status == kSuccess) status = checkInputSize(model, index, range.size, where);
    if (status != kSuccess) return status;
    execution.inputs.push_back(std::move(range));
  }
  return kSuccess;
}

/** An output buffer without memory gets some from the runtime; the application frees it with aclrtFree. */
int fillEmptyOutput(const Model &model, size_t index, DataBuffer &buffer, bool synchronous, const char *where) {
  {
    const std::lock_guard<std::mutex> lock(buffer.mutex);
    if (buffer.data != nullptr) return kSuccess;
    if (!synchronous || buffer.size != 0) {
      return fail(kInvalidParam, "EH0002", where, "Argument data of output buffer %zu must not be null.", index);
    }
  }
  int status = kSuccess;
  const size_t size = static_cast<size_t>(model.info.outputs[index].size);
  const auto memory = allocateDevice(model.device, size == 0 ? 1 : size, ACL_MEM_MALLOC_HUGE_FIRST, true, where, status);
  if (memory == nullptr) return status;
  const std::lock_guard<std::mutex> lock(buffer.mutex);
  buffer.data = reinterpret_cast<void *>(memory->base);
  buffer.size = size;
  return kSuccess;
}

int collectOutputs(const Model &model, Dataset &set, bool synchronous, Execution &execution, const char *where) {
  const size_t count = model.info.outputs.size();
  size_t given = 0;
  {
    const std::lock_guard<std::mutex> lock(set.mutex);
    given = set.buffers.size();
  }
  if (given != count) {
    return fail(kGeParamInvalid, "E13031", where,
                "Output tensor is invalid. Reason: the model has %zu outputs, the data set %zu.", count, given);
  }
  for (size_t index = 0; index < count; ++index) {
    const std::shared_ptr<DataBuffer> buffer = bufferAt(set, index, "output", where);
    if (buffer == nullptr) return kInvalidParam;
    int status = fillEmptyOutput(model, index, *buffer, synchronous, where);
    if (status != kSuccess) return status;
    DeviceRange range = rangeOf(*buffer, model.device, "output", index, where, status);
    if (status != kSuccess) return status;
    const TensorInfo &tensor = model.info.outputs[index];
    if (model.info.gears.empty() && range.size + kSizeSlack < tensor.size) {
      return fail(kGeParamInvalid, "E13031", where,
                  "Output tensor is invalid. Reason: output %zu (%s): the provided %zu bytes plus the aligned 64 bytes "
                  "is less than the tensor size of %llu bytes.",
                  index, tensor.name.c_str(), range.size, static_cast<unsigned long long>(tensor.size));
    }
    execution.outputs.push_back(std::move(range));
  }
  return kSuccess;
}

}  // namespace

std::shared_ptr<Model> prepareExecution(uint32_t modelId, const aclmdlDataset *input, const aclmdlDataset *output,
                                        bool synchronous, Execution &execution, const char *where, int &status) {
  status = kInvalidParam;
  const std::shared_ptr<Dataset> inputs = requireDataset(input, "input", where);
  if (inputs == nullptr) return nullptr;
  const std::shared_ptr<Dataset> outputs = requireDataset(output, "output", where);
  if (outputs == nullptr) return nullptr;
  std::shared_ptr<Model> model = requireModel(modelId, where, status);
  if (model == nullptr) return nullptr;
  status = collectInputs(*model, *inputs, execution, where);
  if (status == kSuccess) status = collectOutputs(*model, *outputs, synchronous, execution, where);
  return status == kSuccess ? model : nullptr;
}

}  // namespace ascendsim
