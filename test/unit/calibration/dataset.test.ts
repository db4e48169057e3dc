// Calibration data: every layout, and every way it can be wrong.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import type { ModelInput } from '../../../contract/quantization.ts'
import { overlappingSamples } from '../../../engine/pipeline/overlap.ts'
import { openDataset } from '../../../engine/calibration/dataset.ts'
import { parseNpyHeader } from '../../../engine/common/npy.ts'
import { DataType } from '../../../engine/onnx/model.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'dataset-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

const image: ModelInput = { name: 'sample', dataType: DataType.FLOAT, dims: [null, 2, 2, 2] }
const step: ModelInput = { name: 'timestep', dataType: DataType.INT64, dims: [null] }

function write(name: string, values: ArrayBufferView | Buffer): void {
  const file = path.join(folder, name)
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, Buffer.from(values.buffer, values.byteOffset, values.byteLength))
}

function sample(start: number): Float32Array {
  return Float32Array.from({ length: 8 }, (_, index) => start + index)
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

function npy(header: string, data: ArrayBufferView): Buffer {
  const padded = header.padEnd(117) + '\n'
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0])
  return Buffer.concat([
    start,
    Buffer.from(padded),
    Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  ])
}

describe('layouts', () => {
  it('takes every bin of the folder as a sample of a single input, sorted by name', () => {
    write('b.bin', sample(100))
    write('a.bin', sample(0))
    write('index.json', Buffer.from('{}'))
    const dataset = openDataset({ folder }, [image])
    expect(dataset.count).toBe(2)
    expect(dataset.files.map((file) => path.basename(file))).toEqual(['a.bin', 'b.bin'])
    expect(dataset.load(1).sample).toEqual({
      dataType: DataType.FLOAT,
      dims: [1, 2, 2, 2],
      data: sample(100),
    })
  })

  it('pairs <index>_<input>.bin', () => {
    for (const index of ['00', '01']) {
      write(`${index}_sample.bin`, sample(Number(index)))
      write(`${index}_timestep.bin`, BigInt64Array.of(BigInt(index)))
    }
    const dataset = openDataset({ folder }, [image, step])
    expect(dataset.count).toBe(2)
    expect(dataset.load(1).timestep).toEqual({
      dataType: DataType.INT64,
      dims: [1],
      data: BigInt64Array.of(1n),
    })
  })

  it('does not confuse inputs whose names end alike', () => {
    const inputs = ['a', 'b_a'].map((name) => ({ name, dataType: DataType.FLOAT, dims: [1] }))
    write('0_a.bin', Float32Array.of(1))
    write('0_b_a.bin', Float32Array.of(2))
    const feeds = openDataset({ folder }, inputs).load(0)
    expect(feeds.a?.data[0]).toBe(1)
    expect(feeds.b_a?.data[0]).toBe(2)
  })

  it('accepts file-name spellings of input names', () => {
    write('0_unet_x_0.bin', Float32Array.of(5))
    const input = { name: 'unet/x:0', dataType: DataType.FLOAT, dims: [1] }
    expect(openDataset({ folder }, [input]).load(0)['unet/x:0']?.data[0]).toBe(5)
  })

  it('pairs one folder per input by sorted position', () => {
    write('sample/x1.bin', sample(1))
    write('sample/x2.bin', sample(2))
    write('timestep/t1.bin', BigInt64Array.of(7n))
    write('timestep/t2.bin', BigInt64Array.of(8n))
    const dataset = openDataset({ folder }, [image, step])
    expect(dataset.load(1).sample?.data[0]).toBe(2)
    expect(dataset.load(1).timestep?.data[0]).toBe(8n)
  })

  it('follows a list file beside the config, with comments, blanks and commas', () => {
    write('config/list.txt', Buffer.from('# header\nb.bin, t.bin\n\na.bin t.bin # last\n'))
    write('data/a.bin', sample(1))
    write('data/b.bin', sample(2))
    write('data/t.bin', BigInt64Array.of(7n))
    const request = {
      folder: path.join(folder, 'data'),
      listFile: 'list.txt',
      searchFolders: [path.join(folder, 'config')],
    }
    const dataset = openDataset(request, [image, step])
    expect(dataset.count).toBe(2)
    expect(dataset.load(0).sample?.data[0]).toBe(2)
  })

  it('finds the list file in the data folder too', () => {
    write('list.txt', Buffer.from('a file.bin\r\n'))
    write('a file.bin', sample(1))
    expect(openDataset({ folder, listFile: 'list.txt' }, [image]).count).toBe(1)
  })

  it('reads .npy of the right type', () => {
    write('a.npy', npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 2, 2), }", sample(3)))
    expect(openDataset({ folder }, [image]).load(0).sample?.data).toEqual(sample(3))
  })
})

