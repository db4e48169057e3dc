// Saving and opening files: lazy weights, external data in and out, overwriting, failures that leave nothing behind.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { InferenceSession } from 'onnxruntime-node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import {
  cloneModel,
  DataType,
  makeNode,
  makeTensor,
  openModel,
  saveModel,
  serializeModel,
  tensorBytes,
  tensorToFloat32,
} from '../../../engine/onnx/index.ts'
import type { Model, SaveOptions } from '../../../engine/onnx/index.ts'
import { makeGraph, makeModel, valueInfo } from '../../fixtures/onnx-build.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'onnx-save-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const weight = Float32Array.from({ length: 64 * 48 }, (_, index) => Math.sin(index))

function sample(): Model {
  const names = ['first', 'second/part', 'first.']
  const nodes = names.map((name, index) =>
    makeNode({ opType: 'MatMul', name: `m${index}`, inputs: ['x', name], outputs: [`y${index}`] }),
  )
  const tensors = names.map((name, index) =>
    makeTensor(
      name,
      DataType.FLOAT,
      [64, 48],
      weight.map((value) => value * (index + 1)),
    ),
  )
  return makeModel(
    makeGraph({
      nodes,
      initializers: new Map(tensors.map((tensor) => [tensor.name, tensor])),
      inputs: [valueInfo('x', DataType.FLOAT, ['N', 64])],
      outputs: names.map((_, index) => valueInfo(`y${index}`, DataType.FLOAT, ['N', 48])),
    }),
  )
}

function file(name = 'model.onnx'): string {
  return path.join(folder, name)
}

function errorOf(work: () => unknown): AppError {
  try {
    work()
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown
    throw thrown
  }
  throw new Error('nothing was thrown')
}

describe('saveModel and openModel', () => {
  it.each<[NonNullable<SaveOptions['external']>, string[]]>([
    ['auto', ['model.onnx']],
    ['inline', ['model.onnx']],
    ['single-file', ['model.onnx', 'model.onnx.data']],
  ])('%s: writes the same model, which ONNX Runtime loads', async (external, expected) => {
    const model = sample()
    const saved = saveModel(model, file(), { external })
    expect(readdirSync(folder).sort()).toEqual(expected)
    expect(saved.files.map((each) => path.basename(each.path))).toEqual(expected)
    expect(saved.bytes).toBe(expected.reduce((sum, name) => sum + readFileSync(file(name)).length, 0))
    const opened = openModel(file())
    expect([...opened.graph.initializers.values()].every((tensor) => tensor.data.kind === 'file')).toBe(true)
    expect(Buffer.compare(serializeModel(opened), serializeModel(model))).toBe(0)
    const session = await InferenceSession.create(file())
    expect(session.inputNames).toEqual(['x'])
    await session.release()
  })

  it('per-tensor: one file for each large weight, named after it', async () => {
    const model = sample()
    const rows = 256 * 1024
    model.graph.initializers.set(
      'a/b',
      makeTensor('a/b', DataType.INT8, [rows, 4], new Int8Array(rows * 4).fill(7)),
    )
    model.graph.initializers.set(
      'a:b',
      makeTensor('a:b', DataType.INT8, [rows, 4], new Int8Array(rows * 4).fill(8)),
    )
    saveModel(model, file(), { external: 'per-tensor', externalSuffix: '_deploy.external' })
    expect(readdirSync(folder).sort()).toEqual(
      ['a_b_2_deploy.external', 'a_b_deploy.external', 'model.onnx'].sort(),
    )
    expect(tensorBytes(openModel(file()).graph.initializers.get('a:b')!)[5]).toBe(8)
  })

  it.each<NonNullable<SaveOptions['external']>>(['inline', 'single-file'])(
    '%s: saves over the file it was opened from, twice, and can still read its weights',
    (external) => {
      saveModel(sample(), file(), { external })
      const model = openModel(file())
      model.graph.initializers.delete('first')
      model.graph.nodes.shift()
      model.graph.outputs.shift()
      for (let round = 0; round < 2; round++) {
        saveModel(model, file(), { external })
        expect(tensorToFloat32(model.graph.initializers.get('first.')!)).toEqual(
          weight.map((value) => value * 3),
        )
      }
      const again = openModel(file())
      expect([...again.graph.initializers.keys()]).toEqual(['second/part', 'first.'])
      expect(tensorToFloat32(again.graph.initializers.get('first.')!)).toEqual(
        weight.map((value) => value * 3),
      )
    },
  )

  it('refuses to read weights from a file that was replaced', () => {
    saveModel(sample(), file())
    const stale = openModel(file())
    saveModel(sample(), file())
    const error = errorOf(() => tensorBytes(stale.graph.initializers.get('first')!))
    expect(error.code).toBe('E_ONNX_FILE_CHANGED')
    expect(error.message).toContain('"first"')
    expect(errorOf(() => saveModel(stale, file('other.onnx'))).code).toBe('E_ONNX_FILE_CHANGED')
    expect(readdirSync(folder)).toEqual(['model.onnx'])
  })

  it('leaves everything as it was when a file cannot be put in place', () => {
    saveModel(sample(), file(), { external: 'single-file' })
    const before = [readFileSync(file()), readFileSync(file('model.onnx.data'))]
    const model = cloneModel(openModel(file()))
    model.graph.initializers.delete('first')
    // The model file cannot replace a folder, after the data file already has been replaced.
    rmSync(file())
    mkdirSync(file())
    writeFileSync(path.join(file(), 'occupied'), '')
    const fresh = sample()
    fresh.graph.initializers.delete('first')
    expect(errorOf(() => saveModel(fresh, file(), { external: 'single-file' })).code).toBe('E_FILE_WRITE')
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'model.onnx.data'])
    expect(readFileSync(file('model.onnx.data')).equals(before[1]!)).toBe(true)
  })

  it('names the folder that does not exist', () => {
    const error = errorOf(() => saveModel(sample(), path.join(folder, 'missing', 'model.onnx')))
    expect(error.code).toBe('E_FILE_WRITE')
    expect(error.message).toContain('missing')
  })

  it('opens a model inside another file', () => {
    const bytes = serializeModel(sample())
    writeFileSync(file('container'), Buffer.concat([Buffer.alloc(100, 1), bytes, Buffer.alloc(50, 2)]))
    const model = openModel(file('container'), { offset: 100, length: bytes.length })
    expect(tensorToFloat32(model.graph.initializers.get('first')!)).toEqual(weight)
  })

  it('says what is missing or not a file', () => {
    expect(errorOf(() => openModel(file('absent.onnx'))).code).toBe('E_FILE_NOT_FOUND')
    expect(errorOf(() => openModel(folder)).code).toBe('E_FILE_READ')
  })

  it('tells a truncated file from a damaged one', () => {
    saveModel(sample(), file())
    truncateSync(file(), 9000)
    expect(errorOf(() => openModel(file())).code).toBe('E_ONNX_TRUNCATED')
  })
})

