// Balance of activations and weights: x / f, w * f (SmoothQuant; AMCT, DMQ balancer). The division goes into whatever
// produces x where that is exact, else into a Mul in front of the layers, as AMCT writes it.
import type { RepairNote } from '../../../contract/repair.ts'
import type { BalanceSettings } from '../../../contract/recipe.ts'
import { channelKey, type ChannelStatistics } from '../../calibration/index.ts'
import { DataType, makeNode, nodeLabel } from '../../onnx/index.ts'
import { FLOAT32_EPSILON } from '../rules.ts'
import { dmqFactors, smoothQuantFactors } from './balance-factors.ts'
import { ChannelPaths } from './channel-path.ts'
import type { LinearLayer } from './linear-layer.ts'
import type { ModelEditor } from './model-editor.ts'
import { factorFacts } from './weight-channels.ts'

/** Layers that read the same tensor by the same dimension have one division and so one set of factors. */
interface Group {
  tensor: string
  axis: number
  layers: LinearLayer[]
}

export interface Balanced {
  notes: RepairNote[]
  /** Factors of every balanced layer by the name of its node: `tensor_balance_factor` of AMCT's records. */
  factors: Map<string, Float32Array>
}

function groupsOf(layers: readonly LinearLayer[]): Group[] {
  const groups = Map.groupBy(layers, (layer) =>
    channelKey({ tensor: layer.anatomy.activation, axis: layer.inputAxis }),
  )
  return [...groups.values()].map((members) => {
    const [first] = members as [LinearLayer]
    return { tensor: first.anatomy.activation, axis: first.inputAxis, layers: members }
  })
}

/** From the end of the graph to its beginning: a layer takes in factors of later ones before its own are found. */
function lastFirst(editor: ModelEditor, groups: readonly Group[]): Group[] {
  const { nodes } = editor.model.graph
  const places = new Map(
    nodes.flatMap((node, place) => node.outputs.map((output) => [output, place] as const)),
  )
  const placeOf = (group: Group): number => places.get(group.tensor) ?? -1
  return groups.toSorted((a, b) => placeOf(b) - placeOf(a))
}

/** Magnitudes that float32 cannot tell from zero next to the largest one count as zero. */
function withoutDust(values: Float32Array): Float32Array {
  const limit = FLOAT32_EPSILON * values.reduce((max, value) => Math.max(max, value), 0)
  return values.map((value) => (value <= limit ? 0 : value))
}

function combinedWeights(layers: readonly LinearLayer[]): Float32Array {
  const [first, ...others] = layers.map((layer) => layer.maxima('input'))
  const combined = first ?? new Float32Array()
  for (const maxima of others) {
    maxima.forEach((value, channel) => {
      if (value > (combined[channel] as number)) combined[channel] = value
    })
  }
  return combined
}

/** [1, C, 1, 1] for a convolution, [1, ..., C] for a product. */
function factorShape(editor: ModelEditor, { tensor, axis, layers }: Group, channels: number): number[] {
  const rank = axis === 1 ? layers[0]?.anatomy.weightDims.length : editor.dims(tensor)?.length
  const shape = Array<number>(rank ?? 1).fill(1)
  shape[axis < 0 ? shape.length - 1 : axis] = channels
  return shape
}

function float16(group: Group): boolean {
  return group.layers.some(({ anatomy }) => anatomy.float16)
}

/** @returns false when a factor does not fit the element type of the activation */
function insertDivision(editor: ModelEditor, group: Group, divisor: Float64Array): boolean {
  const [first] = group.layers as [LinearLayer]
  const name = editor.names.take(`${nodeLabel(first.node)}.balance`)
  const type = float16(group) ? DataType.FLOAT16 : DataType.FLOAT
  const shape = factorShape(editor, group, divisor.length)
  const constant = editor.addConstant(`${name}.factor`, type, shape, Float32Array.from(divisor))
  if (constant === undefined) return false
  const output = editor.names.take(`${name}.output0`)
  const node = makeNode({ opType: 'Mul', name, inputs: [group.tensor, constant], outputs: [output] })
  editor.insertBefore(first.node, node)
  for (const layer of group.layers) layer.node.inputs[0] = output
  return true
}

/** What the balanced layers alone read may be scaled where it is made. */
function readOnlyBy(editor: ModelEditor, group: Group): boolean {
  const readers = editor.innerReaders(group.tensor)
  const own = new Set(group.layers.map((layer) => layer.node))
  return readers !== undefined && readers.every((reader) => own.has(reader))
}

/** Smallest normal and largest float16. */
const FLOAT16_LIMITS = [2 ** -14, 65504] as const

function fitsFloat16(values: Float64Array): boolean {
  return values.every((value) => value >= FLOAT16_LIMITS[0] && value <= FLOAT16_LIMITS[1])
}

/**
 * Balances layers from the statistics of their inputs. The model computes the same within float rounding.
 * @param layers The layers to balance.
 * @param all Every layer of the model: those may take a division in.
 * @throws E_REPAIR_BALANCE_CHANNELS, E_REPAIR_BALANCE_FACTOR
 */
export function balance(
  editor: ModelEditor,
  layers: readonly LinearLayer[],
  all: readonly LinearLayer[],
  settings: BalanceSettings,
  statistics: ReadonlyMap<string, ChannelStatistics>,
): Balanced {
  const paths = new ChannelPaths(editor, all, { layersOnly: false })
  const compute = settings.method === 'dmq' ? dmqFactors : smoothQuantFactors
  const notes: RepairNote[] = []
  const result = new Map<string, Float32Array>()
  for (const group of lastFirst(editor, groupsOf(layers))) {
    const observed = statistics.get(channelKey(group))
    if (!observed) continue
    const names = group.layers.map((layer) => nodeLabel(layer.node))
    const [first = ''] = names
    const weights = withoutDust(combinedWeights(group.layers))
    const factors = compute(first, withoutDust(observed.absMax), weights, settings.strength)
    const divisor = Float64Array.from(factors, (factor) => 1 / factor)
    if (float16(group) && !fitsFloat16(divisor)) continue
    const source = readOnlyBy(editor, group) ? paths.find(group.tensor, group.axis) : undefined
    const commit = source?.prepare(divisor)
    if (commit) commit()
    else if (!insertDivision(editor, group, divisor)) continue
    for (const layer of group.layers) layer.scale('input', Float64Array.from(factors))
    names.forEach((name) => result.set(name, factors))
    notes.push({
      kind: 'balance',
      layer: first,
      layers: names,
      ...(commit && source && { foldedInto: nodeLabel(source.node) }),
      ...factorFacts(factors),
    })
  }
  return { notes: notes.toReversed(), factors: result }
}
