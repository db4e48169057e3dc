// Numbers of a tensor as a device returns it: bytes plus element type.
import type { ElementType, TensorValue } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import { float16BitsToFloat32 } from '../onnx/index.ts'

/** Bytes on an aligned buffer, so that typed arrays can lie over them. */
function aligned(data: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(data.byteLength)
  new Uint8Array(copy).set(data)
  return copy
}

function numbersOf(type: ElementType, buffer: ArrayBuffer): ArrayLike<number> | undefined {
  switch (type) {
    case 'float32':
      return new Float32Array(buffer)
    case 'float64':
      return new Float64Array(buffer)
    case 'float16':
      return Float32Array.from(new Uint16Array(buffer), float16BitsToFloat32)
    case 'bfloat16':
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer)
    case 'int8':
      return new Int8Array(buffer)
    case 'uint8':
    case 'bool':
      return new Uint8Array(buffer)
    case 'int16':
      return new Int16Array(buffer)
    case 'uint16':
      return new Uint16Array(buffer)
    case 'int32':
      return new Int32Array(buffer)
    case 'uint32':
      return new Uint32Array(buffer)
    case 'int64':
      return Float64Array.from(new BigInt64Array(buffer), Number)
    case 'uint64':
      return Float64Array.from(new BigUint64Array(buffer), Number)
    case 'other':
      return undefined
  }
}

/** Elements of a tensor as numbers. @throws E_OUTPUT_TYPE for an element type without a numeric meaning here */
export function tensorNumbers(name: string, value: TensorValue): ArrayLike<number> {
  const numbers = numbersOf(value.elementType, aligned(value.data))
  if (!numbers) throw new AppError('E_OUTPUT_TYPE', { output: name, type: value.elementType })
  return numbers
}
