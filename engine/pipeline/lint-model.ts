// The deploy linter on a file, with the atc command that compiles it.
import path from 'node:path'
import type { LintReport, LintSeverity } from '../../contract/lint.ts'
import { AppError } from '../../contract/errors/index.ts'
import { lintDeployModel } from '../analysis/lint/index.ts'
import { atcArguments } from '../compile/index.ts'
import { socSpec } from '../cost/index.ts'
import { type Model, openModel } from '../onnx/index.ts'

export interface LintRequest {
  modelPath: string
  /** Default Ascend310P3. */
  soc?: string | undefined
  /** Sizes of inputs that the model leaves open; -1 where they shall stay so. */
  inputShapes?: Record<string, number[]> | undefined
}

const DEFAULT_SOC = 'Ascend310P3'
/** SoCs that the cost model does not know, but atc does. */
const OTHER_SOCS = /^Ascend950/

/** Shapes for --input_shape: needed for all inputs once one of them is open. */
function commandShapes(model: Model, given: Record<string, number[]>): Record<string, number[]> {
  const { inputs } = model.graph
  const open = inputs.some(({ shape }) => !shape || shape.some((dim) => dim.value === undefined))
  if (!open && Object.keys(given).length === 0) return {}
  return Object.fromEntries(
    inputs.map(({ name, shape }) => [name, given[name] ?? (shape ?? []).map((dim) => dim.value ?? -1)]),
  )
}

/** @throws E_CALIBRATION_INPUT_UNKNOWN for a shape of an input that the model does not have */
function checkInputs(model: Model, given: Record<string, number[]>): void {
  const known = model.graph.inputs.map((input) => input.name)
  const stray = Object.keys(given).find((name) => !known.includes(name))
  if (stray !== undefined) throw new AppError('E_CALIBRATION_INPUT_UNKNOWN', { input: stray, known })
}

/**
 * Lints an ONNX file.
 * @throws E_ONNX_*, E_SOC_UNKNOWN, E_CALIBRATION_INPUT_UNKNOWN
 */
export function lintModelFile(request: LintRequest): LintReport {
  const soc = request.soc ?? DEFAULT_SOC
  if (!OTHER_SOCS.test(soc)) socSpec(soc)
  const model = openModel(request.modelPath)
  const inputShapes = request.inputShapes ?? {}
  checkInputs(model, inputShapes)
  const findings = lintDeployModel(model, { soc, inputShapes })
  const count = (severity: LintSeverity): number =>
    findings
      .filter((finding) => finding.severity === severity)
      .reduce((total, finding) => total + 1 + finding.more, 0)
  const quantized = model.graph.nodes.some((node) => node.opType === 'AscendQuant')
  const output = path.resolve(
    path.dirname(request.modelPath),
    path.basename(request.modelPath, path.extname(request.modelPath)),
  )
  const args = atcArguments(
    {
      modelPath: request.modelPath,
      soc,
      precision: quantized ? 'int8' : 'fp16',
      outputPath: `${output}.om`,
      inputShapes: commandShapes(model, inputShapes),
    },
    output,
  )
  return {
    path: request.modelPath,
    soc,
    findings,
    counts: { error: count('error'), warning: count('warning'), info: count('info') },
    command: ['atc', ...args],
  }
}
