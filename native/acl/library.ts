// The C prototypes of AscendCL, bound with koffi. Declarations only: what the calls mean is in runtime.ts and model.ts.
// Pointers travel as bigint, JS buffers are passed by address for the duration of the (synchronous) call.
import koffi from 'koffi'
import { AppError } from '../../contract/errors/index.ts'
import type {
  Context,
  DataBuffer,
  Dataset,
  DevicePointer,
  Event,
  HostPointer,
  ModelDesc,
  Stream,
} from './pointers.ts'

/** An out parameter: the call stores its value at index 0. */
export type Out<T> = [T | null]
type Status = number
type Address = bigint | Uint8Array | null

/** Present in every CANN since 2020: a library without one of these is not libascendcl. */
export interface RequiredFunctions {
  aclInit(configPath: string | null): Status
  aclFinalize(): Status
  aclrtSetDevice(deviceId: number): Status
  aclrtResetDevice(deviceId: number): Status
  aclrtGetDeviceCount(count: Out<number>): Status
  aclrtGetRunMode(mode: Out<number>): Status
  aclrtCreateContext(context: Out<Context>, deviceId: number): Status
  aclrtDestroyContext(context: Context): Status
  aclrtSetCurrentContext(context: Context): Status
  aclrtCreateStream(stream: Out<Stream>): Status
  aclrtDestroyStream(stream: Stream): Status
  aclrtSynchronizeStream(stream: Stream): Status
  aclrtCreateEvent(event: Out<Event>): Status
  aclrtDestroyEvent(event: Event): Status
  aclrtRecordEvent(event: Event, stream: Stream): Status
  aclrtEventElapsedTime(milliseconds: Out<number>, start: Event, end: Event): Status
  aclrtMalloc(pointer: Out<DevicePointer>, size: number, policy: number): Status
  aclrtFree(pointer: DevicePointer): Status
  aclrtMallocHost(pointer: Out<HostPointer>, size: number): Status
  aclrtFreeHost(pointer: HostPointer): Status
  aclrtMemcpy(target: Address, targetSize: number, source: Address, count: number, kind: number): Status
  aclrtMemcpyAsync(
    target: Address,
    targetSize: number,
    source: Address,
    count: number,
    kind: number,
    stream: Stream,
  ): Status
  aclmdlQuerySize(path: string, workBytes: Out<number>, weightBytes: Out<number>): Status
  aclmdlLoadFromFile(path: string, modelId: Out<number>): Status
  aclmdlUnload(modelId: number): Status
  aclmdlCreateDesc(): ModelDesc | null
  aclmdlDestroyDesc(desc: ModelDesc): Status
  aclmdlGetDesc(desc: ModelDesc, modelId: number): Status
  aclmdlGetNumInputs(desc: ModelDesc): number
  aclmdlGetNumOutputs(desc: ModelDesc): number
  aclmdlGetInputSizeByIndex(desc: ModelDesc, index: number): number
  aclmdlGetOutputSizeByIndex(desc: ModelDesc, index: number): number
  aclmdlGetInputNameByIndex(desc: ModelDesc, index: number): string | null
  aclmdlGetOutputNameByIndex(desc: ModelDesc, index: number): string | null
  aclmdlGetInputDataType(desc: ModelDesc, index: number): number
  aclmdlGetOutputDataType(desc: ModelDesc, index: number): number
  aclmdlGetInputDims(desc: ModelDesc, index: number, dims: Uint8Array): Status
  aclmdlGetOutputDims(desc: ModelDesc, index: number, dims: Uint8Array): Status
  aclmdlGetCurOutputDims(desc: ModelDesc, index: number, dims: Uint8Array): Status
  aclmdlGetDynamicBatch(desc: ModelDesc, batch: Uint8Array): Status
  aclmdlGetDynamicHW(desc: ModelDesc, index: bigint, hw: Uint8Array): Status
  aclmdlGetInputDynamicGearCount(desc: ModelDesc, index: bigint, count: Out<number>): Status
  aclmdlGetInputDynamicDims(desc: ModelDesc, index: bigint, dims: Uint8Array, count: number): Status
  aclmdlSetDynamicBatchSize(modelId: number, dataset: Dataset, index: number, batch: number): Status
  aclmdlSetDynamicHWSize(
    modelId: number,
    dataset: Dataset,
    index: number,
    height: number,
    width: number,
  ): Status
  aclmdlSetInputDynamicDims(modelId: number, dataset: Dataset, index: number, dims: Uint8Array): Status
  aclmdlCreateDataset(): Dataset | null
  aclmdlDestroyDataset(dataset: Dataset): Status
  aclmdlAddDatasetBuffer(dataset: Dataset, buffer: DataBuffer): Status
  aclCreateDataBuffer(data: DevicePointer | null, size: number): DataBuffer | null
  aclDestroyDataBuffer(buffer: DataBuffer): Status
  aclmdlExecute(modelId: number, input: Dataset, output: Dataset): Status
  aclmdlExecuteAsync(modelId: number, input: Dataset, output: Dataset, stream: Stream): Status
}