describe('count and batch', () => {
  beforeEach(() => {
    for (let index = 0; index < 5; index++) write(`${index}.bin`, sample(index * 10))
  })

  it('joins samples along the first dimension; the last batch may be smaller', () => {
    const dataset = openDataset({ folder, batchSize: 2 }, [image])
    expect([dataset.count, dataset.samples]).toEqual([3, 5])
    expect(dataset.load(0).sample?.dims).toEqual([2, 2, 2, 2])
    expect(dataset.load(0).sample?.data).toEqual(Float32Array.of(...sample(0), ...sample(10)))
    expect(dataset.load(2).sample?.dims).toEqual([1, 2, 2, 2])
  })

  it('uses the first samples when fewer are asked for', () => {
    expect(openDataset({ folder, count: 3 }, [image]).files).toHaveLength(3)
  })

  it('refuses to invent samples', () => {
    const error = failure(() => openDataset({ folder, count: 200 }, [image]))
    expect(error.code).toBe('E_CALIBRATION_COUNT')
    expect(error.details).toMatchObject({ available: 5, wanted: 200 })
  })

  it('takes files that hold a whole batch', () => {
    write('big/0.bin', Float32Array.of(...sample(0), ...sample(8)))
    const dataset = openDataset({ folder: path.join(folder, 'big'), batchSize: 2 }, [image])
    expect([dataset.count, dataset.samples]).toEqual([1, 2])
    expect(dataset.load(0).sample?.dims).toEqual([2, 2, 2, 2])
  })

  it('refuses a batch that the model cannot take', () => {
    const fixed = { ...image, dims: [1, 2, 2, 2] }
    expect(failure(() => openDataset({ folder, batchSize: 2 }, [fixed])).code).toBe('E_CALIBRATION_BATCH')
    const two = { ...image, dims: [2, 2, 2, 2] }
    const error = failure(() => openDataset({ folder, batchSize: 2 }, [two]))
    expect(error.code).toBe('E_CALIBRATION_BATCH')
    expect(error.message).toContain('5 samples')
    expect(openDataset({ folder, batchSize: 2, count: 4 }, [two]).count).toBe(2)
  })
})

