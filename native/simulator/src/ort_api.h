// ONNX Runtime's C API by position. OrtApi is an append-only table of function pointers, so a slot number is as stable
// as a name; each slot below carries the public name of its function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ascendsim {

struct OrtApi;
struct OrtStatus;
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;
struct OrtMemoryInfo;
struct OrtValue;
struct OrtAllocator;
struct OrtTypeInfo;
struct OrtTensorInfo;
struct OrtCustomOpDomain;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtCustomOp;

/** ONNXTensorElementDataType. */
enum OrtElement : int {
  kOrtFloat = 1,
  kOrtUint8 = 2,
  kOrtInt8 = 3,
  kOrtUint16 = 4,
  kOrtInt16 = 5,
  kOrtInt32 = 6,
  kOrtInt64 = 7,
  kOrtString = 8,
  kOrtBool = 9,
  kOrtFloat16 = 10,
  kOrtDouble = 11,
  kOrtUint32 = 12,
  kOrtUint64 = 13,
  kOrtBfloat16 = 16,
};

/** API version asked for; the slots below exist since it. */
constexpr uint32_t kOrtApiVersion = 17;

/** Function of a slot. */
template <class Signature>
Signature *ortSlot(const OrtApi *api, int slot) {
  return reinterpret_cast<Signature *>(reinterpret_cast<void *const *>(api)[slot]);
}

#define ASCENDSIM_ORT_SLOT(name, slot, result, ...)                          \
  template <class... Arguments>                                              \
  inline result name(const OrtApi *api, Arguments... arguments) {            \
    return ortSlot<result(__VA_ARGS__)>(api, slot)(arguments...);            \
  }

ASCENDSIM_ORT_SLOT(ortCreateStatus, 0, OrtStatus *, int, const char *)                       // CreateStatus
ASCENDSIM_ORT_SLOT(ortGetErrorMessage, 2, const char *, const OrtStatus *)                   // GetErrorMessage
ASCENDSIM_ORT_SLOT(ortCreateEnv, 3, OrtStatus *, int, const char *, OrtEnv **)               // CreateEnv
ASCENDSIM_ORT_SLOT(ortCreateSessionFromArray, 8, OrtStatus *, const OrtEnv *, const void *, size_t,
                   const OrtSessionOptions *, OrtSession **)                                 // CreateSessionFromArray
ASCENDSIM_ORT_SLOT(ortRun, 9, OrtStatus *, OrtSession *, const void *, const char *const *, const OrtValue *const *,
                   size_t, const char *const *, size_t, OrtValue **)                         // Run
ASCENDSIM_ORT_SLOT(ortCreateSessionOptions, 10, OrtStatus *, OrtSessionOptions **)           // CreateSessionOptions
ASCENDSIM_ORT_SLOT(ortSetOptimizationLevel, 23, OrtStatus *, OrtSessionOptions *, int)  // SetSessionGraphOptimizationLevel
ASCENDSIM_ORT_SLOT(ortSetIntraOpNumThreads, 24, OrtStatus *, OrtSessionOptions *, int)       // SetIntraOpNumThreads
ASCENDSIM_ORT_SLOT(ortCreateCustomOpDomain, 26, OrtStatus *, const char *, OrtCustomOpDomain **)  // CreateCustomOpDomain
ASCENDSIM_ORT_SLOT(ortCustomOpDomainAdd, 27, OrtStatus *, OrtCustomOpDomain *, const OrtCustomOp *)  // CustomOpDomain_Add
ASCENDSIM_ORT_SLOT(ortAddCustomOpDomain, 28, OrtStatus *, OrtSessionOptions *, OrtCustomOpDomain *)  // AddCustomOpDomain
ASCENDSIM_ORT_SLOT(ortSessionGetInputCount, 30, OrtStatus *, const OrtSession *, size_t *)   // SessionGetInputCount
ASCENDSIM_ORT_SLOT(ortSessionGetOutputCount, 31, OrtStatus *, const OrtSession *, size_t *)  // SessionGetOutputCount
ASCENDSIM_ORT_SLOT(ortSessionGetInputTypeInfo, 33, OrtStatus *, const OrtSession *, size_t, OrtTypeInfo **)  // SessionGetInputTypeInfo
ASCENDSIM_ORT_SLOT(ortSessionGetOutputTypeInfo, 34, OrtStatus *, const OrtSession *, size_t, OrtTypeInfo **)  // SessionGetOutputTypeInfo
ASCENDSIM_ORT_SLOT(ortSessionGetInputName, 36, OrtStatus *, const OrtSession *, size_t, OrtAllocator *, char **)  // SessionGetInputName
ASCENDSIM_ORT_SLOT(ortSessionGetOutputName, 37, OrtStatus *, const OrtSession *, size_t, OrtAllocator *, char **)  // SessionGetOutputName
ASCENDSIM_ORT_SLOT(ortCreateTensor, 49, OrtStatus *, const OrtMemoryInfo *, void *, size_t, const int64_t *, size_t, int,
                   OrtValue **)                                                              // CreateTensorWithDataAsOrtValue
