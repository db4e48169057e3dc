// ge.proto.ModelDef: the compiled graph as operators, so that viewers can show it. Field numbers: ge_ir.proto.
import { WireWriter } from '../onnx/wire-writer.ts'

type Writer = WireWriter<never>

export interface OmTensorDesc {
  name: string
  /** ge.proto.DataType */
  dataType: number
  dims: readonly number[]
  /** NCHW, ND ... */
  layout: string
  /** Bytes. */
  size: number
  /** Place of a constant's bytes in WEIGHTS_DATA. */
  weight?: { offset: number; length: number }
}

export type OmAttribute =
  | { kind: 'int'; value: number }
  | { kind: 'string'; value: string }
  | { kind: 'bool'; value: boolean }
  | { kind: 'ints'; value: readonly number[] }
  | { kind: 'strings'; value: readonly string[] }
  | { kind: 'tensor'; value: OmTensorDesc }

export interface OmOp {
  name: string
  type: string
  /** Producing operator and its output index. */
  inputs: readonly { op: string; index: number }[]
  inputDescs: readonly OmTensorDesc[]
  outputDescs: readonly OmTensorDesc[]
  attributes: Readonly<Record<string, OmAttribute>>
}

export interface OmModelDef {
  name: string
  attributes: Readonly<Record<string, OmAttribute>>
  ops: readonly OmOp[]
}

/** ListValue.val_type: VT_LIST_STRING and VT_LIST_INT. */
const LIST_STRING = 1
const LIST_INT = 2

function writeDesc(writer: Writer, desc: OmTensorDesc): void {
  writer.text(1, desc.name)
  writer.size(2, desc.dataType)
  writer.message(3, (shape) => shape.int64s(1, desc.dims.map(BigInt)))
  writer.text(4, desc.layout)
  writer.size(10, desc.size)
  if (!desc.weight) return
  writer.size(11, desc.weight.length)
  writer.size(18, desc.weight.offset)
}

function writeAttribute(writer: Writer, attribute: OmAttribute): void {
  switch (attribute.kind) {
    case 'int':
      writer.int64(3, BigInt(attribute.value))
      break
    case 'string':
      writer.text(2, attribute.value)
      break
    case 'bool':
      writer.size(5, attribute.value ? 1 : 0)
      break
    case 'ints':
      writer.message(1, (list) => {
        list.int64s(3, attribute.value.map(BigInt))
        list.size(20, LIST_INT)
      })
      break
    case 'strings':
      writer.message(1, (list) => {
        for (const value of attribute.value) list.text(2, value)
        list.size(20, LIST_STRING)
      })
      break
    case 'tensor':
      writer.message(12, (tensor) => tensor.message(1, (desc) => writeDesc(desc, attribute.value)))
      break
  }
}

function writeAttributes(
  writer: Writer,
  field: number,
  attributes: Readonly<Record<string, OmAttribute>>,
): void {
  for (const [key, value] of Object.entries(attributes)) {
    writer.message(field, (entry) => {
      entry.text(1, key)
      entry.message(2, (inner) => writeAttribute(inner, value))
    })
  }
}

function writeOp(writer: Writer, op: OmOp, id: number): void {
  writer.text(1, op.name)
  writer.text(2, op.type)
  for (const input of op.inputs) writer.text(5, `${input.op}:${input.index}`)
  writeAttributes(writer, 10, op.attributes)
  writer.size(21, id)
  for (const input of op.inputs) writer.text(24, input.op)
  if (op.inputs.length > 0) {
    writer.int64s(
      25,
      op.inputs.map((input) => BigInt(input.index)),
    )
  }
  for (const desc of op.inputDescs) writer.message(33, (inner) => writeDesc(inner, desc))
  for (const desc of op.outputDescs) writer.message(34, (inner) => writeDesc(inner, desc))
}

/** ModelDef as bytes. */
export function encodeModelDef(model: OmModelDef): Uint8Array {
  const writer: Writer = new WireWriter()
  writer.text(1, model.name)
  writer.size(2, 1)
  writer.message(7, (graph) => {
    graph.text(1, model.name)
    model.ops.forEach((op, id) => graph.message(6, (inner) => writeOp(inner, op, id)))
  })
  writeAttributes(writer, 11, model.attributes)
  const bytes = new Uint8Array(writer.length)
  for (const chunk of writer.chunks()) bytes.set(chunk.value, chunk.offset)
  return bytes
}
