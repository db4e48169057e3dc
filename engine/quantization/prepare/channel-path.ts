// Where the channels of a tensor could be multiplied earlier, at no cost and without changing anything else: back through
// operators that pass positive factors on unchanged, to weights or constants that can take them in.
import { intAttribute, intsAttribute, type Node, stringAttribute } from '../../onnx/index.ts'
import type { LinearLayer } from './linear-layer.ts'
import type { ModelEditor } from './model-editor.ts'

/** More hops than lie between a layer and what scales its input in any known architecture. */
const MAX_HOPS = 32

/** A change that is ready to be made; found impossible beforehand when a constant would not fit its element type. */
type Commit = () => void

/** Something that can multiply the channels of a tensor. */
export interface ChannelSource {
  /** The node whose constants take the factors in. */
  node: Node
  /** Present when that is a layer with weights. */
  layer?: LinearLayer
  /** @returns the change, or undefined when it cannot be made with these factors (all > 0) */
  prepare: (factors: Float64Array) => Commit | undefined
}

export interface PathOptions {
  /** Only layers with weights, reached through positively homogeneous operators; else constants of other nodes too. */
  layersOnly: boolean
}

/** A value and which of its dimensions holds the channels. `factors` leads from those wanted to those of this value. */
interface Place {
  value: string
  axis: number
  rank: number
  widen: (factors: Float64Array) => Float64Array
}

