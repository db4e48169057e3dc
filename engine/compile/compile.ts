// The simulated compiler: ONNX -> .om for a named SoC, with an executable payload and the cost of every kernel.
import path from 'node:path'
import type { CostTable, Precision } from '../../contract/cost.ts'
import { AppError } from '../../contract/errors/index.ts'
import type { OmGears, OmManifest, OmTensor } from '../../contract/om.ts'
import type { WorkContext } from '../../contract/work.ts'
import { checkWritable } from '../common/files.ts'
import { planKernels, pricePlan } from '../cost/estimate.ts'
import type { KernelPlan } from '../cost/estimate.ts'
import { GraphView } from '../cost/graph-view.ts'
import type { ValueTypes } from '../cost/graph-view.ts'
import { costValidation } from '../cost/profile.ts'
import { socSpec } from '../cost/soc.ts'
import { MAX_PROTOBUF_BYTES, cloneModel, inferShapes, openModel, validateModel } from '../onnx/index.ts'
import type { Model, Tensor } from '../onnx/index.ts'
import { encodeModel } from '../onnx/encode.ts'
import { encodeCostTable } from './cost-table.ts'
import { planShapes } from './input-shapes.ts'
import type { ShapePlan } from './input-shapes.ts'
import { lowerModel } from './lower.ts'
import { peakMemory } from './memory.ts'
import { layoutOf, modelOps } from './model-graph.ts'
import type { PlacedWeight } from './model-graph.ts'
import { encodeInOutInfo, gearOutputShapes } from './om-inout.ts'
import { GEAR_INPUT, Partition, typeByOnnx } from './om-layout.ts'
import { encodeModelDef } from './om-model-def.ts'
import { bytesPartition, encodeKernelStore, writeOm } from './om-writer.ts'
import { prepareModel } from './prepare.ts'
import { WeightStore, weightBytes } from './weights.ts'

/** Written as `atc_version`; a real ATC writes its own version there. */
export const COMPILER_ID = 'ascendsim-1'

export interface CompileRequest {
  modelPath: string
  soc: string
  precision: Precision
  outputPath: string
  /** Sizes of inputs that the model leaves open; -1 where the gears decide. */
  inputShapes?: Record<string, number[]>
  gears?: OmGears
}

export interface CompileResult {
  path: string
  bytes: number
  manifest: OmManifest
  /** Of the largest gear. */
  cost: CostTable
}

interface Analysis {
  /** Types and shapes per gear. */
  types: ValueTypes[]
  views: GraphView[]
  plan: KernelPlan
  /** Index of the gear with the most data: memory and buffer sizes follow it. */
  largest: number
}

function checkCancelled(ctx: WorkContext): void {
  if (ctx.signal?.aborted) throw new AppError('E_CANCELLED')
}

function isQuantized(model: Model): boolean {
  const integer = ['AscendQuant', 'NPUWeightQuantBatchMatmulV2']
  return model.graph.nodes.some((node) => node.domain === '' && integer.includes(node.opType))
}

/** Puts the declared input shapes into the model; -1 becomes a symbol. */
function fixInputs(model: Model, shapes: ShapePlan): void {
  for (const info of model.graph.inputs) {
    info.shape = shapes.declared[info.name]!.map((size, axis) =>
      size < 0 ? { symbol: `gear_${info.name}_${axis}` } : { value: size },
    )
  }
}

function analyse(model: Model, shapes: ShapePlan): Analysis {
  const types = shapes.gearShapes.map((inputShapes) => inferShapes(model, inputShapes))
  const views = types.map((gear) => new GraphView(model.graph, gear))
  const sizes = views.map((view) =>
    model.graph.inputs.reduce((sum, info) => sum + view.elements(info.name), 0),
  )
  const largest = sizes.indexOf(Math.max(...sizes))
  return { types, views, plan: planKernels(views[largest]!), largest }
}

function describe(name: string, analysis: Analysis, path: string): OmTensor {
  const { types, views, largest } = analysis
  const type = types[largest]!.get(name)
  const numbers = type && typeByOnnx(type.dataType)
  const dims = views[largest]!.dims(name)
  if (!numbers || !dims) {
    const reason = 'its type or shape is unknown'
    throw new AppError('E_COMPILE_UNSUPPORTED', { path, node: name, opType: 'output', reason })
  }
  const varying = dims.map((dim, axis) => (views.every((view) => view.dims(name)?.[axis] === dim) ? dim : -1))
  const size = Math.ceil(views[largest]!.elements(name) * numbers.bytes)
  return { name, dataType: numbers.name, format: layoutOf(dims), dims: varying, size }
}

