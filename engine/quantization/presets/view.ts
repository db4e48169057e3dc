// A model's graph as role recognition walks over it: which values are constant, which layers have weights, and bounded
// walks up and down the graph.
import {
  type GraphIndex,
  indexGraph,
  inferShapes,
  intAttribute,
  intsAttribute,
  layerNames,
  type Model,
  type Node,
} from '../../onnx/index.ts'
import { AppError } from '../../../contract/errors/index.ts'
import { constantDims, resolveConstant } from '../constants.ts'

const LAYER_TYPES = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul'])

/** Values rearranged, not changed. */
const LAYOUT = new Set([
  'Reshape',
  'Transpose',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Identity',
  'Cast',
  'Slice',
  'Split',
  'Expand',
  'Pad',
  'Dropout',
  'Gather',
])

const ACTIVATIONS = new Set([
  'Relu',
  'Sigmoid',
  'Tanh',
  'Gelu',
  'FastGelu',
  'QuickGelu',
  'Erf',
  'Silu',
  'Swish',
  'LeakyRelu',
  'PRelu',
  'Elu',
  'Selu',
  'HardSwish',
  'HardSigmoid',
  'Softplus',
  'Mish',
  'Clip',
])

const NORMALIZATIONS = new Set([
  'LayerNormalization',
  'SimplifiedLayerNormalization',
  'RMSNormalization',
  'SkipLayerNormalization',
  'InstanceNormalization',
  'GroupNormalization',
  'GroupNorm',
  'BatchNormalization',
  'LpNormalization',
])

const BINARY = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Where', 'Max', 'Min'])

/** Nodes a walk looks at before it gives up: graphs come from anywhere. */
const MAX_VISITED = 400
/** Nodes between a value and a gate or statistic of itself, as in SiLU, GELU or a decomposed normalization. */
const SELF_STEPS = 16

/** A node with a constant weight, or the product of two activations. */
export interface GraphLayer {
  node: Node
  /** Name for recipes. */
  name: string
  modulePath: string | undefined
  /** Everything the layer answers to. */
  aliases: readonly string[]
  /** Place in the graph. */
  position: number
  /** The value it reads; of a product of two activations the first. */
  activation: string
  output: string
  /** As the operator reads it; null for a product of two activations. */
  weightDims: number[] | null
  inputs: number
  outputs: number
  /** Convolutions only. */
  kernel: number[]
  strides: number[]
  groups: number
  isConvolution: boolean
}

export function isLinear(layer: GraphLayer): boolean {
  return !layer.isConvolution
}

/** Only weights between channels: a linear layer, or a convolution of size 1. */
export function isPointwise(layer: GraphLayer): boolean {
  return !layer.isConvolution || layer.kernel.every((size) => size === 1)
}

export class GraphView {
  readonly model: Model
  readonly index: GraphIndex
  readonly layers: GraphLayer[] = []
  readonly #byNode = new Map<Node, GraphLayer>()
  readonly #constants = new Set<string>()
  /** Values that some layer lies before. */
  readonly #behindLayers = new Set<string>()
  readonly #outputs: ReadonlySet<string>
  #ranks: ReadonlyMap<string, number | undefined> | undefined

  constructor(model: Model) {
    this.model = model
    this.index = indexGraph(model.graph)
    this.#outputs = new Set(model.graph.outputs.map((output) => output.name))
    this.#findConstants()
    this.#findLayers()
  }

  layerOf(node: Node): GraphLayer | undefined {
    return this.#byNode.get(node)
  }

  /** A weight, a constant, or something computed of shapes alone. */
  isConstant(value: string): boolean {
    return this.#constants.has(value)
  }

  /** Some layer with weights lies before the value. */
  isBehindLayers(value: string): boolean {
    return this.#behindLayers.has(value)
  }

  isOutput(value: string): boolean {
    return this.#outputs.has(value)
  }

  producer(value: string): Node | undefined {
    return this.index.producers.get(value)
  }

  consumers(value: string): readonly Node[] {
    return this.index.consumers.get(value) ?? []
  }

  /** Inputs that carry data. */
  dynamicInputs(node: Node): string[] {
    return node.inputs.filter((input) => input !== '' && !this.#constants.has(input))
  }

  /** Number of dimensions; undefined when it cannot be inferred. */
  rank(value: string): number | undefined {
    this.#ranks ??= this.#inferRanks()
    return this.#ranks.get(value)
  }

  isLayout(node: Node): boolean {
    return LAYOUT.has(node.opType) && this.dynamicInputs(node).length <= 1
  }

  isActivation(node: Node): boolean {
    return ACTIVATIONS.has(node.opType)
  }

  isNormalization(node: Node): boolean {
    return NORMALIZATIONS.has(node.opType)
  }

  /** One operand is constant. */
  isScaling(node: Node): boolean {
    return (BINARY.has(node.opType) && this.dynamicInputs(node).length === 1) || node.opType === 'Neg'
  }

  /** Joins a value with something computed of the same value: SiLU, GELU, a decomposed normalization, rotation. */
  isSelfRelated(node: Node): boolean {
    const inputs = [...new Set(this.dynamicInputs(node))]
    if (inputs.length === 0 || !(BINARY.has(node.opType) || node.opType === 'Concat')) return false
    if (inputs.length === 1) return true
    const [first = new Set<string>(), ...others] = inputs.map((input) => this.#ownHistory(input))
    return others.every((other) => [...other].some((value) => first.has(value)))
  }

  /** The value and everything before it up to the first layer or join. */
  #ownHistory(value: string): Set<string> {
    const history = new Set([value])
    let current: string | undefined = value
    for (let step = 0; step < SELF_STEPS && current !== undefined; step++) {
      const node = this.producer(current)
      if (!node || this.#byNode.has(node)) break
      const inputs = [...new Set(this.dynamicInputs(node))]
      // Two inputs: a gate of its own, whose history is that of the shorter side.
      const own = inputs.find((input) => history.has(input)) ?? (inputs.length <= 2 ? inputs[0] : undefined)
      if (own === undefined) break
      if (inputs.length === 2) for (const input of inputs) history.add(input)
      history.add(own)
      current = own
    }
    return history
  }

  /** Changes values one by one or statistically, but joins nothing foreign: layout, scaling, activation, normalization. */
  isPassThrough(node: Node): boolean {
    return (
      this.isLayout(node) ||
      this.isActivation(node) ||
      this.isNormalization(node) ||
      this.isScaling(node) ||
      this.isSelfRelated(node)
    )
  }

  /**
   * Walks from a value towards the inputs. @returns the nodes at which `passes` said no, nearest first
   */
  upstream(value: string, passes: (node: Node) => boolean): Node[] {
    const stops = new Set<Node>()
    this.#walk([value], (current) => {
      const node = this.producer(current)
      if (!node) return []
      if (passes(node)) return this.dynamicInputs(node)
      stops.add(node)
      return []
    })
    return [...stops]
  }

