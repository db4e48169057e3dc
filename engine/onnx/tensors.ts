// Tensor values: sizes, reading the bytes of a lazy tensor, converting to and from numbers.
import { closeSync, fstatSync } from 'node:fs'
import { AppError } from '../../contract/errors/index.ts'
import { float16BitsToFloat32, float32ToBfloat16Bits, float32ToFloat16Bits } from './float16.ts'
import { DataType } from './model.ts'
import type { Tensor, TensorData } from './model.ts'
import { fileStamp, openRegularFile, readFully } from './source.ts'

/** Bytes per element; 0.5 for the 4-bit types, 0 for types without a fixed size (strings, undefined). */
const ELEMENT_SIZE: Readonly<Record<DataType, number>> = {
  [DataType.UNDEFINED]: 0,
  [DataType.FLOAT]: 4,
  [DataType.UINT8]: 1,
  [DataType.INT8]: 1,
  [DataType.UINT16]: 2,
  [DataType.INT16]: 2,
  [DataType.INT32]: 4,
  [DataType.INT64]: 8,
  [DataType.STRING]: 0,
  [DataType.BOOL]: 1,
  [DataType.FLOAT16]: 2,
  [DataType.DOUBLE]: 8,
  [DataType.UINT32]: 4,
  [DataType.UINT64]: 8,
  [DataType.COMPLEX64]: 8,
  [DataType.COMPLEX128]: 16,
  [DataType.BFLOAT16]: 2,
  [DataType.FLOAT8E4M3FN]: 1,
  [DataType.FLOAT8E4M3FNUZ]: 1,
  [DataType.FLOAT8E5M2]: 1,
  [DataType.FLOAT8E5M2FNUZ]: 1,
  [DataType.UINT4]: 0.5,
  [DataType.INT4]: 0.5,
  [DataType.FLOAT4E2M1]: 0.5,
  [DataType.FLOAT8E8M0]: 1,
}

/** Names as NumPy and ONNX Runtime write them. */
const TYPE_NAMES: Readonly<Record<DataType, string>> = {
  [DataType.UNDEFINED]: 'undefined',
  [DataType.FLOAT]: 'float32',
  [DataType.UINT8]: 'uint8',
  [DataType.INT8]: 'int8',
  [DataType.UINT16]: 'uint16',
  [DataType.INT16]: 'int16',
  [DataType.INT32]: 'int32',
  [DataType.INT64]: 'int64',
  [DataType.STRING]: 'string',
  [DataType.BOOL]: 'bool',
  [DataType.FLOAT16]: 'float16',
  [DataType.DOUBLE]: 'float64',
  [DataType.UINT32]: 'uint32',
  [DataType.UINT64]: 'uint64',
  [DataType.COMPLEX64]: 'complex64',
  [DataType.COMPLEX128]: 'complex128',
  [DataType.BFLOAT16]: 'bfloat16',
  [DataType.FLOAT8E4M3FN]: 'float8e4m3fn',
  [DataType.FLOAT8E4M3FNUZ]: 'float8e4m3fnuz',
  [DataType.FLOAT8E5M2]: 'float8e5m2',
  [DataType.FLOAT8E5M2FNUZ]: 'float8e5m2fnuz',
  [DataType.UINT4]: 'uint4',
  [DataType.INT4]: 'int4',
  [DataType.FLOAT4E2M1]: 'float4e2m1',
  [DataType.FLOAT8E8M0]: 'float8e8m0',
}

/** True for the numbers that TensorProto.DataType defines. */
export function isDataType(value: number): value is DataType {
  return Object.hasOwn(TYPE_NAMES, value)
}

/** Bytes per element; 0.5 for 4-bit types, 0 for strings. */
export function elementSize(dataType: DataType): number {
  return ELEMENT_SIZE[dataType]
}

/** Lower-case name such as "float32". */
export function dataTypeName(dataType: DataType): string {
  return TYPE_NAMES[dataType]
}

/** Product of the dimensions; 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1)
}

/** Bytes that raw_data of this type and shape has. */
export function tensorByteLength(dataType: DataType, dims: readonly number[]): number {
  return Math.ceil(elementCount(dims) * elementSize(dataType))
}

