// Loading and unloading models, size queries, load options.
#include "model.h"
#include "ort_api.h"

#include <cstring>
#include <new>

using namespace ascendsim;

namespace {

/** Memory that the application provides for a model; null pointers: the runtime allocates. */
struct ModelMemory {
  void *work = nullptr;
  size_t workSize = 0;
  void *weight = nullptr;
  size_t weightSize = 0;
};

int report(const OmError &error, const char *where) { return fail(error.status, error.code, where, "%s", error.text.c_str()); }

int readyToLoad(const char *where) {
  if (!runtime().initialised()) {
    return fail(kGeNotInitialised, "EE1018", where, "aclInit must be called before a model is loaded.");
  }
  int status = kSuccess;
  requireContext(where, status);
  return status;
}

/** Checks a buffer that the application gives for a model. */
int checkProvided(const void *pointer, size_t given, uint64_t needed, const char *what, const char *where) {
  if (given < needed) {
    return fail(kGeParamInvalid, "E10001", where,
                "Value %zu for parameter %s is invalid. Reason: the model needs %llu bytes.", given, what,
                static_cast<unsigned long long>(needed));
  }
  const std::shared_ptr<Allocation> owner = runtime().allocations.find(pointer);
  if (owner == nullptr || owner->device < 0 ||
      owner->capacity - (reinterpret_cast<uintptr_t>(pointer) - owner->base) < needed) {
    return fail(kGeParamInvalid, "E10001", where,
                "Value %p for parameter %s is invalid. Reason: it is not %llu bytes of device memory.", pointer, what,
                static_cast<unsigned long long>(needed));
  }
  return kSuccess;
}

/** "" when every input has a size that its shape explains: what an execution allocates depends on it. */
std::string shapeProblem(const OmInfo &info) {
  for (size_t index = 0; index < info.inputs.size(); ++index) {
    const TensorInfo &tensor = info.inputs[index];
    if (static_cast<int>(index) == info.gearInput) continue;
    for (int gear = info.gears.empty() ? -1 : 0; gear < static_cast<int>(info.gears.size()); ++gear) {
      uint64_t bytes = 0;
      const bool known = tensorBytes(tensor.dataType, info.inputDims(index, gear), bytes);
      const bool fits = gear < 0 ? bytes == tensor.size : bytes <= tensor.size;
      if (!known || !fits) {
        return "Invalid om file: the size of input " + tensor.name + " does not fit its shape.";
      }
    }
  }
  return "";
}

/** Everything after the file could be read: SoC, memory, session. */
int loadSource(OmSource &source, const ModelMemory &memory, uint32_t *modelId, const char *where) {
  OmLayout layout;
  OmInfo info;
  CostTable cost;
  OmError error;
  if (!readLayout(source, layout, error) || !readInfo(source, layout, info, error) ||
      !readCost(source, layout, info, cost, error)) {
    return report(error, where);
  }
  const std::string problem = shapeProblem(info);
  if (!problem.empty()) return fail(kGeModelDataSizeInvalid, "E10001", where, "%s", problem.c_str());
  const Runtime &state = runtime();
  if (!info.socVersion.empty() && info.socVersion != state.settings.soc->name) {
    return fail(kGeFailure, "E10001", where,
                "Value %s for parameter soc_version is invalid. Reason: Model soc version is not support in this "
                "device. The device is %s.",
                info.socVersion.c_str(), state.settings.soc->name);
  }
  const std::shared_ptr<Context> context = currentContext();
  uint64_t needed = 0;
  if (memory.work != nullptr) {
    const int status = checkProvided(memory.work, memory.workSize, info.workSize, "workSize", where);
    if (status != kSuccess) return status;
  } else {
    needed += info.workSize;
  }
  if (memory.weight != nullptr) {
    const int status = checkProvided(memory.weight, memory.weightSize, info.weightSize, "weightSize", where);
    if (status != kSuccess) return status;
  } else {
    needed += info.weightSize;
  }
  if (!context->device.charge(needed)) {
    return fail(kRtMemoryAllocation, "EL0004", where,
                "Failed to allocate memory requested by GE module. Size: %llu, free: %llu of %llu bytes on device %d.",
                static_cast<unsigned long long>(needed),
                static_cast<unsigned long long>(context->device.capacity - context->device.used()),
                static_cast<unsigned long long>(context->device.capacity), context->device.id);
  }
  std::string reason;
  if (loadOrt(reason) == nullptr) {
    context->device.release(needed);
    return fail(kGeFailure, "E19999", where, "The model cannot be executed. Reason: %s.", reason.c_str());
  }
  const OmLayout::Part *const weights = layout.find(kWeightsPart);
  const Bytes payload = weights != nullptr ? source.read(weights->offset, weights->size) : Bytes{};
  reason = "it has no payload";
  std::unique_ptr<Executor> executor;
  if (payload.data != nullptr) executor = Executor::create(payload, info, state.settings.threads, reason);
  if (executor == nullptr) {
    context->device.release(needed);
    return fail(kGeFailure, "E10001", where, "Value %s for parameter model is invalid. Reason: %s.",
                info.modelName.empty() ? layout.name.c_str() : info.modelName.c_str(), reason.c_str());
  }
  Runtime &models = runtime();
  const std::lock_guard<std::mutex> lock(models.modelsMutex);
  const uint32_t id = ++models.modelCount;
  auto model = std::make_shared<Model>(id, context, std::move(info), std::move(cost), std::move(executor));
  model->chargedBytes = needed;
  models.models.emplace(id, std::move(model));
  *modelId = id;
  return kSuccess;
}

int loadGuarded(OmSource &source, const ModelMemory &memory, uint32_t *modelId, const char *where) {
  try {
    return loadSource(source, memory, modelId, where);
  } catch (const std::bad_alloc &) {
    return fail(kRtMemoryAllocation, "EL0004", where, "The host ran out of memory while the model was loaded.");
  }
}

int loadFile(const char *path, const ModelMemory &memory, uint32_t *modelId, const char *where) {
  if (path == nullptr) return fail(kInvalidParam, "EH0002", where, "Argument modelPath must not be null.");
  if (modelId == nullptr) return fail(kInvalidParam, "EH0002", where, "Argument modelId must not be null.");
  const int ready = readyToLoad(where);
  if (ready != kSuccess) return ready;
  OmError error;
  const std::unique_ptr<OmSource> source = OmSource::open(path, error);
  return source == nullptr ? report(error, where) : loadGuarded(*source, memory, modelId, where);
}

int loadMemory(const void *model, size_t size, const ModelMemory &memory, uint32_t *modelId, const char *where) {
  if (model == nullptr) return fail(kInvalidParam, "EH0002", where, "Argument model must not be null.");
  if (modelId == nullptr) return fail(kInvalidParam, "EH0002", where, "Argument modelId must not be null.");
  const int ready = readyToLoad(where);
  if (ready != kSuccess) return ready;
  const std::unique_ptr<OmSource> source = OmSource::memory(model, size);
  return loadGuarded(*source, memory, modelId, where);
}

int querySizes(OmSource *source, const OmError &openError, size_t *workSize, size_t *weightSize, const char *where) {
  if (source == nullptr) return report(openError, where);
  OmLayout layout;
  OmInfo info;
  OmError error;
  if (!readLayout(*source, layout, error) || !readSizes(*source, layout, info, error)) return report(error, where);
  *workSize = static_cast<size_t>(info.workSize);
  *weightSize = static_cast<size_t>(info.weightSize);
  return kSuccess;
}

/** Options of aclmdlLoadWithConfig. */
struct LoadConfig {
  std::mutex mutex;
  size_t type = 0;
  std::string path;
  const void *data = nullptr;
  size_t size = 0;
  ModelMemory memory;
};

HandleTable<LoadConfig> &loadConfigs() {
  static auto *const table = new HandleTable<LoadConfig>(HandleKind::LoadConfig);
  return *table;
}

template <class T>
T valueOf(const void *attrValue) {
  T value{};
  memcpy(&value, attrValue, sizeof value);
  return value;
}

}  // namespace

