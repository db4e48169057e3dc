// What `amct_tool` does: an amct_config.json in, a quantized model beside its companions out, all or nothing.
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import type { LayerReport } from '../../contract/quantization.ts'
import type { WorkContext } from '../../contract/work.ts'
import { compileModel, inspectOm, recoverOnnx } from '../compile/index.ts'
import { checkWritable, makeTemporaryFolder } from '../common/files.ts'
import { reasonOf } from '../common/hashing.ts'
import type { Logger } from '../common/log.ts'
import { openModel, type Model } from '../onnx/index.ts'
import {
  deployPrecision,
  outputPaths,
  parseAmctToolConfig,
  quantizeModel,
  resolveFromConfig,
  type AmctToolConfig,
} from '../quantization/index.ts'

export interface AmctToolRequest {
  /** The amct_config.json. */
  configPath: string
  /** SoC of the .om to write; that of the source .om when left out. */
  soc?: string | undefined
}

export interface AmctToolResult {
  /** The model asked for: an .om, or the deploy model when an .onnx name was given. */
  output: string
  soc: string | null
  /** Everything written, the output first. */
  files: string[]
  sourceBytes: number
  outputBytes: number
  layers: LayerReport[]
  samples: number
}

/** SoC of an .om made from an .onnx when nothing says which. */
const DEFAULT_SOC = 'Ascend310P3'

interface Plan {
  config: AmctToolConfig
  modelPath: string
  model: Model
  output: string
  soc: string | null
}

function readConfig(file: string): AmctToolConfig {
  if (!existsSync(file)) throw new AppError('E_FILE_NOT_FOUND', { path: file, base: process.cwd() })
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
  return parseAmctToolConfig(text, file)
}

function plan(request: AmctToolRequest, log: Logger): Plan {
  const config = readConfig(request.configPath)
  const modelPath = resolveFromConfig(config.model.path, request.configPath)
  const output = path.resolve(config.model.outputPath)
  if (!existsSync(modelPath))
    throw new AppError('E_FILE_NOT_FOUND', { path: config.model.path, base: process.cwd() })
  checkWritable(output)
  const compiled = modelPath.toLowerCase().endsWith('.om')
  const model = compiled ? recoverOnnx(modelPath) : openModel(modelPath)
  if (!output.toLowerCase().endsWith('.om')) return { config, modelPath, model, output, soc: null }
  const soc = request.soc ?? (compiled ? inspectOm(modelPath).soc : null) ?? DEFAULT_SOC
  if (!compiled && request.soc === undefined) log.warning(`no --soc_version given: compiling for ${soc}`)
  return { config, modelPath, model, output, soc }
}

/**
 * Quantizes, and compiles when the output is an .om. The files appear together at the end or not at all.
 * @throws E_JSON_*, E_FILE_*, E_OM_NOT_SIMULATED, E_CALIBRATION_*, E_LAYER_UNKNOWN, E_COMPILE_*, E_CANCELLED
 */
export async function runAmctTool(
  request: AmctToolRequest,
  ctx: WorkContext,
  log: Logger,
): Promise<AmctToolResult> {
  const { config, modelPath, model, output, soc } = plan(request, log)
  const base = path.basename(output, path.extname(output))
  const folder = makeTemporaryFolder(output)
  try {
    log.info(`quantize ${config.model.path}`)
    const prefix = path.join(folder, base)
    const dataset = {
      ...config.dataset,
      folder: resolveFromConfig(config.dataset.folder, request.configPath),
    }
    const result = await quantizeModel(
      { modelPath, model, recipe: config.recipe, dataset, outputPrefix: prefix },
      ctx,
    )
    const quantized = result.layers.filter((layer) => layer.quantized).length
    log.info(
      `${quantized} of ${result.layers.length} layers quantized with ${result.dataset.samples} samples`,
    )
    let outputBytes = result.sizes.deploy
    if (soc !== null) {
      log.info(`compile for ${soc}`)
      const outputPath = path.join(folder, path.basename(output))
      const inputShapes = openShapes(model, config.model.inputShapes)
      const compiled = await compileModel(
        {
          modelPath: result.deployPath,
          soc,
          precision: deployPrecision(result.layers),
          outputPath,
          ...(inputShapes ? { inputShapes } : {}),
        },
        ctx,
      )
      outputBytes = compiled.bytes
    }
    const files = publish(folder, path.dirname(output))
    const main =
      soc === null ? path.join(path.dirname(output), path.basename(outputPaths(base).deployPath)) : output
    return {
      output: main,
      soc,
      files: [main, ...files.filter((file) => file !== main)],
      sourceBytes: result.sizes.source,
      outputBytes,
      layers: result.layers,
      samples: result.dataset.samples,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Shapes of the configuration for inputs that the model leaves open. */
function openShapes(model: Model, shapes: Record<string, number[]>): Record<string, number[]> | undefined {
  const open = model.graph.inputs.filter(
    (input) => input.shape?.some((dim) => dim.value === undefined) ?? true,
  )
  const entries = open.flatMap((input) =>
    shapes[input.name] ? [[input.name, shapes[input.name] as number[]] as const] : [],
  )
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}

/** Moves all files of the work folder to where they belong, or none. */
function publish(folder: string, target: string): string[] {
  const files = readdirSync(folder).map((name) => path.join(target, name))
  files.forEach(checkWritable)
  for (const [done, file] of files.entries()) {
    try {
      renameSync(path.join(folder, path.basename(file)), file)
    } catch (error) {
      for (const moved of files.slice(0, done)) rmSync(moved, { force: true })
      throw new AppError('E_FILE_WRITE', { path: file, reason: reasonOf(error) }, { cause: error })
    }
  }
  return files
}
