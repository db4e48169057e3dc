// Which samples are taken: spread over the data, over time steps, from every side of guidance; and where steps come from.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AppError } from '../../../contract/errors/index.ts'
import type { DatasetSpec, ModelInput } from '../../../contract/quantization.ts'
import { bisectionOrder, chooseByStep, chooseSpread } from '../../../engine/calibration/choice.ts'
import { openDataset } from '../../../engine/calibration/dataset.ts'
import { DataType } from '../../../engine/onnx/index.ts'

describe('an even spread', () => {
  it('holds known positions', () => {
    expect(chooseSpread(10, 5)).toEqual([0, 2, 4, 6, 8])
    expect(chooseSpread(24, 5)).toEqual([0, 4, 9, 14, 19])
    expect(chooseSpread(3, 5)).toEqual([0, 1, 2])
  })

  it('leaves gaps that differ by one at most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 500 }), (available, count) => {
        const chosen = chooseSpread(available, count)
        expect(chosen).toHaveLength(Math.min(available, count))
        const gaps = chosen.slice(1).map((position, index) => position - (chosen[index] ?? 0))
        if (gaps.length > 0) expect(Math.max(...gaps) - Math.min(...gaps)).toBeLessThanOrEqual(1)
        expect(chosen.at(-1) ?? 0).toBeLessThan(available)
      }),
    )
  })
})

const candidates = fc.array(
  fc.record({ step: fc.integer({ min: 0, max: 12 }), branch: fc.constantFrom('caption', 'null') }),
  { minLength: 1, maxLength: 120 },
)

describe('a choice over time steps', () => {
  it('takes one sample of each step, and both sides of guidance', () => {
    // Three steps, each with two captioned samples and two without.
    const all = [10, 10, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30].map((step, index) => ({
      step,
      branch: index % 2 === 0 ? 'caption' : 'null',
    }))
    const three = chooseByStep(all, 3)
    expect(three.map((index) => all[index]?.step)).toEqual([10, 20, 30])
    const six = chooseByStep(all, 6).map((index) => all[index])
    expect(six.map((entry) => entry?.step)).toEqual([10, 10, 20, 20, 30, 30])
    for (const step of [10, 20, 30]) {
      const branches = six.filter((entry) => entry?.step === step).map((entry) => entry?.branch)
      expect(branches.sort()).toEqual(['caption', 'null'])
    }
  })

  it('takes the asked number, each once, in the order of the data, always the same', () => {
    fc.assert(
      fc.property(candidates, fc.integer({ min: 1, max: 150 }), (all, count) => {
        const chosen = chooseByStep(all, count)
        expect(chosen).toHaveLength(Math.min(all.length, count))
        expect(new Set(chosen).size).toBe(chosen.length)
        expect(chosen).toEqual(chosen.toSorted((left, right) => left - right))
        expect(chooseByStep(all, count)).toEqual(chosen)
      }),
    )
  })

  it('takes as many of one step as of another, as far as there are', () => {
    fc.assert(
      fc.property(candidates, fc.integer({ min: 1, max: 150 }), (all, count) => {
        const steps = new Set(all.map(({ step }) => step))
        fc.pre(count >= steps.size && count <= all.length)
        const taken = Map.groupBy(chooseByStep(all, count), (index) => all[index]?.step)
        const present = Map.groupBy(all, ({ step }) => step)
        const most = Math.max(...[...taken.values()].map((group) => group.length))
        for (const step of steps) {
          const used = taken.get(step)?.length ?? 0
          const isExhausted = used === present.get(step)?.length
          // A step with fewer samples than the others is used up before the others get more.
          expect(isExhausted || used >= most - 1).toBe(true)
        }
      }),
    )
  })

  it('keeps the share of the branches within one sample per stratum of equal content', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 4 }), (steps, perStep) => {
        const all = Array.from({ length: steps * 4 }, (_, index) => ({
          step: Math.floor(index / 4),
          branch: index % 4 < 3 ? 'caption' : 'null',
        }))
        const chosen = chooseByStep(all, steps * perStep)
        const without = chosen.filter((index) => all[index]?.branch === 'null').length
        expect(Math.abs(without - (steps * perStep) / 4)).toBeLessThanOrEqual(1)
      }),
    )
  })
})

