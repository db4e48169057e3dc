// What engine/device sees of AscendCL. Nothing above engine/device imports this folder.
export { elementTypeOfAcl, MallocPolicy, MemcpyKind, RunMode } from './constants.ts'
export * from './discovery.ts'
export { relevantEnvironment, vendorEnvironment } from './environment.ts'
export { aclErrorName } from './error-codes.ts'
export { aclError, condenseReason } from './errors.ts'
export { loadAclFunctions, type AclFunctions } from './library.ts'
export { AclModel, inputSizeError, queryModelSize, type ModelDescription } from './model.ts'
export {
  createNpuSmiReader,
  findNpuSmi,
  parseNpuSmiInfo,
  socNameOf,
  type NpuReading,
  type NpuSmiReport,
} from './npu-smi.ts'
export type { Context, DevicePointer, Stream } from './pointers.ts'
export { AclRuntime, type MemoryInfo } from './runtime.ts'
export { readInstalledVersions, type InstalledVersions } from './versions.ts'
