// Functions of ONNX Runtime's C API that only the observer uses; the others are in the simulator's ort_api.h.
#pragma once

#include "ort_api.h"

namespace ascendsim {
struct OrtRunOptions;
}  // namespace ascendsim

namespace observer {

using namespace ascendsim;

#define OBSERVER_ORT_SLOT(name, slot, result, ...)                           \
  template <class... Arguments>                                              \
  inline result name(const OrtApi *api, Arguments... arguments) {            \
    return ortSlot<result(__VA_ARGS__)>(api, slot)(arguments...);            \
  }

OBSERVER_ORT_SLOT(ortDisableMemPattern, 17, OrtStatus *, OrtSessionOptions *)       // DisableMemPattern
OBSERVER_ORT_SLOT(ortDisableCpuMemArena, 19, OrtStatus *, OrtSessionOptions *)      // DisableCpuMemArena
OBSERVER_ORT_SLOT(ortSetLogSeverity, 22, OrtStatus *, OrtSessionOptions *, int)     // SetSessionLogSeverityLevel
OBSERVER_ORT_SLOT(ortCreateRunOptions, 39, OrtStatus *, OrtRunOptions **)           // CreateRunOptions
OBSERVER_ORT_SLOT(ortSetTerminate, 46, OrtStatus *, OrtRunOptions *)                // RunOptionsSetTerminate
OBSERVER_ORT_SLOT(ortReleaseRunOptions, 97, void, OrtRunOptions *)                  // ReleaseRunOptions
OBSERVER_ORT_SLOT(ortReleaseCustomOpDomain, 101, void, OrtCustomOpDomain *)         // ReleaseCustomOpDomain
OBSERVER_ORT_SLOT(ortAddInitializer, 150, OrtStatus *, OrtSessionOptions *, const char *,
                  const OrtValue *)                                                 // AddInitializer
OBSERVER_ORT_SLOT(ortAddExternalInitializers, 210, OrtStatus *, OrtSessionOptions *, const char *const *,
                  const OrtValue *const *, size_t)                                  // AddExternalInitializers
OBSERVER_ORT_SLOT(ortParallelFor, 274, OrtStatus *, const OrtKernelContext *, void (*)(void *, size_t), size_t, size_t,
                  void *)                                                           // KernelContext_ParallelFor

#undef OBSERVER_ORT_SLOT

}  // namespace observer
