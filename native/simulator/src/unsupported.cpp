// Functions that programs may link against but that have no meaning on a simulated device: all answer 207000.
#include "errors.h"

// Arguments are not looked at, so one signature serves all.
#define ASCENDSIM_UNSUPPORTED(name)                                                                         \
  extern "C" __attribute__((visibility("default"))) int name() {                                           \
    return ::ascendsim::fail(::ascendsim::kRtFeatureNotSupport, "EE1005", #name,                            \
                             "%s is not supported by the simulated device.", #name);                        \
  }

// Notifications between streams and processes
ASCENDSIM_UNSUPPORTED(aclrtCreateNotify)
ASCENDSIM_UNSUPPORTED(aclrtDestroyNotify)
ASCENDSIM_UNSUPPORTED(aclrtRecordNotify)
ASCENDSIM_UNSUPPORTED(aclrtWaitAndResetNotify)
ASCENDSIM_UNSUPPORTED(aclrtValueWait)
ASCENDSIM_UNSUPPORTED(aclrtValueWrite)

// Memory shared between processes
ASCENDSIM_UNSUPPORTED(aclrtIpcMemClose)
ASCENDSIM_UNSUPPORTED(aclrtIpcMemGetExportKey)
ASCENDSIM_UNSUPPORTED(aclrtIpcMemImportByKey)
ASCENDSIM_UNSUPPORTED(aclrtIpcMemSetImportPid)

// Virtual memory management
ASCENDSIM_UNSUPPORTED(aclrtReserveMemAddress)
ASCENDSIM_UNSUPPORTED(aclrtReleaseMemAddress)
ASCENDSIM_UNSUPPORTED(aclrtMallocPhysical)
ASCENDSIM_UNSUPPORTED(aclrtFreePhysical)
ASCENDSIM_UNSUPPORTED(aclrtMapMem)
ASCENDSIM_UNSUPPORTED(aclrtUnmapMem)
ASCENDSIM_UNSUPPORTED(aclrtMemExportToShareableHandle)
ASCENDSIM_UNSUPPORTED(aclrtMemExportToShareableHandleV2)
ASCENDSIM_UNSUPPORTED(aclrtMemImportFromShareableHandle)
ASCENDSIM_UNSUPPORTED(aclrtMemImportFromShareableHandleV2)
ASCENDSIM_UNSUPPORTED(aclrtMemGetAllocationGranularity)
ASCENDSIM_UNSUPPORTED(aclrtMemSetAccess)
ASCENDSIM_UNSUPPORTED(aclrtMemSetPidToShareableHandle)
ASCENDSIM_UNSUPPORTED(aclrtHostRegister)
ASCENDSIM_UNSUPPORTED(aclrtHostUnregister)

// Several devices, limits of a device, task introspection
ASCENDSIM_UNSUPPORTED(aclrtDeviceEnablePeerAccess)
ASCENDSIM_UNSUPPORTED(aclrtDeviceDisablePeerAccess)
ASCENDSIM_UNSUPPORTED(aclrtDeviceGetPCIBusId)
ASCENDSIM_UNSUPPORTED(aclrtGetDeviceResLimit)
ASCENDSIM_UNSUPPORTED(aclrtSetDeviceResLimit)
ASCENDSIM_UNSUPPORTED(aclrtResetDeviceResLimit)
ASCENDSIM_UNSUPPORTED(aclrtGetResInCurrentThread)
ASCENDSIM_UNSUPPORTED(aclrtGetThreadLastTaskId)
ASCENDSIM_UNSUPPORTED(aclrtGetErrorVerbose)
ASCENDSIM_UNSUPPORTED(aclrtGetArgsFromExceptionInfo)
ASCENDSIM_UNSUPPORTED(aclrtGetFuncHandleFromExceptionInfo)
ASCENDSIM_UNSUPPORTED(aclrtRegStreamStateCallback)

// Models: queues, bundles, AIPP, dump
ASCENDSIM_UNSUPPORTED(aclmdlLoadFromFileWithQ)
ASCENDSIM_UNSUPPORTED(aclmdlLoadFromMemWithQ)
ASCENDSIM_UNSUPPORTED(aclmdlSetExternalWeightAddress)
ASCENDSIM_UNSUPPORTED(aclmdlSetInputAIPP)
ASCENDSIM_UNSUPPORTED(aclmdlGetAippType)
ASCENDSIM_UNSUPPORTED(aclmdlGetFirstAippInfo)
ASCENDSIM_UNSUPPORTED(aclmdlInitDump)
ASCENDSIM_UNSUPPORTED(aclmdlSetDump)
ASCENDSIM_UNSUPPORTED(aclmdlFinalizeDump)

// Profiling
ASCENDSIM_UNSUPPORTED(aclprofInit)
ASCENDSIM_UNSUPPORTED(aclprofFinalize)
ASCENDSIM_UNSUPPORTED(aclprofStart)
ASCENDSIM_UNSUPPORTED(aclprofStop)
ASCENDSIM_UNSUPPORTED(aclprofDestroyConfig)
ASCENDSIM_UNSUPPORTED(aclprofModelSubscribe)
ASCENDSIM_UNSUPPORTED(aclprofModelUnSubscribe)

// Returns a pointer: null, with the message set.
extern "C" __attribute__((visibility("default"))) void *aclprofCreateConfig() {
  ::ascendsim::fail(::ascendsim::kRtFeatureNotSupport, "EE1005", "aclprofCreateConfig",
                    "aclprofCreateConfig is not supported by the simulated device.");
  return nullptr;
}
