// Bias correction: the mean of every output channel of the quantized twin moves back to where it belongs.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  DataType,
  makeTensor,
  type Model,
  type NodeSpec,
  openModel,
  type Tensor,
} from '../../../../engine/onnx/index.ts'
import type { QuantizationResult } from '../../../../contract/quantization.ts'
import { quantizeModel } from '../../../../engine/quantization/index.ts'
import { buildModel } from '../models.ts'
import { feed, type Feeds, gaussian, recipeWith, run } from './support.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'bias-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

function tensor(name: string, dims: number[], seed: number, amplitudes = [1]): Tensor {
  return makeTensor(name, DataType.FLOAT, dims, gaussian(dims, seed, amplitudes, 0))
}

const node = (opType: string, name: string, inputs: string[], output: string, attributes = {}): NodeSpec => ({
  opType,
  name,
  inputs,
  outputs: [output],
  attributes,
})

interface Case {
  input: number[]
  nodes: NodeSpec[]
  initializers: Tensor[]
  /** Output channels and how many values each has per sample. */
  channels: number
  axis: 1 | -1
}

/** One scale for rows of very different size: the small ones are rounded coarsely. */
const COARSE = [0.02, 1, 0.05, 0.3]

const CASES: Record<string, Case> = {
  'a convolution with a bias': {
    input: [1, 6, 8, 8],
    nodes: [node('Conv', 'layer', ['x', 'w', 'b'], 'y')],
    initializers: [tensor('w', [4, 6, 3, 3], 1, COARSE), tensor('b', [4], 2)],
    channels: 4,
    axis: 1,
  },
  'a grouped convolution without a bias': {
    input: [1, 6, 8, 8],
    nodes: [node('Conv', 'layer', ['x', 'w'], 'y', { group: 2 })],
    initializers: [tensor('w', [4, 3, 1, 1], 1, COARSE)],
    channels: 4,
    axis: 1,
  },
  'a ConvTranspose that tiles its output': {
    input: [1, 6, 8, 8],
    nodes: [node('ConvTranspose', 'layer', ['x', 'w', 'b'], 'y', { strides: [2, 2] })],
    initializers: [tensor('w', [6, 4, 2, 2], 1, COARSE), tensor('b', [4], 2)],
    channels: 4,
    axis: 1,
  },
  'a Gemm without a bias': {
    input: [16, 6],
    nodes: [node('Gemm', 'layer', ['x', 'w'], 'y', { transB: 1 })],
    initializers: [tensor('w', [4, 6], 1, COARSE)],
    channels: 4,
    axis: -1,
  },
  'a Gemm without a bias that carries a factor for one': {
    input: [16, 6],
    nodes: [node('Gemm', 'layer', ['x', 'w'], 'y', { beta: { float: 0.25 } })],
    initializers: [tensor('w', [6, 4], 1)],
    channels: 4,
    axis: -1,
  },
  'a product with its bias behind': {
    input: [1, 16, 6],
    nodes: [node('MatMul', 'layer', ['x', 'w'], 'p'), node('Add', 'add', ['p', 'b'], 'y')],
    initializers: [tensor('w', [6, 4], 1), tensor('b', [4], 2)],
    channels: 4,
    axis: -1,
  },
}

const build = ({ input, nodes, initializers }: Case): Model =>
  buildModel({ inputs: { x: input }, outputs: ['y'], nodes, initializers })

/** Positive inputs, as behind a Relu: their means are what carries rounding errors into the outputs. */
function samplesOf(input: number[]): Feeds[] {
  return [1, 2, 3].map((seed) => ({
    x: feed(
      input,
      gaussian(input, seed).map((value) => Math.abs(value) + 0.5),
    ),
  }))
}

async function quantize(
  model: Model,
  samples: readonly Feeds[],
  repair: object,
): Promise<QuantizationResult> {
  const data = path.join(folder, 'data')
  mkdirSync(data, { recursive: true })
  samples.forEach((sample, index) =>
    writeFileSync(path.join(data, `${index}.bin`), sample.x!.data as Float32Array),
  )
  return quantizeModel({
    modelPath: 'model.onnx',
    model,
    recipe: recipeWith(repair, {
      weight: { per_channel: false },
      activation: { method: 'percentile', percentile: 99 },
    }),
    dataset: { folder: data },
    outputPrefix: path.join(folder, 'out'),
  })
}

/** Mean of the difference in every output channel. */
function channelErrors(
  reference: Float32Array,
  test: Float32Array,
  { channels, axis }: Case,
  samples: number,
): number[] {
  const inner = axis === -1 ? 1 : reference.length / samples / channels
  const sums = Array<number>(channels).fill(0)
  reference.forEach((value, index) => {
    const channel = Math.floor(index / inner) % channels
    sums[channel]! += test[index]! - value
  })
  return sums.map((sum) => (sum * channels) / reference.length)
}

describe('bias correction', () => {
  it.each(Object.entries(CASES))('%s', async (_, spec) => {
    const model = build(spec)
    const samples = samplesOf(spec.input)
    const reference = await run(model, samples)
    const errors = async (repair: object): Promise<number> => {
      const { fakeQuantPath } = await quantize(model, samples, repair)
      const test = await run(openModel(fakeQuantPath), samples)
      return Math.hypot(...channelErrors(reference, test, spec, samples.length))
    }
    const before = await errors({})
    const after = await errors({ bias_correction: true })
    // What is left: a bias is a whole number of accumulator steps, and means at borders differ from those of the whole.
    expect(after).toBeLessThan(before / 5)
  })

  it('tells what it moved, and leaves a product that has no place for a bias', async () => {
    const spec = CASES['a convolution with a bias']!
    const { repairs } = await quantize(build(spec), samplesOf(spec.input), { bias_correction: true })
    expect(repairs).toMatchObject([{ kind: 'bias_correction', layer: 'layer', channels: 4 }])
    const product = buildModel({
      inputs: { x: [1, 16, 6] },
      outputs: ['y'],
      nodes: [node('MatMul', 'layer', ['x', 'w'], 'y')],
      initializers: [tensor('w', [6, 4], 1)],
    })
    const result = await quantize(product, samplesOf([1, 16, 6]), { bias_correction: true })
    expect(result.repairs).toEqual([])
    expect(openModel(result.deployPath).graph.nodes.map((one) => one.opType)).not.toContain('Add')
  })
})
