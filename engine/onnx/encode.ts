// Model -> ModelProto. Weights that are in files stay references; the caller copies them when it writes the chunks.
import { VALUE_FIELD } from './decode.ts'
import type { Attribute, Dimension, Graph, Model, Node, Tensor, ValueInfo } from './model.ts'
import { tensorDataLength } from './tensors.ts'
import { WireWriter } from './wire-writer.ts'

/** Where a tensor's bytes are put outside the model file. */
export interface ExternalPlace {
  location: string
  offset: number
  length: number
}

/** A tensor whose bytes are copied from its file into the output. */
export type ModelWriter = WireWriter<Tensor>

/** AttributeProto.AttributeType of each attribute type. */
const TYPE_NUMBER: Readonly<Record<Exclude<Attribute['type'], 'raw'>, number>> = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
}

/** TensorProto.DataLocation.EXTERNAL */
const EXTERNAL = 1

/**
 * Encodes a model.
 * @param external tensors to be written as references to external data; all others are inline
 */
export function encodeModel(
  model: Model,
  external: ReadonlyMap<Tensor, ExternalPlace> = new Map(),
): ModelWriter {
  const encoder = new Encoder(external)
  const writer: ModelWriter = new WireWriter()
  encoder.model(writer, model)
  return writer
}

class Encoder {
  private readonly external: ReadonlyMap<Tensor, ExternalPlace>

  constructor(external: ReadonlyMap<Tensor, ExternalPlace>) {
    this.external = external
  }

  model(writer: ModelWriter, model: Model): void {
    writer.size(1, model.irVersion)
    writer.optionalText(2, model.producerName)
    writer.optionalText(3, model.producerVersion)
    writer.optionalText(4, model.domain)
    if (model.modelVersion !== 0n) writer.int64(5, model.modelVersion)
    writer.optionalText(6, model.docString)
    writer.message(7, (inner) => this.graph(inner, model.graph))
    for (const entry of model.opsetImports) {
      writer.message(8, (inner) => {
        inner.optionalText(1, entry.domain)
        inner.size(2, entry.version)
        inner.append(entry.unknown)
      })
    }
    for (const entry of model.metadata) {
      writer.message(14, (inner) => {
        inner.text(1, entry.key)
        inner.text(2, entry.value)
        inner.append(entry.unknown)
      })
    }
    writer.append(model.unknown)
  }

  private graph(writer: ModelWriter, graph: Graph): void {
    for (const node of graph.nodes) writer.message(1, (inner) => this.node(inner, node))
    writer.optionalText(2, graph.name)
    for (const tensor of graph.initializers.values()) writer.message(5, (inner) => this.tensor(inner, tensor))
    writer.optionalText(10, graph.docString)
    for (const info of inputsInFileOrder(graph)) writer.message(11, (inner) => this.valueInfo(inner, info))
    for (const info of graph.outputs) writer.message(12, (inner) => this.valueInfo(inner, info))
    for (const info of graph.valueInfo) writer.message(13, (inner) => this.valueInfo(inner, info))
    writer.append(graph.unknown)
  }

  private node(writer: ModelWriter, node: Node): void {
    for (const input of node.inputs) writer.text(1, input)
    for (const output of node.outputs) writer.text(2, output)
    writer.optionalText(3, node.name)
    writer.text(4, node.opType)
    for (const attribute of node.attributes) writer.message(5, (inner) => this.attribute(inner, attribute))
    writer.optionalText(6, node.docString)
    writer.optionalText(7, node.domain)
    writer.append(node.unknown)
  }

  private attribute(writer: ModelWriter, attribute: Attribute): void {
    if (attribute.type === 'raw') {
      writer.append(attribute.value)
      return
    }
    writer.text(1, attribute.name)
    this.attributeValue(writer, attribute, VALUE_FIELD[attribute.type])
    writer.optionalText(13, attribute.docString)
    writer.size(20, TYPE_NUMBER[attribute.type])
    writer.append(attribute.unknown)
  }

