// Models with nonsense in them: shape inference, upgrade, checks and summary may refuse, but only with product errors.
import fc from 'fast-check'
import { it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { inferShapes, summarizeModel, upgradeOpset, validateModel } from '../../../engine/onnx/index.ts'
import { arrangeRules } from '../../../engine/onnx/shapes/arrange.ts'
import { elementwiseRules } from '../../../engine/onnx/shapes/elementwise.ts'
import { generateRules } from '../../../engine/onnx/shapes/generate.ts'
import { layerRules } from '../../../engine/onnx/shapes/layers.ts'
import { quantizedRules } from '../../../engine/onnx/shapes/quantized.ts'
import { reduceRules } from '../../../engine/onnx/shapes/reduce.ts'
import { selectRules } from '../../../engine/onnx/shapes/select.ts'
import { int64s, operatorModel } from '../../fixtures/onnx-build.ts'

const operators = [
  arrangeRules,
  elementwiseRules,
  generateRules,
  layerRules,
  quantizedRules,
  reduceRules,
  selectRules,
].flatMap(Object.keys)

const dims = fc.array(fc.nat(4), { maxLength: 5 })
const small = fc.integer({ min: -3, max: 4 })
const signed = fc.array(small, { minLength: 1, maxLength: 5 })

const attributes = fc.record(
  {
    axis: small,
    axes: signed,
    perm: signed,
    kernel_shape: signed,
    strides: signed,
    pads: signed,
    dilations: signed,
    group: small,
    output_shape: signed,
    starts: signed,
    ends: signed,
    split: signed,
    scales: signed.map((floats) => ({ floats })),
    blocksize: small,
    k: small,
    to: small,
    batch_dims: small,
    hidden_size: small,
    equation: fc.constantFrom('ij,jk->ik', '...ij', 'i', ',,', '->'),
  },
  { requiredKeys: [] },
)

const input = fc.oneof(
  dims,
  signed.map((values) => int64s(...values)),
  fc.constant(null),
)

function attempt(work: () => unknown): void {
  try {
    work()
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown
  }
}

it('only ever raise product errors, whatever an operator is given', () => {
  fc.assert(
    fc.property(
      fc.record({
        opType: fc.constantFrom(...operators),
        opset: fc.integer({ min: 7, max: 22 }),
        inputs: fc.array(input, { maxLength: 5 }),
        outputs: fc.integer({ min: 0, max: 4 }),
        attributes,
      }),
      (spec) => {
        const model = operatorModel(spec)
        attempt(() => validateModel(model))
        attempt(() => inferShapes(model))
        attempt(() => upgradeOpset(model, 22))
        attempt(() => summarizeModel(model))
      },
    ),
    { numRuns: 8000 },
  )
})
