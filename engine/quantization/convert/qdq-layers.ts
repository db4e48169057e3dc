// What is quantized in a QDQ model: integer layers, average pooling, inputs of additions; and what cannot stay quantized.
import { AppError } from '../../../contract/errors/index.ts'
import { type InteropNote, makeNote } from '../../../contract/interop.ts'
import {
  DataType,
  floatAttribute,
  type Graph,
  type GraphIndex,
  indexGraph,
  intAttribute,
  intsAttribute,
  type Model,
  type Node,
  nodeLabel,
  tensorToFloat32,
  tensorToNumbers,
} from '../../onnx/index.ts'
import { ConstantReader, isPair, type QuantizedConstant } from './constants.ts'
import { type ConstantBias, type IntegerWeight, integerWeight } from './layer-weights.ts'
import { type Grid, PairReader } from './pairs.ts'

/** A layer that computes on integers. Values are named as in the QDQ model. */
export interface FoundLayer {
  node: Node
  grid: Grid
  /** The DequantizeLinear output it reads. */
  input: string
  weight: IntegerWeight
  weightName: string
  bias?: ConstantBias
  /** The Add behind a MatMul that holds its bias. */
  add?: Node
}

export interface FoundPool {
  node: Node
  /** What reads the quantized tensor: the pooling, or the Pad that belongs to it. */
  reader: Node
  grid: Grid
  input: string
}

/** An input of an Add that is quantized on its own. */
export interface FoundInput {
  node: Node
  position: number
  grid: Grid
  input: string
}

const LAYERS = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul']
const LISTED = 3

/** Names of nodes for a message. */
export function nodeNames(nodes: readonly Node[]): string {
  const labels = nodes.map((node) => `${nodeLabel(node)} (${node.opType})`)
  const more = labels.length - LISTED
  return more > 0 ? `${labels.slice(0, LISTED).join(', ')} (+${more})` : labels.join(', ')
}

export class QdqLayers {
  readonly graph: Graph
  readonly index: GraphIndex
  readonly constants: ConstantReader
  readonly pairs: PairReader
  readonly notes: InteropNote[] = []
  readonly #outputs: ReadonlySet<string>
  /** Readers of a DequantizeLinear for which the quantization lives on. */
  readonly #kept = new Map<Node, Set<Node>>()

  constructor(model: Model) {
    this.graph = model.graph
    this.index = indexGraph(model.graph)
    this.#outputs = new Set(model.graph.outputs.map((output) => output.name))
    this.constants = new ConstantReader(model.graph, this.index)
    this.pairs = new PairReader(this.index, this.constants, model.path ?? 'the model')
  }

