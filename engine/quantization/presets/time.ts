// The time embedding by structure: layers that work on a vector computed of a sinusoid, up to where it meets the features.
import type { LayerRole } from '../../../contract/presets.ts'
import { DataType, type Node } from '../../onnx/index.ts'
import { isStepInput } from '../../calibration/timesteps.ts'
import type { GraphLayer, GraphView } from './view.ts'

/** Where a vector of the time step begins: sinusoids of data, or an input called so. */
function beginnings(view: GraphView): string[] {
  const { graph } = view.model
  const sinusoids = graph.nodes
    .filter(
      (node) => (node.opType === 'Sin' || node.opType === 'Cos') && !view.isConstant(node.outputs[0] ?? ''),
    )
    .flatMap((node) => node.outputs)
  const inputs = graph.inputs
    .filter(({ name, elementType }) => isStepInput(name) && elementType !== DataType.STRING)
    .map(({ name }) => name)
  return [...sinusoids, ...inputs]
}

/** How a vector ends: added to the features, or multiplied with them. */
interface Reached {
  added: boolean
  multiplied: boolean
  /** Later layers of the embedding itself. */
  further: boolean
}

class TimeWalk {
  readonly #view: GraphView
  readonly #vectors = new Set<string>()
  readonly found = new Map<GraphLayer, Reached>()
  /** Layers of vectors that are added to the embedding. */
  readonly added = new Set<GraphLayer>()

  constructor(view: GraphView) {
    this.#view = view
  }

  run(start: readonly string[]): void {
    const queue: { value: string; from: GraphLayer | undefined }[] = start.map((value) => ({
      value,
      from: undefined,
    }))
    const seen = new Set<string>()
    for (let at = 0; at < queue.length; at++) {
      const { value, from } = queue[at] ?? { value: '', from: undefined }
      const key = `${from?.position ?? ''}\n${value}`
      if (seen.has(key)) continue
      seen.add(key)
      this.#vectors.add(value)
      for (const node of this.#view.consumers(value)) {
        const next = this.#step(node, value, from)
        if (next) queue.push(...node.outputs.map((output) => ({ value: output, from: next.from })))
      }
    }
  }

  /** Where the walk goes on behind a node, and from which layer; undefined where the vector ends. */
  #step(
    node: Node,
    value: string,
    from: GraphLayer | undefined,
  ): { from: GraphLayer | undefined } | undefined {
    const view = this.#view
    const layer = view.layerOf(node)
    if (layer) {
      if (layer.weightDims === null || layer.activation !== value || this.#isFeature(layer)) return undefined
      if (from) this.#reached(from).further = true
      this.#reached(layer)
      return { from: layer }
    }
    if (node.opType === 'Sin' || node.opType === 'Cos' || view.isPassThrough(node)) return { from }
    const others = view.dynamicInputs(node).filter((input) => input !== value)
    if (node.opType === 'Concat' || others.every((input) => this.#vectors.has(input))) return { from }
    if (node.opType === 'Add' && others.every((input) => this.#isVector(input))) {
      for (const input of others) this.#noteAdded(input)
      return { from }
    }
    if (from) {
      const reached = this.#reached(from)
      if (node.opType === 'Add' || node.opType === 'Sub') reached.added = true
      else reached.multiplied = true
    }
    return undefined
  }

  #reached(layer: GraphLayer): Reached {
    const present = this.found.get(layer) ?? { added: false, multiplied: false, further: false }
    this.found.set(layer, present)
    return present
  }

  /** A layer of features, whatever it reads: convolutions of more than single points. */
  #isFeature(layer: GraphLayer): boolean {
    return layer.isConvolution && layer.kernel.some((size) => size !== 1)
  }

  /** One row per sample: by its shape, or because a Gemm computed it. */
  #isVector(value: string): boolean {
    const rank = this.#view.rank(value)
    if (rank !== undefined) return rank <= 2
    return this.#linearBefore(value).some((layer) => layer.node.opType === 'Gemm')
  }

  #linearBefore(value: string): GraphLayer[] {
    return this.#view
      .upstream(value, (node) => !this.#view.layerOf(node) && this.#view.isPassThrough(node))
      .flatMap((node) => this.#view.layerOf(node) ?? [])
      .filter((layer) => !layer.isConvolution && layer.weightDims !== null)
  }

  /** A layer that adds something to the embedding, and those before it. */
  #noteAdded(value: string): void {
    for (const layer of this.#linearBefore(value)) {
      if (this.added.has(layer) || this.found.has(layer)) continue
      this.added.add(layer)
      this.#noteAdded(layer.activation)
    }
  }
}

/** Roles of the layers that carry the time step, and of those that add other conditions to it. */
export function timeRoles(view: GraphView): Map<GraphLayer, LayerRole> {
  const walk = new TimeWalk(view)
  walk.run(beginnings(view))
  const roles = new Map<GraphLayer, LayerRole>()
  for (const layer of walk.added) if (!walk.found.has(layer)) roles.set(layer, 'added_embedding')
  for (const [layer, { added, multiplied, further }] of walk.found) {
    // Where nothing is met, the embedding is an output of the model.
    if (further || !(added || multiplied)) roles.set(layer, 'time_embedding')
    else roles.set(layer, multiplied ? 'modulation' : 'time_projection')
  }
  return roles
}