  private attributeValue(writer: ModelWriter, attribute: Attribute, field: number): void {
    switch (attribute.type) {
      case 'float':
        writer.float32(field, attribute.value)
        break
      case 'int':
        writer.int64(field, attribute.value)
        break
      case 'string':
        writer.bytes(field, attribute.value)
        break
      case 'tensor':
        writer.message(field, (inner) => this.tensor(inner, attribute.value))
        break
      case 'graph':
        writer.message(field, (inner) => this.graph(inner, attribute.value))
        break
      case 'floats':
        writer.floats(field, attribute.value)
        break
      case 'ints':
        writer.int64s(field, attribute.value)
        break
      case 'strings':
        for (const value of attribute.value) writer.bytes(field, value)
        break
      case 'tensors':
        for (const value of attribute.value) writer.message(field, (inner) => this.tensor(inner, value))
        break
      case 'graphs':
        for (const value of attribute.value) writer.message(field, (inner) => this.graph(inner, value))
        break
      case 'raw':
        break
    }
  }

  private tensor(writer: ModelWriter, tensor: Tensor): void {
    writer.int64s(1, tensor.dims.map(BigInt))
    writer.size(2, tensor.dataType)
    writer.optionalText(8, tensor.name)
    writer.optionalText(12, tensor.docString)
    const place = this.external.get(tensor)
    if (place) writeExternal(writer, place)
    else if (tensor.data.kind === 'strings') for (const value of tensor.data.values) writer.bytes(6, value)
    else if (tensor.data.kind === 'bytes') writer.bytes(9, tensor.data.bytes)
    else writer.reference(9, tensor, tensorDataLength(tensor.data))
    writer.append(tensor.unknown)
  }

  private valueInfo(writer: ModelWriter, info: ValueInfo): void {
    writer.text(1, info.name)
    if (info.rawType) writer.bytes(2, info.rawType)
    else if (hasTensorType(info)) writer.message(2, (inner) => writeType(inner, info))
    writer.optionalText(3, info.docString)
    writer.append(info.unknown)
  }
}

function hasTensorType(info: ValueInfo): boolean {
  return info.elementType !== undefined || info.shape !== undefined || info.typeUnknown !== undefined
}

function writeType(writer: ModelWriter, info: ValueInfo): void {
  writer.message(1, (tensor) => {
    if (info.elementType !== undefined) tensor.size(1, info.elementType)
    const { shape } = info
    if (shape) {
      tensor.message(2, (inner) => {
        for (const dimension of shape) inner.message(1, (dim) => writeDimension(dim, dimension))
        inner.append(info.typeUnknown?.shape)
      })
    }
    tensor.append(info.typeUnknown?.tensor)
  })
  writer.append(info.typeUnknown?.type)
}

function writeDimension(writer: ModelWriter, dimension: Dimension): void {
  if (dimension.value !== undefined) writer.size(1, dimension.value)
  else writer.optionalText(2, dimension.symbol)
  writer.append(dimension.unknown)
}

function writeExternal(writer: ModelWriter, place: ExternalPlace): void {
  const entries = [
    ['location', place.location],
    ['offset', String(place.offset)],
    ['length', String(place.length)],
  ] as const
  for (const [key, value] of entries) {
    writer.message(13, (inner) => {
      inner.text(1, key)
      inner.text(2, value)
    })
  }
  writer.size(14, EXTERNAL)
}

/** Both kinds of inputs where they stood; inputs added since come after their kind's last known one. */
function inputsInFileOrder(graph: Graph): ValueInfo[] {
  const all = [...graph.inputs, ...graph.initializerInputs]
  if (!graph.inputOrder) return all
  const rank = new Map(graph.inputOrder.map((name, index) => [name, index]))
  return all
    .map((info, index) => ({ info, rank: rank.get(info.name) ?? graph.inputOrder!.length + index }))
    .sort((a, b) => a.rank - b.rank)
    .map((entry) => entry.info)
}
