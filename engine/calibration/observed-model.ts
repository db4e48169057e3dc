// The model that the native observer runs: an Observe node behind every wanted tensor, nothing that none of them needs,
// inputs of fixed shape, and weights left where they are. Loading it is most of what calibrating a small model costs
// besides running it, so that it is made easy to load: few nodes, short names (ONNX Runtime looks them up over and over).
import { realpathSync } from 'node:fs'
import path from 'node:path'
import { OBSERVE } from '../../native/observer/index.ts'
import {
  DataType,
  elementCount,
  elementSize,
  type ExternalPlace,
  findAttribute,
  type Graph,
  makeNode,
  type Model,
  type Node,
  nodeLabel,
  serializeModel,
  subgraphs,
  type Tensor,
  tensorDataLength,
  tensorToNumbers,
  usedNames,
} from '../onnx/index.ts'

/** Smaller weights travel in the model itself: shape inference reads the values of some. */
const EXTERNAL_BYTES = 16 * 1024
/** What ONNX Runtime may take from outside: elements of whole bytes. */
const EXTERNAL_TYPES: readonly number[] = [
  DataType.FLOAT,
  DataType.FLOAT16,
  DataType.BFLOAT16,
  DataType.DOUBLE,
  DataType.INT8,
  DataType.UINT8,
  DataType.INT32,
  DataType.INT64,
]
/** From this version of the format on initializers need not be listed among the inputs. */
const INITIALIZERS_ALONE_IR = 4

export interface ObservedModel {
  /** The folder that `bytesFor`'s result has weights in, as external data; "" for none. */
  weightsFolder: string
  /** All of these. */
  filed: Tensor[]
  /** Weights elsewhere: the result refers to them, and somebody has to give them to ONNX Runtime. */
  given: Tensor[]
  /** What the model calls an input of the source. */
  inputName: (name: string) => string
  /** The model for inputs of these shapes. */
  bytesFor: (shapes: Readonly<Record<string, readonly number[]>>) => Uint8Array
  /** A message of ONNX Runtime with the names that the source gives to nodes and values. */
  withSourceNames: (message: string) => string
}

/** Nodes that some wanted tensor depends on, in their order. */
function neededNodes(graph: Graph, tensors: Iterable<string>): Node[] {
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node])))
  const needed = new Set<Node>()
  const open = [...tensors]
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = producers.get(name)
    if (!node || needed.has(node)) continue
    needed.add(node)
    for (const name of usedNames(node)) open.push(name)
  }
  return graph.nodes.filter((node) => needed.has(node))
}

function constantOf(node: Node): Tensor | undefined {
  const attribute = node.opType === 'Constant' && node.domain === '' ? node.attributes[0] : undefined
  return attribute?.type === 'tensor' ? attribute.value : undefined
}

/** Axes that an Unsqueeze adds: an attribute before opset 13, an input since. */
function addedAxes(node: Node, weights: ReadonlyMap<string, Tensor>): number[] | undefined {
  const attribute = findAttribute(node, 'axes')
  if (attribute?.type === 'ints') return attribute.value.map(Number)
  const axes = weights.get(node.inputs[1] ?? '')
  return axes && tensorToNumbers(axes)
}

/** The result of unsqueezing a weight: the same bytes under more dimensions. */
function unsqueezed(node: Node, weights: ReadonlyMap<string, Tensor>): Tensor | undefined {
  if (node.opType !== 'Unsqueeze' || node.domain !== '') return undefined
  const weight = weights.get(node.inputs[0] ?? '')
  const axes = weight && addedAxes(node, weights)
  if (!axes) return undefined
  const rank = weight.dims.length + axes.length
  const added = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)))
  const rest = weight.dims.values()
  const dims = Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : (rest.next().value ?? 1)))
  return { ...weight, dims }
}

/** Takes out the nodes whose result is a weight, or a weight under other dimensions. */
function foldConstants(nodes: readonly Node[], weights: Map<string, Tensor>): Node[] {
  return nodes.filter((node) => {
    const [name] = node.outputs
    const constant = constantOf(node) ?? unsqueezed(node, weights)
    if (!constant || name === undefined) return true
    weights.set(name, { ...constant, name })
    return false
  })
}

function canStayOutside({ data, dataType, dims }: Tensor): boolean {
  if (data.kind === 'strings' || !EXTERNAL_TYPES.includes(dataType)) return false
  const bytes = tensorDataLength(data)
  return bytes >= EXTERNAL_BYTES && bytes === elementCount(dims) * elementSize(dataType)
}

/** Files of tensors, free of links: ONNX Runtime follows none out of a folder. */
class RealFiles {
  readonly #known = new Map<string, string>()

  /** Undefined for a tensor in memory. */
  of({ data }: Tensor): string | undefined {
    if (data.kind !== 'file') return undefined
    const file = this.#known.get(data.path) ?? realpathSync(data.path)
    this.#known.set(data.path, file)
    return file
  }
}

/** The folder with the most bytes of weights. */
function mostlyIn(tensors: readonly Tensor[], files: RealFiles): string {
  const bytes = new Map<string, number>()
  for (const tensor of tensors) {
    const file = files.of(tensor)
    const folder = file === undefined ? undefined : path.dirname(file)
    if (folder !== undefined) bytes.set(folder, (bytes.get(folder) ?? 0) + tensorDataLength(tensor.data))
  }
  return [...bytes].reduce((most, entry) => (entry[1] > most[1] ? entry : most), ['', 0] as const)[0]
}

