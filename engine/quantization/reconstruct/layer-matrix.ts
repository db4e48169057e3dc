// A layer as matrix products: one matrix of weights per group, a row per output channel, a column per input that a row
// is multiplied with. Rounding is decided row by row on these matrices.
import { intAttribute, type Node } from '../../onnx/index.ts'
import type { LayerAnatomy } from '../layers.ts'
import type { ChannelLayout } from '../rules.ts'

/** Where a layer's weights lie: element (group, row, column) at `group * groupStride + row * rowStride + columns[column]`. */
export interface LayerMatrix {
  groups: number
  /** Output channels of one group. */
  rows: number
  /** Offset of each column: (input channel, kernel position) of a convolution, input feature of a product. */
  columns: Uint32Array
  groupStride: number
  rowStride: number
}

function product(values: readonly number[]): number {
  return values.reduce((total, value) => total * value, 1)
}

/** @param node The layer's node in the model that `anatomy` was taken from. */
export function layerMatrix(anatomy: LayerAnatomy, node: Node): LayerMatrix {
  const { opType, weightDims } = anatomy
  const [first = 1, second = 1, ...kernel] = weightDims
  const taps = product(kernel)
  if (opType === 'MatMul' || opType === 'Gemm') {
    const columns = Uint32Array.from({ length: first }, (_, input) => input * second)
    return { groups: 1, rows: second, columns, groupStride: first * second, rowStride: 1 }
  }
  const groups = intAttribute(node, 'group', 1)
  if (opType === 'ConvTranspose') {
    const inputs = first / groups
    const columns = Uint32Array.from(
      { length: inputs * taps },
      (_, column) => Math.floor(column / taps) * second * taps + (column % taps),
    )
    return { groups, rows: second, columns, groupStride: inputs * second * taps, rowStride: taps }
  }
  const columns = Uint32Array.from({ length: second * taps }, (_, column) => column)
  const rows = first / groups
  return { groups, rows, columns, groupStride: rows * columns.length, rowStride: columns.length }
}

/** Index of the scale of a weight element. */
function scaleIndex(layout: ChannelLayout, element: number): number {
  const { channels, inner, blocksPerGroup } = layout
  const block = Math.floor(element / (channels * inner))
  const row = Math.floor(element / inner) % channels
  return blocksPerGroup === 0 ? row : Math.floor(block / blocksPerGroup) * channels + row
}

/** The elements of one group of a weight, row after row. */
export function groupElements<T extends Float32Array | Int8Array>(
  matrix: LayerMatrix,
  group: number,
  values: T,
): T {
  const { rows, columns, groupStride, rowStride } = matrix
  const result = new (values.constructor as new (length: number) => T)(rows * columns.length)
  let place = 0
  for (let row = 0; row < rows; row++) {
    const start = group * groupStride + row * rowStride
    for (const offset of columns) result[place++] = values[start + offset] as number
  }
  return result
}

/** The scale of every element of one group, row after row. */
export function groupScales(
  matrix: LayerMatrix,
  group: number,
  layout: ChannelLayout,
  scales: Float32Array,
): Float32Array {
  const { rows, columns, groupStride, rowStride } = matrix
  const result = new Float32Array(rows * columns.length)
  let place = 0
  for (let row = 0; row < rows; row++) {
    const start = group * groupStride + row * rowStride
    for (const offset of columns) result[place++] = scales[scaleIndex(layout, start + offset)] as number
  }
  return result
}

/** Writes the rows of one group back to where they lie in the weight. */
export function putGroup(matrix: LayerMatrix, group: number, integers: Int8Array, target: Int8Array): void {
  const { rows, columns, groupStride, rowStride } = matrix
  let place = 0
  for (let row = 0; row < rows; row++) {
    const start = group * groupStride + row * rowStride
    for (const offset of columns) target[start + offset] = integers[place++] as number
  }
}
