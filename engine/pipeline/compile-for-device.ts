// Compiles for a device by its name: the simulated compiler for simulated SoCs, atc for a real NPU.
import type { CostValidation, Precision } from '../../contract/cost.ts'
import { AppError } from '../../contract/errors/index.ts'
import type { OmGears } from '../../contract/om.ts'
import type { WorkContext } from '../../contract/work.ts'
import { compileModel, runAtc } from '../compile/index.ts'
import { formatDeviceSelector, openDevice, parseDeviceSelector } from '../device/index.ts'

export interface DeviceCompileRequest {
  modelPath: string
  /** `npu:0` or `sim:Ascend310P3`. */
  device: string
  precision: Precision
  outputPath: string
  /** -1 where the gears decide. */
  inputShapes?: Record<string, number[]> | undefined
  gears?: OmGears | undefined
}

export interface DeviceCompileResult {
  path: string
  bytes: number
  soc: string
  compiler: string
  /** Latency of the cost model; null when a real compiler made the file. */
  estimate: { milliseconds: number; validation: CostValidation } | null
}

/**
 * @throws E_DEVICE_UNKNOWN, E_ARGUMENT for the host CPU, E_COMPILE_*, E_ATC_*, E_FILE_WRITE, E_CANCELLED
 */
export async function compileForDevice(
  request: DeviceCompileRequest,
  ctx: WorkContext,
): Promise<DeviceCompileResult> {
  const selector = parseDeviceSelector(request.device)
  const { modelPath, precision, outputPath, inputShapes, gears } = request
  if (selector.kind === 'cpu') {
    const reason = 'the host CPU runs .onnx files as they are, there is nothing to compile'
    throw new AppError('E_ARGUMENT', { name: 'device', reason, expected: 'npu:<n> or sim:<SoC>' })
  }
  const shapes = { ...(inputShapes && { inputShapes }), ...(gears && { gears }) }
  if (selector.kind === 'simulated') {
    const { soc } = selector
    const result = await compileModel({ modelPath, soc, precision, outputPath, ...shapes }, ctx)
    const estimate = { milliseconds: result.cost.totalNs / 1e6, validation: result.cost.validation }
    return { path: result.path, bytes: result.bytes, soc, compiler: 'simulated compiler', estimate }
  }
  const soc = await socOf(formatDeviceSelector(selector))
  const result = await runAtc({ modelPath, soc, precision, outputPath, ...shapes }, ctx)
  return { path: result.path, bytes: result.bytes, soc, compiler: 'atc', estimate: null }
}

async function socOf(device: string): Promise<string> {
  await using session = await openDevice(device)
  const { soc } = session.snapshot
  if (soc === null) throw new AppError('E_DEVICE_UNKNOWN', { device, nearest: [], available: [] })
  return soc
}
