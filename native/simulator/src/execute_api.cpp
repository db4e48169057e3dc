// The functions for execution.
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <new>

#include "execution_arguments.h"

using namespace ascendsim;

namespace {

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
  const std::shared_ptr<Model> model = prepareExecution(modelId, input, output, true, execution, where, status);
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
  const std::shared_ptr<Model> model = prepareExecution(modelId, input, output, false, execution, where, status);
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

}  // namespace

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