aclError aclmdlQuerySize(const char *fileName, size_t *workSize, size_t *weightSize) {
  ACL_REQUIRE(fileName);
  ACL_REQUIRE(workSize);
  ACL_REQUIRE(weightSize);
  OmError error;
  const std::unique_ptr<OmSource> source = OmSource::open(fileName, error);
  return querySizes(source.get(), error, workSize, weightSize, __func__);
}

aclError aclmdlQuerySizeFromMem(const void *model, size_t modelSize, size_t *workSize, size_t *weightSize) {
  ACL_REQUIRE(model);
  ACL_REQUIRE(workSize);
  ACL_REQUIRE(weightSize);
  const std::unique_ptr<OmSource> source = OmSource::memory(model, modelSize);
  return querySizes(source.get(), {}, workSize, weightSize, __func__);
}

aclError aclmdlLoadFromFile(const char *modelPath, uint32_t *modelId) {
  return loadFile(modelPath, {}, modelId, __func__);
}

aclError aclmdlLoadFromFileWithMem(const char *modelPath, uint32_t *modelId, void *workPtr, size_t workSize,
                                   void *weightPtr, size_t weightSize) {
  return loadFile(modelPath, {workPtr, workSize, weightPtr, weightSize}, modelId, __func__);
}

aclError aclmdlLoadFromMem(const void *model, size_t modelSize, uint32_t *modelId) {
  return loadMemory(model, modelSize, {}, modelId, __func__);
}

aclError aclmdlLoadFromMemWithMem(const void *model, size_t modelSize, uint32_t *modelId, void *workPtr,
                                  size_t workSize, void *weightPtr, size_t weightSize) {
  return loadMemory(model, modelSize, {workPtr, workSize, weightPtr, weightSize}, modelId, __func__);
}

aclmdlConfigHandle *aclmdlCreateConfigHandle(void) {
  return static_cast<aclmdlConfigHandle *>(loadConfigs().add(std::make_shared<LoadConfig>()));
}

