// Models that the quantizer of ONNX Runtime wrote, converted to Ascend's form and back: the results stay what ONNX Runtime
// computes.
import { readdirSync } from 'node:fs'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { lintDeployModel } from '../../../engine/analysis/lint/index.ts'
import { sqnrDb } from '../../../engine/evaluation/index.ts'
import {
  DataType,
  type Model,
  openModel,
  serializeModel,
  type Tensor,
  tensorToNumbers,
} from '../../../engine/onnx/index.ts'
import { convertAscendToQdq, convertQdqToAscend } from '../../../engine/quantization/index.ts'
import { generate } from '../../unit/quantization/vectors.ts'
import { runDeployModel } from './deploy-interpreter.ts'

const FOLDER = path.resolve(import.meta.dirname, '../../fixtures/peers')
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.onnx'))
const DIMS = [1, 3, 4, 4]
/** Within the range of the calibration, up to the largest output. */
const INPUTS = Array.from({ length: 8 }, (_, seed) => generate(48, 0.6, 0.02 * seed))

/** Without optimizations ONNX Runtime computes every node as the standard says. */
async function runOrt(model: Model, x: Float32Array): Promise<Float32Array> {
  const bytes = serializeModel(model)
  const session = await ort.InferenceSession.create(bytes, {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 3,
  })
  const { y } = await session.run({ x: new ort.Tensor('float32', x, DIMS) })
  return y?.data as Float32Array
}

interface PairGrid {
  step: number
  low: number
  high: number
}

/** The grid of the pair behind a value. */
function gridBehind(model: Model, dequantized: string): PairGrid {
  const node = model.graph.nodes.find((candidate) => candidate.outputs[0] === dequantized)
  const constant = (position: number): Tensor | undefined =>
    model.graph.initializers.get(node?.inputs[position] ?? '')
  const [scale, point] = [constant(1), constant(2)]
  if (node?.opType !== 'DequantizeLinear' || !scale || !point)
    throw new Error(`no pair behind ${dequantized}`)
  const [step = NaN, zero = NaN] = [...tensorToNumbers(scale), ...tensorToNumbers(point)]
  const first = point.dataType === DataType.UINT8 ? 0 : -128
  return { step, low: (first - zero) * step, high: (first + 255 - zero) * step }
}

describe.each(FILES)('%s', (file) => {
  const source = openModel(path.join(FOLDER, file))
  const { model: deploy, notes } = convertQdqToAscend(source)
  const changed = notes
    .filter(({ code }) => code === 'weight_requantized')
    .map(({ details }) => details.layer)
  const dropped = notes.filter(({ code }) => code === 'pair_dropped').map(({ details }) => details.tensor)

  it('becomes integer layers that atc takes, without a layer left out', () => {
    const integer = (opType: string): number =>
      deploy.graph.nodes.filter((node) => node.opType === opType).length
    expect(integer('AscendDequant')).toBe(5)
    expect(integer('AscendAntiQuant')).toBe(2)
    expect(lintDeployModel(deploy).filter(({ severity }) => severity !== 'info')).toEqual([])
    expect(new Set(notes.map(({ code }) => code))).not.toContain('layer_left_float')
    const perChannel = /per_channel|float_weights/.test(file)
    expect(changed).toEqual(perChannel ? ['dense', 'proj'] : [])
  })

  it('computes what ONNX Runtime computes', async () => {
    const back = convertAscendToQdq(deploy).model
    const sum = source.graph.nodes.find((node) => node.name === 'proj.add')
    const [product, output] = [gridBehind(source, sum?.inputs[0] ?? ''), gridBehind(source, 'y')]
    const theirs: number[] = []
    const ours: number[] = []
    for (const x of INPUTS) {
      theirs.push(...(await runOrt(source, x)))
      const values = runDeployModel(deploy, { x: { dims: DIMS, data: [...x] } }).get('y')?.data ?? []
      const again = await runOrt(back, x)
      values.forEach((value, index) => expect(again[index]).toBeCloseTo(value, 4))
      ours.push(...values.map((value) => Math.min(Math.max(value, output.low), output.high)))
    }
    expect(sqnrDb(Float32Array.from(theirs), Float32Array.from(ours))).toBeGreaterThan(25)
    if (changed.length > 0 || dropped.includes('c')) return
    // They round product and sum once more; nothing else is different.
    const limit = 0.5001 * (product.step + output.step)
    theirs.forEach((value, index) => expect(Math.abs(value - (ours[index] ?? NaN))).toBeLessThan(limit))
  })
})

it('there are models to convert', () => {
  expect(FILES).toHaveLength(6)
})
