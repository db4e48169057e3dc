// ModelProto -> Model, but for its values (decode-value-info.ts) and tensors (decode-tensor.ts). Field numbers follow onnx.proto; what is not named here is kept verbatim as unknown.
import { AppError } from '../../contract/errors/index.ts'
import { readTensor } from './decode-tensor.ts'
import type { ExternalFiles } from './external.ts'
import type { Attribute, Graph, Model, Node, OpsetImport, ValueInfo } from './model.ts'
import { RECORD_ITEMS, ValueInfoDecoder } from './decode-value-info.ts'
import type { WireReader } from './wire.ts'

/** Graphs inside attributes of graphs (If, Loop, Scan) are followed down to this depth. */
const MAX_GRAPH_DEPTH = 32

/** Reads messages of one model. */
export class ModelDecoder extends ValueInfoDecoder {
  private readonly files: ExternalFiles
  /** True once the bytes look like ONNX: errors after that are damage, not another file format. */
  recognised = false

  constructor(reader: WireReader, files: ExternalFiles) {
    super(reader)
    this.files = files
  }

  model(): Model {
    const { reader } = this
    let graph: Graph | undefined
    const model: Omit<Model, 'graph'> = {
      irVersion: 0,
      producerName: '',
      producerVersion: '',
      domain: '',
      modelVersion: 0n,
      docString: '',
      opsetImports: [],
      metadata: [],
    }
    const unknown = this.fields(() => {
      switch (reader.field) {
        case 1:
          model.irVersion = reader.size()
          if (model.irVersion > 0 && model.irVersion < 100) this.recognised = true
          return true
        case 2:
          model.producerName = reader.text()
          return true
        case 3:
          model.producerVersion = reader.text()
          return true
        case 4:
          model.domain = reader.text()
          return true
        case 5:
          model.modelVersion = reader.int64()
          return true
        case 6:
          model.docString = reader.text()
          return true
        case 7:
          if (graph) throw reader.invalid('the model has two graphs')
          graph = this.graph(1)
          return true
        case 8:
          model.opsetImports.push(this.opsetImport())
          return true
        case 14:
          model.metadata.push(this.metadataEntry())
          return true
        default:
          return false
      }
    })
    if (!graph) {
      throw new AppError('E_ONNX_NOT_ONNX', { path: reader.source.path, reason: 'there is no graph in it' })
    }
    return { ...model, graph, ...(unknown && { unknown }) }
  }

  private opsetImport(): OpsetImport {
    const { reader } = this
    const entry: OpsetImport = { domain: '', version: 0 }
    const unknown = this.message(() => {
      if (reader.field === 1) entry.domain = reader.text()
      else if (reader.field === 2) entry.version = reader.size()
      else return false
      return true
    })
    return unknown ? { ...entry, unknown } : entry
  }

  private metadataEntry(): Model['metadata'][number] {
    const { reader } = this
    const entry = { key: '', value: '' }
    const unknown = this.message(() => {
      if (reader.field === 1) entry.key = reader.text()
      else if (reader.field === 2) entry.value = reader.text()
      else return false
      return true
    })
    return unknown ? { ...entry, unknown } : entry
  }

  private graph(depth: number): Graph {
    const { reader } = this
    if (depth > MAX_GRAPH_DEPTH) throw reader.limit('depth of nested graphs', depth, MAX_GRAPH_DEPTH)
    const allInputs: ValueInfo[] = []
    const graph: Graph = {
      name: '',
      nodes: [],
      initializers: new Map(),
      inputs: [],
      initializerInputs: [],
      outputs: [],
      valueInfo: [],
    }
    const unknown = this.message(() => this.graphField(graph, allInputs, depth))
    if (unknown) graph.unknown = unknown
    splitInputs(graph, allInputs)
    return graph
  }

  private graphField(graph: Graph, allInputs: ValueInfo[], depth: number): boolean {
    const { reader } = this
    switch (reader.field) {
      case 1:
        graph.nodes.push(this.node(depth))
        return true
      case 2:
        graph.name = reader.text()
        return true
      case 5: {
        reader.count(RECORD_ITEMS)
        const tensor = readTensor(reader, this.files, true)
        // A later initializer of the same name wins, as in ONNX Runtime.
        graph.initializers.set(tensor.name, tensor)
        return true
      }
      case 10:
        graph.docString = reader.text()
        return true
      case 11:
        allInputs.push(this.valueInfo())
        return true
      case 12:
        graph.outputs.push(this.valueInfo())
        return true
      case 13:
        graph.valueInfo.push(this.valueInfo())
        return true
      default:
        return false
    }
  }

  private node(depth: number): Node {
    const { reader } = this
    reader.count(RECORD_ITEMS)
    const node: Node = { name: '', opType: '', domain: '', inputs: [], outputs: [], attributes: [] }
    const unknown = this.message(() => {
      switch (reader.field) {
        case 1:
          node.inputs.push(reader.text())
          return true
        case 2:
          node.outputs.push(reader.text())
          return true
        case 3:
          node.name = reader.text()
          return true
        case 4:
          node.opType = reader.text()
          return true
        case 5:
          node.attributes.push(this.attribute(depth))
          return true
        case 6:
          node.docString = reader.text()
          return true
        case 7:
          node.domain = reader.text()
          return true
        default:
          return false
      }
    })
    if (unknown) node.unknown = unknown
    // "ai.onnx" is the long name of the default domain.
    if (node.domain === 'ai.onnx') node.domain = ''
    return node
  }