aclError aclmdlDestroyConfigHandle(aclmdlConfigHandle *handle) {
  ACL_REQUIRE(handle);
  if (loadConfigs().take(handle) == nullptr) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %p for handle is invalid. Reason: it does not exist.",
                    static_cast<void *>(handle));
  }
  return kSuccess;
}

aclError aclmdlSetConfigOpt(aclmdlConfigHandle *handle, aclmdlConfigAttr attr, const void *attrValue,
                            size_t valueSize) {
  ACL_REQUIRE(handle);
  ACL_REQUIRE(attrValue);
  const std::shared_ptr<LoadConfig> config = loadConfigs().find(handle);
  if (config == nullptr) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %p for handle is invalid. Reason: it does not exist.",
                    static_cast<void *>(handle));
  }
  const int option = static_cast<int>(attr);
  const size_t expected = option == ACL_MDL_PRIORITY_INT32 ? sizeof(int32_t) : sizeof(size_t);
  if (valueSize != expected) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %zu for valueSize is invalid. Expected value: %zu.", valueSize,
                    expected);
  }
  const std::lock_guard<std::mutex> lock(config->mutex);
  switch (option) {
    case ACL_MDL_PRIORITY_INT32:
    case ACL_MDL_WORKSPACE_MEM_OPTIMIZE: break;
    case ACL_MDL_LOAD_TYPE_SIZET: config->type = valueOf<size_t>(attrValue); break;
    case ACL_MDL_PATH_PTR: {
      const char *path = valueOf<const char *>(attrValue);
      config->path = path != nullptr ? path : "";
      break;
    }
    case ACL_MDL_MEM_ADDR_PTR: config->data = valueOf<const void *>(attrValue); break;
    case ACL_MDL_MEM_SIZET: config->size = valueOf<size_t>(attrValue); break;
    case ACL_MDL_WEIGHT_ADDR_PTR: config->memory.weight = valueOf<void *>(attrValue); break;
    case ACL_MDL_WEIGHT_SIZET: config->memory.weightSize = valueOf<size_t>(attrValue); break;
    case ACL_MDL_WORKSPACE_ADDR_PTR: config->memory.work = valueOf<void *>(attrValue); break;
    case ACL_MDL_WORKSPACE_SIZET: config->memory.workSize = valueOf<size_t>(attrValue); break;
    default:
      return ACL_FAIL(kInvalidParam, "EH0006", "Load option %d is not supported by the simulator.", option);
  }
  return kSuccess;
}

aclError aclmdlLoadWithConfig(const aclmdlConfigHandle *handle, uint32_t *modelId) {
  ACL_REQUIRE(handle);
  ACL_REQUIRE(modelId);
  const std::shared_ptr<LoadConfig> config = loadConfigs().find(handle);
  if (config == nullptr) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %p for handle is invalid. Reason: it does not exist.",
                    static_cast<const void *>(handle));
  }
  const std::lock_guard<std::mutex> lock(config->mutex);
  switch (config->type) {
    case ACL_MDL_LOAD_FROM_FILE: return loadFile(config->path.c_str(), {}, modelId, __func__);
    case ACL_MDL_LOAD_FROM_FILE_WITH_MEM: return loadFile(config->path.c_str(), config->memory, modelId, __func__);
    case ACL_MDL_LOAD_FROM_MEM: return loadMemory(config->data, config->size, {}, modelId, __func__);
    case ACL_MDL_LOAD_FROM_MEM_WITH_MEM:
      return loadMemory(config->data, config->size, config->memory, modelId, __func__);
    default:
      return ACL_FAIL(kInvalidParam, "EH0001",
                      "Value %zu for ACL_MDL_LOAD_TYPE_SIZET is invalid. Expected value: 1 to 4.", config->type);
  }
}

aclError aclmdlUnload(uint32_t modelId) {
  ACL_CONTEXT(context);
  Runtime &state = runtime();
  std::shared_ptr<Model> ended;
  const std::lock_guard<std::mutex> lock(state.modelsMutex);
  const auto found = state.models.find(modelId);
  if (found == state.models.end()) {
    return ACL_FAIL(kGeModelIdInvalid, "E10001", "Value %u for parameter modelId is invalid. Reason: no such model is loaded.",
                    modelId);
  }
  if (found->second->context.lock() != context) {
    return ACL_FAIL(kRtModelContext, "EE1010", "Model %u was loaded in another context than the current one.", modelId);
  }
  ended = std::move(found->second);
  state.models.erase(found);
  return kSuccess;
}

int ascendsim_profile(uint32_t modelId, size_t index, const char **name, const char **type, uint64_t *ns) {
  const std::shared_ptr<Model> model = findModel(modelId);
  if (model == nullptr || index >= model->cost.kernels.size() || name == nullptr || type == nullptr || ns == nullptr) {
    return 0;
  }
  const KernelCost &kernel = model->cost.kernels[index];
  const int set = model->currentGear.load();
  const int gear = set >= 0 ? set : model->info.largestGear();
  *name = kernel.name.c_str();
  *type = kernel.type.c_str();
  *ns = kernel.ns[gear < 0 ? 0 : static_cast<size_t>(gear)];
  return 1;
}