function readSlice(data: Extract<TensorData, { kind: 'file' }>, name: string): Uint8Array {
  const file = openRegularFile(data.path)
  try {
    checkSlice(data, file, name)
    const bytes = new Uint8Array(data.length)
    readFully(file.descriptor, data.path, bytes, data.offset)
    return bytes
  } finally {
    closeSync(file.descriptor)
  }
}

/** Throws E_ONNX_FILE_CHANGED when the opened file is not the one the slice was taken from. */
export function checkSlice(
  data: Extract<TensorData, { kind: 'file' }>,
  file: { descriptor: number; size: number },
  name: string,
): void {
  const stamp = fileStamp(fstatSync(file.descriptor, { bigint: true }))
  if ((data.stamp !== undefined && data.stamp !== stamp) || data.offset + data.length > file.size) {
    throw new AppError('E_ONNX_FILE_CHANGED', { path: data.path, tensor: name })
  }
}

/** Number of bytes the value takes; for strings the sum of their lengths. */
export function tensorDataLength(data: TensorData): number {
  if (data.kind === 'bytes') return data.bytes.length
  if (data.kind === 'file') return data.length
  return data.values.reduce((sum, value) => sum + value.length, 0)
}

/**
 * The little-endian raw bytes of a tensor, read now if they are in a file. Do not modify the result: it may be shared.
 * @throws E_ONNX_TENSOR_TYPE for a string tensor, E_ONNX_FILE_CHANGED, E_FILE_NOT_FOUND, E_FILE_READ
 */
export function tensorBytes(tensor: Tensor): Uint8Array {
  if (tensor.data.kind === 'bytes') return tensor.data.bytes
  if (tensor.data.kind === 'file') return readSlice(tensor.data, tensor.name)
  throw typeError(tensor, 'a numeric type')
}

function typeError(tensor: Tensor, expected: string): AppError {
  return new AppError('E_ONNX_TENSOR_TYPE', {
    tensor: tensor.name,
    dataType: dataTypeName(tensor.dataType),
    expected,
  })
}

function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
}

/** Every element as a typed array or array of the natural JavaScript type. */
type NumberArray =
  Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array

function nibbles(bytes: Uint8Array, count: number, signed: boolean): Int8Array {
  const values = new Int8Array(count)
  for (let index = 0; index < count; index++) {
    const nibble = (bytes[index >> 1]! >> ((index & 1) * 4)) & 15
    values[index] = signed && nibble > 7 ? nibble - 16 : nibble
  }
  return values
}

function float16s(bytes: Uint8Array): Float32Array {
  const bits = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)
  const values = new Float32Array(bits.length)
  for (let index = 0; index < bits.length; index++) values[index] = float16BitsToFloat32(bits[index]!)
  return values
}

function bfloat16s(bytes: Uint8Array): Float32Array {
  const bits = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)
  const values = new Float32Array(bits.length)
  const words = new Uint32Array(values.buffer)
  for (let index = 0; index < bits.length; index++) words[index] = bits[index]! << 16
  return values
}

function bigintsToNumbers(values: BigInt64Array | BigUint64Array): Float64Array {
  const numbers = new Float64Array(values.length)
  for (let index = 0; index < values.length; index++) numbers[index] = Number(values[index]!)
  return numbers
}

/** All elements as doubles or an exact narrower type. 64-bit integers beyond 2^53 are rounded. */
function numericValues(tensor: Tensor): NumberArray {
  const bytes = aligned(tensorBytes(tensor), Math.max(1, elementSize(tensor.dataType)))
  const { buffer, byteOffset, length } = bytes
  switch (tensor.dataType) {
    case DataType.FLOAT:
      return new Float32Array(buffer, byteOffset, length / 4)
    case DataType.DOUBLE:
      return new Float64Array(buffer, byteOffset, length / 8)
    case DataType.INT8:
      return new Int8Array(buffer, byteOffset, length)
    case DataType.UINT8:
    case DataType.BOOL:
      return bytes
    case DataType.INT16:
      return new Int16Array(buffer, byteOffset, length / 2)
    case DataType.UINT16:
      return new Uint16Array(buffer, byteOffset, length / 2)
    case DataType.INT32:
      return new Int32Array(buffer, byteOffset, length / 4)
    case DataType.UINT32:
      return new Uint32Array(buffer, byteOffset, length / 4)
    case DataType.INT64:
      return bigintsToNumbers(new BigInt64Array(buffer, byteOffset, length / 8))
    case DataType.UINT64:
      return bigintsToNumbers(new BigUint64Array(buffer, byteOffset, length / 8))
    case DataType.FLOAT16:
      return float16s(bytes)
    case DataType.BFLOAT16:
      return bfloat16s(bytes)
    case DataType.INT4:
    case DataType.UINT4:
      return nibbles(bytes, elementCount(tensor.dims), tensor.dataType === DataType.INT4)
    default:
      throw typeError(tensor, 'a real number type of at least 16 bits, or an integer type')
  }
}

