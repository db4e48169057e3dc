// Data preparation against Pillow (test/fixtures/preparation/make-oracles.py), and what it refuses.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import sharp from 'sharp'
import { afterAll, describe, expect, it } from 'vitest'
import type { PreparationRequest } from '../../../contract/preparation.ts'
import { resizePlane } from '../../../engine/common/resize.ts'
import { float16BitsToFloat32 } from '../../../engine/onnx/index.ts'
import { preparePictures, previewPreparation } from '../../../engine/preparation/index.ts'
import { resizedSize } from '../../../engine/preparation/chain.ts'
import { checkedPreparation } from '../../../engine/preparation/index.ts'

const fixtures = new URL('../../fixtures/preparation/', import.meta.url).pathname
const oracles = JSON.parse(readFileSync(path.join(fixtures, 'oracles.json'), 'utf8')) as {
  cases: { file: string; size: [number, number]; pixels: string }[]
}
const folder = mkdtempSync(path.join(tmpdir(), 'aqw-prepare-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let made = 0
/** A folder with one of the fixture pictures. */
function only(file: string): string {
  const target = path.join(folder, `source-${++made}`)
  mkdirSync(target)
  writeFileSync(path.join(target, file), readFileSync(path.join(fixtures, file)))
  return target
}

async function prepared(source: string, request: PreparationRequest) {
  const target = path.join(folder, `out-${++made}`)
  const result = await preparePictures(source, target, request)
  const bytes = readFileSync(path.join(target, readFileSync(result.listFile, 'utf8').split('\n')[0]!))
  return { result, target, bytes, floats: () => new Float32Array(new Uint8Array(bytes).buffer) }
}

describe('the torchvision recipe', () => {
  it.each(oracles.cases)('$file to $size equals Pillow', async ({ file, size, pixels }) => {
    const wanted = Buffer.from(pixels, 'base64')
    const { floats, result } = await prepared(only(file), {
      resize: { mode: 'stretch', size },
      mean: [0.5],
      std: [0.5],
      layout: 'HWC',
    })
    expect(result.shape).toEqual([...size, 3])
    const values = floats()
    expect(values).toHaveLength(wanted.length)
    values.forEach((value, index) => expect((value * 0.5 + 0.5) * 255).toBeCloseTo(wanted[index]!, 3))
  })

  it('values, layouts and types by hand', async () => {
    const source = path.join(folder, 'two-pixels')
    mkdirSync(source)
    const pixels = Buffer.from([255, 0, 51, 0, 102, 255])
    await sharp(pixels, { raw: { width: 2, height: 1, channels: 3 } })
      .png()
      .toFile(path.join(source, 'a.png'))
    const mean = [0.5, 0, 0.2]
    const chw = await prepared(source, { mean, std: [0.5, 1, 2] })
    const expected = [1, -1, 0, 0.4, 0, 0.4]
    chw.floats().forEach((value, index) => expect(value).toBeCloseTo(expected[index]!, 6))
    expect(chw.result.shape).toEqual([3, 1, 2])
    const bgr = await prepared(source, { channels: 'bgr', layout: 'HWC', scale: 1, dtype: 'uint8' })
    expect([...bgr.bytes]).toEqual([51, 0, 255, 255, 102, 0])
    const half = await prepared(source, { dtype: 'float16', scale: 1 })
    const bits = new Uint16Array(new Uint8Array(half.bytes).buffer)
    expect([...bits].map(float16BitsToFloat32)).toEqual([255, 0, 0, 102, 51, 255])
  })

  it('grey and transparent pictures', async () => {
    const source = path.join(folder, 'odd')
    mkdirSync(source)
    await sharp(Buffer.from([10, 200]), { raw: { width: 2, height: 1, channels: 1 } })
      .png()
      .toFile(path.join(source, 'a.png'))
    const colour = await prepared(source, { scale: 1, dtype: 'uint8', layout: 'HWC' })
    expect([...colour.bytes]).toEqual([10, 10, 10, 200, 200, 200])
    const grey = await prepared(source, { channels: 'grey', scale: 1, dtype: 'uint8' })
    expect([...grey.bytes]).toEqual([10, 200])
    const alpha = await prepared(source, { channels: 'rgba', scale: 1, dtype: 'uint8', layout: 'HWC' })
    expect([...alpha.bytes]).toEqual([10, 10, 10, 255, 200, 200, 200, 255])
  })
})

describe('sizes', () => {
  const sizeOf = (mode: 'short_side' | 'fit', size: [number, number], width: number, height: number) =>
    resizedSize({ width, height }, { mode, size })

  it('short side and fit keep proportions', () => {
    expect(sizeOf('short_side', [256, 256], 640, 480)).toEqual({ width: 341, height: 256 })
    expect(sizeOf('short_side', [256, 256], 480, 640)).toEqual({ width: 256, height: 341 })
    expect(sizeOf('fit', [100, 200], 400, 400)).toEqual({ width: 100, height: 100 })
  })

  it('fit pads, crop takes the middle', async () => {
    const fit = await prepared(only('wide.png'), {
      resize: { mode: 'fit', size: [40, 40] },
      pad_value: 7,
      scale: 1,
      dtype: 'uint8',
      layout: 'HWC',
    })
    expect([...fit.bytes.subarray(0, 3)]).toEqual([7, 7, 7])
    expect(fit.result.shape).toEqual([40, 40, 3])
    const crop = await prepared(only('wide.png'), { crop: [10, 12] })
    expect(crop.result.shape).toEqual([3, 10, 12])
  })

  it('resizing keeps constants, stays in range, and equal sizes change nothing', () => {
    const side = fc.integer({ min: 1, max: 20 })
    fc.assert(
      fc.property(
        side,
        side,
        side,
        side,
        fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 400, maxLength: 400 }),
        (w, h, tw, th, values) => {
          const plane = values.slice(0, w * h)
          const result = resizePlane(plane, { width: w, height: h }, { width: tw, height: th })
          expect(Math.min(...result)).toBeGreaterThanOrEqual(Math.min(...plane) - 1e-3)
          expect(Math.max(...result)).toBeLessThanOrEqual(Math.max(...plane) + 1e-3)
          const flat = resizePlane(
            plane.map(() => 9),
            { width: w, height: h },
            { width: tw, height: th },
          )
          flat.forEach((value) => expect(value).toBeCloseTo(9, 4))
          expect([...resizePlane(plane, { width: w, height: h }, { width: w, height: h })]).toEqual(plane)
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('folders', () => {
  it('the same seed takes the same pictures, another one others; the bytes repeat', async () => {
    const source = path.join(folder, 'many')
    mkdirSync(path.join(source, 'sub'), { recursive: true })
    for (let index = 0; index < 12; index++) {
      const data = Buffer.alloc(12, index * 20)
      const name = index < 6 ? `p${index}.png` : `sub/p${index}.png`
      await sharp(data, { raw: { width: 2, height: 2, channels: 3 } })
        .png()
        .toFile(path.join(source, name))
    }
    const first = await prepared(source, { count: 5, seed: 3 })
    const again = await prepared(source, { count: 5, seed: 3 })
    const other = await prepared(source, { count: 5, seed: 4 })
    expect(again.result.sha256).toBe(first.result.sha256)
    expect(other.result.sha256).not.toBe(first.result.sha256)
    expect(readdirSync(first.target).filter((name) => name.endsWith('.bin'))).toHaveLength(5)
    const settings = JSON.parse(readFileSync(path.join(first.target, 'preparation.json'), 'utf8')) as {
      files: { picture: string }[]
    }
    expect(settings.files).toHaveLength(5)
    await expect(prepared(source, { count: 13 })).rejects.toMatchObject({ code: 'E_PREPARE_COUNT' })
    await expect(preparePictures(source, first.target, {})).rejects.toMatchObject({ code: 'E_FILE_WRITE' })
  })

  it('refuses what is not a picture, leaving nothing behind', async () => {
    const source = only('wide.png')
    writeFileSync(path.join(source, 'zz.png'), 'not a picture')
    const target = path.join(folder, 'refused')
    await expect(preparePictures(source, target, {})).rejects.toMatchObject({
      code: 'E_PREPARE_PICTURE',
      details: { path: path.join(source, 'zz.png') },
    })
    expect(existsSync(target)).toBe(false)
    expect(readdirSync(folder).filter((name) => name.includes('refused'))).toEqual([])
    await expect(preparePictures(fixtures, path.join(folder, 'mixed'), {})).rejects.toMatchObject({
      code: 'E_PREPARE_SHAPES',
    })
    await expect(preparePictures(source, target, { crop: [99, 9] })).rejects.toMatchObject({
      code: 'E_PREPARE_SIZE',
    })
    mkdirSync(path.join(folder, 'empty'))
    await expect(preparePictures(path.join(folder, 'empty'), target, {})).rejects.toMatchObject({
      code: 'E_PREPARE_FOLDER',
    })
  })

  it.each([
    [{ resize: { mode: 'stretch' } }, 'needs a size'],
    [{ mean: [1, 2] }, 'mean has 2 numbers for 3 channels'],
    [{ dtype: 'uint8' }, 'uint8 keeps the pixels'],
    [{ std: [0] }, 'std'],
  ] as const)('refuses %j', (request, reason) => {
    expect(() => checkedPreparation(request as unknown as PreparationRequest)).toThrow(reason)
  })

  it('the preview shows every step', async () => {
    const { steps, available } = await previewPreparation(only('tall.png'), {
      resize: { mode: 'short_side', size: [16, 16] },
      crop: [16, 16],
      mean: [0.5],
      std: [0.5],
    })
    expect(available).toBe(1)
    expect(steps.map(({ step, width, height }) => [step, width, height])).toEqual([
      ['decoded', 23, 64],
      ['resized', 16, 44],
      ['cropped', 16, 16],
      ['values', 16, 16],
    ])
    expect(steps[3]!.min).toBeGreaterThanOrEqual(-1)
    expect(steps[3]!.max).toBeLessThanOrEqual(1)
  })
})
