// Gear selection and execution.
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <new>

#include "dataset.h"
#include "model.h"

using namespace ascendsim;

namespace {

constexpr uint64_t kSizeSlack = 64;

std::shared_ptr<Model> requireModel(uint32_t modelId, const char *where, int &status) {
  status = kSuccess;
  const std::shared_ptr<Context> context = currentContext();
  if (context == nullptr) {
    status = fail(kRtContextNull, "EE1018", where,
                  "No context is current on this thread. Call aclrtSetDevice or aclrtSetCurrentContext first.");
    return nullptr;
  }
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

/** Content of a data buffer; null with the message recorded when the handle is not live. */
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

/** Checks every argument of an execution. */
std::shared_ptr<Model> prepare(uint32_t modelId, const aclmdlDataset *input, const aclmdlDataset *output,
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

/** In a gear model the sizes can be checked only now that the gear is known. */
std::string checkGearSizes(const Model &model, const Execution &execution, int gear) {
  if (gear < 0) return "";
  for (size_t index = 0; index < execution.inputs.size(); ++index) {
    if (static_cast<int>(index) == model.info.gearInput) continue;
    uint64_t needed = 0;
    const bool known = tensorBytes(model.info.inputs[index].dataType, model.info.inputDims(index, gear), needed);
    if (!known || execution.inputs[index].size + kSizeSlack < needed) {
      return "input " + model.info.inputs[index].name + " has " + std::to_string(execution.inputs[index].size) +
             " bytes, its gear needs " + std::to_string(needed);
    }
  }
  return "";
}

std::string runModel(Model &model, const Execution &execution, int gear) {
  const std::string problem = checkGearSizes(model, execution, gear);
  if (!problem.empty()) return problem;
  try {
    return model.run(execution, gear);
  } catch (const std::bad_alloc &) {
    return "the host ran out of memory";
  }
}

int executeNow(uint32_t modelId, const aclmdlDataset *input, aclmdlDataset *output, const char *where) {
  Execution execution;
  int status = kSuccess;
  const std::shared_ptr<Model> model = prepare(modelId, input, output, true, execution, where, status);
  if (model == nullptr) return status;
  const int gear = model->gearOf(execution);
  std::string problem;
  status = runSynchronously(model->device, Engine::Compute, model->durationNs(gear), [&] {
    problem = runModel(*model, execution, gear);
    return static_cast<int>(problem.empty() ? kSuccess : kRtModelExecute);
  });
  if (status == kSuccess) return kSuccess;
  reportException({runtime().taskCount.fetch_add(1), 0, static_cast<uint32_t>(syscall(SYS_gettid)),
                   static_cast<uint32_t>(model->device.id), static_cast<uint32_t>(status)});
  return fail(status, "EE1009", where, "Failed to execute model %u. Reason: %s.", modelId, problem.c_str());
}

int executeLater(uint32_t modelId, const aclmdlDataset *input, aclmdlDataset *output, aclrtStream stream,
                 const char *where) {
  Execution execution;
  int status = kSuccess;
  const std::shared_ptr<Model> model = prepare(modelId, input, output, false, execution, where, status);
  if (model == nullptr) return status;
  const std::shared_ptr<Stream> queue = resolveStream(stream, where, status);
  if (queue == nullptr) return status;
  const std::string caller = where;
  queue->enqueue([model, execution, caller](Stream &self, const TaskInfo &info) {
    // The gear is what the helper input holds when the device gets here.
    const int gear = model->gearOf(execution);
    std::string problem;
    const int result = self.runTimed(info, Engine::Compute, model->durationNs(gear), [&] {
      problem = runModel(*model, execution, gear);
      return static_cast<int>(problem.empty() ? kSuccess : kRtModelExecute);
    });
    if (result != kSuccess) {
      self.setErrorMessage(formatError(result, "EE1009", caller.c_str(),
                                       "Failed to execute model " + std::to_string(model->id) + ". Reason: " + problem +
                                           "."));
      reportException({info.taskId, static_cast<uint32_t>(self.id), static_cast<uint32_t>(syscall(SYS_gettid)),
                       static_cast<uint32_t>(self.device.id), static_cast<uint32_t>(result)});
    }
    return result;
  });
  return kSuccess;
}

struct ExecuteConfig {
  std::mutex mutex;
  int32_t streamTimeoutMs = -1;
};

HandleTable<ExecuteConfig> &executeConfigs() {
  static auto *const table = new HandleTable<ExecuteConfig>(HandleKind::ExecuteConfig);
  return *table;
}

/** Checks the optional configuration of the V2 functions. */
int checkConfig(const aclmdlExecConfigHandle *handle, const char *where) {
  if (handle == nullptr || executeConfigs().find(handle) != nullptr) return kSuccess;
  return fail(kInvalidParam, "EH0001", where, "Value %p for handle is invalid. Reason: it does not exist.",
              static_cast<const void *>(handle));
}

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

aclError aclmdlExecute(uint32_t modelId, const aclmdlDataset *input, aclmdlDataset *output) {
  return executeNow(modelId, input, output, __func__);
}

aclError aclmdlExecuteAsync(uint32_t modelId, const aclmdlDataset *input, aclmdlDataset *output, aclrtStream stream) {
  return executeLater(modelId, input, output, stream, __func__);
}

aclError aclmdlExecuteV2(uint32_t modelId, const aclmdlDataset *input, aclmdlDataset *output, aclrtStream stream,
                         const aclmdlExecConfigHandle *handle) {
  int status = checkConfig(handle, __func__);
  if (status != kSuccess) return status;
  status = executeLater(modelId, input, output, stream, __func__);
  if (status != kSuccess) return status;
  const std::shared_ptr<ExecuteConfig> config = handle != nullptr ? executeConfigs().find(handle) : nullptr;
  int32_t timeout = -1;
  if (config != nullptr) {
    const std::lock_guard<std::mutex> lock(config->mutex);
    timeout = config->streamTimeoutMs;
  }
  return aclrtSynchronizeStreamWithTimeout(stream, timeout);
}

aclError aclmdlExecuteAsyncV2(uint32_t modelId, const aclmdlDataset *input, aclmdlDataset *output, aclrtStream stream,
                              const aclmdlExecConfigHandle *handle) {
  const int status = checkConfig(handle, __func__);
  return status != kSuccess ? status : executeLater(modelId, input, output, stream, __func__);
}

aclmdlExecConfigHandle *aclmdlCreateExecConfigHandle(void) {
  return static_cast<aclmdlExecConfigHandle *>(executeConfigs().add(std::make_shared<ExecuteConfig>()));
}

aclError aclmdlSetExecConfigOpt(aclmdlExecConfigHandle *handle, aclmdlExecConfigAttr attr, const void *attrValue,
                                size_t valueSize) {
  ACL_REQUIRE(handle);
  ACL_REQUIRE(attrValue);
  const std::shared_ptr<ExecuteConfig> config = executeConfigs().find(handle);
  if (config == nullptr) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %p for handle is invalid. Reason: it does not exist.",
                    static_cast<void *>(handle));
  }
  const int option = static_cast<int>(attr);
  if (option < 0 || option > ACL_MDL_MEC_TIMETHR_SIZET) {
    return ACL_FAIL(kInvalidParam, "EH0006", "Execution option %d is not supported by the simulator.", option);
  }
  const bool timeout = option == ACL_MDL_STREAM_SYNC_TIMEOUT || option == ACL_MDL_EVENT_SYNC_TIMEOUT;
  const size_t expected = timeout ? sizeof(int32_t) : sizeof(size_t);
  if (valueSize != expected) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %zu for valueSize is invalid. Expected value: %zu.", valueSize,
                    expected);
  }
  if (option == ACL_MDL_STREAM_SYNC_TIMEOUT) {
    int32_t value = 0;
    memcpy(&value, attrValue, sizeof value);
    if (value == 0 || value < -1) {
      return ACL_FAIL(kInvalidParam, "EH0001", "Value %d for the timeout is invalid. Expected value: -1 or positive.",
                      value);
    }
    const std::lock_guard<std::mutex> lock(config->mutex);
    config->streamTimeoutMs = value;
  }
  return kSuccess;
}

aclError aclmdlDestroyExecConfigHandle(const aclmdlExecConfigHandle *handle) {
  ACL_REQUIRE(handle);
  if (executeConfigs().take(handle) == nullptr) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %p for handle is invalid. Reason: it does not exist.",
                    static_cast<const void *>(handle));
  }
  return kSuccess;
}

aclError aclmdlCreateAndGetOpDesc(uint32_t, uint32_t, uint32_t, char *, size_t, aclTensorDesc **, size_t *,
                                  aclTensorDesc **, size_t *) {
  return ACL_FAIL(kRtFeatureNotSupport, "EE1005", "Operators of a failed task are not known to the simulator.");
}

aclError aclopSetModelDir(const char *modelDir) {
  ACL_REQUIRE(modelDir);
  return ACL_FAIL(kRtFeatureNotSupport, "EE1005", "Single-operator models are not supported by the simulator.");
}
