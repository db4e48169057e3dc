// Small models for quantization tests, built in memory, and deterministic calibration data for them.
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import {
  DataType,
  type Dimension,
  makeNode,
  makeTensor,
  type Model,
  type Node,
  type NodeSpec,
  saveModel,
  type Tensor,
} from '../../../engine/onnx/index.ts'
import { generate } from '../../unit/quantization/vectors.ts'

export interface ModelSpec {
  inputs: Record<string, (number | string)[]>
  outputs: string[]
  nodes: NodeSpec[]
  initializers: Tensor[]
  opset?: number
  inputType?: DataType
}

function dimension(dim: number | string): Dimension {
  return typeof dim === 'number' ? { value: dim } : { symbol: dim }
}

export function buildModel(spec: ModelSpec): Model {
  const elementType = spec.inputType ?? DataType.FLOAT
  return {
    irVersion: 8,
    producerName: 'test',
    producerVersion: '',
    domain: '',
    modelVersion: 0n,
    docString: '',
    opsetImports: [{ domain: '', version: spec.opset ?? 17 }],
    metadata: [],
    graph: {
      name: 'test',
      nodes: spec.nodes.map((node): Node => makeNode(node)),
      initializers: new Map(spec.initializers.map((tensor) => [tensor.name, tensor])),
      inputs: Object.entries(spec.inputs).map(([name, dims]) => ({
        name,
        elementType,
        shape: dims.map(dimension),
      })),
      initializerInputs: [],
      outputs: spec.outputs.map((name) => ({ name, elementType })),
      valueInfo: [],
    },
  }
}

/** Weights from the reference generator: Gaussian, free of randomness. */
export function weights(name: string, dims: number[], amplitude = 0.3, skew = 0): Tensor {
  const count = dims.reduce((product, dim) => product * dim, 1)
  return makeTensor(name, DataType.FLOAT, dims, generate(count, amplitude, skew))
}

export interface Fixture {
  modelPath: string
  dataFolder: string
}

/** Saves a model and `samples` bins of its first input. */
export function writeFixture(folder: string, model: Model, sampleDims: number[], samples = 4): Fixture {
  const modelPath = path.join(folder, 'model.onnx')
  saveModel(model, modelPath)
  const dataFolder = path.join(folder, 'data')
  mkdirSync(dataFolder, { recursive: true })
  const count = sampleDims.reduce((product, dim) => product * dim, 1)
  for (let index = 0; index < samples; index++) {
    const values = generate(count + 17 * index, 1 + 0.2 * index, 0.3).subarray(17 * index)
    writeFileSync(path.join(dataFolder, `${index}.bin`), Float32Array.from(values))
  }
  return { modelPath, dataFolder }
}