  /** The DequantizeLinear of an activation that writes a value. */
  #dequantize(value: string | undefined): Node | undefined {
    const producer = this.index.producers.get(value ?? '')
    return producer && this.isActivationPair(producer) && producer.opType === 'DequantizeLinear'
      ? producer
      : undefined
  }

  /** A Q or DQ that is not about a constant. */
  isActivationPair(node: Node): boolean {
    if (!isPair(node) || this.constants.isConstantDequantize(node)) return false
    return this.constants.stored(node.inputs[0]) === undefined
  }

  #keep(dequantize: Node, reader: Node): void {
    this.#kept.set(dequantize, (this.#kept.get(dequantize) ?? new Set()).add(reader))
  }

  #float(node: Node, reason: string): undefined {
    this.notes.push(makeNote('layer_left_float', { opType: node.opType, layer: nodeLabel(node), reason }))
  }

  /** Why a layer with quantized operands cannot compute on integers. */
  #obstacle(node: Node, weight: QuantizedConstant, grid: Grid): string | undefined {
    const rank = weight.dims.length
    const product = node.opType === 'Gemm' || node.opType === 'MatMul'
    if (node.opType === 'Gemm') {
      if (intAttribute(node, 'transA', 0) !== 0) return 'transA is set'
      if (['alpha', 'beta'].some((name) => floatAttribute(node, name, 1) !== 1))
        return 'alpha or beta is not 1'
    }
    if (product) return rank === 2 ? undefined : 'its weight is no matrix'
    if (rank < 3 || rank > 5) return `its weight has ${rank} dimensions`
    if (rank < 5) return undefined
    if (intsAttribute(node, 'dilations', [1, 1, 1])[0] !== 1) return 'it is dilated in depth'
    return grid.offset === 0 ? undefined : 'a Conv3d takes symmetric inputs only'
  }

  /** A constant of one value per output channel. */
  #constantBias(value: string, channels: number): ConstantBias | undefined {
    const count = (dims: readonly number[]): boolean =>
      dims.at(-1) === channels && dims.slice(0, -1).every((dim) => dim === 1)
    const floats = this.constants.stored(value)
    if (floats) {
      const fits = floats.dataType === DataType.FLOAT || floats.dataType === DataType.FLOAT16
      return fits && count(floats.dims) ? { floats: tensorToFloat32(floats) } : undefined
    }
    const node = this.index.producers.get(value)
    if (!node || !this.constants.isConstantDequantize(node)) return undefined
    const integers = this.constants.stored(node.inputs[0])
    const steps = this.constants.stored(node.inputs[1])
    if (integers?.dataType === DataType.INT32 && steps && count(integers.dims)) {
      return { integers: Int32Array.from(tensorToNumbers(integers)), steps: tensorToFloat32(steps) }
    }
    const other = this.constants.floats(node)
    return other && count(other.dims) ? { floats: other.values } : undefined
  }

  /** The one node that reads a value, a pair in between looked through. */
  #onlyReader(value: string): { reader: Node; value: string } | undefined {
    let current = value
    for (;;) {
      const readers = this.index.consumers.get(current) ?? []
      const [reader] = readers
      if (readers.length !== 1 || !reader || this.#outputs.has(current)) return undefined
      if (!this.isActivationPair(reader)) return { reader, value: current }
      current = reader.outputs[0] ?? ''
    }
  }

  /** @returns what to add to the layer, or why it cannot be integer */
  #biasOf(node: Node, channels: number): Pick<FoundLayer, 'bias' | 'add'> | string {
    if (node.opType !== 'MatMul') {
      const name = node.inputs[2] ?? ''
      if (name === '') return {}
      const bias = this.#constantBias(name, channels)
      return bias ? { bias } : 'its bias is not one constant per output channel'
    }
    const next = this.#onlyReader(node.outputs[0] ?? '')
    if (next?.reader.opType !== 'Add' || next.reader.domain !== '') return {}
    const other = next.reader.inputs.find((input) => input !== next.value) ?? ''
    const bias = this.#constantBias(other, channels)
    return bias ? { bias, add: next.reader } : {}
  }

  /** @throws E_CONVERT_LAYER for a weight that Ascend has no form for */
  #layer(node: Node): FoundLayer | undefined {
    const dequantize = this.#dequantize(node.inputs[0])
    const weight = this.constants.find(node.inputs[1] ?? '')
    if (!dequantize || !weight) {
      if (weight) return this.#float(node, 'its input is not quantized')
      if (!dequantize) return undefined
      const dynamic = this.#dequantize(node.inputs[1]) !== undefined
      return this.#float(node, dynamic ? 'both operands are computed' : 'its weight is not quantized')
    }
    const expected = 'symmetric weights of 8 or 4 bits: zero point 0 (UINT8: 128)'
    if (weight.refused !== undefined) throw this.pairs.refuse(node, weight.refused, expected)
    const grid = this.pairs.grid(dequantize)
    const obstacle = this.#obstacle(node, weight, grid)
    if (obstacle !== undefined) return this.#float(node, obstacle)
    const transB = node.opType === 'Gemm' && intAttribute(node, 'transB', 0) !== 0
    const seen = transB ? { ...weight, transposed: !weight.transposed } : weight
    const integer = integerWeight(node, seen)
    if (!integer) {
      const reason = `the scales of its weight lie on dimension ${String(weight.axis)}`
      throw this.pairs.refuse(node, reason, 'one scale, or one per output channel')
    }
    const bias = this.#biasOf(node, this.#channels(node, integer.dims))
    if (typeof bias === 'string') return this.#float(node, bias)
    this.#keep(dequantize, node)
    const input = dequantize.outputs[0] ?? ''
    return { node, grid, input, weight: integer, weightName: weight.name, ...bias }
  }

  #channels(node: Node, dims: readonly number[]): number {
    if (node.opType === 'Conv') return dims[0] ?? 1
    return (dims[1] ?? 1) * (node.opType === 'ConvTranspose' ? intAttribute(node, 'group', 1) : 1)
  }

  layers(): FoundLayer[] {
    const candidates = this.graph.nodes.filter((node) => node.domain === '' && LAYERS.includes(node.opType))
    return candidates.flatMap((node) => this.#layer(node) ?? [])
  }

  pools(): FoundPool[] {
    return this.graph.nodes.flatMap((node): FoundPool[] => {
      if (node.opType !== 'AveragePool' || node.domain !== '') return []
      const before = this.index.producers.get(node.inputs[0] ?? '')
      const ownPad = before?.opType === 'Pad' && before.name === `${node.name}_pad` ? before : undefined
      const reader = ownPad && this.#onlyReader(node.inputs[0] ?? '') ? ownPad : node
      const dequantize = this.#dequantize(reader.inputs[0])
      if (!dequantize) return []
      const grid = this.pairs.grid(dequantize)
      if (grid.float16) return []
      this.#keep(dequantize, reader)
      return [{ node, reader, grid, input: dequantize.outputs[0] ?? '' }]
    })
  }

  /** @param biases Additions that are biases of their MatMul. */
  additions(biases: ReadonlySet<Node>): FoundInput[] {
    return this.graph.nodes.flatMap((node) => {
      if (node.opType !== 'Add' || node.domain !== '' || biases.has(node)) return []
      return node.inputs.flatMap((input, position): FoundInput[] => {
        const dequantize = this.#dequantize(input)
        if (!dequantize) return []
        const grid = this.pairs.grid(dequantize)
        if (grid.float16) return []
        this.#keep(dequantize, node)
        return [{ node, position, grid, input }]
      })
    })
  }

  /** Notes the pairs that some readers lose; call it once everything else is found. */
  noteDropped(): void {
    for (const node of this.graph.nodes) {
      if (node.opType !== 'DequantizeLinear' || !this.isActivationPair(node)) continue
      const kept = this.#kept.get(node)
      const readers = (this.index.consumers.get(node.outputs[0] ?? '') ?? []).filter(
        (reader) => !kept?.has(reader) && !isPair(reader),
      )
      if (readers.length === 0) continue
      const tensor = this.behind(node.outputs[0] ?? '')
      this.notes.push(makeNote('pair_dropped', { tensor, readers: nodeNames(readers) }))
    }
  }

  /** What a value is called once pairs hand their input on. */
  behind(value: string): string {
    let current = value
    for (;;) {
      const producer = this.index.producers.get(current)
      if (!producer || !this.isActivationPair(producer)) return current
      current = producer.inputs[0] ?? ''
    }
  }

  /** An overflowing bias, which the layer cannot have on the grid of its input and weight. */
  overflow(layer: FoundLayer, channel: number, value: number): AppError {
    return new AppError('E_BIAS_OVERFLOW', {
      layer: nodeLabel(layer.node),
      channel,
      value,
      bias: 'of the model',
      step: 'of its input times its weight',
    })
  }
}
