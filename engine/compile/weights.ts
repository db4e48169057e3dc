// Weights of the payload, converted while the file is written: no more than a few MiB of them are in memory at a time.
import {
  DataType,
  elementCount,
  float32ToFloat16Bits,
  tensorByteLength,
  tensorDataLength,
} from '../onnx/index.ts'
import type { Tensor } from '../onnx/index.ts'
import { WeightReader } from '../onnx/copy.ts'

type Sink = (bytes: Uint8Array) => void

const INFINITY_BITS = 0x7c00
const LARGEST_BITS = 0x7bff

/** Bits of the nearest binary16 value; overflow and infinity saturate to 65504, as Ascend's non-inf mode does. */
export function saturatedFloat16Bits(value: number): number {
  const bits = float32ToFloat16Bits(value)
  return (bits & 0x7fff) === INFINITY_BITS ? (bits & 0x8000) | LARGEST_BITS : bits
}

/** A copy that starts at a multiple of four, as views on words need. */
function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
}

/** Of ECMAScript 2025, five times faster than rounding one by one; the type library here ends at 2024. */
const { Float16Array } = globalThis as unknown as {
  Float16Array: {
    new (values: Float32Array): { buffer: ArrayBuffer }
    new (buffer: ArrayBufferLike, offset: number, length: number): ArrayLike<number>
  }
}

function toHalf(bytes: Uint8Array): Uint8Array {
  const source = aligned(bytes)
  const values = new Float32Array(source.buffer, source.byteOffset, source.length / 4)
  const bits = new Uint16Array(new Float16Array(values).buffer)
  for (let index = 0; index < bits.length; index++) {
    if ((bits[index]! & 0x7fff) === INFINITY_BITS) bits[index]! -= INFINITY_BITS - LARGEST_BITS
  }
  return new Uint8Array(bits.buffer)
}

/** Values of binary16 bytes; exact. */
export function fromHalf(bytes: Uint8Array): Float32Array {
  const source = aligned(bytes)
  return new Float32Array(new Float16Array(source.buffer, source.byteOffset, source.length / 2))
}

export class WeightStore {
  private readonly sources = new Map<Tensor, { tensor: Tensor; half: boolean }>()
  private readonly reader = new WeightReader()

  /** A tensor of the payload with the bytes of `tensor`, or with its FLOAT values rounded to FLOAT16. */
  place(tensor: Tensor, name: string, half: boolean): Tensor {
    if (tensor.data.kind === 'strings') return { ...tensor, name }
    const dataType = half ? DataType.FLOAT16 : tensor.dataType
    const length = half ? 2 * elementCount(tensor.dims) : tensorDataLength(tensor.data)
    // A reference without a file: the encoder leaves room for it and hands it back to `write`.
    const placed: Tensor = {
      name,
      dataType,
      dims: tensor.dims,
      data: { kind: 'file', path: '', offset: 0, length },
    }
    this.sources.set(placed, { tensor, half })
    return placed
  }

  /** Writes the bytes of a placed tensor. @throws E_FILE_READ, E_ONNX_FILE_CHANGED */
  write(placed: Tensor, sink: Sink): void {
    const source = this.sources.get(placed)
    if (!source) throw new Error(`weight ${placed.name} was not placed`)
    this.reader.stream(source.tensor, (bytes) => sink(source.half ? toHalf(bytes) : bytes))
  }

  close(): void {
    this.reader.close()
  }
}

/** Bytes that a tensor takes on the device. */
export function weightBytes(tensor: Tensor): number {
  return tensorByteLength(tensor.dataType, tensor.dims)
}
