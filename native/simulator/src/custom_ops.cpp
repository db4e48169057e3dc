// The operators of domain `ascendsim` as ONNX Runtime custom operators.
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "ort_api.h"
#include "quant_math.h"

namespace ascendsim {
namespace {

enum class OpKind { RoundFp16, Quant, QuantS8, Bias, Dequant, AntiQuant };

struct Op {
  OrtCustomOp base;  // first member: ORT hands back a pointer to it
  OpKind kind;
  const char *name;
  int inputs[2];
  size_t inputCount;
  int output;
};

const Op &opOf(const OrtCustomOp *base) { return *reinterpret_cast<const Op *>(base); }

struct Kernel {
  const OrtApi *api;
  OpKind kind;
  QuantParameters parameters;
  int64_t axis = 1;
};

constexpr int kOrtInvalidArgument = 2;  // OrtErrorCode ORT_INVALID_ARGUMENT

#define ORT_TRY(call)                          \
  do {                                         \
    OrtStatus *const failed = (call);          \
    if (failed != nullptr) return failed;      \
  } while (false)

/** An attribute that may be absent: then `value` keeps its default. */
template <class T, class Getter>
void optionalAttribute(const OrtApi *api, const OrtKernelInfo *info, const char *name, T &value, Getter get) {
  T read{};
  OrtStatus *const status = get(api, info, name, &read);
  if (status == nullptr) {
    value = read;
  } else {
    ortReleaseStatus(api, status);
  }
}

OrtStatus *createKernel(const OrtCustomOp *base, const OrtApi *api, const OrtKernelInfo *info, void **result) {
  const Op &op = opOf(base);
  std::unique_ptr<Kernel> kernel(new (std::nothrow) Kernel{api, op.kind, {}, 1});
  if (kernel == nullptr) return ortCreateStatus(api, 1, "out of memory");
  const auto getFloat = [](const OrtApi *a, const OrtKernelInfo *i, const char *name, float *value) {
    return ortAttributeFloat(a, i, name, value);
  };
  const auto getInt = [](const OrtApi *a, const OrtKernelInfo *i, const char *name, int64_t *value) {
    return ortAttributeInt(a, i, name, value);
  };
  int64_t fp16 = 1;
  optionalAttribute(api, info, "scale", kernel->parameters.scale, getFloat);
  optionalAttribute(api, info, "offset", kernel->parameters.offset, getFloat);
  optionalAttribute(api, info, "fp16", fp16, getInt);
  optionalAttribute(api, info, "axis", kernel->axis, getInt);
  kernel->parameters.fp16 = fp16 != 0;
  *result = kernel.release();
  return nullptr;
}

/** Shape and data of a kernel input. */
struct Tensor {
  std::vector<int64_t> dims;
  size_t count = 0;
  const void *data = nullptr;
};

OrtStatus *readInput(const OrtApi *api, const OrtKernelContext *context, size_t index, Tensor &tensor) {
  const OrtValue *value = nullptr;
  ORT_TRY(ortKernelInput(api, context, index, &value));
  if (value == nullptr) return ortCreateStatus(api, kOrtInvalidArgument, "an input is missing");
  OrtTensorInfo *info = nullptr;
  ORT_TRY(ortGetTypeAndShape(api, value, &info));
  size_t rank = 0;
  OrtStatus *status = ortGetDimensionsCount(api, info, &rank);
  if (status == nullptr) {
    tensor.dims.resize(rank);
    status = ortGetDimensions(api, info, tensor.dims.data(), rank);
  }
  if (status == nullptr) status = ortGetElementCount(api, info, &tensor.count);
  ortReleaseTensorInfo(api, info);
  if (status != nullptr) return status;
  void *data = nullptr;
  ORT_TRY(ortGetTensorData(api, const_cast<OrtValue *>(value), &data));
  tensor.data = data;
  return nullptr;
}

/** How the elements of a value fall to the channels of a parameter: one for all, or one per place on the axis. */
struct Channels {
  size_t outer = 1;
  size_t count = 1;
  size_t inner = 1;
};

OrtStatus *findChannels(const Kernel &kernel, const Tensor &x, const Tensor &parameter, Channels &channels) {
  channels.inner = x.count;
  if (parameter.count == 1) return nullptr;
  const int64_t rank = static_cast<int64_t>(x.dims.size());
  const int64_t axis = kernel.axis < 0 ? kernel.axis + rank : kernel.axis;
  if (axis < 0 || axis >= rank || static_cast<size_t>(x.dims[static_cast<size_t>(axis)]) != parameter.count) {
    return ortCreateStatus(kernel.api, kOrtInvalidArgument,
                           kernel.kind == OpKind::Bias
                               ? "AscendBias: the number of biases is not the size of the channel axis"
                               : "AscendDequant: the number of scales is not the size of the channel axis");
  }
  channels.count = parameter.count;
  channels.inner = 1;
  for (int64_t d = axis + 1; d < rank; ++d) channels.inner *= static_cast<size_t>(x.dims[static_cast<size_t>(d)]);
  for (int64_t d = 0; d < axis; ++d) channels.outer *= static_cast<size_t>(x.dims[static_cast<size_t>(d)]);
  return nullptr;
}

/** The operators that read int32 sums and a parameter per channel. */
OrtStatus *computeChannels(const Kernel &kernel, OrtKernelContext *context, const Tensor &x, void *y) {
  Tensor parameter;
  ORT_TRY(readInput(kernel.api, context, 1, parameter));
  Channels channels;
  ORT_TRY(findChannels(kernel, x, parameter, channels));
  const auto *const sums = static_cast<const int32_t *>(x.data);
  if (kernel.kind == OpKind::Bias) {
    ascendBias(sums, static_cast<const int32_t *>(parameter.data), static_cast<int32_t *>(y), channels.outer,
               channels.count, channels.inner);
  } else {
    ascendDequant(sums, static_cast<const float *>(parameter.data), static_cast<float *>(y), channels.outer,
                  channels.count, channels.inner, kernel.parameters.fp16);
  }
  return nullptr;
}

OrtStatus *compute(void *state, OrtKernelContext *context) {
  const Kernel &kernel = *static_cast<const Kernel *>(state);
  const OrtApi *const api = kernel.api;
  Tensor x;
  ORT_TRY(readInput(api, context, 0, x));
  OrtValue *output = nullptr;
  ORT_TRY(ortKernelOutput(api, context, size_t{0}, x.dims.data(), x.dims.size(), &output));
  void *y = nullptr;
  ORT_TRY(ortGetTensorData(api, output, &y));
  if (x.count == 0) return nullptr;
  switch (kernel.kind) {
    case OpKind::RoundFp16: roundFp16(static_cast<const float *>(x.data), static_cast<float *>(y), x.count); break;
    case OpKind::Quant:
      ascendQuantU8(static_cast<const float *>(x.data), static_cast<uint8_t *>(y), x.count, kernel.parameters);
      break;
    case OpKind::QuantS8:
      ascendQuantS8(static_cast<const float *>(x.data), static_cast<int8_t *>(y), x.count, kernel.parameters);
      break;
    case OpKind::Bias:
    case OpKind::Dequant: return computeChannels(kernel, context, x, y);
    case OpKind::AntiQuant:
      ascendAntiQuant(static_cast<const uint8_t *>(x.data), static_cast<float *>(y), x.count, kernel.parameters);
      break;
  }
  return nullptr;
}

/** `parameter`: element type of a second input, 0 for none. */
Op makeOp(OpKind kind, const char *name, int input, int output, int parameter = 0) {
  Op op{};
  op.kind = kind;
  op.name = name;
  op.inputs[0] = input;
  op.inputs[1] = parameter;
  op.inputCount = parameter != 0 ? 2 : 1;
  op.output = output;
  op.base.version = kOrtApiVersion;
  op.base.GetName = [](const OrtCustomOp *self) { return opOf(self).name; };
  op.base.GetExecutionProviderType = [](const OrtCustomOp *) -> const char * { return nullptr; };  // CPU
  op.base.GetInputType = [](const OrtCustomOp *self, size_t index) { return opOf(self).inputs[index]; };
  op.base.GetInputTypeCount = [](const OrtCustomOp *self) { return opOf(self).inputCount; };
  op.base.GetOutputType = [](const OrtCustomOp *self, size_t) { return opOf(self).output; };
  op.base.GetOutputTypeCount = [](const OrtCustomOp *) { return size_t{1}; };
  op.base.KernelDestroy = [](void *kernel) { delete static_cast<Kernel *>(kernel); };
  op.base.GetInputCharacteristic = [](const OrtCustomOp *, size_t) { return 0; };   // required
  op.base.GetOutputCharacteristic = [](const OrtCustomOp *, size_t) { return 0; };  // required
  op.base.GetInputMemoryType = [](const OrtCustomOp *, size_t) { return 0; };       // default
  op.base.GetVariadicInputMinArity = [](const OrtCustomOp *) { return 0; };
  op.base.GetVariadicInputHomogeneity = [](const OrtCustomOp *) { return 0; };
  op.base.GetVariadicOutputMinArity = [](const OrtCustomOp *) { return 0; };
  op.base.GetVariadicOutputHomogeneity = [](const OrtCustomOp *) { return 0; };
  op.base.CreateKernelV2 = createKernel;
  op.base.KernelComputeV2 = compute;
  op.base.GetStartVersion = [](const OrtCustomOp *) { return 1; };
  op.base.GetEndVersion = [](const OrtCustomOp *) { return 2147483647; };
  return op;
}

}  // namespace

constexpr int kOps = 6;

OrtCustomOpDomain *customDomain(const OrtApi *api, std::string &error) {
  static std::mutex *const mutex = new std::mutex;
  static OrtCustomOpDomain *domain = nullptr;
  static const Op *const ops = new Op[kOps]{
      makeOp(OpKind::RoundFp16, "RoundFp16", kOrtFloat, kOrtFloat),
      makeOp(OpKind::Quant, "AscendQuant", kOrtFloat, kOrtUint8),
      makeOp(OpKind::QuantS8, "AscendQuantS8", kOrtFloat, kOrtInt8),
      makeOp(OpKind::Bias, "AscendBias", kOrtInt32, kOrtInt32, kOrtInt32),
      makeOp(OpKind::Dequant, "AscendDequant", kOrtInt32, kOrtFloat, kOrtFloat),
      makeOp(OpKind::AntiQuant, "AscendAntiQuant", kOrtUint8, kOrtFloat),
  };
  const std::lock_guard<std::mutex> lock(*mutex);
  if (domain != nullptr) return domain;
  OrtCustomOpDomain *made = nullptr;
  error = takeOrtError(api, ortCreateCustomOpDomain(api, "ascendsim", &made));
  for (int i = 0; i < kOps && error.empty(); ++i) {
    error = takeOrtError(api, ortCustomOpDomainAdd(api, made, &ops[i].base));
  }
  if (error.empty()) domain = made;
  return domain;
}

}  // namespace ascendsim
