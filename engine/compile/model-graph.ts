// The compiled graph as operators of ModelDef: Data, Const, one operator per kernel, TransData, NetOutput.
import type { OmTensor } from '../../contract/om.ts'
import { deviceType } from '../cost/estimate.ts'
import type { KernelPlan } from '../cost/estimate.ts'
import { kernelInputs, kernelOutputs } from '../cost/fusion.ts'
import type { FusedKernel } from '../cost/fusion.ts'
import type { GraphView } from '../cost/graph-view.ts'
import { DataType, nodeLabel, packedInt4Axis, unpackedDims } from '../onnx/index.ts'
import type { Tensor } from '../onnx/index.ts'
import { PACKED_SUFFIX } from './integer-nodes.ts'
import { paddedBytes, typeByName, typeByOnnx } from './om-layout.ts'
import type { OmOp, OmTensorDesc } from './om-model-def.ts'

/** A weight of the payload and where its bytes are. */
export interface PlacedWeight {
  tensor: Tensor
  offset: number
  length: number
}

/** The integers of a weight that the payload holds in pairs: INT4, with the packed dimension doubled. */
function int4Dims(view: GraphView, name: string): readonly number[] | undefined {
  const stored = view.graph.initializers.get(name)?.dims
  if (!stored) return undefined
  const reader = (view.consumers.get(name) ?? []).find((node) => node.inputs[1] === name)
  const input = reader && view.dims(reader.inputs[0]!)
  return reader && packedInt4Axis(reader, stored, input ?? null) !== undefined
    ? unpackedDims(reader, stored, input ?? null)
    : undefined
}

/** 4-D tensors are NCHW for ATC (--input_format=NCHW), all others ND. */
export function layoutOf(dims: readonly number[]): string {
  return dims.length === 4 ? 'NCHW' : 'ND'
}

class ModelGraph {
  private readonly view: GraphView
  private readonly weights: ReadonlyMap<string, PlacedWeight>
  private readonly ops: OmOp[] = []
  private readonly sources = new Map<string, { op: string; index: number }>()
  private readonly constants = new Set<string>()

  constructor(view: GraphView, weights: ReadonlyMap<string, PlacedWeight>) {
    this.view = view
    this.weights = weights
  }

  build(plan: KernelPlan, inputs: readonly OmTensor[], outputs: readonly OmTensor[]): OmOp[] {
    inputs.forEach((input, index) => this.data(input, index))
    plan.kernels.forEach((kernel, index) => {
      this.convert(plan, index)
      this.kernel(kernel)
    })
    this.convert(plan, plan.kernels.length)
    this.netOutput(outputs)
    return this.ops
  }

  private ioDesc(tensor: OmTensor): OmTensorDesc {
    const dataType = typeByName(tensor.dataType)?.ge ?? 0
    const { name, dims, format, size } = tensor
    return { name, dataType, dims, layout: format, size }
  }

  private desc(value: string): OmTensorDesc {
    const dims = this.view.dims(value) ?? []
    const type = typeByOnnx(this.view.types.get(value)?.dataType ?? 0)
    const size = paddedBytes(this.view.elements(value) * (type?.bytes ?? 0))
    return { name: value, dataType: type?.ge ?? 0, dims, layout: layoutOf(dims), size }
  }

  private data(input: OmTensor, index: number): void {
    const desc = this.ioDesc(input)
    this.ops.push({
      name: input.name,
      type: 'Data',
      inputs: [],
      inputDescs: [desc],
      outputDescs: [{ ...desc, size: paddedBytes(desc.size) }],
      attributes: { index: { kind: 'int', value: index } },
    })
    this.sources.set(input.name, { op: input.name, index: 0 })
  }

  private constant(placed: PlacedWeight, name: string): { op: string; index: number } {
    const { tensor, offset, length } = placed
    const packed = tensor.name === name + PACKED_SUFFIX ? int4Dims(this.view, name) : undefined
    const dims = packed ?? tensor.dims
    const desc: OmTensorDesc = {
      name: tensor.name,
      dataType: typeByOnnx(packed ? DataType.INT4 : tensor.dataType)?.ge ?? 0,
      dims: [...dims],
      layout: layoutOf(dims),
      size: length,
      weight: { offset, length },
    }
    if (!this.constants.has(tensor.name)) {
      this.constants.add(tensor.name)
      const attributes = { value: { kind: 'tensor' as const, value: desc } }
      this.ops.push({
        name: tensor.name,
        type: 'Const',
        inputs: [],
        inputDescs: [],
        outputDescs: [desc],
        attributes,
      })
    }
    return { op: tensor.name, index: 0 }
  }

  /** The weight behind a name of the source model: rounded and packed ones have a suffix in the payload. */
  private weightOf(name: string): PlacedWeight | undefined {
    return (
      this.weights.get(`${name}.fp16`) ?? this.weights.get(name + PACKED_SUFFIX) ?? this.weights.get(name)
    )
  }

  private kernel(kernel: FusedKernel): void {
    const inputs: { op: string; index: number }[] = []
    const inputDescs: OmTensorDesc[] = []
    for (const value of kernelInputs(this.view, kernel)) {
      const source = this.sources.get(value) ?? this.sources.get(this.view.resolve(value))
      if (!source) continue
      inputs.push(source)
      inputDescs.push(this.desc(value))
    }
    for (const name of new Set(kernel.nodes.flatMap((node) => node.inputs))) {
      const placed = this.view.isStatic(name) ? this.weightOf(name) : undefined
      if (!placed) continue
      inputs.push(this.constant(placed, name))
      inputDescs.push(this.desc(name))
    }
    const outputs = kernelOutputs(this.view, kernel)
    const name = nodeLabel(kernel.main)
    outputs.forEach((output, index) => this.sources.set(output, { op: name, index }))
    const originals = kernel.nodes.map(nodeLabel)
    this.ops.push({
      name,
      type: deviceType(kernel),
      inputs,
      inputDescs,
      outputDescs: outputs.map((output) => this.desc(output)),
      attributes: { _datadump_original_op_names: { kind: 'strings', value: originals } },
    })
  }

  private convert(plan: KernelPlan, before: number): void {
    for (const { before: at, value } of plan.layout.conversions) {
      const source = this.sources.get(value) ?? this.sources.get(this.view.resolve(value))
      if (at !== before || !source) continue
      const name = `trans_TransData_${value}`
      const desc = this.desc(value)
      this.ops.push({
        name,
        type: 'TransData',
        inputs: [source],
        inputDescs: [desc],
        outputDescs: [desc],
        attributes: {},
      })
      this.sources.set(value, { op: name, index: 0 })
    }
  }

  private netOutput(outputs: readonly OmTensor[]): void {
    const sources = outputs.map(
      (output) =>
        this.sources.get(output.name) ??
        this.sources.get(this.view.resolve(output.name)) ?? { op: output.name, index: 0 },
    )
    this.ops.push({
      name: 'Node_Output',
      type: 'NetOutput',
      inputs: sources,
      inputDescs: outputs.map((output) => this.ioDesc(output)),
      outputDescs: [],
      attributes: {},
    })
  }
}

/** Operators of the compiled model, in execution order. */
export function modelOps(
  view: GraphView,
  plan: KernelPlan,
  weights: ReadonlyMap<string, PlacedWeight>,
  inputs: readonly OmTensor[],
  outputs: readonly OmTensor[],
): OmOp[] {
  return new ModelGraph(view, weights).build(plan, inputs, outputs)
}
