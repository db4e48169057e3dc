// What is installed and what is missing, as checks with a verdict and a next step.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { findAtc } from '../engine/compile/index.ts'
import { installationReport, type InstallationReport } from '../engine/device/index.ts'

/** `missing` limits what can be done; `broken` means nothing can. */
export type CheckState = 'ok' | 'missing' | 'broken'

export interface Check {
  name: string
  state: CheckState
  value: string
  /** What to do; empty when the state is ok. */
  hint: string
}

/** Finds a program on PATH without starting it. */
export function onPath(
  program: string,
  environment: Record<string, string | undefined> = process.env,
): string | null {
  const folders = (environment['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '')
  const names = process.platform === 'win32' ? [`${program}.exe`, `${program}.cmd`, program] : [program]
  for (const folder of folders) {
    for (const name of names) {
      const candidate = path.join(folder, name)
      if (existsSync(candidate)) return candidate
    }
  }
  return null
}

const found = (name: string, value: string): Check => ({ name, state: 'ok', value, hint: '' })
const missing = (name: string, hint: string): Check => ({ name, state: 'missing', value: 'not found', hint })

/** Checks of the vendor's software. */
export function cannChecks(report: InstallationReport = installationReport()): Check[] {
  const { versions } = report
  const atc = findAtc()
  return [
    report.aclLibrary === null
      ? missing(
          'AscendCL',
          'Install the CANN toolkit or nnrt and "source set_env.sh"; simulated devices work without it.',
        )
      : found('AscendCL', report.aclLibrary),
    versions.cann === null
      ? missing('CANN version', 'Known once the toolkit or nnrt is installed.')
      : found(
          'CANN version',
          versions.cannInner === null ? versions.cann : `${versions.cann} (${versions.cannInner})`,
        ),
    versions.driver === null
      ? missing('driver', 'Install the Ascend driver of your card; only needed for a real NPU.')
      : found('driver', versions.driver),
    versions.firmware === null
      ? missing('firmware', 'Install the Ascend firmware of your card; only needed for a real NPU.')
      : found('firmware', versions.firmware),
    atc === null
      ? missing('atc', 'Part of the CANN toolkit; only needed to compile for a real NPU.')
      : found('atc', atc),
    report.npuSmi === null
      ? missing('npu-smi', 'Part of the Ascend driver; only needed for telemetry of a real NPU.')
      : found('npu-smi', report.npuSmi),
  ]
}

/** Checks of what the product itself needs. */
export function productChecks(report: InstallationReport = installationReport()): Check[] {
  const { onnxRuntime, simulator } = report
  const compiler = onPath('g++') ?? onPath('c++')
  return [
    found('Node.js', `${process.versions.node} (${process.execPath})`),
    onnxRuntime.library === null
      ? {
          name: 'ONNX Runtime',
          state: 'broken',
          value: 'no library for this system',
          hint: 'Run "npm ci" again; onnxruntime-node brings the library.',
        }
      : found('ONNX Runtime', onnxRuntime.version ?? onnxRuntime.library),
    simulator.built
      ? found('simulated device', simulator.path)
      : missing(
          'simulated device',
          compiler === null
            ? 'Install a C++ compiler (Debian: g++), then run "npm run build:native".'
            : 'Run "npm run build:native".',
        ),
  ]
}
