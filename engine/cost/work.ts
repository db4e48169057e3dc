// From a fused kernel and the shapes of its tensors to the work it does: cube tiles, bytes, vector instructions.
import type { Precision } from '../../contract/cost.ts'
import { AppError } from '../../contract/errors/index.ts'
import type { Node } from '../onnx/index.ts'
import {
  DataType,
  elementSize,
  intAttribute,
  intsAttribute,
  nodeLabel,
  packedInt4Axis,
} from '../onnx/index.ts'
import { kernelInputs, kernelOutputs } from './fusion.ts'
import type { FusedKernel } from './fusion.ts'
import type { GraphView } from './graph-view.ts'
import type { KernelWork } from './kernel-time.ts'
import { GATHER_FACTOR, NORM_FACTOR, vectorFactor } from './op-classes.ts'

export interface KernelFigures {
  work: KernelWork
  macs: number
  precision: Precision
}

/** Bytes along K that one cube tile takes: 16 FP16, 32 INT8 or 8 FP32 values (platform ini, DtypeMKN). */
const TILE_K_BYTES = 32
const TILE = 16

const ceilDiv = (value: number, divisor: number): number => Math.ceil(value / divisor)
const product = (values: readonly number[]): number => values.reduce((result, value) => result * value, 1)

/** How a model's tensors are held on the device. */
export class WorkModel {
  private readonly view: GraphView
  private readonly precision: Precision
  /** Values in NC1HWC0, whose channels are padded to 32 bytes. */
  private readonly blocked: ReadonlySet<string>

  constructor(view: GraphView, precision: Precision, blocked: ReadonlySet<string>) {
    this.view = view
    this.precision = precision
    this.blocked = blocked
  }

  /** Device bytes of one element; FLOAT shrinks to FP16 unless the model is compiled as FP32. */
  elementBytes(name: string): number {
    const type = this.view.types.get(name)?.dataType ?? DataType.FLOAT
    if (type === DataType.FLOAT) return this.precision === 'fp32' ? 4 : 2
    return elementSize(type) || 1
  }

  /** Elements as held in memory: channels padded in NC1HWC0. */
  paddedElements(name: string): number {
    const dims = this.view.dims(name)
    if (!dims) return 0
    if (!this.blocked.has(this.view.resolve(name)) || dims.length < 3) return product(dims)
    const block = TILE_K_BYTES / Math.max(1, Math.min(2, this.elementBytes(name)))
    return dims[0]! * ceilDiv(dims[1]!, block) * block * product(dims.slice(2))
  }

  bytes(name: string): number {
    return this.paddedElements(name) * this.elementBytes(name)
  }

  /** @throws E_COMPILE_UNSUPPORTED when a shape is unknown */
  figures(kernel: FusedKernel, path: string): KernelFigures {
    const inputs = kernelInputs(this.view, kernel)
    const outputs = kernelOutputs(this.view, kernel)
    for (const name of [...inputs, ...outputs]) {
      if (this.view.dims(name)) continue
      const reason = `the shape of "${name}" is unknown`
      const { opType } = kernel.main
      throw new AppError('E_COMPILE_UNSUPPORTED', { path, node: nodeLabel(kernel.main), opType, reason })
    }
    const activationBytes = [...inputs, ...outputs].reduce((sum, name) => sum + this.bytes(name), 0)
    const vectorElements = this.vectorElements(kernel)
    const base = { activationBytes, vectorElements, copy: kernel.kind === 'move', weightBytes: 0 }
    if (kernel.kind === 'convolution') return this.convolution(kernel.main, base)
    if (kernel.kind === 'matmul') return this.matmul(kernel.main, base)
    const idle = { m: 0, n: 0, k: 0, repeats: 0, batch: 1, cubeClass: 'none' as const }
    return { work: { ...base, ...idle }, macs: 0, precision: this.precision === 'fp32' ? 'fp32' : 'fp16' }
  }

  private isInt8(name: string): boolean {
    const type = this.view.types.get(name)?.dataType ?? this.view.graph.initializers.get(name)?.dataType
    return type === DataType.INT8 || type === DataType.UINT8
  }

  private operandBytes(node: Node): number {
    if (this.isInt8(node.inputs[0]!)) return 1
    return this.precision === 'fp32' ? 4 : 2
  }

  /** Bytes of one element of the weight: INT4 in pairs, INT8, or the type of the operands. */
  private weightElementBytes(node: Node): number {
    const [input = '', weight = ''] = node.inputs
    const stored = this.view.graph.initializers.get(weight)
    if (stored?.dataType !== DataType.INT8) return this.operandBytes(node)
    return packedInt4Axis(node, stored.dims, this.view.dims(input)) === undefined ? 1 : 0.5
  }

  private operandPrecision(node: Node): Precision {
    if (this.isInt8(node.inputs[0]!)) return 'int8'
    return this.precision === 'fp32' ? 'fp32' : 'fp16'
  }

