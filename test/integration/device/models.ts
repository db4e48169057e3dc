// Small ONNX models for device tests, written with the product's own writer and checked by ONNX Runtime itself.
import { mkdtempSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import {
  DataType,
  makeNode,
  makeTensor,
  saveModel,
  type Model,
  type Node,
} from '../../../engine/onnx/index.ts'

export function temporaryFolder(): string {
  return mkdtempSync(path.join(os.tmpdir(), 'aqw-device-'))
}

interface Io {
  name: string
  elementType: DataType
  /** A string is a symbolic dimension. */
  dims: (number | string)[]
}

const valueInfo = ({ name, elementType, dims }: Io) => ({
  name,
  elementType,
  shape: dims.map((size) => (typeof size === 'number' ? { value: size } : { symbol: size })),
})

export function model(
  nodes: Node[],
  inputs: Io[],
  outputs: Io[],
  weights: ReturnType<typeof makeTensor>[] = [],
): Model {
  return {
    irVersion: 8,
    producerName: 'test',
    producerVersion: '',
    domain: '',
    modelVersion: 0n,
    docString: '',
    opsetImports: [{ domain: '', version: 17 }],
    metadata: [],
    graph: {
      name: 'test',
      nodes,
      initializers: new Map(weights.map((weight) => [weight.name, weight])),
      inputs: inputs.map(valueInfo),
      initializerInputs: [],
      outputs: outputs.map(valueInfo),
      valueInfo: [],
    },
  }
}

/** y[1, n] = x[1, n] * W[n, n] with W = 2 I, `layers` times: a real matrix product with an obvious answer. */
export function saveMatMul(folder: string, name: string, size: number, layers = 1): string {
  const weight = new Float32Array(size * size)
  for (let index = 0; index < size; index++) weight[index * size + index] = 2
  const tensor = makeTensor('w', DataType.FLOAT, [size, size], weight)
  const nodes = Array.from({ length: layers }, (_, layer) =>
    makeNode({
      opType: 'MatMul',
      name: `matmul_${layer}`,
      inputs: [layer === 0 ? 'x' : `t${layer}`, 'w'],
      outputs: [layer === layers - 1 ? 'y' : `t${layer + 1}`],
    }),
  )
  const io = (which: string): Io => ({ name: which, elementType: DataType.FLOAT, dims: [1, size] })
  const file = path.join(folder, `${name}.onnx`)
  saveModel(model(nodes, [io('x')], [io('y')], [tensor]), file)
  return file
}

/** y = x + x for one element type and shape. */
export function saveAdd(
  folder: string,
  name: string,
  elementType: DataType,
  dims: (number | string)[],
): string {
  const nodes = [makeNode({ opType: 'Add', name: 'add', inputs: ['x', 'x'], outputs: ['y'] })]
  const file = path.join(folder, `${name}.onnx`)
  saveModel(model(nodes, [{ name: 'x', elementType, dims }], [{ name: 'y', elementType, dims }]), file)
  return file
}

export const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer)
export const asFloats = (bytes: Uint8Array | undefined) => [
  ...new Float32Array(new Uint8Array(bytes ?? []).buffer),
]
