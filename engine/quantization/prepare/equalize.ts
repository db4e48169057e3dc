// Cross-layer equalization (Nagel et al. 2019, Data-Free Quantization Through Weight Equalization and Bias Correction):
// where a positively homogeneous operator or nothing lies between two layers, an output channel of the first may be
// divided by any s > 0 if the input channel of the second is multiplied by it. s evens out the ranges of both weights.
import type { RepairNote } from '../../../contract/repair.ts'
import { nodeLabel } from '../../onnx/index.ts'
import { ChannelPaths, type ChannelSource } from './channel-path.ts'
import type { LinearLayer } from './linear-layer.ts'
import type { ModelEditor } from './model-editor.ts'
import { factorFacts, forEachBlock } from './weight-channels.ts'

/** Chains of layers settle within a few rounds; factors that still move by less change no integer weight. */
const MAX_ROUNDS = 100
const SETTLED = 1e-4

interface Pair {
  first: LinearLayer
  second: LinearLayer
  source: ChannelSource
  factors: Float64Array
}

/** Largest magnitude of every block of a weight, and the factors on its channels so far. */
class ScaledRanges {
  readonly #layer: LinearLayer
  readonly #blocks: Float32Array
  readonly input: Float64Array
  readonly output: Float64Array

  constructor(layer: LinearLayer) {
    this.#layer = layer
    const values = layer.values()
    this.#blocks = new Float32Array(layer.channels.first * layer.channels.second)
    this.input = new Float64Array(layer.count('input')).fill(1)
    this.output = new Float64Array(layer.count('output')).fill(1)
    let block = 0
    forEachBlock(layer.channels, (_input, _output, start, end) => {
      let largest = 0
      for (let index = start; index < end; index++) {
        largest = Math.max(largest, Math.abs(values[index] as number))
      }
      this.#blocks[block++] = largest
    })
  }

  of(side: 'input' | 'output'): Float64Array {
    const ranges = new Float64Array(side === 'input' ? this.input.length : this.output.length)
    let block = 0
    forEachBlock(this.#layer.channels, (input, output) => {
      const scaled =
        (this.#blocks[block++] as number) * (this.input[input] as number) * (this.output[output] as number)
      const channel = side === 'input' ? input : output
      if (scaled > (ranges[channel] as number)) ranges[channel] = scaled
    })
    return ranges
  }
}

/** s = sqrt(r1 r2) / r2 (Nagel et al., equation 11). A channel that is zero on one side stays. */
export function equalizingFactors(first: Float64Array, second: Float64Array): Float64Array {
  return first.map((range, channel) => {
    const other = second[channel] as number
    const factor = Math.sqrt(range / other)
    return range > 0 && other > 0 && Number.isFinite(factor) ? factor : 1
  })
}

function findPairs(editor: ModelEditor, layers: readonly LinearLayer[]): Pair[] {
  const paths = new ChannelPaths(editor, layers, { layersOnly: true })
  return layers.flatMap((second): Pair[] => {
    const { activation } = second.anatomy
    if (editor.onlyReader(activation) !== second.node) return []
    const source = paths.find(activation, second.inputAxis)
    const factors = new Float64Array(second.count('input')).fill(1)
    // A layer that takes no factors of this length in is reached through something that only looks alike.
    if (!source?.layer || source.layer === second || !source.prepare(factors)) return []
    return [{ first: source.layer, second, source, factors }]
  })
}

function multiply(target: Float64Array, factors: Float64Array, exponent: 1 | -1): void {
  factors.forEach((factor, channel) => (target[channel] = (target[channel] as number) * factor ** exponent))
}

function settle(pairs: readonly Pair[]): void {
  const layers = new Set(pairs.flatMap(({ first, second }) => [first, second]))
  const ranges = new Map([...layers].map((layer) => [layer, new ScaledRanges(layer)]))
  for (let round = 0; round < MAX_ROUNDS; round++) {
    let change = 0
    for (const pair of pairs) {
      const [first, second] = [ranges.get(pair.first), ranges.get(pair.second)]
      if (!first || !second) continue
      const factors = equalizingFactors(first.of('output'), second.of('input'))
      multiply(first.output, factors, -1)
      multiply(second.input, factors, 1)
      multiply(pair.factors, factors, 1)
      const { smallest, largest } = factorFacts(factors)
      change = Math.max(change, -Math.log(smallest), Math.log(largest))
    }
    if (change < SETTLED) return
  }
}

/**
 * Equalizes the weights of all pairs among `layers`. The model computes the same, within float rounding; what lies
 * between the layers of a pair is scaled.
 */
export function equalize(editor: ModelEditor, layers: readonly LinearLayer[]): RepairNote[] {
  const pairs = findPairs(editor, layers)
  settle(pairs)
  const notes: RepairNote[] = []
  for (const { first, second, source, factors } of pairs) {
    const commit = source.prepare(factors.map((factor) => 1 / factor))
    commit?.()
    second.scale('input', factors)
    notes.push({
      kind: 'equalize',
      layer: nodeLabel(first.node),
      next: nodeLabel(second.node),
      ...factorFacts(factors),
    })
  }
  return notes
}
