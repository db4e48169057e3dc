// What of CANN and of our own parts is installed, as lines for the environment strip.
import type { EnvironmentItem } from '../../contract/rpc/index.ts'
import { findAtc } from '../compile/index.ts'
import { installationReport, type InstallationReport } from '../device/index.ts'

type Line = Omit<EnvironmentItem, 'hint'> & { hint?: string }

function cannLines(report: InstallationReport): Line[] {
  const { versions } = report
  const cann: Line = report.cannRoot
    ? { id: 'cann', label: 'CANN', state: 'ok', value: `${versions.cann ?? '?'} (${report.cannRoot})` }
    : {
        id: 'cann',
        label: 'CANN',
        state: 'missing',
        value: `not found in ${report.searched.length} places`,
        hint: 'Needed for real NPUs only: install the toolkit or nnrt and source set_env.sh.',
      }
  const driver: Line = versions.driver
    ? { id: 'driver', label: 'NPU driver', state: 'ok', value: versions.driver }
    : {
        id: 'driver',
        label: 'NPU driver',
        state: 'missing',
        value: 'not found',
        hint: 'Needed for real NPUs only.',
      }
  const npuSmi: Line = report.npuSmi
    ? { id: 'npu-smi', label: 'npu-smi', state: 'ok', value: report.npuSmi }
    : {
        id: 'npu-smi',
        label: 'npu-smi',
        state: 'missing',
        value: 'not found',
        hint: 'It comes with the driver.',
      }
  const atc = findAtc()
  const compiler: Line = atc
    ? { id: 'atc', label: 'ATC', state: 'ok', value: atc }
    : {
        id: 'atc',
        label: 'ATC',
        state: 'missing',
        value: 'not found',
        hint: 'Needed to compile for real NPUs only.',
      }
  return [cann, compiler, driver, npuSmi]
}

/** Looks at files only, quick. */
export function environmentItems(): EnvironmentItem[] {
  const report = installationReport()
  const simulator: Line = report.simulator.built
    ? { id: 'simulator', label: 'Device simulator', state: 'ok', value: report.simulator.path }
    : {
        id: 'simulator',
        label: 'Device simulator',
        state: 'missing',
        value: `not built: ${report.simulator.path}`,
        hint: 'Run: npm run build:native (needs g++).',
      }
  const { version, library } = report.onnxRuntime
  const onnxRuntime: Line =
    version && library
      ? { id: 'onnxruntime', label: 'ONNX Runtime', state: 'ok', value: version }
      : {
          id: 'onnxruntime',
          label: 'ONNX Runtime',
          state: 'missing',
          value: 'not found',
          hint: 'Run: npm ci',
        }
  return [...cannLines(report), simulator, onnxRuntime].map((line) => ({ ...line, hint: line.hint ?? null }))
}
