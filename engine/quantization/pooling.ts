// Average pooling on integers: AscendQuant before it, or before a Pad that belongs to it, and AscendDequant behind it, with
// a weight scale of 1 (AMCT, InsertQuantPass and InsertDequantPass).
import type { KeptFloatReason } from '../../contract/quantization.ts'
import type { LayerPrecision } from '../../contract/recipe.ts'
import type { ObserverSpec } from '../calibration/index.ts'
import {
  type Graph,
  indexGraph,
  inferShapes,
  DataType,
  type Model,
  type Node,
  stringAttribute,
  tensorToNumbers,
} from '../onnx/index.ts'
import { resolveConstant } from './constants.ts'
import type { GivenFactors } from './plan.ts'

/** An AveragePool chosen for INT8. */
export interface ChosenPool {
  name: string
  nodeIndex: number
  /** The node that reads the quantized tensor: the pooling, or the Pad before it. */
  readerIndex: number
  /** The tensor to quantize. */
  activation: string
  output: string
  observer: ObserverSpec
  /** In place of what calibration says. */
  given?: GivenFactors
}

type Finding = { pool: ChosenPool } | { reason: KeptFloatReason }

/** Zeros, the only padding that integers keep without further ado: the quantized zero stands for them. */
function padsWithZeros(graph: Graph, pad: Node): boolean {
  if (stringAttribute(pad, 'mode', 'constant') !== 'constant') return false
  const value = pad.inputs[2] ?? ''
  if (value === '') return true
  const constant = resolveConstant(graph, indexGraph(graph), value)
  return constant !== undefined && tensorToNumbers(constant.stored).every((x) => x === 0)
}

/** The Pad that AMCT counts as part of a pooling: named after it, read by nothing else. */
function ownPad(graph: Graph, pool: Node): Node | undefined {
  const input = pool.inputs[0] ?? ''
  const index = indexGraph(graph)
  const pad = index.producers.get(input)
  const belongs = pad?.opType === 'Pad' && pad.name === `${pool.name}_pad` && pool.name !== ''
  const shared =
    (index.consumers.get(input) ?? []).length !== 1 || graph.outputs.some((output) => output.name === input)
  return belongs && !shared && padsWithZeros(graph, pad) ? pad : undefined
}

/** What the recipe's wish for an AveragePool comes to. */
export function choosePool(
  model: Model,
  node: Node,
  name: string,
  precision: LayerPrecision,
  observer: ObserverSpec,
): Finding {
  const { graph } = model
  if (precision !== 'int8') return { reason: 'pooling_has_no_weight' }
  const reader = ownPad(graph, node) ?? node
  const activation = reader.inputs[0] ?? ''
  const type = inferShapes(model).get(activation)?.dataType
  // ATC switches the quantization of pooling off in FP16 models.
  if (type !== undefined && type !== DataType.FLOAT) return { reason: 'pooling_float16' }
  return {
    pool: {
      name,
      nodeIndex: graph.nodes.indexOf(node),
      readerIndex: graph.nodes.indexOf(reader),
      activation,
      output: node.outputs[0] ?? '',
      observer,
    },
  }
}