/** Where weights stay: ONNX Runtime maps the files of one folder itself. */
function placesOf(tensors: readonly Tensor[]): Pick<ObservedModel, 'weightsFolder' | 'filed' | 'given'> & {
  places: Map<Tensor, ExternalPlace>
} {
  const files = new RealFiles()
  const weightsFolder = mostlyIn(tensors, files)
  const places = new Map<Tensor, ExternalPlace>()
  const [filed, given]: [Tensor[], Tensor[]] = [[], []]
  for (const tensor of tensors) {
    const { data } = tensor
    const file = files.of(tensor)
    const isFiled = data.kind === 'file' && file !== undefined && path.dirname(file) === weightsFolder
    ;(isFiled ? filed : given).push(tensor)
    const length = tensorDataLength(data)
    places.set(
      tensor,
      isFiled
        ? { location: path.basename(file), offset: data.offset, length }
        : { location: 'given', offset: 0, length },
    )
  }
  return { weightsFolder, filed, given, places }
}

/**
 * Observe nodes go to the end in reverse: ONNX Runtime runs the leaves of a graph from the last to the first, each right
 * after what it needs. A tensor is then counted as soon as it is there, and can be freed.
 */
function observeNodes(
  nodes: readonly Node[],
  tensors: readonly string[],
  isTaken: (name: string) => boolean,
): Node[] {
  const order = new Map(nodes.flatMap((node, index) => node.outputs.map((name) => [name, index])))
  const position = (probe: number): number => order.get(tensors[probe] as string) ?? -1
  const reversed = [...tensors.keys()].sort((left, right) => position(right) - position(left))
  return reversed.map((probe) => {
    const tensor = tensors[probe] as string
    let output = `observed ${probe}`
    while (order.has(output) || isTaken(output)) output += "'"
    const { domain, opType } = OBSERVE
    const attributes = { [OBSERVE.probe]: probe }
    return makeNode({ opType, domain, name: output, inputs: [tensor], outputs: [output], attributes })
  })
}

/** Numbers for names, in the form of a name. */
class ShortNames {
  readonly #mark: string
  readonly #names = new Map<string, string>()
  readonly #known: string[] = []

  constructor(mark: string) {
    this.#mark = mark
  }

  /** The same name for the same text; "" is no name. */
  of(text: string): string {
    if (text === '') return ''
    const found = this.#names.get(text)
    if (found !== undefined) return found
    const name = `${this.#mark}${this.#known.length}`
    this.#known.push(text)
    this.#names.set(text, name)
    return name
  }

  restore(message: string): string {
    return message.replaceAll(
      new RegExp(`${this.#mark}(\\d+)`, 'g'),
      (short, index) => this.#known[Number(index)] ?? short,
    )
  }
}

const VALUE_MARK = '@'
const NODE_MARK = '#'

/** @param tensors One probe each, by position; a tensor may have several. */
export function observedModel(source: Model, tensors: readonly string[]): ObservedModel {
  const weights = new Map(source.graph.initializers)
  const needed = foldConstants(neededNodes(source.graph, tensors), weights)
  const inputNames = new Set(source.graph.inputs.map((info) => info.name))
  const isTaken = (name: string): boolean => weights.has(name) || inputNames.has(name)
  const nodes = [...needed, ...observeNodes(needed, tensors, isTaken)]

  const values = new ShortNames(VALUE_MARK)
  const labels = new ShortNames(NODE_MARK)
  // Names inside subgraphs, and in fields that are carried along unread, would have to follow.
  const short = !source.graph.unknown && !nodes.some((node) => subgraphs(node).length > 0)
  const valueName = (name: string): string => (short ? values.of(name) : name)
  const inputs = source.graph.inputs.map((info) => ({ ...info, name: valueName(info.name) }))
  const used = new Set(nodes.flatMap((node) => [...usedNames(node)]))
  const initializers = [...weights]
    .filter(([name]) => used.has(name))
    .map(([name, tensor]): [string, Tensor] => [valueName(name), { ...tensor, name: valueName(name) }])
  const graph: Graph = {
    name: source.graph.name,
    nodes: nodes.map((node) => ({
      ...node,
      name: labels.of(nodeLabel(node)),
      inputs: node.inputs.map(valueName),
      outputs: node.outputs.map(valueName),
    })),
    initializers: new Map(initializers),
    inputs,
    initializerInputs: [],
    outputs: nodes
      .slice(needed.length)
      .flatMap((node) =>
        node.outputs.map((name) => ({ name: valueName(name), elementType: DataType.UINT8 })),
      ),
    valueInfo: [],
    ...(source.graph.unknown && { unknown: source.graph.unknown }),
  }
  const model: Model = {
    ...source,
    irVersion: Math.max(source.irVersion, INITIALIZERS_ALONE_IR),
    opsetImports: [...source.opsetImports, { domain: OBSERVE.domain, version: 1 }],
    metadata: [],
    graph,
  }
  const outside = placesOf([...graph.initializers.values()].filter(canStayOutside))
  return {
    ...outside,
    inputName: valueName,
    bytesFor(shapes) {
      source.graph.inputs.forEach(({ name }, index) => {
        const dims = shapes[name]
        const input = inputs[index]
        if (dims && input) input.shape = dims.map((value) => ({ value }))
      })
      return serializeModel(model, outside.places)
    },
    withSourceNames: (message) => labels.restore(values.restore(message)),
  }
}
