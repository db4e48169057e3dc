// Post-training quantization of one model: select, calibrate, plan, write.
import { rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import type { DatasetRequest, QuantizationResult } from '../../contract/quantization.ts'
import type { Recipe } from '../../contract/recipe.ts'
import type { WorkContext } from '../../contract/work.ts'
import {
  type CalibrationDataset,
  modelInputs,
  observeRanges,
  type ObserverSpec,
  openDataset,
  type RangeOptions,
} from '../calibration/index.ts'
import { checkWritable, writeFileAtomic } from '../common/files.ts'
import {
  type Model,
  nodeLabel,
  openModel,
  saveModel,
  type SavedModel,
  tensorDataLength,
  upgradeOpset,
} from '../onnx/index.ts'
import { buildDeployModel } from './deploy-writer.ts'
import { buildFakeQuantModel } from './fake-quant-writer.ts'
import { buildHostCpuModel } from './host-cpu-writer.ts'
import { nodeMapping } from './node-mapping.ts'
import { layerReports, planRecords } from './layer-reports.ts'
import { layersInBranches } from './layers.ts'
import { biasCorrector, prepareModel, type PreparedModel, sourceNodes } from './prepare/index.ts'
import { type ChosenLayer, planQuantization, type QuantizationPlan } from './plan.ts'
import type { ChosenPool } from './pooling.ts'
import { roundWeights } from './reconstruct/index.ts'
import { formatRecords } from './record-file.ts'
import { type Selection, selectLayers } from './selection.ts'
import { WeightSpill } from './weight-spill.ts'

export interface QuantizeRequest {
  /** The ONNX file; with `model`, only its name for messages. */
  modelPath: string
  /** A model that is not in an ONNX file, such as one recovered from a simulated .om. */
  model?: Model
  recipe: Recipe
  dataset: DatasetRequest
  /** Folder and beginning of the names of all files written. */
  outputPrefix: string
  /** Also writes the model for the host CPU, which computes the deploy model's arithmetic with integer kernels. */
  hostCpuModel?: boolean
}

/** DequantizeLinear has one scale per channel from this opset on. */
export const PER_CHANNEL_OPSET = 13

interface OutputPaths {
  deployPath: string
  fakeQuantPath: string
  quantJsonPath: string
  recordPath: string
  hostCpuPath?: string
}

/** The files of one run, named as AMCT names them. */
export function outputPaths(prefix: string, hostCpuModel = false): OutputPaths {
  const base = path.resolve(prefix)
  return {
    deployPath: `${base}_deploy_model.onnx`,
    fakeQuantPath: `${base}_fake_quant_model.onnx`,
    quantJsonPath: `${base}_quant.json`,
    recordPath: `${base}_record.txt`,
    ...(hostCpuModel && { hostCpuPath: `${base}_host_cpu_model.onnx` }),
  }
}

const QUANTIZED_TYPES =
  /^(Ascend(Quant|Dequant|AntiQuant|WeightQuant)|QuantizeLinear|DequantizeLinear|QLinear\w+)$/

/** @throws E_QUANTIZE_SOURCE */
export function checkFloatingPoint(model: Model): void {
  const node = model.graph.nodes.find((candidate) => QUANTIZED_TYPES.test(candidate.opType))
  if (!node) return
  const label = model.path ?? 'the model'
  throw new AppError('E_QUANTIZE_SOURCE', { path: label, opType: node.opType, node: nodeLabel(node) })
}

/** @throws E_QUANTIZE_NOTHING */
export function checkSomething(model: Model, selection: Selection): void {
  const { chosen, weightOnly, pools } = selection
  if (chosen.length + weightOnly.length + pools.length > 0) return
  const counts = Map.groupBy(selection.kept.values(), (layer) => layer.reason ?? 'float_by_recipe')
  const reasons = [...counts].map(([reason, layers]) => `${layers.length} ${reason}`)
  throw new AppError('E_QUANTIZE_NOTHING', {
    model: model.path ?? 'the model',
    candidates: selection.kept.size,
    reasons: reasons.length > 0 ? reasons : 'none of a quantizable type',
  })
}

/** Bytes of the files a model came from, external data included; of its weights when it was built in memory. */
export function sourceBytes(model: Model): number {
  const tensors = [...model.graph.initializers.values()].map((tensor) => tensor.data)
  if (model.path === undefined) return tensors.reduce((sum, data) => sum + tensorDataLength(data), 0)
  const files = new Set([model.path, ...tensors.flatMap((data) => (data.kind === 'file' ? data.path : []))])
  return [...files].reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0)
}

/** What is observed of a layer or a pooling. */
export function observed(layer: ChosenLayer | ChosenPool): {
  tensor: string
  spec: ObserverSpec
  float16: boolean
} {
  const { observer: spec } = layer
  return 'anatomy' in layer
    ? { tensor: layer.anatomy.activation, spec, float16: layer.anatomy.float16 }
    : { tensor: layer.activation, spec, float16: false }
}

/** How the inputs of the chosen layers are observed. @param folder For a copy of a model too large for memory. */
export function rangeOptions(chosen: readonly (ChosenLayer | ChosenPool)[], folder: string): RangeOptions {
  const readers = new Map(chosen.toReversed().map((layer) => [observed(layer).tensor, layer.name]))
  const float16 = chosen.map(observed).flatMap(({ tensor, float16 }) => (float16 ? tensor : []))
  return {
    layerOf: (tensor) => readers.get(tensor) ?? tensor,
    float16Tensors: new Set(float16),
    temporaryFolder: folder,
  }
}

