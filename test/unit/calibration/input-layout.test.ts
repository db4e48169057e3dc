// Data with channels last for inputs with channels first.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { openDataset } from '../../../engine/calibration/index.ts'
import { channelsFirst } from '../../../engine/calibration/input-layout.ts'
import { DataType } from '../../../engine/onnx/index.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'aqw-layout-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const image = { name: 'image', dataType: DataType.FLOAT, dims: [1, 3, 1, 2] }
const hwc = Float32Array.of(1, 2, 3, 4, 5, 6)
writeFileSync(path.join(folder, '00000.bin'), new Uint8Array(hwc.buffer))

const values = (layouts: Record<string, 'CHW' | 'HWC'>): number[] =>
  Array.from(openDataset({ folder, layouts }, [image]).load(0)['image']!.data as Float32Array)

describe('layout of data', () => {
  it('is turned around when it is declared', () => {
    expect(values({})).toEqual([1, 2, 3, 4, 5, 6])
    expect(values({ image: 'CHW' })).toEqual([1, 2, 3, 4, 5, 6])
    expect(values({ image: 'HWC' })).toEqual([1, 4, 2, 5, 3, 6])
  })

  it('is what a prepared folder says, unless the request says otherwise', () => {
    const settings = path.join(folder, 'preparation.json')
    writeFileSync(settings, JSON.stringify({ layout: 'HWC', shape: [1, 2, 3] }))
    expect(values({})).toEqual([1, 4, 2, 5, 3, 6])
    expect(values({ image: 'CHW' })).toEqual([1, 2, 3, 4, 5, 6])
    writeFileSync(settings, 'something else')
    expect(values({})).toEqual([1, 2, 3, 4, 5, 6])
    rmSync(settings)
  })

  it('refuses an input that is not there, and one that has no picture', () => {
    expect(() => openDataset({ folder, layouts: { other: 'HWC' } }, [image])).toThrow(
      expect.objectContaining({ code: 'E_CALIBRATION_INPUT_UNKNOWN' }),
    )
    const flat = { ...image, dims: [1, 6] }
    expect(() => openDataset({ folder, layouts: { image: 'HWC' } }, [flat])).toThrow(
      expect.objectContaining({ code: 'E_CALIBRATION_LAYOUT' }),
    )
  })

  it('turning twice, with the dimensions turned, gives the data back', () => {
    const side = fc.integer({ min: 1, max: 5 })
    fc.assert(
      fc.property(side, side, side, side, (n, c, h, w) => {
        const data = Float32Array.from({ length: n * c * h * w }, (_, index) => index)
        const there = channelsFirst(data, [n, c, h, w])
        // [N, C, H*W] seen as channels last of H*W "channels".
        expect([...(channelsFirst(there, [n, h * w, 1, c]) as Float32Array)]).toEqual([...data])
      }),
    )
  })
})
