// Arrays of numpy as calibration data: split, chosen, read back as a data set; broken files are refused whole.
import { createWriteStream, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import yazl from 'yazl'
import { openDataset } from '../../../engine/calibration/index.ts'
import { DataType } from '../../../engine/onnx/index.ts'
import { prepareArrays } from '../../../engine/preparation/index.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'aqw-arrays-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A .npy as numpy.save writes it. */
function npy(descr: string, shape: number[], data: ArrayBufferView): Buffer {
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims}), }`
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0])
  const values = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  return Buffer.concat([start, Buffer.from(`${text.padEnd(117)}\n`, 'latin1'), values])
}

async function npz(name: string, arrays: Record<string, Buffer>): Promise<string> {
  const zip = new yazl.ZipFile()
  for (const [entry, bytes] of Object.entries(arrays)) zip.addBuffer(bytes, `${entry}.npy`)
  zip.end()
  const file = path.join(folder, name)
  await pipeline(zip.outputStream, createWriteStream(file))
  return file
}

const images = Float32Array.from({ length: 5 * 3 * 20_000 }, (_, index) => index / 7)
const times = BigInt64Array.of(9n, 8n, 7n, 6n, 5n)
const inputs = [
  { name: 'sample', dataType: DataType.FLOAT, dims: [1, 3, 20_000] },
  { name: 't', dataType: DataType.INT64, dims: [1] },
]

describe('arrays of numpy', () => {
  it('an .npz with an array per input is a data set, larger than a chunk of a stream', async () => {
    const file = await npz('two.npz', {
      sample: npy('<f4', [5, 3, 20_000], images),
      t: npy('<i8', [5, 1], times),
    })
    const target = path.join(folder, 'two')
    const result = await prepareArrays(file, target, { seed: 0 })
    expect(result).toMatchObject({ samples: 5, files: 10 })
    const dataset = openDataset({ folder: target }, inputs)
    expect(dataset.count).toBe(5)
    const last = dataset.load(4)
    expect(last['sample']!.data).toEqual(images.slice(4 * 60_000))
    expect([...(last['t']!.data as BigInt64Array)]).toEqual([5n])
  })

  it('a .npy is one input; a subset follows from the seed', async () => {
    const file = path.join(folder, 'one.npy')
    writeFileSync(file, npy('<f4', [5, 3, 20_000], images))
    const run = (name: string, seed: number) =>
      prepareArrays(file, path.join(folder, name), { seed, count: 2 })
    const [first, again, other] = [await run('a', 1), await run('b', 1), await run('c', 2)]
    expect(readdirSync(first.folder)).toEqual(['00000.npy', '00001.npy'])
    expect(again.sha256).toBe(first.sha256)
    expect(other.sha256).not.toBe(first.sha256)
    await expect(prepareArrays(file, path.join(folder, 'd'), { seed: 1, count: 6 })).rejects.toMatchObject({
      code: 'E_PREPARE_COUNT',
    })
  })

  it('says what is wrong and leaves nothing behind', async () => {
    const target = path.join(folder, 'none')
    const write = (content: Uint8Array): string => {
      const file = path.join(folder, 'wrong.npy')
      writeFileSync(file, content)
      return file
    }
    const reason = async (file: string): Promise<string> =>
      prepareArrays(file, target, { seed: 0 }).then(
        () => 'no error',
        (error: Error) => error.message,
      )
    expect(await reason(write(npy('<f4', [5, 3], Float32Array.of(1, 2, 3, 4))))).toMatch(
      /after 1 of 5 samples/,
    )
    expect(await reason(write(npy('|O', [5], Float32Array.of(1))))).toMatch(/holds O, not numbers/)
    expect(await reason(write(npy('<f4', [], Float32Array.of(1))))).toMatch(/no samples in front/)
    const uneven = { a: npy('<i8', [5], times), b: npy('<i8', [4], times.slice(1)) }
    expect(await reason(await npz('uneven.npz', uneven))).toMatch(/4 samples, the arrays before 5/)
    writeFileSync(path.join(folder, 'text.npz'), 'no archive')
    expect(await reason(path.join(folder, 'text.npz'))).toMatch(/text\.npz/)
    expect(existsSync(target)).toBe(false)
  })

  it('any bytes are refused with a code', async () => {
    const file = path.join(folder, 'fuzz.npy')
    const start = npy('<f4', [2, 2], Float32Array.of(1, 2, 3)).subarray(0, 20)
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, numpy) => {
        writeFileSync(file, numpy ? Buffer.concat([start, bytes]) : bytes)
        const running = prepareArrays(file, path.join(folder, 'fuzz'), { seed: 0 })
        await expect(running).rejects.toMatchObject({ code: 'E_PREPARE_SETTINGS' })
      }),
      { numRuns: 40 },
    )
  })
})
