// Small models and a scalar reference of the device's arithmetic, written independently of the compiler.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { compileModel } from '../../../engine/compile/index.ts'
import type { CompileRequest, CompileResult } from '../../../engine/compile/index.ts'
import { openDevice } from '../../../engine/device/index.ts'
import type { Model, Node, Tensor } from '../../../engine/onnx/index.ts'
import { DataType, makeTensor, saveModel } from '../../../engine/onnx/index.ts'

export type Value = { name: string; dims: (number | string)[]; type?: DataType }

const info = ({ name, dims, type = DataType.FLOAT }: Value) => ({
  name,
  elementType: type,
  shape: dims.map((dim) => (typeof dim === 'number' ? { value: dim } : { symbol: dim })),
})

export function makeModel(
  inputs: Value[],
  outputs: Value[],
  nodes: Node[],
  weights: Tensor[],
  opset = 17,
): Model {
  return {
    irVersion: 8,
    producerName: 'test',
    producerVersion: '',
    domain: '',
    modelVersion: 0n,
    docString: '',
    opsetImports: [{ domain: '', version: opset }],
    metadata: [],
    graph: {
      name: 'test',
      nodes,
      initializers: new Map(weights.map((tensor) => [tensor.name, tensor])),
      inputs: inputs.map(info),
      initializerInputs: [],
      outputs: outputs.map(info),
      valueInfo: [],
    },
  }
}

/** A folder that is removed with the test file's process. */
export const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'compile-test-'))
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }))

let counter = 0

export async function compile(
  model: Model,
  options: Partial<CompileRequest> = {},
): Promise<CompileResult & { source: string }> {
  const base = path.join(folder, `model${counter++}`)
  saveModel(model, `${base}.onnx`)
  const result = await compileModel({
    modelPath: `${base}.onnx`,
    soc: 'Ascend310P3',
    precision: 'fp16',
    outputPath: `${base}.om`,
    ...options,
  })
  return { ...result, source: `${base}.onnx` }
}

/** Runs an .om on a simulated device, unpaced; all tensors are float32 unless given otherwise. */
export async function runOm(
  om: string,
  feeds: Record<string, Float32Array | BigInt64Array | Int32Array>,
  shapes?: Record<string, number[]>,
): Promise<Record<string, { dims: number[]; data: Float32Array }>> {
  await using device = await openDevice('sim:Ascend310P3', {
    env: { ASCENDSIM_PACE: '0' },
    intraOpThreads: 1,
  })
  const model = await device.loadModel(om)
  const bytes = Object.fromEntries(
    Object.entries(feeds).map(([name, data]) => [
      name,
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    ]),
  )
  const { outputs } = await device.run(model.handle, bytes, shapes)
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { dims, data }]) => [
      name,
      { dims: [...dims], data: new Float32Array(data.slice().buffer) },
    ]),
  )
}

export function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest < 0.5) return floor
  if (rest > 0.5) return floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}

/** Nearest binary16 value from the definition: 11 significant bits, least exponent -14, saturating. */
export function f16(value: number): number {
  const magnitude = Math.abs(value)
  if (magnitude === 0 || Number.isNaN(value)) return value
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)))
  const ulp = 2 ** (exponent - 10)
  return Math.sign(value) * Math.min(65504, roundHalfEven(magnitude / ulp) * ulp)
}

/** fp32 with the low 13 bits cleared: what the hardware reads of a dequantisation scale. */
export function s19(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)
  bits[0]! &= 0xffffe000
  return new Float32Array(bits.buffer)[0]!
}

/** AscendQuant in binary16 (ops-nn, golden of ascend_quant for SoCs before 950). */
export function quantize(value: number, scale: number, offset: number): number {
  const scaled = f16(f16(f16(value) * f16(scale)) + f16(offset))
  return Math.max(-128, Math.min(127, roundHalfEven(scaled)))
}

/** A packed AscendDequant parameter. */
export function dequantScales(name: string, scales: readonly number[]): Tensor {
  const words = new BigUint64Array(scales.length)
  const bits = new Uint32Array(Float32Array.from(scales).buffer)
  bits.forEach((value, index) => (words[index] = BigInt(value)))
  return makeTensor(name, DataType.UINT64, [scales.length], words)
}

/** Repeatable numbers in [0, 1) (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export const int8s = (count: number, seed: number): Int8Array => {
  const next = random(seed)
  return Int8Array.from({ length: count }, () => Math.floor(next() * 256) - 128)
}

export const floats = (count: number, seed: number, span = 4): Float32Array => {
  const next = random(seed)
  return Float32Array.from({ length: count }, () => (next() - 0.5) * span)
}