async function calibrate(
  model: Model,
  { chosen, pools }: Selection,
  dataset: CalibrationDataset,
  folder: string,
  context: WorkContext,
): ReturnType<typeof observeRanges> {
  const layers = [...chosen, ...pools]
  const requests = layers.map((layer) => ({ tensor: observed(layer).tensor, spec: observed(layer).spec }))
  return observeRanges(model, dataset, requests, rangeOptions(layers, folder), context)
}

export interface Written {
  deploy: SavedModel
  fakeQuant: SavedModel
  hostCpu?: SavedModel
}

/** Writes all files, or none: what is already there of this run is removed when a later one fails. */
export function writeAll(
  prepared: PreparedModel,
  plan: QuantizationPlan,
  paths: OutputPaths,
  spill: WeightSpill,
  context: WorkContext,
): Written {
  const written: string[] = []
  const { model: source, notes, balanceFactors } = prepared
  const total = paths.hostCpuPath === undefined ? 4 : 5
  const step = (done: number, file: string): void => {
    if (context.signal?.aborted) throw new AppError('E_CANCELLED')
    context.onProgress?.({ stage: 'write', done, total, item: path.basename(file) })
  }
  try {
    step(0, paths.deployPath)
    const deployModel = buildDeployModel(source, plan, spill)
    const deploy = saveModel(deployModel, paths.deployPath)
    written.push(...deploy.files.map((file) => file.path))
    step(1, paths.fakeQuantPath)
    const fakeQuant = saveModel(buildFakeQuantModel(source, plan), paths.fakeQuantPath)
    written.push(...fakeQuant.files.map((file) => file.path))
    step(2, paths.quantJsonPath)
    const mapping = nodeMapping(source, deployModel, plan, sourceNodes(notes))
    writeFileAtomic(paths.quantJsonPath, `${JSON.stringify(mapping, null, 1)}\n`)
    written.push(paths.quantJsonPath)
    step(3, paths.recordPath)
    writeFileAtomic(paths.recordPath, formatRecords(planRecords(plan, balanceFactors)))
    written.push(paths.recordPath)
    const { hostCpuPath } = paths
    if (hostCpuPath !== undefined) step(4, hostCpuPath)
    const hostCpu = hostCpuPath && saveModel(buildHostCpuModel(deployModel, spill), hostCpuPath)
    context.onProgress?.({ stage: 'write', done: total, total })
    return { deploy, fakeQuant, ...(hostCpu && { hostCpu }) }
  } catch (error) {
    for (const file of written) rmSync(file, { force: true })
    throw error
  }
}

/**
 * Quantizes a model to INT8 by a recipe and writes the deploy model, its runnable twin, the node mapping and the record.
 * @throws E_QUANTIZE_SOURCE, E_QUANTIZE_NOTHING, E_LAYER_UNKNOWN, E_WEIGHT_NOT_FINITE, E_BIAS_OVERFLOW, E_FILE_WRITE,
 * E_CANCELLED, E_REPAIR_*, and what opening the model, opening the data set and calibrating throw. Nothing is left behind then.
 */
export async function quantizeModel(
  request: QuantizeRequest,
  context: WorkContext = {},
): Promise<QuantizationResult> {
  const { recipe } = request
  const paths = outputPaths(request.outputPrefix, request.hostCpuModel)
  Object.values(paths).forEach(checkWritable)
  const source = request.model ?? openModel(request.modelPath)
  checkFloatingPoint(source)
  const original = upgradeOpset(source, PER_CHANNEL_OPSET)
  checkSomething(original, selectLayers(original, recipe))
  const dataset = openDataset(request.dataset, modelInputs(original))

  const started = performance.now()
  using spill = new WeightSpill(paths.deployPath)
  const temporaryFolder = path.dirname(paths.deployPath)
  const prepared = await prepareModel(original, recipe, dataset, { store: spill, temporaryFolder }, context)
  const { model } = prepared
  const selection = selectLayers(model, recipe, original)
  const { chosen, weightOnly, pools } = selection
  const ranges = await calibrate(model, selection, dataset, temporaryFolder, context)
  const corrector = recipe.repair.bias_correction
    ? await biasCorrector(model, chosen, ranges, dataset, { temporaryFolder }, context)
    : undefined
  const sha256 = dataset.digest(context.signal)
  const calibrated = performance.now()
  const layers = [...chosen, ...weightOnly]
  const options = { ...rangeOptions(layers, temporaryFolder), spill, original }
  const rounding = await roundWeights(model, layers, ranges, dataset, recipe, options, context)
  const plan = planQuantization(model, chosen, ranges, spill, context, {
    weightOnly,
    pools,
    rounded: rounding.rounded,
    ...(corrector && { correctBias: corrector.correctBias }),
  })
  const planned = performance.now()
  const { deploy, fakeQuant, hostCpu } = writeAll(prepared, plan, paths, spill, context)
  const finished = performance.now()
  const inBranches = layersInBranches(model)

  return {
    ...paths,
    layers: layerReports(model, selection, plan, rounding.facts),
    ...(inBranches > 0 && { layersInBranches: inBranches }),
    repairs: [...prepared.notes, ...(corrector?.notes ?? [])],
    sizes: {
      source: sourceBytes(source),
      deploy: deploy.bytes,
      fakeQuant: fakeQuant.bytes,
      ...(hostCpu && { hostCpu: hostCpu.bytes }),
    },
    dataset: { samples: dataset.samples, sha256 },
    seconds: {
      calibrate: (calibrated - started) / 1000,
      quantize: (planned - calibrated) / 1000,
      write: (finished - planned) / 1000,
    },
  }
}