describe('what is refused', () => {
  it('a folder that is missing, or is a file', () => {
    const error = failure(() => openDataset({ folder: path.join(folder, 'no') }, [image]))
    expect(error.code).toBe('E_CALIBRATION_FOLDER')
    write('file', sample(0))
    expect(failure(() => openDataset({ folder: path.join(folder, 'file') }, [image])).code).toBe(
      'E_CALIBRATION_FOLDER',
    )
  })

  it('a folder without bins, saying what is expected', () => {
    expect(failure(() => openDataset({ folder }, [image])).code).toBe('E_CALIBRATION_EMPTY')
    const error = failure(() => openDataset({ folder }, [image, step]))
    expect(error.hint).toContain('<index>_timestep.bin')
  })

  it.each([
    [24, 'float32[3,4,64,64]'],
    [4, 'float16[1,4,64,64]'],
    [16, 'float64[1,4,64,64]'],
  ])(
    'a wrong size, with both byte counts and the shape it would mean (%d bytes per element)',
    (factor, meaning) => {
      const unet = { name: 'x', dataType: DataType.FLOAT, dims: [1, 4, 64, 64] }
      const bytes = factor === 24 ? 3 * 65_536 : (factor / 8) * 65_536
      write('0.bin', new Uint8Array(bytes))
      const error = failure(() => openDataset({ folder }, [unet]))
      expect(error.code).toBe('E_CALIBRATION_SHAPE')
      expect(error.details).toMatchObject({ bytes, expectedBytes: 65_536, expected: 'float32[1,4,64,64]' })
      expect(error.message).toContain(meaning)
      expect(error.message).toContain('0.bin')
    },
  )

  it('a wrong size that is another resolution or no shape at all', () => {
    const unet = { name: 'x', dataType: DataType.FLOAT, dims: [1, 4, 64, 64] }
    write('0.bin', new Uint8Array(4 * 4 * 32 * 32))
    expect(failure(() => openDataset({ folder }, [unet])).message).toContain('float32[1,4,32,32]')
    write('0.bin', new Uint8Array(13))
    expect(failure(() => openDataset({ folder }, [unet])).message).toContain('not a whole number of float32')
  })

  it.each([
    [Number.NaN, 'NaN'],
    [Number.NEGATIVE_INFINITY, '-Infinity'],
  ])('%d in a bin, naming file and element', (value, name) => {
    write('0.bin', sample(0).with(5, value))
    const dataset = openDataset({ folder }, [image])
    const error = failure(() => dataset.load(0))
    expect(error.code).toBe('E_CALIBRATION_NOT_FINITE')
    expect(error.details).toMatchObject({ index: 5, value: name })
    expect(error.message).toContain('0.bin')
  })

  it('infinity in a float16 bin', () => {
    write('0.bin', Uint16Array.of(0x3c00, 0xfc00))
    const dataset = openDataset({ folder }, [{ name: 'h', dataType: DataType.FLOAT16, dims: [2] }])
    expect(failure(() => dataset.load(0)).details).toMatchObject({ index: 1, value: '-Infinity' })
  })

  it('a sample that lacks an input', () => {
    write('00_sample.bin', sample(0))
    write('00_timestep.bin', BigInt64Array.of(1n))
    write('01_sample.bin', sample(0))
    const error = failure(() => openDataset({ folder }, [image, step]))
    expect(error.code).toBe('E_CALIBRATION_MISSING_INPUT')
    expect(error.details).toMatchObject({ sample: '01', input: 'timestep', expected: '01_timestep.bin' })
    write('two/sample/0.bin', sample(0))
    const lacking = failure(() => openDataset({ folder: path.join(folder, 'two') }, [image, step]))
    expect(lacking.code).toBe('E_CALIBRATION_MISSING_INPUT')
  })

  it.each(['../secret.bin', '/etc/passwd', '..', 'x/../../secret.bin'])(
    'a list entry outside the folder: %s',
    (entry) => {
      write('data/a.bin', sample(0))
      write('secret.bin', sample(0))
      write('data/list.txt', Buffer.from(`a.bin\n${entry}\n`))
      const error = failure(() =>
        openDataset({ folder: path.join(folder, 'data'), listFile: 'list.txt' }, [image]),
      )
      expect(error.code).toBe('E_CALIBRATION_PATH')
      expect(error.details).toMatchObject({ line: 2, entry })
    },
  )

  it('a list that is missing, names missing files, or has the wrong number of columns', () => {
    write('a.bin', sample(0))
    expect(failure(() => openDataset({ folder, listFile: 'l.txt' }, [image])).code).toBe(
      'E_CALIBRATION_LIST_MISSING',
    )
    write('l.txt', Buffer.from('a.bin\nzz.bin\n'))
    const error = failure(() => openDataset({ folder, listFile: 'l.txt' }, [image]))
    expect(error.code).toBe('E_CALIBRATION_LIST')
    expect(error.details).toMatchObject({ line: 2 })
    expect(failure(() => openDataset({ folder, listFile: 'l.txt' }, [image, step])).code).toBe(
      'E_CALIBRATION_LIST',
    )
    write('empty.txt', Buffer.from('# nothing\n'))
    expect(failure(() => openDataset({ folder, listFile: 'empty.txt' }, [image])).code).toBe(
      'E_CALIBRATION_EMPTY',
    )
  })

  it('.npy of another type', () => {
    write(
      'a.npy',
      npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2, 2, 2), }", new Float64Array(8)),
    )
    const error = failure(() => openDataset({ folder }, [image]))
    expect(error.code).toBe('E_CALIBRATION_DTYPE')
    expect(error.message).toContain('f8[1,2,2,2]')
  })

  it('shapes that the model does not have', () => {
    write('a.bin', sample(0))
    const shapes = { sample: [1, 2, 2, 3] }
    expect(failure(() => openDataset({ folder, inputShapes: shapes }, [image])).code).toBe(
      'E_CALIBRATION_INPUT_SHAPE',
    )
    const stray = failure(() => openDataset({ folder, inputShapes: { sampel: [1] } }, [image]))
    expect(stray.code).toBe('E_CALIBRATION_INPUT_UNKNOWN')
    const open = { ...image, dims: [null, 2, null, null] }
    expect(failure(() => openDataset({ folder }, [open])).code).toBe('E_CALIBRATION_OPEN_SHAPE')
    expect(openDataset({ folder, inputShapes: { sample: [1, 2, 2, 2] } }, [open]).count).toBe(1)
  })

  it('an input type that raw files cannot hold', () => {
    write('a.bin', sample(0))
    const text = { name: 's', dataType: DataType.STRING, dims: [1] }
    expect(failure(() => openDataset({ folder }, [text])).code).toBe('E_CALIBRATION_DTYPE')
  })
})

describe('open dimensions and digests', () => {
  it('derives one open dimension from the file size', () => {
    write('a.bin', sample(0))
    const open = { ...image, dims: [null, 2, null, 2] }
    expect(openDataset({ folder }, [open]).load(0).sample?.dims).toEqual([1, 2, 2, 2])
  })

  it('the digest follows contents, not file names', () => {
    write('one/a.bin', sample(0))
    write('two/b.bin', sample(0))
    write('three/a.bin', sample(1))
    const digests = ['one', 'two', 'three'].map((name) =>
      openDataset({ folder: path.join(folder, name) }, [image]).digest(),
    )
    expect(digests[0]).toMatch(/^[0-9a-f]{64}$/)
    expect(digests[1]).toBe(digests[0])
    expect(digests[2]).not.toBe(digests[0])
  })

  it('samples of one set that are in another are counted by content', () => {
    write('first/0.bin', sample(0))
    write('first/1.bin', sample(1))
    write('second/x.bin', sample(1))
    write('second/y.bin', sample(2))
    const [first, second] = ['first', 'second'].map((name) =>
      openDataset({ folder: path.join(folder, name) }, [image]),
    )
    expect(overlappingSamples(second!, first!)).toBe(1)
    expect(overlappingSamples(first!, first!)).toBe(2)
  })
})

describe('.npy header', () => {
  it('never throws, whatever the bytes', () => {
    const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (bytes, withMagic) => {
        const header = parseNpyHeader(Uint8Array.of(...(withMagic ? magic : []), ...bytes))
        expect(['string', 'object']).toContain(typeof header)
      }),
    )
  })
})