  /** Walks from a value towards the outputs. @returns the nodes at which `passes` said no, with the value they read */
  downstream(value: string, passes: (node: Node, value: string) => boolean): { node: Node; value: string }[] {
    const stops: { node: Node; value: string }[] = []
    this.#walk([value], (current) =>
      this.consumers(current).flatMap((node) => {
        if (passes(node, current)) return node.outputs.filter((output) => output !== '')
        if (!stops.some((stop) => stop.node === node && stop.value === current)) {
          stops.push({ node, value: current })
        }
        return []
      }),
    )
    return stops
  }

  #walk(start: readonly string[], next: (value: string) => readonly string[]): void {
    const seen = new Set(start)
    const queue = [...start]
    for (let at = 0; at < queue.length && seen.size <= MAX_VISITED; at++) {
      for (const value of next(queue[at] ?? '')) {
        if (seen.has(value)) continue
        seen.add(value)
        queue.push(value)
      }
    }
  }

  #findConstants(): void {
    const { graph } = this.model
    for (const name of graph.initializers.keys()) this.#constants.add(name)
    for (const node of graph.nodes) {
      const isFixed =
        node.opType === 'Constant' ||
        node.opType === 'Shape' ||
        node.opType === 'Size' ||
        (node.inputs.some((input) => input !== '') && this.dynamicInputs(node).length === 0)
      if (isFixed) for (const output of node.outputs) this.#constants.add(output)
    }
  }

  #findLayers(): void {
    const { graph } = this.model
    const named = new Map(layerNames(this.model).map((layer) => [layer.node, layer]))
    graph.nodes.forEach((node, position) => {
      const layer = this.#layer(node, position, named.get(node))
      if (layer) {
        this.layers.push(layer)
        this.#byNode.set(node, layer)
      }
      const behind = layer !== undefined || node.inputs.some((input) => this.#behindLayers.has(input))
      if (behind && !this.#constants.has(node.outputs[0] ?? '')) {
        for (const output of node.outputs) this.#behindLayers.add(output)
      }
    })
  }

  #layer(
    node: Node,
    position: number,
    named: { name: string; modulePath?: string; aliases: string[] } | undefined,
  ): GraphLayer | undefined {
    if (node.domain !== '' || !LAYER_TYPES.has(node.opType)) return undefined
    const [activation = '', weightName = ''] = node.inputs
    if (activation === '' || weightName === '' || this.isConstant(activation)) return undefined
    const weight = resolveConstant(this.model.graph, this.index, weightName)
    const turned = node.opType === 'Gemm' && intAttribute(node, 'transB', 0) !== 0
    const dims = weight ? constantDims(weight) : null
    if (dims === null && this.isConstant(weightName)) return undefined
    const isConvolution = node.opType === 'Conv' || node.opType === 'ConvTranspose'
    const groups = intAttribute(node, 'group', 1)
    const weightDims = turned && dims ? dims.toReversed() : dims
    const [first = 0, second = 0] = weightDims ?? []
    const transposed = node.opType === 'ConvTranspose'
    const [inputs, outputs] =
      node.opType === 'Conv'
        ? [second * groups, first]
        : transposed
          ? [first, second * groups]
          : (weightDims ?? []).slice(-2)
    const kernel = isConvolution ? (weightDims ?? []).slice(2) : []
    return {
      node,
      name: named?.name ?? node.name,
      modulePath: named?.modulePath,
      aliases: named?.aliases ?? [],
      position,
      activation,
      output: node.outputs[0] ?? '',
      weightDims,
      inputs: inputs ?? 0,
      outputs: outputs ?? 0,
      kernel,
      strides: isConvolution
        ? intsAttribute(
            node,
            'strides',
            kernel.map(() => 1),
          )
        : [],
      groups,
      isConvolution,
    }
  }

  /** Ranks only help: a model whose shapes contradict each other is for others to refuse. */
  #inferRanks(): Map<string, number | undefined> {
    try {
      return new Map([...inferShapes(this.model)].map(([name, { dims }]) => [name, dims?.length]))
    } catch (error) {
      if (error instanceof AppError) return new Map()
      throw error
    }
  }
}
