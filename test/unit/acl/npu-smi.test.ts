// npu-smi's tables in their known formats, and that strange text never yields wrong readings or a crash.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createNpuSmiReader, findNpuSmi, parseNpuSmiInfo, socNameOf } from '../../../native/acl/npu-smi.ts'

const sample = (name: string) =>
  readFileSync(path.join(import.meta.dirname, 'npu-smi', `${name}.txt`), 'utf8')

describe('npu-smi info', () => {
  it('reads a 310P3 without HBM, whose power is NA', () => {
    const report = parseNpuSmiInfo(sample('310P3'))
    expect(report.toolVersion).toBe('25.3.rc1')
    expect(report.readings).toEqual([
      {
        npu: 6,
        chip: 0,
        name: '310P3',
        health: 'OK',
        busId: '0000:84:00.0',
        powerWatt: null,
        temperatureCelsius: 50,
        aiCorePercent: 0,
        memoryUsedMb: 1839,
        memoryTotalMb: 21525,
      },
    ])
    expect(report.readings.map(socNameOf)).toEqual(['Ascend310P3'])
  })

  it('reads a 310B4 without a bus id', () => {
    const [reading] = parseNpuSmiInfo(sample('310B4')).readings
    expect(reading).toMatchObject({ name: '310B4', powerWatt: 7.2, temperatureCelsius: 37, busId: null })
    expect(reading).toMatchObject({ memoryUsedMb: 1797, memoryTotalMb: 3513 })
  })

  it('reads two 310 chips of one card', () => {
    const { readings } = parseNpuSmiInfo(sample('310'))
    expect(
      readings.map(({ npu, chip, health, aiCorePercent }) => [npu, chip, health, aiCorePercent]),
    ).toEqual([
      [0, 0, 'OK', 0],
      [0, 1, 'Warning', 97],
    ])
  })

  it('takes HBM for the memory of 910-class devices and skips the process table', () => {
    const { readings } = parseNpuSmiInfo(sample('910B2'))
    expect(
      readings.map(({ npu, name, memoryUsedMb, memoryTotalMb }) => [npu, name, memoryUsedMb, memoryTotalMb]),
    ).toEqual([
      [3, '910B2', 61125, 65536],
      [4, '910B', 1365, 32768],
    ])
    expect(readings[0]).toMatchObject({ powerWatt: 119.9, temperatureCelsius: 45, aiCorePercent: 9 })
  })

  it('reads both dies of an A3, the second without power', () => {
    const { readings } = parseNpuSmiInfo(sample('a3'))
    expect(
      readings.map(({ npu, chip, powerWatt, memoryUsedMb }) => [npu, chip, powerWatt, memoryUsedMb]),
    ).toEqual([
      [0, 0, 178.9, 3412],
      [0, 1, null, 3190],
    ])
    expect(readings[0] && socNameOf(readings[0])).toBe('Ascend910')
  })

  it('reads the 950 layout, where the name has its own column', () => {
    const { readings } = parseNpuSmiInfo(sample('950'))
    expect(readings).toHaveLength(1)
    expect(readings[0]).toMatchObject({
      npu: 2,
      name: '950PR',
      health: 'Alarm',
      aiCorePercent: 37,
      memoryTotalMb: 131072,
    })
  })

  it('gives nothing for other text and never throws', () => {
    expect(parseNpuSmiInfo('dcmi module initialize failed. ret is -8005')).toEqual({
      toolVersion: null,
      readings: [],
    })
    const line = fc.array(
      fc.constantFrom('NPU', 'Name', 'Health', '|', ' ', '0', '/', '910B2', 'Chip', '\n', '+', 'é'),
    )
    fc.assert(
      fc.property(line, (parts) => {
        for (const reading of parseNpuSmiInfo(parts.join('')).readings) expect(reading.name).not.toBe('')
      }),
    )
  })
})

describe('the tool', () => {
  it('is not found where there is none', () => {
    expect(findNpuSmi(['/nonexistent/npu-smi'])).toBeNull()
  })

  it('reads nothing without a tool', async () => {
    expect(await createNpuSmiReader(null).read()).toBeNull()
  })

  it('is called at most once per second', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'npu-smi-'))
    try {
      const tool = path.join(folder, 'npu-smi')
      const calls = path.join(folder, 'calls')
      writeFileSync(
        tool,
        `#!/bin/sh\necho x >> ${calls}\ncat ${path.join(import.meta.dirname, 'npu-smi/310P3.txt')}\n`,
      )
      chmodSync(tool, 0o755)
      let clock = 0
      const reader = createNpuSmiReader(tool, () => clock)
      const [first, second] = await Promise.all([reader.read(), reader.read()])
      clock = 999
      await reader.read()
      expect(readFileSync(calls, 'utf8')).toBe('x\n')
      expect(first).toBe(second)
      expect(first?.readings).toHaveLength(1)
      clock = 1000
      await reader.read()
      expect(readFileSync(calls, 'utf8')).toBe('x\nx\n')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
