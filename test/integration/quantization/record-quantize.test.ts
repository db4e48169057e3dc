// Quantizing by a record file instead of calibration: the same model as the run that wrote it, and refusals of records that
// belong to another model.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import type { QuantizationResult } from '../../../contract/quantization.ts'
import { RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import { DataType, makeTensor } from '../../../engine/onnx/index.ts'
import { quantizeByRecord, quantizeModel } from '../../../engine/quantization/index.ts'
import { buildModel, type Fixture, type ModelSpec, weights, writeFixture } from './models.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'record-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

const DIMS = [1, 4, 6, 6]

/** Convolution with normalization, depthwise, transposed; pooling; a product with bias. */
function network(): ModelSpec {
  const ones = makeTensor('bn.var', DataType.FLOAT, [4], [1, 2, 0.5, 1])
  return {
    inputs: { x: DIMS },
    outputs: ['y'],
    nodes: [
      { opType: 'Conv', name: 'conv', inputs: ['x', 'conv.weight'], outputs: ['c'] },
      {
        opType: 'BatchNormalization',
        name: 'bn',
        inputs: ['c', 'bn.scale', 'bn.bias', 'bn.mean', 'bn.var'],
        outputs: ['n'],
      },
      {
        opType: 'ConvTranspose',
        name: 'up',
        inputs: ['n', 'up.weight'],
        outputs: ['u'],
        attributes: { group: 2 },
      },
      {
        opType: 'AveragePool',
        name: 'pool',
        inputs: ['u'],
        outputs: ['a'],
        attributes: { kernel_shape: [2, 2] },
      },
      { opType: 'MatMul', name: 'proj', inputs: ['a', 'proj.weight'], outputs: ['p'] },
      { opType: 'Add', name: 'proj.add', inputs: ['p', 'proj.bias'], outputs: ['s'] },
      { opType: 'MatMul', name: 'last', inputs: ['s', 'last.weight'], outputs: ['y'] },
    ],
    initializers: [
      weights('conv.weight', [4, 4, 1, 1]),
      weights('bn.scale', [4], 0.5, 1),
      weights('bn.bias', [4]),
      weights('bn.mean', [4]),
      ones,
      weights('up.weight', [4, 3, 2, 2]),
      weights('proj.weight', [6, 5]),
      weights('proj.bias', [5]),
      weights('last.weight', [5, 4]),
    ],
  }
}

async function calibrated(recipe: object = {}): Promise<{ fixture: Fixture; result: QuantizationResult }> {
  const fixture = writeFixture(folder, buildModel(network()), DIMS)
  const result = await quantizeModel({
    modelPath: fixture.modelPath,
    recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA, ...recipe }),
    dataset: { folder: fixture.dataFolder },
    outputPrefix: path.join(folder, 'first'),
  })
  return { fixture, result }
}

function again(fixture: Fixture, record: string): ReturnType<typeof quantizeByRecord> {
  return quantizeByRecord({
    modelPath: fixture.modelPath,
    record,
    recordPath: 'record.txt',
    outputPrefix: path.join(folder, 'again'),
  })
}

function failure(run: () => unknown): AppError {
  try {
    run()
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('by the record of an earlier run', () => {
  it.each<[string, object]>([
    ['INT8', {}],
    ['pooling, too', { op_types: [{ op_type: 'AveragePool', precision: 'int8' }] }],
    [
      'symmetric, one scale per weight',
      { activation: { method: 'max_abs' }, weight: { per_channel: false } },
    ],
    [
      'INT4, weights alone, and layers left out',
      {
        skip_layers: ['last'],
        overrides: [
          { layer: 'conv', precision: 'w4a8' },
          { layer: 'proj', precision: 'w8a16', weight: { per_channel: false } },
        ],
      },
    ],
    ['scales searched by divergence', { weight: { method: 'kl' } }],
  ])('the models are the same, byte for byte: %s', async (_title, recipe) => {
    const { fixture, result } = await calibrated(recipe)
    const second = again(fixture, readFileSync(result.recordPath, 'utf8'))
    expect(readFileSync(second.deployPath)).toEqual(readFileSync(result.deployPath))
    expect(readFileSync(second.fakeQuantPath)).toEqual(readFileSync(result.fakeQuantPath))
    expect(readFileSync(second.recordPath, 'utf8')).toBe(readFileSync(result.recordPath, 'utf8'))
    expect(second.dataset.samples).toBe(0)
    expect(second.notes).toEqual([])
  })
})

describe('a record of another model', () => {
  it.each<[string, (text: string) => string, string, string]>([
    ['unknown layers', (text) => text.replace('"conv"', '"conw"'), 'E_RECORD_MODEL', 'such as conv'],
    [
      'too many scales',
      (text) => text.replace(/(key: "proj"[^}]*?)scale_w: /, '$1scale_w: 0.1\n    scale_w: '),
      'E_RECORD_MODEL',
      'one scale_w',
    ],
    [
      'weights far beyond the scale',
      (text) => text.replace(/(key: "last"[^}]*?scale_w: )\S+/, '$10.00001'),
      'E_RECORD_MODEL',
      'record was made',
    ],
    [
      'INT16 activations',
      (text) => text.replace('act_type: "INT8"', 'act_type: "INT16"'),
      'E_RECORD_MODEL',
      'INT8',
    ],
    [
      'balance',
      (text) => text.replace('act_type', 'tensor_balance_factor: 2\n    act_type'),
      'E_RECORD_MODEL',
      'repair.balance',
    ],
    [
      'no weight scale',
      () => 'record { key: "conv" value { scale_d: 0.1 } }',
      'E_RECORD_MODEL',
      'scale of the weight',
    ],
    ['no layer at all', () => '', 'E_QUANTIZE_NOTHING', 'skip'],
    ['broken text', (text) => `${text}record {`, 'E_RECORD_SYNTAX', 'protobuf'],
  ])('%s', async (_title, change, code, hint) => {
    const { fixture, result } = await calibrated()
    const error = failure(() => again(fixture, change(readFileSync(result.recordPath, 'utf8'))))
    expect(error.code).toBe(code)
    expect(error.hint).toContain(hint)
    expect(existsSync(path.join(folder, 'again_deploy_model.onnx'))).toBe(false)
  })

  it('says the line of the layer', async () => {
    const { fixture, result } = await calibrated()
    const text = readFileSync(result.recordPath, 'utf8')
    const line = text.slice(0, text.indexOf('key: "proj"')).split('\n').length - 1
    const error = failure(() => again(fixture, text.replace('"proj"', '"project"')))
    expect(error.details['line']).toBe(line)
    expect(error.message).toContain(`record.txt:${line}: layer "project"`)
  })
})

describe('skip_fusion', () => {
  it('keeps the normalization of a layer', async () => {
    const { fixture } = await calibrated()
    const record =
      'record { key: "conv" value { scale_d: 0.02 offset_d: 0 scale_w: 0.01 skip_fusion: true } }'
    const kept = again(fixture, record)
    expect(kept.repairs).toEqual([])
    const folded = again(fixture, record.replace('skip_fusion: true', ''))
    expect(folded.repairs).toMatchObject([{ kind: 'fold_batch_norm', layer: 'conv' }])
  })
})