ASCENDSIM_ORT_SLOT(ortGetTensorData, 51, OrtStatus *, OrtValue *, void **)                   // GetTensorMutableData
ASCENDSIM_ORT_SLOT(ortCastTypeInfo, 55, OrtStatus *, const OrtTypeInfo *, const OrtTensorInfo **)  // CastTypeInfoToTensorInfo
ASCENDSIM_ORT_SLOT(ortGetElementType, 60, OrtStatus *, const OrtTensorInfo *, int *)         // GetTensorElementType
ASCENDSIM_ORT_SLOT(ortGetDimensionsCount, 61, OrtStatus *, const OrtTensorInfo *, size_t *)  // GetDimensionsCount
ASCENDSIM_ORT_SLOT(ortGetDimensions, 62, OrtStatus *, const OrtTensorInfo *, int64_t *, size_t)  // GetDimensions
ASCENDSIM_ORT_SLOT(ortGetElementCount, 64, OrtStatus *, const OrtTensorInfo *, size_t *)     // GetTensorShapeElementCount
ASCENDSIM_ORT_SLOT(ortGetTypeAndShape, 65, OrtStatus *, const OrtValue *, OrtTensorInfo **)  // GetTensorTypeAndShape
ASCENDSIM_ORT_SLOT(ortCreateCpuMemoryInfo, 69, OrtStatus *, int, int, OrtMemoryInfo **)      // CreateCpuMemoryInfo
ASCENDSIM_ORT_SLOT(ortAllocatorFree, 76, OrtStatus *, OrtAllocator *, void *)                // AllocatorFree
ASCENDSIM_ORT_SLOT(ortDefaultAllocator, 78, OrtStatus *, OrtAllocator **)                    // GetAllocatorWithDefaultOptions
ASCENDSIM_ORT_SLOT(ortAttributeFloat, 85, OrtStatus *, const OrtKernelInfo *, const char *, float *)  // KernelInfoGetAttribute_float
ASCENDSIM_ORT_SLOT(ortAttributeInt, 86, OrtStatus *, const OrtKernelInfo *, const char *, int64_t *)  // KernelInfoGetAttribute_int64
ASCENDSIM_ORT_SLOT(ortKernelInput, 90, OrtStatus *, const OrtKernelContext *, size_t, const OrtValue **)  // KernelContext_GetInput
ASCENDSIM_ORT_SLOT(ortKernelOutput, 91, OrtStatus *, OrtKernelContext *, size_t, const int64_t *, size_t, OrtValue **)  // KernelContext_GetOutput
ASCENDSIM_ORT_SLOT(ortReleaseStatus, 93, void, OrtStatus *)                                  // ReleaseStatus
ASCENDSIM_ORT_SLOT(ortReleaseSession, 95, void, OrtSession *)                                // ReleaseSession
ASCENDSIM_ORT_SLOT(ortReleaseValue, 96, void, OrtValue *)                                    // ReleaseValue
ASCENDSIM_ORT_SLOT(ortReleaseTypeInfo, 98, void, OrtTypeInfo *)                              // ReleaseTypeInfo
ASCENDSIM_ORT_SLOT(ortReleaseTensorInfo, 99, void, OrtTensorInfo *)                          // ReleaseTensorTypeAndShapeInfo
ASCENDSIM_ORT_SLOT(ortReleaseSessionOptions, 100, void, OrtSessionOptions *)                 // ReleaseSessionOptions
ASCENDSIM_ORT_SLOT(ortAddSessionConfigEntry, 130, OrtStatus *, OrtSessionOptions *, const char *, const char *)  // AddSessionConfigEntry

#undef ASCENDSIM_ORT_SLOT

/**
 * OrtCustomOp as laid out for API version 17: ORT reads only the members that the version has. Members in the order of
 * the public structure.
 */
struct OrtCustomOp {
  uint32_t version;
  void *(*CreateKernel)(const OrtCustomOp *, const OrtApi *, const OrtKernelInfo *);
  const char *(*GetName)(const OrtCustomOp *);
  const char *(*GetExecutionProviderType)(const OrtCustomOp *);
  int (*GetInputType)(const OrtCustomOp *, size_t);
  size_t (*GetInputTypeCount)(const OrtCustomOp *);
  int (*GetOutputType)(const OrtCustomOp *, size_t);
  size_t (*GetOutputTypeCount)(const OrtCustomOp *);
  void (*KernelCompute)(void *, OrtKernelContext *);
  void (*KernelDestroy)(void *);
  int (*GetInputCharacteristic)(const OrtCustomOp *, size_t);
  int (*GetOutputCharacteristic)(const OrtCustomOp *, size_t);
  int (*GetInputMemoryType)(const OrtCustomOp *, size_t);
  int (*GetVariadicInputMinArity)(const OrtCustomOp *);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp *);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp *);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp *);
  OrtStatus *(*CreateKernelV2)(const OrtCustomOp *, const OrtApi *, const OrtKernelInfo *, void **);
  OrtStatus *(*KernelComputeV2)(void *, OrtKernelContext *);
  OrtStatus *(*InferOutputShapeFn)(const OrtCustomOp *, void *);
  int (*GetStartVersion)(const OrtCustomOp *);
  int (*GetEndVersion)(const OrtCustomOp *);
};

/** Loads libonnxruntime once per process. Null with `error` set when it cannot be found. */
const OrtApi *loadOrt(std::string &error);
/** The process's OrtEnv; null with `error` set on failure. */
OrtEnv *ortEnvironment(const OrtApi *api, std::string &error);
/** Message of a failed call ("" for success); releases the status. */
std::string takeOrtError(const OrtApi *api, OrtStatus *status);
/** The domain `ascendsim` with its operators, made once. Null with `error` set on failure. */
OrtCustomOpDomain *customDomain(const OrtApi *api, std::string &error);

}  // namespace ascendsim
