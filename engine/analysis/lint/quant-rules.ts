// Rules about AscendQuant and AscendAntiQuant: factors, types, and who reads the integers.
import {
  DataType,
  dataTypeName,
  findAttribute,
  floatAttribute,
  float16BitsToFloat32,
  float32ToFloat16Bits,
  intAttribute,
  type Node,
  nodeLabel,
  stringAttribute,
} from '../../onnx/index.ts'
import type { LintContext } from './context.ts'
import { INTEGER_LAYERS, MOVES_INTEGERS } from './operators.ts'

/** FLT_EPSILON, below which AMCT takes no scale. */
const EPSILON = 1.192092896e-7
const OFFSETS: Readonly<Record<string, readonly [number, number]>> = {
  INT8: [-128, 127],
  INT4: [-8, 7],
  INT16: [-32768, 32767],
}
/** Ascend 950 computes AscendQuant in FP32, every other SoC in FP16 (hicann/ops-nn, golden of ascend_quant). */
const FLOAT32_QUANT = /^Ascend950/
/** The reciprocal is rounded once on the way in and once on the way back. */
const RECIPROCAL_TOLERANCE = 1e-6

/** Step and offset of an AscendQuant. */
function factorsOf(node: Node): { scale: number; offset: number } {
  const root = intAttribute(node, 'sqrt_mode', 0) === 0 ? 1 : 2
  return { scale: floatAttribute(node, 'scale', 1) ** root, offset: floatAttribute(node, 'offset', 0) }
}

function typeOf(node: Node): string {
  return findAttribute(node, 'dst_type') ? stringAttribute(node, 'dst_type') : 'INT8'
}

function factorRules(context: LintContext, node: Node): void {
  const { scale, offset } = factorsOf(node)
  const step = 1 / scale
  const fits =
    step >= EPSILON * (1 - RECIPROCAL_TOLERANCE) && step <= (1 / EPSILON) * (1 + RECIPROCAL_TOLERANCE)
  if (!fits) {
    context.report('quant_scale', node, {
      value: scale,
      step: String(step),
      minimum: EPSILON,
      maximum: 1 / EPSILON,
    })
  } else if (!FLOAT32_QUANT.test(context.soc)) {
    const half = float16BitsToFloat32(float32ToFloat16Bits(scale))
    if (!Number.isFinite(half) || half === 0) {
      context.report('quant_scale_float16', node, { value: scale, half: String(half) })
    }
  }
  const type = typeOf(node)
  const range = OFFSETS[type]
  if (!range) {
    context.report('quant_type', node, { value: type })
    return
  }
  const [minimum, maximum] = range
  if (!Number.isInteger(offset) || offset < minimum || offset > maximum) {
    context.report('quant_offset', node, { value: offset, minimum, maximum })
  }
}

function readerRules(context: LintContext, node: Node): void {
  const values = [...context.integers].filter(([, source]) => source === node).map(([value]) => value)
  const readers = values.flatMap((value) =>
    (context.index.consumers.get(value) ?? []).map((reader) => ({ value, reader })),
  )
  const visible = values.some((value) => context.outputs.has(value))
  if (readers.length === 0 && !visible) context.report('quant_unused', node)
  for (const { value, reader } of readers) {
    const moves = MOVES_INTEGERS.has(reader.opType) && reader.inputs[0] === value
    const computes = INTEGER_LAYERS.has(reader.opType) && [reader.inputs[0], reader.inputs[1]].includes(value)
    const returns = reader.opType === 'AscendAntiQuant'
    if (moves || computes || returns) continue
    context.report('quant_reader', node, { reader: nodeLabel(reader), opType: reader.opType })
  }
}

function repetitionRules(context: LintContext, quants: readonly Node[]): void {
  for (const [tensor, group] of Map.groupBy(quants, (node) => node.inputs[0] ?? '')) {
    if (group.length < 2) continue
    const different = new Set(group.map((node) => JSON.stringify([factorsOf(node), typeOf(node)])))
    const details = { tensor, count: group.length, nodes: group.slice(0, 4).map(nodeLabel).join(', ') }
    context.report(different.size > 1 ? 'quant_differs' : 'quant_repeated', null, details)
  }
}

function antiQuantRules(context: LintContext, node: Node): void {
  const tensor = node.inputs[0] ?? ''
  const quant = context.integers.get(tensor)
  if (!quant) {
    context.report('antiquant_input', node, { tensor })
    return
  }
  const factors = factorsOf(quant)
  const expectedScale = Math.fround(1 / factors.scale)
  const scale = factorsOf(node).scale
  const offset = floatAttribute(node, 'offset', 0)
  const near = Math.abs(scale - expectedScale) <= RECIPROCAL_TOLERANCE * Math.abs(expectedScale)
  if (near && offset === factors.offset) return
  context.report('antiquant_factors', node, {
    scale,
    offset,
    quant: nodeLabel(quant),
    expectedScale,
    expectedOffset: factors.offset,
  })
}

export function quantRules(context: LintContext): void {
  const quants = context.graph.nodes.filter((node) => node.opType === 'AscendQuant' && node.domain === '')
  for (const node of quants) {
    factorRules(context, node)
    readerRules(context, node)
    const tensor = node.inputs[0] ?? ''
    const type = context.type(tensor)
    if (type !== undefined && type !== DataType.FLOAT && type !== DataType.FLOAT16) {
      context.report('quant_input_type', node, { tensor, type: dataTypeName(type) })
    }
  }
  repetitionRules(context, quants)
  for (const node of context.graph.nodes) {
    if (node.opType === 'AscendAntiQuant' && node.domain === '') antiQuantRules(context, node)
  }
}