/** Newer functions, missing in older releases; our simulator's marker is here too. */
export interface OptionalFunctions {
  aclGetRecentErrMsg(): string | null
  aclrtGetSocName(): string | null
  aclrtGetMemInfo(attribute: number, free: Out<number>, total: Out<number>): Status
  aclrtGetVersion(major: Out<number>, minor: Out<number>, patch: Out<number>): Status
  aclrtGetDeviceUtilizationRate(deviceId: number, information: Uint8Array): Status
  aclrtCreateEventWithFlag(event: Out<Event>, flag: number): Status
  ascendsim_version(): string | null
}

const required: Record<keyof RequiredFunctions, string> = {
  aclInit: 'int aclInit(const char *configPath)',
  aclFinalize: 'int aclFinalize()',
  aclrtSetDevice: 'int aclrtSetDevice(int32_t deviceId)',
  aclrtResetDevice: 'int aclrtResetDevice(int32_t deviceId)',
  aclrtGetDeviceCount: 'int aclrtGetDeviceCount(_Out_ uint32_t *count)',
  aclrtGetRunMode: 'int aclrtGetRunMode(_Out_ int *runMode)',
  aclrtCreateContext: 'int aclrtCreateContext(_Out_ void **context, int32_t deviceId)',
  aclrtDestroyContext: 'int aclrtDestroyContext(void *context)',
  aclrtSetCurrentContext: 'int aclrtSetCurrentContext(void *context)',
  aclrtCreateStream: 'int aclrtCreateStream(_Out_ void **stream)',
  aclrtDestroyStream: 'int aclrtDestroyStream(void *stream)',
  aclrtSynchronizeStream: 'int aclrtSynchronizeStream(void *stream)',
  aclrtCreateEvent: 'int aclrtCreateEvent(_Out_ void **event)',
  aclrtDestroyEvent: 'int aclrtDestroyEvent(void *event)',
  aclrtRecordEvent: 'int aclrtRecordEvent(void *event, void *stream)',
  aclrtEventElapsedTime: 'int aclrtEventElapsedTime(_Out_ float *ms, void *start, void *end)',
  aclrtMalloc: 'int aclrtMalloc(_Out_ void **devPtr, size_t size, int policy)',
  aclrtFree: 'int aclrtFree(void *devPtr)',
  aclrtMallocHost: 'int aclrtMallocHost(_Out_ void **hostPtr, size_t size)',
  aclrtFreeHost: 'int aclrtFreeHost(void *hostPtr)',
  aclrtMemcpy: 'int aclrtMemcpy(void *dst, size_t destMax, const void *src, size_t count, int kind)',
  aclrtMemcpyAsync:
    'int aclrtMemcpyAsync(void *dst, size_t destMax, const void *src, size_t count, int kind, void *stream)',
  aclmdlQuerySize:
    'int aclmdlQuerySize(const char *fileName, _Out_ size_t *workSize, _Out_ size_t *weightSize)',
  aclmdlLoadFromFile: 'int aclmdlLoadFromFile(const char *modelPath, _Out_ uint32_t *modelId)',
  aclmdlUnload: 'int aclmdlUnload(uint32_t modelId)',
  aclmdlCreateDesc: 'void *aclmdlCreateDesc()',
  aclmdlDestroyDesc: 'int aclmdlDestroyDesc(void *modelDesc)',
  aclmdlGetDesc: 'int aclmdlGetDesc(void *modelDesc, uint32_t modelId)',
  aclmdlGetNumInputs: 'size_t aclmdlGetNumInputs(void *modelDesc)',
  aclmdlGetNumOutputs: 'size_t aclmdlGetNumOutputs(void *modelDesc)',
  aclmdlGetInputSizeByIndex: 'size_t aclmdlGetInputSizeByIndex(void *modelDesc, size_t index)',
  aclmdlGetOutputSizeByIndex: 'size_t aclmdlGetOutputSizeByIndex(void *modelDesc, size_t index)',
  aclmdlGetInputNameByIndex: 'const char *aclmdlGetInputNameByIndex(const void *modelDesc, size_t index)',
  aclmdlGetOutputNameByIndex: 'const char *aclmdlGetOutputNameByIndex(const void *modelDesc, size_t index)',
  aclmdlGetInputDataType: 'int aclmdlGetInputDataType(const void *modelDesc, size_t index)',
  aclmdlGetOutputDataType: 'int aclmdlGetOutputDataType(const void *modelDesc, size_t index)',
  aclmdlGetInputDims: 'int aclmdlGetInputDims(const void *modelDesc, size_t index, void *dims)',
  aclmdlGetOutputDims: 'int aclmdlGetOutputDims(const void *modelDesc, size_t index, void *dims)',
  aclmdlGetCurOutputDims: 'int aclmdlGetCurOutputDims(const void *modelDesc, size_t index, void *dims)',
  aclmdlGetDynamicBatch: 'int aclmdlGetDynamicBatch(const void *modelDesc, void *batch)',
  aclmdlGetDynamicHW: 'int aclmdlGetDynamicHW(const void *modelDesc, size_t index, void *hw)',
  aclmdlGetInputDynamicGearCount:
    'int aclmdlGetInputDynamicGearCount(const void *modelDesc, size_t index, _Out_ size_t *gearCount)',
  aclmdlGetInputDynamicDims:
    'int aclmdlGetInputDynamicDims(const void *modelDesc, size_t index, void *dims, size_t gearCount)',
  aclmdlSetDynamicBatchSize:
    'int aclmdlSetDynamicBatchSize(uint32_t modelId, void *dataset, size_t index, uint64_t batchSize)',
  aclmdlSetDynamicHWSize:
    'int aclmdlSetDynamicHWSize(uint32_t modelId, void *dataset, size_t index, uint64_t height, uint64_t width)',
  aclmdlSetInputDynamicDims:
    'int aclmdlSetInputDynamicDims(uint32_t modelId, void *dataset, size_t index, const void *dims)',
  aclmdlCreateDataset: 'void *aclmdlCreateDataset()',
  aclmdlDestroyDataset: 'int aclmdlDestroyDataset(const void *dataset)',
  aclmdlAddDatasetBuffer: 'int aclmdlAddDatasetBuffer(void *dataset, void *dataBuffer)',
  aclCreateDataBuffer: 'void *aclCreateDataBuffer(void *data, size_t size)',
  aclDestroyDataBuffer: 'int aclDestroyDataBuffer(const void *dataBuffer)',
  aclmdlExecute: 'int aclmdlExecute(uint32_t modelId, const void *input, void *output)',
  aclmdlExecuteAsync:
    'int aclmdlExecuteAsync(uint32_t modelId, const void *input, void *output, void *stream)',
}