/** The helper input that carries the gear: one int64 per gear value. */
function gearInput(gears: OmGears): OmTensor {
  const first = gears.values[0]!
  const count = typeof first === 'number' ? 1 : first.length
  return { name: GEAR_INPUT, dataType: 'int64', format: 'ND', dims: [count], size: 8 * count }
}

function fixOutputs(model: Model, outputs: readonly OmTensor[]): void {
  model.graph.outputs.forEach((info, index) => {
    info.shape = outputs[index]!.dims.map((dim) => (dim < 0 ? {} : { value: dim }))
  })
}

/** Positions of the weights' bytes in the encoded payload. */
function placeWeights(
  payload: Model,
  chunks: readonly { offset: number; length: number; value: Uint8Array | Tensor }[],
) {
  const placed = new Map<string, PlacedWeight>()
  for (const { offset, length, value } of chunks) {
    if (!(value instanceof Uint8Array)) placed.set(value.name, { tensor: value, offset, length })
  }
  for (const [name, tensor] of payload.graph.initializers) {
    if (!placed.has(name) && weightBytes(tensor) === 0) placed.set(name, { tensor, offset: 0, length: 0 })
  }
  return placed
}

function commandLine(request: CompileRequest): string {
  const shapes = Object.entries(request.inputShapes ?? {}).map(([name, dims]) => `${name}:${dims.join(',')}`)
  const parts = [
    'aqw compile',
    `--model=${path.basename(request.modelPath)}`,
    '--framework=5',
    `--output=${path.basename(request.outputPath)}`,
    `--soc_version=${request.soc}`,
    `--precision=${request.precision}`,
  ]
  if (shapes.length > 0) parts.push(`--input_shape="${shapes.join(';')}"`)
  return parts.join(' ')
}

function modelName(request: CompileRequest): string {
  return path.basename(request.outputPath).replace(/\.om$/, '')
}

interface Sizes {
  memory: number
  weights: number
  payload: number
}

function modelDef(
  request: CompileRequest,
  analysis: Analysis,
  weights: ReadonlyMap<string, PlacedWeight>,
  io: { inputs: readonly OmTensor[]; outputs: readonly OmTensor[] },
  sizes: Sizes,
): Uint8Array {
  const view = analysis.views[analysis.largest]!
  return encodeModelDef({
    name: modelName(request),
    ops: modelOps(view, analysis.plan, weights, io.inputs, io.outputs),
    attributes: {
      soc_version: { kind: 'string', value: request.soc },
      atc_version: { kind: 'string', value: COMPILER_ID },
      atc_cmdline: { kind: 'string', value: commandLine(request) },
      framework_type: { kind: 'int', value: 5 },
      memory_size: { kind: 'int', value: sizes.memory },
      weight_size: { kind: 'int', value: sizes.weights },
      stream_num: { kind: 'int', value: 1 },
      event_num: { kind: 'int', value: 0 },
      om_info_list: { kind: 'ints', value: [sizes.payload, 0, 0, 0, 0] },
      attr_model_out_nodes_name: { kind: 'strings', value: io.outputs.map((output) => output.name) },
    },
  })
}

/** ModelTaskDef with its first field, a version: a simulated model has no device tasks. */
const TASK_INFO = Uint8Array.from([0x0a, COMPILER_ID.length, ...Buffer.from(COMPILER_ID)])

