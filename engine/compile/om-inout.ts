// MODEL_INOUT_INFO: inputs, outputs and gears as type-length-value entries (ACL data types).
import type { OmGears, OmTensor } from '../../contract/om.ts'
import { ByteWriter } from './byte-writer.ts'
import { InOutInfo, formatNumber, typeByName } from './om-layout.ts'

function tensorDescs(tensors: readonly OmTensor[]): Uint8Array {
  const out = new ByteWriter()
  out.u32(tensors.length)
  for (const tensor of tensors) {
    const name = Buffer.from(tensor.name)
    out.u64(tensor.size)
    out.i32(formatNumber(tensor.format))
    out.i32(typeByName(tensor.dataType)?.acl ?? -1)
    out.u32(name.length)
    out.u32(tensor.dims.length * 8)
    out.u32(tensor.dims.length * 8)
    out.u32(0)
    out.bytes(name)
    // dims, then dims_v2: the shape before static AIPP, which we never insert.
    for (let copy = 0; copy < 2; copy++) for (const dim of tensor.dims) out.i64(dim)
  }
  return out.take()
}

/** u32 count, u32 byte length of each row, then the rows. */
function rows(values: readonly Uint8Array[]): Uint8Array {
  const out = new ByteWriter()
  out.u32(values.length)
  for (const value of values) out.u32(value.length)
  for (const value of values) out.bytes(value)
  return out.take()
}

function numbers(values: readonly number[]): Uint8Array {
  const out = new ByteWriter()
  for (const value of values) out.u64(value)
  return out.take()
}

function gearEntry(gears: OmGears): { type: number; value: Uint8Array } {
  if (gears.kind === 'batch') {
    const out = new ByteWriter()
    out.u32(gears.values.length)
    out.bytes(numbers(gears.values))
    return { type: InOutInfo.DYN_BATCH, value: out.take() }
  }
  const type = gears.kind === 'image' ? InOutInfo.DYN_HW : InOutInfo.DYN_DIMS
  return { type, value: rows(gears.values.map((value) => numbers(value))) }
}

/** Output shapes per gear, as `gear,output,dim,dim...`; gears in their order. */
export function gearOutputShapes(shapes: readonly (readonly (readonly number[])[])[]): string[] {
  return shapes.flatMap((outputs, gear) => outputs.map((dims, index) => [gear, index, ...dims].join(',')))
}

export interface InOutFacts {
  inputs: readonly OmTensor[]
  outputs: readonly OmTensor[]
  gears: OmGears | null
  /** Rows of {@link gearOutputShapes}; empty for a static model. */
  outputShapes: readonly string[]
}

/** The partition's bytes. */
export function encodeInOutInfo(facts: InOutFacts): Uint8Array {
  const out = new ByteWriter()
  const entry = (type: number, value: Uint8Array): void => {
    out.i32(type)
    out.u32(value.length)
    out.bytes(value)
  }
  entry(InOutInfo.INPUT_DESC, tensorDescs(facts.inputs))
  entry(InOutInfo.OUTPUT_DESC, tensorDescs(facts.outputs))
  if (facts.gears) {
    const { type, value } = gearEntry(facts.gears)
    entry(type, value)
    entry(InOutInfo.DYN_OUTPUT_SHAPE, rows(facts.outputShapes.map((row) => Buffer.from(row))))
    entry(InOutInfo.SHAPE_ORDER, rows(facts.inputs.slice(0, -1).map((input) => Buffer.from(input.name))))
  }
  return out.take()
}