describe('the order in which samples are added', () => {
  it('begins at both ends and halves the widest gap', () => {
    expect(bisectionOrder(9)).toEqual([0, 8, 4, 2, 6, 1, 3, 5, 7])
    expect(bisectionOrder(2)).toEqual([0, 1])
    expect(bisectionOrder(1)).toEqual([0])
    expect(bisectionOrder(0)).toEqual([])
  })

  it('holds every position once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 300 }), (count) => {
        const sorted = bisectionOrder(count).toSorted((left, right) => left - right)
        expect(sorted).toEqual(Array.from({ length: count }, (_, index) => index))
      }),
    )
  })
})

describe('time steps of a data set', () => {
  let folder: string
  beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'steps-'))))
  afterEach(() => rmSync(folder, { recursive: true }))

  const image: ModelInput = { name: 'sample', dataType: DataType.FLOAT, dims: [null, 2] }
  const write = (name: string, values: ArrayBufferView): void =>
    writeFileSync(path.join(folder, name), Buffer.from(values.buffer, values.byteOffset, values.byteLength))
  const open = (inputs: ModelInput[], spec: Partial<DatasetSpec> = {}) =>
    openDataset({ folder, selection: 'timesteps', ...spec }, inputs)

  it('come from index.json first', () => {
    const samples = [951, 501, 1].map((timestep, index) => {
      write(`0${index}.bin`, Float32Array.of(index, index))
      return { timestep, inputs: { sample: { file: `0${index}.bin` } } }
    })
    writeFileSync(path.join(folder, 'index.json'), JSON.stringify({ samples }))
    expect(open([image]).timesteps()).toEqual({ source: 'index', values: [951, 501, 1] })
    const two = open([image], { count: 2 })
    expect(two.timesteps()?.values).toHaveLength(2)
    expect(two.samples).toBe(2)
  })

  it.each([
    ['timestep', DataType.FLOAT, (step: number) => Float32Array.of(step)],
    ['t', DataType.INT64, (step: number) => BigInt64Array.of(BigInt(step))],
    ['unet/timesteps', DataType.FLOAT16, (step: number) => Uint16Array.of(step === 1 ? 0x3c00 : 0x4000)],
  ] as const)('come from an input called %s', (name, dataType, values) => {
    const input: ModelInput = { name, dataType, dims: [null] }
    const spelling = name.replaceAll('/', '_')
    for (const [index, step] of [2, 1].entries()) {
      write(`0${index}_sample.bin`, Float32Array.of(step, step))
      write(`0${index}_${spelling}.bin`, values(step))
    }
    expect(open([image, input]).timesteps()).toEqual({ source: 'input', values: [2, 1] })
  })

  it('come from file names', () => {
    for (const name of ['a_t0951.bin', 'b_step-20.bin', 'c_timestep7.5_x.bin'])
      write(name, Float32Array.of(1, 2))
    expect(open([image]).timesteps()).toEqual({ source: 'file names', values: [951, 20, 7.5] })
  })

  it('do not come from the name of an input', () => {
    const text: ModelInput = { name: 't5_states', dataType: DataType.FLOAT, dims: [null, 2] }
    for (const index of ['00', '01']) {
      write(`${index}_sample.bin`, Float32Array.of(1, 2))
      write(`${index}_t5_states.bin`, Float32Array.of(1, 2))
    }
    expect(open([image, text], { selection: 'first' }).timesteps()).toBeUndefined()
    let thrown: AppError | undefined
    try {
      open([image, text])
    } catch (error) {
      thrown = error as AppError
    }
    expect(thrown).toMatchObject({ code: 'E_CALIBRATION_TIMESTEPS', details: { samples: 2 } })
    expect(thrown?.hint).toMatch(/index\.json.*input named timestep.*file names/)
  })

  it('of runs that join samples are known where they agree', () => {
    for (const name of ['a_t1.bin', 'b_t1.bin', 'c_t2.bin', 'd_t3.bin']) write(name, Float32Array.of(1, 2))
    expect(open([image], { batchSize: 2 }).timesteps()?.values).toEqual([1, null])
  })

  it('spread takes positions of the data', () => {
    for (const name of ['a', 'b', 'c', 'd']) write(`${name}.bin`, Float32Array.of(1, 2))
    const dataset = open([image], { selection: 'spread', count: 2 })
    expect(dataset.files.map((file) => path.basename(file))).toEqual(['a.bin', 'c.bin'])
  })
})