function compileOpened(source: Model, request: CompileRequest, ctx: WorkContext): CompileResult {
  const { modelPath } = request
  const soc = socSpec(request.soc)
  const quantized = isQuantized(source)
  if (request.precision === 'int8' && !quantized)
    throw new AppError('E_COMPILE_PRECISION', { path: modelPath })
  const precision: Precision = quantized && request.precision === 'fp16' ? 'int8' : request.precision
  const half = precision !== 'fp32'
  const model = cloneModel(source)
  const shapes = planShapes(model, request.inputShapes ?? {}, request.gears ?? null, modelPath)
  fixInputs(model, shapes)
  prepareModel(model, half)
  const analysis = analyse(model, shapes)
  ctx.onProgress?.({ stage: 'compile', done: 1, total: 3, item: 'estimate' })
  checkCancelled(ctx)
  const costs = analysis.views.map((view) =>
    pricePlan(analysis.plan, view, { soc, precision, path: modelPath }),
  )
  const inputs = model.graph.inputs.map((info) => describe(info.name, analysis, modelPath))
  const outputs = model.graph.outputs.map((info) => describe(info.name, analysis, modelPath))
  fixOutputs(model, outputs)
  const weights = new WeightStore()
  try {
    const options = { path: modelPath, half, quantInHalf: half && !request.soc.startsWith('Ascend950') }
    const payload = lowerModel(
      model,
      analysis.types[analysis.largest]!,
      analysis.plan.kernels,
      weights,
      options,
    )
    const encoded = encodeModel(payload)
    if (encoded.length > MAX_PROTOBUF_BYTES) {
      throw new AppError('E_COMPILE_TOO_LARGE', {
        path: modelPath,
        actual: encoded.length,
        limit: MAX_PROTOBUF_BYTES,
      })
    }
    const chunks = encoded.chunks()
    const placed = placeWeights(payload, chunks)
    const sizes: Sizes = {
      memory: peakMemory(analysis.views[analysis.largest]!, analysis.plan, precision),
      weights: [...payload.graph.initializers.values()].reduce((sum, tensor) => sum + weightBytes(tensor), 0),
      payload: encoded.length,
    }
    const manifest: OmManifest = {
      schema: 'aqw.om-manifest/1',
      compiler: COMPILER_ID,
      name: modelName(request),
      soc: soc.name,
      precision,
      source: { file: path.basename(modelPath), bytes: sourceBytes(source) },
      inputs,
      outputs,
      gears: shapes.gears,
      memoryBytes: sizes.memory,
      weightBytes: sizes.weights,
      validation: costValidation(soc),
      costs,
    }
    const allInputs = shapes.gears ? [...inputs, gearInput(shapes.gears)] : inputs
    const outputShapes = shapes.gears
      ? gearOutputShapes(analysis.views.map((view) => outputs.map((output) => view.dims(output.name) ?? [])))
      : []
    ctx.onProgress?.({ stage: 'compile', done: 2, total: 3, item: 'write' })
    const bytes = writeOm(request.outputPath, manifest.name, [
      bytesPartition(
        Partition.MODEL_INOUT_INFO,
        encodeInOutInfo({ inputs: allInputs, outputs, gears: shapes.gears, outputShapes }),
      ),
      bytesPartition(
        Partition.MODEL_DEF,
        modelDef(request, analysis, placed, { inputs: allInputs, outputs }, sizes),
      ),
      {
        type: Partition.WEIGHTS_DATA,
        length: encoded.length,
        write(sink) {
          for (const { value } of chunks) {
            checkCancelled(ctx)
            if (value instanceof Uint8Array) sink(value)
            else weights.write(value, sink)
          }
        },
      },
      bytesPartition(
        Partition.TBE_KERNELS,
        encodeKernelStore(JSON.stringify(manifest), encodeCostTable(costs)),
      ),
      bytesPartition(Partition.TASK_INFO, TASK_INFO),
    ])
    ctx.onProgress?.({ stage: 'compile', done: 3, total: 3 })
    return { path: request.outputPath, bytes, manifest, cost: costs[analysis.largest]! }
  } finally {
    weights.close()
  }
}

function sourceBytes(model: Model): number {
  let bytes = 0
  for (const tensor of model.graph.initializers.values()) bytes += weightBytes(tensor)
  return bytes
}

/**
 * Compiles an ONNX model (float, or the deploy model of a quantization) for a simulated device.
 *
 * `fp16` stores FP16 weights and rounds at kernel boundaries; `int8` needs AscendQuant nodes (a model that has them is
 * compiled as int8 also when `fp16` is asked for: what is not quantized is FP16); `fp32` keeps everything.
 * @throws E_SOC_UNKNOWN, E_COMPILE_*, E_ONNX_*, E_FILE_*, E_CANCELLED; nothing is left behind then
 */
export async function compileModel(request: CompileRequest, ctx: WorkContext = {}): Promise<CompileResult> {
  socSpec(request.soc)
  checkWritable(request.outputPath)
  checkCancelled(ctx)
  ctx.onProgress?.({ stage: 'compile', done: 0, total: 3, item: 'read' })
  const source = openModel(request.modelPath)
  validateModel(source)
  return compileOpened(source, request, ctx)
}
