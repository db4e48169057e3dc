// Changing a clone of the source model: who reads a value, constants rewritten without touching other readers, nodes
// added and removed in order.
import { FreshNames } from '../../calibration/fresh-names.ts'
import {
  DataType,
  float32ToFloat16Bits,
  type Graph,
  type GraphIndex,
  indexGraph,
  type InferredShape,
  inferShapes,
  type Model,
  type Node,
  removeUnusedInitializers,
} from '../../onnx/index.ts'
import { AppError } from '../../../contract/errors/index.ts'
import { constantReaders, type ConstantValue, constantValues, resolveConstant } from '../constants.ts'
import { NodeInsertions, putInitializer } from '../rewrite.ts'
import type { WeightStore } from '../weight-spill.ts'

/** float32 values in the element type of the model; undefined when one of them does not fit it. */
function encode(values: Float32Array, dataType: DataType): Float32Array | Uint16Array | undefined {
  if (dataType !== DataType.FLOAT16) return values.every(Number.isFinite) ? values : undefined
  const bits = Uint16Array.from(values, float32ToFloat16Bits)
  // Exponent of all ones: infinity or NaN.
  return bits.every((value) => (value & 0x7c00) !== 0x7c00) ? bits : undefined
}

export class ModelEditor {
  readonly model: Model
  readonly names: FreshNames
  readonly #store: WeightStore | undefined
  readonly #inputShapes: Readonly<Record<string, readonly number[]>>
  readonly #deadInSource: ReadonlySet<Node> = new Set()
  readonly #removed = new Set<Node>()
  #insertions = new NodeInsertions()
  #index: GraphIndex | undefined
  #shapes: ReadonlyMap<string, InferredShape> | undefined

  /** @param model A clone that nobody else reads while it is edited. */
  constructor(
    model: Model,
    inputShapes: Readonly<Record<string, readonly number[]>> = {},
    store?: WeightStore,
  ) {
    this.model = model
    this.names = new FreshNames(model)
    this.#inputShapes = inputShapes
    this.#store = store
    this.#deadInSource = this.#deadNodes()
  }

  /** Producers and readers; valid until the next change. */
  get index(): GraphIndex {
    this.#index ??= indexGraph(this.model.graph)
    return this.#index
  }

  isOutput(value: string): boolean {
    return this.model.graph.outputs.some((output) => output.name === value)
  }

  /** Every node that reads the value; undefined when the graph also hands it out. */
  innerReaders(value: string): Node[] | undefined {
    return this.isOutput(value) ? undefined : (this.index.consumers.get(value) ?? [])
  }

  /** The one node that reads the value, once, and nothing else does. */
  onlyReader(value: string): Node | undefined {
    const readers = this.innerReaders(value)
    const [reader] = readers ?? []
    const once = reader?.inputs.filter((input) => input === value).length === 1
    return readers?.length === 1 && once ? reader : undefined
  }

  /** Shape as far as it can be inferred; null dimensions are unknown. */
  dims(value: string): readonly (number | null)[] | undefined {
    this.#shapes ??= this.#inferredShapes()
    return this.#shapes.get(value)?.dims ?? undefined
  }

  /** Shapes only open more possibilities here: whether the model can run at all is for ONNX Runtime to say. */
  #inferredShapes(): ReadonlyMap<string, InferredShape> {
    try {
      return inferShapes(this.model, this.#inputShapes)
    } catch (error) {
      if (error instanceof AppError) return new Map()
      throw error
    }
  }

  /** A constant that a value is, as its readers see it; undefined for anything else. */
  constant(value: string): { values: Float32Array; dataType: DataType } | undefined {
    const constant = resolveConstant(this.model.graph, this.index, value)
    return constant && { values: constantValues(constant), dataType: constant.dataType }
  }

  /** A new constant. @returns its name; undefined when a value does not fit the element type */
  addConstant(
    base: string,
    dataType: DataType,
    dims: readonly number[],
    values: Float32Array,
  ): string | undefined {
    const encoded = encode(values, dataType)
    return encoded && this.#put(this.names.take(base), dataType, dims, encoded)
  }

  /**
   * A constant with other values, for the readers given: under its own name when nothing else reads it, else under a
   * new one. @returns its name; undefined, and nothing changed, when a value does not fit the element type
   */
  replaceConstant(
    constant: ConstantValue,
    readers: ReadonlySet<Node>,
    dims: readonly number[],
    values: Float32Array,
  ): string | undefined {
    const encoded = encode(values, constant.dataType)
    if (!encoded) return undefined
    const name = this.#ownedBy(constant, readers) ? constant.name : this.names.take(constant.name)
    return this.#put(name, constant.dataType, dims, encoded)
  }

  #ownedBy(constant: ConstantValue, readers: ReadonlySet<Node>): boolean {
    const { graph } = this.model
    if (!graph.initializers.has(constant.name) || this.isOutput(constant.name)) return false
    const outputs = new Set(graph.outputs.map((output) => output.name))
    return [...constantReaders(this.index, outputs, constant.name)].every((reader) => readers.has(reader))
  }

  #put(name: string, dataType: DataType, dims: readonly number[], values: ArrayBufferView): string {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    const data = this.#store?.put(values) ?? { kind: 'bytes', bytes }
    putInitializer(this.model, { name, dataType, dims: [...dims], data })
    return name
  }

  insertBefore(anchor: Node, ...nodes: Node[]): void {
    this.#insertions.before(anchor, ...nodes)
  }

  insertAfter(anchor: Node, ...nodes: Node[]): void {
    this.#insertions.after(anchor, ...nodes)
  }

  remove(node: Node): void {
    this.#removed.add(node)
  }

  /** Call after inputs, outputs or attributes of nodes were changed in place. */
  changed(): void {
    this.#index = undefined
    this.#shapes = undefined
  }

  /**
   * Carries out insertions and removals, and drops what no longer leads anywhere: the casts and transposes in front of
   * replaced constants, and constants without readers. What led nowhere in the source stays.
   */
  apply(): void {
    const { graph } = this.model
    const before = valuesOf(graph)
    this.#insertions.apply(graph)
    this.#insertions = new NodeInsertions()
    graph.nodes = graph.nodes.filter((node) => !this.#removed.has(node))
    this.#removed.clear()
    this.changed()
    for (let dead = this.#deadNodes(); dead.size > 0; dead = this.#deadNodes()) {
      graph.nodes = graph.nodes.filter((node) => !dead.has(node))
      this.changed()
    }
    removeUnusedInitializers(graph)
    const after = valuesOf(graph)
    graph.valueInfo = graph.valueInfo.filter(({ name }) => !before.has(name) || after.has(name))
    this.changed()
  }

  #deadNodes(): Set<Node> {
    const { consumers } = this.index
    const read = (value: string): boolean => consumers.has(value) || this.isOutput(value)
    const dead = this.model.graph.nodes.filter(
      (node) => !this.#deadInSource.has(node) && !node.outputs.some(read),
    )
    return new Set(dead)
  }
}

function valuesOf(graph: Graph): Set<string> {
  return new Set(graph.nodes.flatMap((node) => node.outputs))
}