describe('external data', () => {
  /** The sample with the location of its external data replaced by one of the same length. */
  function relocated(location: string): void {
    saveModel(sample(), file(), { external: 'single-file', externalSuffix: 'x'.repeat(location.length - 10) })
    const written = readdirSync(folder).find((name) => name !== 'model.onnx')!
    const bytes = readFileSync(file()).toString('latin1').replaceAll(written, location)
    writeFileSync(file(), Buffer.from(bytes, 'latin1'))
  }

  it.each([
    '../outside/weights.bin',
    '/etc/hostname-and-more',
    'sub/../../weights.bin',
    '..\\outside\\weights.bin',
    'C:\\windows\\weights.bin',
  ])('refuses the location %s', (location) => {
    relocated(location)
    const error = errorOf(() => openModel(file()))
    expect(error.code).toBe('E_ONNX_EXTERNAL_OUTSIDE')
    expect(error.message).toContain('"first"')
  })

  it.skipIf(process.platform === 'win32')('refuses a link that leads out of the folder', () => {
    const outside = mkdtempSync(path.join(tmpdir(), 'onnx-outside-'))
    try {
      mkdirSync(file('in'))
      saveModel(sample(), file('in/model.onnx'), { external: 'single-file' })
      const data = readFileSync(file('in/model.onnx.data'))
      writeFileSync(path.join(outside, 'real'), data)
      rmSync(file('in/model.onnx.data'))
      symlinkSync(path.join(outside, 'real'), file('in/model.onnx.data'))
      expect(errorOf(() => openModel(file('in/model.onnx'))).code).toBe('E_ONNX_EXTERNAL_OUTSIDE')
    } finally {
      rmSync(outside, { recursive: true })
    }
  })

  it('names tensor and file when the data is missing or too short', () => {
    saveModel(sample(), file(), { external: 'single-file' })
    truncateSync(file('model.onnx.data'), 20_000)
    const short = errorOf(() => openModel(file()))
    expect(short.code).toBe('E_ONNX_EXTERNAL_RANGE')
    expect(short.details).toMatchObject({ tensor: 'second/part', size: 20_000 })
    rmSync(file('model.onnx.data'))
    const missing = errorOf(() => openModel(file()))
    expect(missing.code).toBe('E_ONNX_EXTERNAL_MISSING')
    expect(missing.message).toMatch(/model\.onnx\.data.*"first"/)
  })

  it('refuses a suffix that is a path', () => {
    expect(
      errorOf(() => saveModel(sample(), file(), { external: 'single-file', externalSuffix: '/../x' })).code,
    ).toBe('E_ARGUMENT')
    expect(readdirSync(folder)).toEqual([])
  })
})