/**
 * All elements as float32 (rounded when the type is wider). A new array.
 * @throws E_ONNX_TENSOR_TYPE for strings, complex and 8-bit float types, and what {@link tensorBytes} throws
 */
export function tensorToFloat32(tensor: Tensor): Float32Array {
  return Float32Array.from(numericValues(tensor))
}

/** All elements as numbers; 64-bit integers beyond 2^53 are rounded. Throws as {@link tensorToFloat32}. */
export function tensorToNumbers(tensor: Tensor): number[] {
  return Array.from(numericValues(tensor))
}

/** The only element of a one-element tensor. */
export function tensorToScalar(tensor: Tensor): number {
  const values = numericValues(tensor)
  if (values.length !== 1) throw typeError(tensor, 'exactly one element')
  return values[0]!
}

function packNibbles(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(values.length / 2))
  values.forEach((value, index) => (bytes[index >> 1]! |= (value & 15) << ((index & 1) * 4)))
  return bytes
}

function encodeNumbers(dataType: DataType, values: readonly (number | bigint)[]): ArrayBufferView | null {
  const numbers = (): number[] => values.map(Number)
  const bigints = (): bigint[] => values.map((value) => BigInt(value))
  switch (dataType) {
    case DataType.FLOAT:
      return Float32Array.from(numbers())
    case DataType.DOUBLE:
      return Float64Array.from(numbers())
    case DataType.INT8:
      return Int8Array.from(numbers())
    case DataType.UINT8:
      return Uint8Array.from(numbers())
    case DataType.BOOL:
      return Uint8Array.from(numbers(), (value) => (value ? 1 : 0))
    case DataType.INT16:
      return Int16Array.from(numbers())
    case DataType.UINT16:
      return Uint16Array.from(numbers())
    case DataType.INT32:
      return Int32Array.from(numbers())
    case DataType.UINT32:
      return Uint32Array.from(numbers())
    case DataType.INT64:
      return BigInt64Array.from(bigints())
    case DataType.UINT64:
      return BigUint64Array.from(bigints())
    case DataType.FLOAT16:
      return Uint16Array.from(numbers(), float32ToFloat16Bits)
    case DataType.BFLOAT16:
      return Uint16Array.from(numbers(), float32ToBfloat16Bits)
    case DataType.INT4:
    case DataType.UINT4:
      return packNibbles(numbers())
    default:
      return null
  }
}

/**
 * Builds a tensor in memory.
 * @param data numbers to be converted to the type, or a view whose bytes already are the raw little-endian value
 *   (used without copying)
 * @throws E_ONNX_TENSOR_SIZE when the data does not fill the shape, E_ONNX_TENSOR_TYPE for numbers of a type that has
 *   no conversion
 */
export function makeTensor(
  name: string,
  dataType: DataType,
  dims: readonly number[],
  data: ArrayBufferView | readonly number[] | readonly bigint[],
): Tensor {
  const view = ArrayBuffer.isView(data) ? data : encodeNumbers(dataType, data)
  if (!view) {
    throw new AppError('E_ONNX_TENSOR_TYPE', {
      tensor: name,
      dataType: dataTypeName(dataType),
      expected: 'a numeric type',
    })
  }
  const expected = tensorByteLength(dataType, dims)
  if (view.byteLength !== expected) {
    throw new AppError('E_ONNX_TENSOR_SIZE', {
      path: 'new tensor',
      tensor: name,
      dataType: dataTypeName(dataType),
      dims,
      expected,
      actual: view.byteLength,
    })
  }
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  return { name, dataType, dims: [...dims], data: { kind: 'bytes', bytes } }
}

/** A tensor without dimensions. */
export function makeScalar(name: string, dataType: DataType, value: number | bigint): Tensor {
  return typeof value === 'bigint'
    ? makeTensor(name, dataType, [], [value])
    : makeTensor(name, dataType, [], [value])
}
