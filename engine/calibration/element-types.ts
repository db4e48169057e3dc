// Element types of calibration inputs: size, array class, names used in messages and in .npy files.
import { DataType } from '../onnx/model.ts'

export type SampleArray =
  | Float32Array
  | Float64Array
  | Uint16Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array

interface ElementType {
  name: string
  size: number
  /** Code of numpy's .npy header, without the byte order. */
  npy: string
  view: (buffer: ArrayBuffer) => SampleArray
}

const TYPES: Partial<Record<DataType, ElementType>> = {
  [DataType.FLOAT]: { name: 'float32', size: 4, npy: 'f4', view: (buffer) => new Float32Array(buffer) },
  // Bit patterns: Node's runtime bindings take float16 as 16-bit words.
  [DataType.FLOAT16]: { name: 'float16', size: 2, npy: 'f2', view: (buffer) => new Uint16Array(buffer) },
  [DataType.DOUBLE]: { name: 'float64', size: 8, npy: 'f8', view: (buffer) => new Float64Array(buffer) },
  [DataType.INT8]: { name: 'int8', size: 1, npy: 'i1', view: (buffer) => new Int8Array(buffer) },
  [DataType.UINT8]: { name: 'uint8', size: 1, npy: 'u1', view: (buffer) => new Uint8Array(buffer) },
  [DataType.BOOL]: { name: 'bool', size: 1, npy: 'b1', view: (buffer) => new Uint8Array(buffer) },
  [DataType.INT16]: { name: 'int16', size: 2, npy: 'i2', view: (buffer) => new Int16Array(buffer) },
  [DataType.UINT16]: { name: 'uint16', size: 2, npy: 'u2', view: (buffer) => new Uint16Array(buffer) },
  [DataType.INT32]: { name: 'int32', size: 4, npy: 'i4', view: (buffer) => new Int32Array(buffer) },
  [DataType.UINT32]: { name: 'uint32', size: 4, npy: 'u4', view: (buffer) => new Uint32Array(buffer) },
  [DataType.INT64]: { name: 'int64', size: 8, npy: 'i8', view: (buffer) => new BigInt64Array(buffer) },
  [DataType.UINT64]: { name: 'uint64', size: 8, npy: 'u8', view: (buffer) => new BigUint64Array(buffer) },
}

/** The element type of a TensorProto.DataType number; undefined when calibration data cannot have it. */
export function elementType(dataType: number): ElementType | undefined {
  return TYPES[dataType as DataType]
}

/** Names and sizes of the floating-point types, to guess what a file of unexpected size may hold. */
export const FLOATING_TYPES = [DataType.FLOAT, DataType.FLOAT16, DataType.DOUBLE]
  .map((type) => TYPES[type])
  .filter((type) => type !== undefined)

/** Flat index of the first NaN or infinity; -1 when there is none or the type has none. */
export function firstNonFinite(data: SampleArray, dataType: number): number {
  if (dataType === DataType.FLOAT16) {
    // All exponent bits set: infinity or NaN.
    return (data as Uint16Array).findIndex((bits) => (bits & 0x7c00) === 0x7c00)
  }
  if (!(data instanceof Float32Array) && !(data instanceof Float64Array)) return -1
  for (let index = 0; index < data.length; index++) {
    const x = data[index] as number
    if (x - x !== 0) return index
  }
  return -1
}

/** How a non-finite element reads: "NaN", "Infinity" or "-Infinity". */
export function nonFiniteName(data: SampleArray, dataType: number, index: number): string {
  const value = data[index]
  if (dataType !== DataType.FLOAT16) return String(value)
  const bits = Number(value)
  if ((bits & 0x3ff) !== 0) return 'NaN'
  return bits & 0x8000 ? '-Infinity' : 'Infinity'
}
