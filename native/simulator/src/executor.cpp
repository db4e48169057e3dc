// ONNX Runtime session around a payload.
#include "executor.h"

#include <algorithm>

#include "acl/acl.h"

namespace ascendsim {
namespace {

/** aclDataType -> ONNXTensorElementDataType; 0 when there is none. */
int elementOf(int aclType) {
  switch (aclType) {
    case ACL_FLOAT: return kOrtFloat;
    case ACL_FLOAT16: return kOrtFloat16;
    case ACL_INT8: return kOrtInt8;
    case ACL_INT32: return kOrtInt32;
    case ACL_UINT8: return kOrtUint8;
    case ACL_INT16: return kOrtInt16;
    case ACL_UINT16: return kOrtUint16;
    case ACL_UINT32: return kOrtUint32;
    case ACL_INT64: return kOrtInt64;
    case ACL_UINT64: return kOrtUint64;
    case ACL_DOUBLE: return kOrtDouble;
    case ACL_BOOL: return kOrtBool;
    case ACL_BF16: return kOrtBfloat16;
    default: return 0;
  }
}

uint64_t elementBytes(int element) {
  switch (element) {
    case kOrtInt8:
    case kOrtUint8:
    case kOrtBool: return 1;
    case kOrtFloat16:
    case kOrtBfloat16:
    case kOrtInt16:
    case kOrtUint16: return 2;
    case kOrtFloat:
    case kOrtInt32:
    case kOrtUint32: return 4;
    default: return 8;
  }
}

/** Whether this processor multiplies uint8 by int8 without saturating partial sums. */
bool hasExactProducts() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni") != 0;
#else
  return true;
#endif
}

/** Values of one run; released when it ends, however it ends. */
struct Values {
  const OrtApi *api;
  std::vector<OrtValue *> list;
  ~Values() {
    for (OrtValue *value : list) {
      if (value != nullptr) ortReleaseValue(api, value);
    }
  }
};

}  // namespace

std::unique_ptr<Executor> Executor::create(Bytes payload, const OmInfo &info, int threads, std::string &error) {
  if (usesExternalData(payload)) {
    error = "its payload is damaged, or refers to other files";
    return nullptr;
  }
  std::unique_ptr<Executor> executor(new Executor);
  error = executor->open(payload, threads);
  if (error.empty()) error = executor->bind(info);
  return error.empty() ? std::move(executor) : nullptr;
}

Executor::~Executor() {
  if (session_ != nullptr) ortReleaseSession(api_, session_);
}

std::string Executor::open(Bytes payload, int threads) {
  std::string error;
  api_ = loadOrt(error);
  if (api_ == nullptr) return error;
  OrtEnv *const environment = ortEnvironment(api_, error);
  if (environment == nullptr) return error;
  OrtCustomOpDomain *const domain = customDomain(api_, error);
  if (domain == nullptr) return error;
  static OrtMemoryInfo *memory = nullptr;  // the same for all sessions
  static const std::string memoryError = takeOrtError(api_, ortCreateCpuMemoryInfo(api_, 1, 0, &memory));
  if (!memoryError.empty()) return memoryError;
  memory_ = memory;

  OrtSessionOptions *options = nullptr;
  error = takeOrtError(api_, ortCreateSessionOptions(api_, &options));
  if (!error.empty()) return error;
  constexpr int kAllOptimizations = 99;  // ORT_ENABLE_ALL
  error = takeOrtError(api_, ortSetOptimizationLevel(api_, options, kAllOptimizations));
  if (error.empty() && threads > 0) error = takeOrtError(api_, ortSetIntraOpNumThreads(api_, options, threads));
  // Idle pool threads must not burn the processor that the application is being measured on.
  if (error.empty()) {
    error = takeOrtError(api_, ortAddSessionConfigEntry(api_, options, "session.intra_op.allow_spinning", "0"));
  }
  // Without VNNI, x86 kernels of uint8 x int8 saturate partial sums; the accumulators of an NPU are exact. With it the
  // setting would only make them slower.
  if (error.empty() && !hasExactProducts()) {
    error = takeOrtError(api_, ortAddSessionConfigEntry(api_, options, "session.x64quantprecision", "1"));
  }
  if (error.empty()) error = takeOrtError(api_, ortAddCustomOpDomain(api_, options, domain));
  if (error.empty()) {
    error = takeOrtError(api_, ortCreateSessionFromArray(api_, environment, static_cast<const void *>(payload.data),
                                                         payload.size, options, &session_));
  }
  ortReleaseSessionOptions(api_, options);
  return error;
}