  /** First pass over an AttributeProto: which type it declares and which value fields it has. */
  private attributeType(): number {
    const { reader } = this
    const start = reader.position
    const present = new Set<number>()
    let type = 0
    while (reader.next()) {
      present.add(reader.field)
      if (reader.field === 20) type = reader.int32()
      else reader.skip()
    }
    reader.position = start
    if (present.has(21)) return 0
    if (type !== 0) return type
    // IR version 1 had no type field: the only value field tells.
    for (let field = 2; field <= 11; field++) if (present.has(field)) return TYPE_OF_FIELD[field]!
    return 0
  }

  private attribute(depth: number): Attribute {
    const { reader } = this
    reader.count(RECORD_ITEMS)
    const outer = reader.enter()
    const attribute = emptyAttribute(this.attributeType())
    if (attribute.type === 'raw') this.rawAttribute(attribute)
    else {
      const unknown = this.fields(() => this.attributeField(attribute, depth))
      if (unknown) attribute.unknown = unknown
    }
    reader.leave(outer)
    if (attribute.type === 'tensor' && attribute.value === MISSING)
      throw reader.invalid('a tensor attribute is empty')
    if (attribute.type === 'graph' && attribute.value === MISSING)
      throw reader.invalid('a graph attribute is empty')
    return attribute
  }

  private rawAttribute(attribute: Extract<Attribute, { type: 'raw' }>): void {
    const { reader } = this
    const start = reader.position
    while (reader.next()) {
      if (reader.field === 1) attribute.name = reader.text()
      else reader.skip()
    }
    const length = reader.position - start
    reader.hold(length)
    attribute.value = reader.source.copy(start, length)
  }

  private attributeField(attribute: Attribute, depth: number): boolean {
    const { reader } = this
    if (reader.field === 1) attribute.name = reader.text()
    else if (reader.field === 13) attribute.docString = reader.text()
    else if (reader.field === 20) reader.int32()
    else if (reader.field === VALUE_FIELD[attribute.type]) this.attributeValue(attribute, depth)
    else return false
    return true
  }

  private attributeValue(attribute: Attribute, depth: number): void {
    const { reader } = this
    switch (attribute.type) {
      case 'float':
        attribute.value = reader.float32()
        break
      case 'int':
        attribute.value = reader.int64()
        break
      case 'string':
        attribute.value = reader.bytes()
        break
      case 'tensor':
        attribute.value = readTensor(reader, this.files, false)
        break
      case 'graph':
        attribute.value = this.graph(depth + 1)
        break
      case 'floats':
        reader.floats(attribute.value)
        break
      case 'ints':
        reader.int64s(attribute.value)
        break
      case 'strings':
        attribute.value.push(reader.bytes())
        break
      case 'tensors':
        attribute.value.push(readTensor(reader, this.files, false))
        break
      case 'graphs':
        attribute.value.push(this.graph(depth + 1))
        break
      case 'raw':
        break
    }
  }
}

/** Stands for a value that the second pass must fill. */
const MISSING = {} as never

const ATTRIBUTE_TYPES = [
  'raw',
  'float',
  'int',
  'string',
  'tensor',
  'graph',
  'floats',
  'ints',
  'strings',
  'tensors',
  'graphs',
] as const

/** Number of the AttributeProto field that holds the value of each type; "raw" has none. */
export const VALUE_FIELD: Readonly<Record<Attribute['type'], number>> = {
  raw: 0,
  float: 2,
  int: 3,
  string: 4,
  tensor: 5,
  graph: 6,
  floats: 7,
  ints: 8,
  strings: 9,
  tensors: 10,
  graphs: 11,
}

/** AttributeProto.AttributeType by value field. */
const TYPE_OF_FIELD: Readonly<Record<number, number>> = {
  2: 1,
  3: 2,
  4: 3,
  5: 4,
  6: 5,
  7: 6,
  8: 7,
  9: 8,
  10: 9,
  11: 10,
}

function emptyAttribute(typeNumber: number): Attribute {
  const name = ''
  const type = ATTRIBUTE_TYPES[typeNumber] ?? 'raw'
  switch (type) {
    case 'float':
      return { name, type, value: 0 }
    case 'int':
      return { name, type, value: 0n }
    case 'string':
    case 'raw':
      return { name, type, value: new Uint8Array(0) }
    case 'tensor':
    case 'graph':
      return { name, type, value: MISSING }
    default:
      return { name, type, value: [] }
  }
}

/** Divides the inputs into true inputs and initializers listed among them (IR version 3). */
function splitInputs(graph: Graph, all: ValueInfo[]): void {
  for (const info of all) {
    const list = graph.initializers.has(info.name) ? graph.initializerInputs : graph.inputs
    list.push(info)
  }
  const written = [...graph.inputs, ...graph.initializerInputs]
  if (written.some((info, index) => info !== all[index])) graph.inputOrder = all.map((info) => info.name)
}