const optional: Record<keyof OptionalFunctions, string> = {
  aclGetRecentErrMsg: 'const char *aclGetRecentErrMsg()',
  aclrtGetSocName: 'const char *aclrtGetSocName()',
  aclrtGetMemInfo: 'int aclrtGetMemInfo(int attr, _Out_ size_t *free, _Out_ size_t *total)',
  aclrtGetVersion: 'int aclrtGetVersion(_Out_ int32_t *major, _Out_ int32_t *minor, _Out_ int32_t *patch)',
  aclrtGetDeviceUtilizationRate: 'int aclrtGetDeviceUtilizationRate(int32_t deviceId, void *utilizationInfo)',
  aclrtCreateEventWithFlag: 'int aclrtCreateEventWithFlag(_Out_ void **event, uint32_t flag)',
  ascendsim_version: 'const char *ascendsim_version()',
}

export type AclFunctions = RequiredFunctions & Partial<OptionalFunctions>

/**
 * Loads a libascendcl.so into this process and binds its functions.
 * @throws E_DEVICE_LIBRARY_LOAD when it cannot be loaded or lacks a required symbol
 */
export function loadAclFunctions(path: string): AclFunctions {
  const functions: Record<string, unknown> = {}
  try {
    // The vendor's plugins resolve symbols of libascendcl from the global scope.
    const library = koffi.load(path, { lazy: true, global: true })
    for (const prototype of Object.values(required)) {
      const call = library.func(prototype)
      functions[call.info.name] = call
    }
    for (const [name, prototype] of Object.entries(optional)) {
      try {
        functions[name] = library.func(prototype)
      } catch {
        // Not in this release: callers test for undefined.
      }
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new AppError('E_DEVICE_LIBRARY_LOAD', { path, reason }, { cause: error })
  }
  return functions as unknown as AclFunctions
}