  private convolution(
    node: Node,
    base: Omit<KernelWork, 'm' | 'n' | 'k' | 'repeats' | 'batch' | 'cubeClass'>,
  ) {
    const input = this.dimsOf(node.inputs[0]!)
    const output = this.dimsOf(node.outputs[0]!)
    const weight = this.dimsOf(node.inputs[1]!)
    const group = intAttribute(node, 'group', 1)
    const transposed = node.opType === 'ConvTranspose'
    const batch = input[0] ?? 1
    const channelsIn = input[1]! / group
    const channelsOut = output[1]! / group
    const kernelSize = product(weight.slice(2))
    // A transposed convolution multiplies every input position with the whole kernel.
    const positions = product((transposed ? input : output).slice(2))
    const depthwise = group > 1 && channelsIn === 1
    const operand = this.operandBytes(node)
    // Depthwise stays at FP16 tiles: its K is one channel, so a wider INT8 tile is not filled.
    const tileK = depthwise ? TILE : TILE_K_BYTES / operand
    // Small groups share a tile until 16 input or output channels are together.
    const packed = Math.min(group, Math.max(1, Math.floor(TILE / Math.max(channelsIn, channelsOut))))
    const work: KernelWork = {
      ...base,
      cubeClass: depthwise ? 'depthwise' : 'convolution',
      m: batch * ceilDiv(positions, TILE),
      n: ceilDiv(channelsOut * packed, TILE),
      k: ceilDiv(channelsIn * packed, tileK) * kernelSize,
      repeats: ceilDiv(group, packed),
      batch,
      weightBytes: 0,
    }
    work.weightBytes = work.n * TILE * work.k * tileK * work.repeats * this.weightElementBytes(node)
    const macs = batch * positions * channelsIn * channelsOut * group * kernelSize
    return { work, macs, precision: this.operandPrecision(node) }
  }

  private matmul(node: Node, base: Omit<KernelWork, 'm' | 'n' | 'k' | 'repeats' | 'batch' | 'cubeClass'>) {
    const a = this.dimsOf(node.inputs[0]!)
    const b = this.dimsOf(node.inputs[1]!)
    const output = this.dimsOf(node.outputs[0]!)
    const isGemm = node.opType === 'Gemm'
    const transA = isGemm && intAttribute(node, 'transA', 0) === 1
    const k = (transA ? a.at(-2) : a.at(-1)) ?? 1
    const n = output.at(-1) ?? 1
    const constant = this.view.isStatic(node.inputs[1]!)
    const broadcast = constant && b.length <= 2
    const rows = product(output) / n
    const repeats = broadcast ? 1 : product(output.slice(0, -2))
    const operand = this.operandBytes(node)
    const tilesK = ceilDiv(k, TILE_K_BYTES / operand)
    const tilesN = ceilDiv(n, TILE)
    const work: KernelWork = {
      ...base,
      // The classifier of a network was fitted as a convolution (kind "fc"), every other product as a matmul.
      cubeClass: isGemm && output.length === 2 ? 'convolution' : 'matmul',
      m: ceilDiv(rows / repeats, TILE),
      n: tilesN,
      k: tilesK,
      repeats,
      batch: broadcast ? (output.length > 1 ? output[0]! : 1) : 1,
      weightBytes: constant
        ? tilesN *
          TILE *
          tilesK *
          (TILE_K_BYTES / operand) *
          this.weightElementBytes(node) *
          (broadcast ? 1 : repeats)
        : 0,
    }
    // The vector unit turns the INT8 weight into FP16 for the cube.
    if (node.opType === 'NPUWeightQuantBatchMatmulV2')
      work.vectorElements += vectorFactor('AscendAntiQuant') * n * k
    return { work, macs: rows * n * k, precision: this.operandPrecision(node) }
  }

  private dimsOf(name: string): number[] {
    return this.view.dims(name) ?? []
  }

  private vectorElements(kernel: FusedKernel): number {
    const { main } = kernel
    const output = main.outputs.find((name) => name !== '')!
    const outputElements = this.paddedElements(output)
    switch (kernel.kind) {
      case 'convolution':
      case 'matmul':
        // Moving the accumulator out costs one instruction per element; bias and folded normalisation are free.
        return outputElements + this.epilogueElements(kernel, (node) => node !== main)
      case 'norm':
      case 'softmax':
        return NORM_FACTOR * Math.max(outputElements, this.paddedElements(main.inputs[0]!))
      case 'pool':
        return (
          this.poolElements(main, outputElements) + this.epilogueElements(kernel, (node) => node !== main)
        )
      case 'reduce':
        return this.paddedElements(main.inputs[0]!)
      case 'move':
        return main.opType.startsWith('Gather') ? GATHER_FACTOR * outputElements : 0
      case 'elementwise':
      case 'quantize':
      case 'other':
        return this.epilogueElements(kernel, () => true)
    }
  }

  /** Element-wise work; requantisation in a cube kernel is free, as are bias and batch normalisation. */
  private epilogueElements(kernel: FusedKernel, include: (node: Node) => boolean): number {
    const cube = kernel.kind === 'convolution' || kernel.kind === 'matmul'
    let total = 0
    for (const node of kernel.nodes) {
      if (!include(node) || this.view.isFree(node)) continue
      const free =
        cube &&
        (node.opType === 'AscendQuant' ||
          node.opType === 'AscendDequant' ||
          node.opType === 'BatchNormalization' ||
          (node.opType === 'Add' && this.view.dataInputs(node).length === 1))
      if (free) continue
      // A dequantisation that found no cube kernel is a cast and a multiplication of every element.
      const factor = node.opType === 'AscendDequant' ? 2 : vectorFactor(node.opType)
      const output = node.outputs.find((name) => name !== '')
      if (output) total += factor * this.paddedElements(output)
    }
    return total
  }

  private poolElements(node: Node, outputElements: number): number {
    if (node.opType.startsWith('Global')) return this.paddedElements(node.inputs[0]!)
    return outputElements * product(intsAttribute(node, 'kernel_shape', [1]))
  }
}
