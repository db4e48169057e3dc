// All repairs together on random graphs: ONNX Runtime computes the same before and after.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DataType,
  makeTensor,
  type Model,
  type NodeSpec,
  type Tensor,
  validateModel,
} from '../../../../engine/onnx/index.ts'
import { buildModel } from '../models.ts'
import { agreementDb, feed, gaussian, prepare } from './support.ts'

const STEPS = [
  'conv',
  'pointwise',
  'depthwise',
  'transposed',
  'norm',
  'affine',
  'relu',
  'leaky',
  'silu',
  'joint',
  'residual',
  'pool',
  'tokens',
] as const
type Step = (typeof STEPS)[number]

/** Grows a graph on pictures [1, C, 8, 8], one step after the other. */
class Grower {
  readonly nodes: NodeSpec[] = []
  readonly initializers: Tensor[] = []
  #value = 'x'
  #channels = 4
  #count = 0
  #seed: number
  readonly #earlier: { value: string; channels: number; size: number }[] = []
  #size = 8

  constructor(seed: number) {
    this.#seed = seed
  }

  step(step: Step): void {
    if (step === 'conv') this.#layer('Conv', [5, this.#channels, 3, 3], 5, { pads: [1, 1, 1, 1] })
    if (step === 'pointwise') this.#layer('Conv', [6, this.#channels, 1, 1], 6)
    if (step === 'depthwise') {
      this.#layer('Conv', [this.#channels, 1, 3, 3], this.#channels, {
        group: this.#channels,
        pads: [1, 1, 1, 1],
      })
    }
    if (step === 'transposed') {
      this.#layer('ConvTranspose', [this.#channels, 4, 3, 3], 4, { pads: [1, 1, 1, 1] })
    }
    if (step === 'norm') this.#norm()
    if (step === 'affine') this.#affine()
    if (step === 'relu') this.#unary('Relu')
    if (step === 'leaky') this.#unary('LeakyRelu', { alpha: { float: 0.1 } })
    if (step === 'silu') this.#silu()
    if (step === 'joint') this.#joint()
    if (step === 'residual') this.#residual()
    if (step === 'pool') this.#pool()
    if (step === 'tokens') this.#tokens()
  }

  #name(base: string): string {
    return `${base}${this.#count++}`
  }

  #constant(base: string, dims: number[], spread = false): string {
    const name = this.#name(base)
    // Sums of this many terms stay about as large as the terms: a chain of layers must not leave float32.
    const size = Math.sqrt(dims.slice(1).reduce((product, dim) => product * dim, 1))
    const amplitudes = spread ? [0.1, 4, 1, 0.02, 2].map((amplitude) => amplitude / size) : [1]
    this.initializers.push(
      makeTensor(name, DataType.FLOAT, dims, gaussian(dims, this.#seed++, amplitudes, 0)),
    )
    return name
  }

  #add(opType: string, inputs: string[], attributes = {}): void {
    const name = this.#name(opType)
    this.nodes.push({ opType, name, inputs, outputs: [`${name}_out`], attributes })
    this.#value = `${name}_out`
  }

  #layer(opType: string, dims: number[], channels: number, attributes = {}): void {
    const weight = this.#constant('w', dims, true)
    const bias = this.#seed % 3 === 0 ? [] : [this.#constant('b', [channels])]
    this.#add(opType, [this.#value, weight, ...bias], attributes)
    this.#channels = channels
    this.#earlier.push({ value: this.#value, channels, size: this.#size })
  }

  #norm(): void {
    const shape = [this.#channels]
    const [scale, shift, mean] = [1, 2, 3].map(() => this.#constant('n', shape)) as [string, string, string]
    const variance = this.#name('v')
    const positive = gaussian(shape, this.#seed++).map((value) => value * value + 0.1)
    this.initializers.push(makeTensor(variance, DataType.FLOAT, shape, positive))
    this.#add('BatchNormalization', [this.#value, scale, shift, mean, variance])
  }

  #affine(): void {
    const scale = this.#constant('s', [this.#channels, 1, 1], true)
    const shift = this.#constant('t', [1, this.#channels, 1, 1])
    this.#add('Mul', [scale, this.#value])
    this.#add('Add', [this.#value, shift])
  }

  #unary(opType: string, attributes = {}): void {
    this.#add(opType, [this.#value], attributes)
  }

  #silu(): void {
    const input = this.#value
    this.#add('Sigmoid', [input])
    this.#add('Mul', [input, this.#value])
  }

  #joint(): void {
    const other = this.#earlier.find(({ size, value }) => size === this.#size && value !== this.#value)
    if (!other) return
    this.#add('Concat', [this.#value, other.value], { axis: 1 })
    this.#channels += other.channels
  }

  #residual(): void {
    const other = this.#earlier.find(
      ({ size, channels }) => size === this.#size && channels === this.#channels,
    )
    if (other) this.#add('Add', [this.#value, other.value])
  }

  #pool(): void {
    if (this.#size < 4) return
    this.#add('MaxPool', [this.#value], { kernel_shape: [2, 2], strides: [2, 2] })
    this.#size /= 2
  }

  /** A product over the channels, as transformers have it, and back to pictures. */
  #tokens(): void {
    const [channels, size] = [this.#channels, this.#size]
    const shape = (dims: number[]): string => {
      const name = this.#name('shape')
      this.initializers.push(makeTensor(name, DataType.INT64, [dims.length], dims.map(BigInt)))
      return name
    }
    this.#add('Reshape', [this.#value, shape([1, channels, size * size])])
    this.#add('Transpose', [this.#value], { perm: [0, 2, 1] })
    this.#add('LayerNormalization', [
      this.#value,
      this.#constant('g', [channels], true),
      this.#constant('h', [channels]),
    ])
    this.#add('MatMul', [this.#value, this.#constant('w', [channels, 6], true)])
    this.#add('Add', [this.#value, this.#constant('b', [6])])
    this.#add('Relu', [this.#value])
    this.#add('MatMul', [this.#value, this.#constant('w', [6, channels], true)])
    this.#add('Transpose', [this.#value], { perm: [0, 2, 1] })
    this.#add('Reshape', [this.#value, shape([1, channels, size, size])])
  }

  build(): Model {
    this.step('pointwise')
    const last = this.nodes.at(-1)!
    last.outputs = ['y']
    return buildModel({
      inputs: { x: [1, 4, 8, 8] },
      outputs: ['y'],
      nodes: this.nodes,
      initializers: this.initializers,
    })
  }
}

describe('all repairs together', () => {
  it('change nothing about what a model computes', async () => {
    const steps = fc.array(fc.constantFrom(...STEPS), { minLength: 2, maxLength: 12 })
    const methods = fc.constantFrom('dmq', 'smoothquant')
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 1, max: 10_000 }), methods, async (list, seed, method) => {
        const grower = new Grower(seed)
        for (const step of list) grower.step(step)
        const model = grower.build()
        const dims = [1, 4, 8, 8]
        const samples = [0, 1].map((index) => ({ x: feed(dims, gaussian(dims, seed + index, [1, 30, 0.1])) }))
        const repair = { equalize: true, balance: { method }, split_concat: { mode: 'all' } }
        const { model: repaired, notes } = await prepare(model, repair, samples)
        for (const { kind } of notes) seen.add(kind)
        validateModel(repaired)
        expect(await agreementDb(model, repaired, samples)).toBeGreaterThan(85)
      }),
      { numRuns: 60 },
    )
    expect([...seen].toSorted()).toEqual(['balance', 'equalize', 'fold_batch_norm', 'split_concat'])
  })
})
