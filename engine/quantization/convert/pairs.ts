// Pairs of QuantizeLinear and DequantizeLinear on activations: where each DequantizeLinear's integers come from, and on
// what grid they lie.
import { AppError } from '../../../contract/errors/index.ts'
import {
  DataType,
  dataTypeName,
  type Graph,
  type GraphIndex,
  type Node,
  nodeLabel,
  tensorToNumbers,
} from '../../onnx/index.ts'
import type { ConstantReader } from './constants.ts'

/** The grid of an activation tensor, in Ascend's sense: q = round(x / scale) + offset, int8. */
export interface Grid {
  scale: number
  offset: number
  /** uint8 values are the int8 ones plus this. */
  shift: 0 | 128
  float16: boolean
}

/** Operators that exporters leave between Q and DQ: they move integers, or choose among them. */
const MOVING = new Set([
  'Concat',
  'DepthToSpace',
  'Expand',
  'Flatten',
  'Gather',
  'Identity',
  'MaxPool',
  'Reshape',
  'Slice',
  'SpaceToDepth',
  'Split',
  'Squeeze',
  'Tile',
  'Transpose',
  'Unsqueeze',
])

export class PairReader {
  readonly #index: GraphIndex
  readonly #constants: ConstantReader
  readonly #path: string

  constructor(index: GraphIndex, constants: ConstantReader, path: string) {
    this.#index = index
    this.#constants = constants
    this.#path = path
  }

  refuse(node: Node, reason: string, expected: string): AppError {
    return new AppError('E_CONVERT_LAYER', {
      path: this.#path,
      opType: node.opType,
      layer: nodeLabel(node),
      reason,
      expected,
    })
  }

  /** Factors of a QuantizeLinear or DequantizeLinear of an activation. @throws E_CONVERT_LAYER */
  grid(node: Node): Grid {
    const scale = this.#constants.stored(node.inputs[1])
    if (!scale) throw this.refuse(node, 'its scale is computed', 'a constant scale')
    const scales = tensorToNumbers(scale)
    if (scales.length !== 1)
      throw this.refuse(
        node,
        `it has ${scales.length} scales`,
        'one scale: only weights may have one per channel',
      )
    const point = this.#constants.stored(node.inputs[2])
    if ((node.inputs[2] ?? '') !== '' && !point) {
      throw this.refuse(node, 'its zero point is computed', 'a constant zero point')
    }
    // Without a zero point QuantizeLinear makes uint8.
    const dataType = point?.dataType ?? DataType.UINT8
    if (dataType !== DataType.INT8 && dataType !== DataType.UINT8) {
      throw this.refuse(node, `it quantizes to ${dataTypeName(dataType)}`, 'UINT8 or INT8 activations')
    }
    const value = point ? (tensorToNumbers(point)[0] ?? 0) : 0
    const shift = dataType === DataType.UINT8 ? 128 : 0
    return {
      scale: scales[0] as number,
      offset: value - shift,
      shift,
      float16: scale.dataType === DataType.FLOAT16,
    }
  }

  /** The QuantizeLinear whose integers a value holds, through operators that move them. */
  #source(value: string): Node | undefined {
    let current = value
    for (;;) {
      const producer = this.#index.producers.get(current)
      if (producer?.domain !== '') return undefined
      if (producer.opType === 'QuantizeLinear') return producer
      if (!MOVING.has(producer.opType)) return undefined
      current = producer.inputs[0] ?? ''
    }
  }

  /** Checks every DequantizeLinear of an activation against its QuantizeLinear. @throws E_CONVERT_LAYER */
  check(graph: Graph): void {
    for (const node of graph.nodes) {
      if (node.domain !== '' || node.opType !== 'DequantizeLinear') continue
      if (this.#constants.isConstantDequantize(node)) continue
      const source = this.#source(node.inputs[0] ?? '')
      if (!source) {
        throw this.refuse(
          node,
          `"${node.inputs[0] ?? ''}" does not come from a QuantizeLinear`,
          'pairs of QuantizeLinear and DequantizeLinear; floating-point inputs of the model',
        )
      }
      const [quantize, dequantize] = [this.grid(source), this.grid(node)]
      if (quantize.scale === dequantize.scale && quantize.offset === dequantize.offset) continue
      throw this.refuse(
        node,
        `its scale ${dequantize.scale} and zero point differ from those of ${nodeLabel(source)}, ${quantize.scale}`,
        'the same factors on both sides of a pair',
      )
    }
  }
}
