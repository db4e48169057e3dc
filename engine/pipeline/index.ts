// The steps of the workbench put together.
export { compare, type CompareRequest } from './compare.ts'
export {
  compileForDevice,
  type DeviceCompileRequest,
  type DeviceCompileResult,
} from './compile-for-device.ts'
export { runAmctTool, type AmctToolRequest, type AmctToolResult } from './amct-tool.ts'
export { probeModel } from './probe-model.ts'
export { lintModelFile, type LintRequest } from './lint-model.ts'