std::string Executor::readPorts(bool inputs, std::vector<Port> &ports) {
  OrtAllocator *allocator = nullptr;
  std::string error = takeOrtError(api_, ortDefaultAllocator(api_, &allocator));
  size_t count = 0;
  if (error.empty()) {
    error = takeOrtError(api_, inputs ? ortSessionGetInputCount(api_, session_, &count)
                                      : ortSessionGetOutputCount(api_, session_, &count));
  }
  for (size_t index = 0; index < count && error.empty(); ++index) {
    Port port;
    char *name = nullptr;
    error = takeOrtError(api_, inputs ? ortSessionGetInputName(api_, session_, index, allocator, &name)
                                      : ortSessionGetOutputName(api_, session_, index, allocator, &name));
    if (!error.empty()) break;
    port.name = name;
    error = takeOrtError(api_, ortAllocatorFree(api_, allocator, static_cast<void *>(name)));
    OrtTypeInfo *type = nullptr;
    if (error.empty()) {
      error = takeOrtError(api_, inputs ? ortSessionGetInputTypeInfo(api_, session_, index, &type)
                                        : ortSessionGetOutputTypeInfo(api_, session_, index, &type));
    }
    if (!error.empty()) break;
    const OrtTensorInfo *info = nullptr;
    error = takeOrtError(api_, ortCastTypeInfo(api_, type, &info));
    if (error.empty() && info == nullptr) error = port.name + " is not a tensor";
    if (error.empty()) error = takeOrtError(api_, ortGetElementType(api_, info, &port.element));
    ortReleaseTypeInfo(api_, type);
    ports.push_back(std::move(port));
  }
  return error;
}

std::string Executor::bind(const OmInfo &info) {
  std::vector<Port> inputs;
  std::string error = readPorts(true, inputs);
  if (error.empty()) error = readPorts(false, outputs_);
  if (!error.empty()) return error;

  std::vector<const TensorInfo *> described;
  for (size_t index = 0; index < info.inputs.size(); ++index) {
    if (static_cast<int>(index) != info.gearInput) described.push_back(&info.inputs[index]);
  }
  if (described.size() != inputs.size() || info.outputs.size() != outputs_.size()) {
    return "the payload has " + std::to_string(inputs.size()) + " inputs and " + std::to_string(outputs_.size()) +
           " outputs, the file describes " + std::to_string(described.size()) + " and " +
           std::to_string(info.outputs.size());
  }
  // Inputs carry the payload's names; where they do not, the order counts. Output names are decorated: order counts.
  std::vector<bool> used(inputs.size(), false);
  for (size_t index = 0; index < described.size(); ++index) {
    size_t match = index;
    for (size_t other = 0; other < inputs.size(); ++other) {
      if (inputs[other].name == described[index]->name) match = other;
    }
    if (used[match]) return "input " + described[index]->name + " is described twice";
    used[match] = true;
    if (inputs[match].element != elementOf(described[index]->dataType)) {
      return "input " + described[index]->name + " has another data type in the payload";
    }
    inputs_.push_back(inputs[match]);
  }
  for (size_t index = 0; index < outputs_.size(); ++index) {
    if (outputs_[index].element != elementOf(info.outputs[index].dataType)) {
      return "output " + info.outputs[index].name + " has another data type in the payload";
    }
  }
  return "";
}

std::string Executor::run(const std::vector<TensorView> &inputs, std::vector<TensorData> &outputs) {
  Values in{api_, std::vector<OrtValue *>(inputs.size(), nullptr)};
  Values out{api_, std::vector<OrtValue *>(outputs_.size(), nullptr)};
  std::vector<const char *> inputNames;
  std::vector<const char *> outputNames;
  for (size_t index = 0; index < inputs.size(); ++index) {
    const TensorView &view = inputs[index];
    inputNames.push_back(inputs_[index].name.c_str());
    const std::string error = takeOrtError(
        api_, ortCreateTensor(api_, memory_, const_cast<void *>(view.data), static_cast<size_t>(view.bytes),
                              view.dims.data(), view.dims.size(), inputs_[index].element, &in.list[index]));
    if (!error.empty()) return error;
  }
  for (const Port &port : outputs_) outputNames.push_back(port.name.c_str());
  std::string error = takeOrtError(
      api_, ortRun(api_, session_, static_cast<const void *>(nullptr), inputNames.data(), in.list.data(),
                   in.list.size(), outputNames.data(), outputNames.size(), out.list.data()));
  if (!error.empty()) return error;

  outputs.assign(outputs_.size(), {});
  for (size_t index = 0; index < outputs_.size(); ++index) {
    OrtTensorInfo *info = nullptr;
    error = takeOrtError(api_, ortGetTypeAndShape(api_, out.list[index], &info));
    if (!error.empty()) return error;
    size_t rank = 0;
    size_t count = 0;
    int element = 0;
    error = takeOrtError(api_, ortGetDimensionsCount(api_, info, &rank));
    outputs[index].dims.resize(rank);
    if (error.empty()) error = takeOrtError(api_, ortGetDimensions(api_, info, outputs[index].dims.data(), rank));
    if (error.empty()) error = takeOrtError(api_, ortGetElementCount(api_, info, &count));
    if (error.empty()) error = takeOrtError(api_, ortGetElementType(api_, info, &element));
    ortReleaseTensorInfo(api_, info);
    void *data = nullptr;
    if (error.empty()) error = takeOrtError(api_, ortGetTensorData(api_, out.list[index], &data));
    if (!error.empty()) return error;
    const uint8_t *const bytes = static_cast<const uint8_t *>(data);
    if (count > 0) outputs[index].bytes.assign(bytes, bytes + count * elementBytes(element));
  }
  return "";
}

}  // namespace ascendsim