/** Pass any positive factor of a channel on, elementwise: f(a x) = a f(x) for a > 0. */
const HOMOGENEOUS = new Set(['Relu', 'LeakyRelu', 'PRelu', 'Identity', 'Abs', 'Neg'])
/** The same, with channels in dimension 1 and everything behind it mixed. */
const POOLS = new Set(['MaxPool', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool'])
const MOVES = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'])
/** Normalizations with one scale (and shift) per element of the last dimension. */
const LAST_AXIS_NORMS = new Set(['LayerNormalization', 'RMSNormalization', 'SimplifiedLayerNormalization'])
/** Normalizations with one scale and shift per element of dimension 1. */
const CHANNEL_NORMS = new Set(['InstanceNormalization', 'BatchNormalization', 'GroupNormalization'])

type Shape = readonly (number | null)[]

function sameProduct(a: Shape, b: Shape): boolean {
  const known = (dims: Shape): number => dims.reduce<number>((product, dim) => product * (dim ?? 1), 1)
  const open = (dims: Shape): number => dims.filter((dim) => dim === null).length
  return open(a) === open(b) && open(a) <= 1 && known(a) === known(b)
}

/** The dimension of `from` that becomes dimension `axis` of `to` when values keep their order; undefined if none. */
function movedAxis(from: Shape, to: Shape, axis: number): number | undefined {
  const found = from.findIndex(
    (dim, place) =>
      dim !== null &&
      dim === to[axis] &&
      sameProduct(from.slice(0, place), to.slice(0, axis)) &&
      sameProduct(from.slice(place + 1), to.slice(axis + 1)),
  )
  return found < 0 ? undefined : found
}

export class ChannelPaths {
  readonly #editor: ModelEditor
  readonly #layers: ReadonlyMap<string, LinearLayer>
  readonly #options: PathOptions

  /** @param layers Every layer that may take factors in. */
  constructor(editor: ModelEditor, layers: readonly LinearLayer[], options: PathOptions) {
    this.#editor = editor
    this.#layers = new Map(layers.map((layer) => [layer.anatomy.output, layer]))
    this.#options = options
  }

  /**
   * Finds what can multiply the channels of `value`, along dimension `axis` (-1: the last). Whether all readers of
   * `value` agree is for the caller to check; every value further back has one reader only.
   */
  find(value: string, axis: number): ChannelSource | undefined {
    const rank = this.#editor.dims(value)?.length
    if (rank === undefined || axis >= rank) return undefined
    return this.#source({ value, axis: axis < 0 ? rank + axis : axis, rank, widen: (f) => f }, 0)
  }

  #source(place: Place, hop: number): ChannelSource | undefined {
    const layer = this.#layers.get(place.value)
    if (layer) return this.#layerSource(layer, place)
    const node = this.#editor.index.producers.get(place.value)
    if (!node || hop >= MAX_HOPS || node.outputs[0] === undefined) return undefined
    if (!this.#options.layersOnly) {
      const constant = this.#constantSource(node, place, hop)
      if (constant) return constant
    }
    const earlier = this.#earlier(node, place)
    return earlier && this.#onward(node, earlier, hop)
  }

  /** Goes on from an input of `node`, provided that nothing else reads it. */
  #onward(node: Node, place: Place, hop: number): ChannelSource | undefined {
    return this.#editor.onlyReader(place.value) === node ? this.#source(place, hop + 1) : undefined
  }

  #layerSource(layer: LinearLayer, { axis, rank, widen }: Place): ChannelSource | undefined {
    if (axis !== (layer.inputAxis < 0 ? rank - 1 : 1)) return undefined
    const prepare = (factors: Float64Array): Commit | undefined => {
      const wide = widen(factors)
      return wide.length === layer.count('output') ? () => layer.scale('output', wide) : undefined
    }
    return { node: layer.node, layer, prepare }
  }

  /** The input that has to be multiplied so that the output is. */
  #earlier(node: Node, place: Place): Place | undefined {
    const [value = ''] = node.inputs
    const { domain, opType } = node
    if (domain !== '' || place.value !== node.outputs[0]) return this.#ofSplit(node, place)
    if (opType === 'Dropout') return this.#inference(node) ? { ...place, value } : undefined
    if (HOMOGENEOUS.has(opType)) return { ...place, value }
    if (POOLS.has(opType))
      return place.axis === 1 && node.outputs.length === 1 ? { ...place, value } : undefined
    if (opType === 'Resize') return this.#resized(node, place)
    if (opType === 'Transpose') {
      const perm = intsAttribute(node, 'perm', [...Array(place.rank).keys()].toReversed())
      return { ...place, value, axis: perm[place.axis] as number }
    }
    if (MOVES.has(opType)) return this.#moved(value, place)
    return this.#ofSplit(node, place)
  }

  #inference(node: Node): boolean {
    return node.outputs.slice(1).every((output) => output === '') && (node.inputs[2] ?? '') === ''
  }

  /** Interpolation within a channel is linear; a fill value from outside the picture would not be scaled. */
  #resized(node: Node, place: Place): Place | undefined {
    const [value = ''] = node.inputs
    const [from, to] = [this.#editor.dims(value), this.#editor.dims(place.value)]
    const fills = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel').startsWith('tf_crop')
    const kept = from?.[place.axis] !== undefined && from[place.axis] === to?.[place.axis]
    return kept && !fills ? { ...place, value } : undefined
  }

  #moved(value: string, place: Place): Place | undefined {
    const [from, to] = [this.#editor.dims(value), this.#editor.dims(place.value)]
    const axis = from && to && movedAxis(from, to, place.axis)
    return axis === undefined ? undefined : { ...place, value, axis, rank: from?.length ?? 0 }
  }

  /** A part of the channels: the others keep their values. */
  #ofSplit(node: Node, place: Place): Place | undefined {
    if (this.#options.layersOnly || node.opType !== 'Split' || node.domain !== '') return undefined
    const splitAxis = intAttribute(node, 'axis', 0)
    if ((splitAxis < 0 ? place.rank + splitAxis : splitAxis) !== place.axis) return undefined
    const sizes = node.outputs.map((output) => this.#editor.dims(output)?.[place.axis])
    if (!sizes.every((size) => typeof size === 'number')) return undefined
    const own = node.outputs.indexOf(place.value)
    const start = sizes.slice(0, own).reduce((sum, size) => sum + size, 0)
    const total = sizes.reduce((sum, size) => sum + size, 0)
    const widen = (factors: Float64Array): Float64Array => {
      const wide = new Float64Array(total).fill(1)
      wide.set(place.widen(factors), start)
      return wide
    }
    return { ...place, value: node.inputs[0] ?? '', widen }
  }

  #constantSource(node: Node, place: Place, hop: number): ChannelSource | undefined {
    if (place.value !== node.outputs[0]) return undefined
    const { opType, domain } = node
    const simplified = domain === '' || domain === 'com.microsoft'
    if (LAST_AXIS_NORMS.has(opType) && simplified && place.axis === place.rank - 1) {
      return this.#constants(node, [1, 2], place, 1)
    }
    if (domain !== '') return undefined
    if (CHANNEL_NORMS.has(opType))
      return place.axis === 1 ? this.#constants(node, [1, 2], place, 1) : undefined
    if (opType === 'Mul') return this.#product(node, place, hop)
    if (opType === 'Div') {
      const byConstant = this.#constants(node, [1], place, place.rank, true)
      return byConstant ?? this.#operand(node, 0, place, hop)
    }
    if (opType === 'Add' || opType === 'Sub') return this.#sum(node, place, hop)
    return undefined
  }

  /** Either factor of a product can be multiplied: a constant one at once, else the first that allows it. */
  #product(node: Node, place: Place, hop: number): ChannelSource | undefined {
    return (
      this.#constants(node, [0], place, place.rank) ??
      this.#constants(node, [1], place, place.rank) ??
      this.#operand(node, 0, place, hop) ??
      this.#operand(node, 1, place, hop)
    )
  }

  /** An operand that has all channels of the result. */
  #operand(node: Node, position: number, place: Place, hop: number): ChannelSource | undefined {
    const value = node.inputs[position] ?? ''
    const [own, result] = [this.#editor.dims(value), this.#editor.dims(place.value)]
    const channels = result?.[place.axis]
    if (own?.length !== place.rank || typeof channels !== 'number' || own[place.axis] !== channels)
      return undefined
    return this.#onward(node, { ...place, value }, hop)
  }

  /** Both terms of a sum have to be multiplied: one of them a constant, the other further back. */
  #sum(node: Node, place: Place, hop: number): ChannelSource | undefined {
    for (const position of [1, 0]) {
      const term = this.#constants(node, [position], place, place.rank)
      const rest = term && this.#operand(node, 1 - position, place, hop)
      if (!rest) continue
      const prepare = (factors: Float64Array): Commit | undefined => {
        const [one, other] = [term.prepare(factors), rest.prepare(factors)]
        return one && other && (() => [one, other].forEach((commit) => commit()))
      }
      return { ...rest, prepare }
    }
    return undefined
  }

  /**
   * Constants of `node`, each of `rank` dimensions in the end, with a value of its own for every channel. One value for
   * all channels stays one: fused operators such as GELU are recognised by it.
   */
  #constants(
    node: Node,
    positions: readonly number[],
    place: Place,
    rank: number,
    divide = false,
  ): ChannelSource | undefined {
    const present = positions.filter((position) => (node.inputs[position] ?? '') !== '')
    const vectors = present.map((position) =>
      this.#scalable(node.inputs[position] ?? '', place, rank, divide),
    )
    if (present.length === 0 || !vectors.every((vector) => vector !== undefined)) return undefined
    const prepare = (factors: Float64Array): Commit | undefined => {
      const names = vectors.map((scaled) => scaled(place.widen(factors)))
      if (!names.every((name) => name !== undefined)) return undefined
      return () => names.forEach((name, order) => (node.inputs[present[order] as number] = name))
    }
    return { node, prepare }
  }

  /** Makes the constant with its channels multiplied; undefined when `name` is no such constant. */
  #scalable(
    name: string,
    place: Place,
    rank: number,
    divide: boolean,
  ): ((factors: Float64Array) => string | undefined) | undefined {
    const dims = this.#editor.dims(name)
    const stored = dims && dims.length <= rank ? this.#editor.constant(this.#unmoved(name)) : undefined
    if (!dims || !stored || !dims.every((dim) => dim !== null)) return undefined
    // Dimensions are aligned at the last one.
    const axis = (rank === 1 ? 0 : place.axis) - (rank - dims.length)
    const channels = dims[axis] ?? 1
    const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
    return (factors) => {
      if (channels !== factors.length || channels === 1) return undefined
      const scaled = stored.values.map((value, at) => {
        const factor = factors[Math.floor(at / inner) % channels] as number
        return divide ? value / factor : value * factor
      })
      return this.#editor.addConstant(`${name}.scaled`, stored.dataType, dims, scaled)
    }
  }

  /** The value in front of changes of shape, which keep the order of the elements. */
  #unmoved(name: string): string {
    let current = name
    for (let hop = 0; hop < MAX_HOPS; hop++) {
      const node = this.#editor.index.producers.get(current)
      if (!node || node.domain !== '' || !MOVES.has(node.opType)) break
      current = node.inputs[0] ?? ''
    }
    return current
  }
}
