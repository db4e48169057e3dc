// Quoted commands come out of a real shell as the words that went in.
import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  calibrateCommandLine,
  compareCommandLine,
  quoteArgument,
} from '../../../contract/rpc/command-line.ts'

describe('quoteArgument', () => {
  it('survives the shell', () => {
    const words = fc.sample(
      fc.string({ unit: 'binary' }).filter((text) => !/[\0\ud800-\udfff]/.test(text)),
      60,
    )
    const hostile = ["it's", '$(id)', '`id`', 'a b', '', '*', '--x=1;2', '"', '\\', '中文', 'a\nb']
    for (const word of [...words, ...hostile]) {
      const script = `printf '%s' ${quoteArgument(word)}`
      expect(execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' })).toBe(word)
    }
  })
})

describe('compareCommandLine', () => {
  it('writes only what was asked for', () => {
    const command = { modelPath: '/m/my unet.onnx', calibrationPath: 'calib', device: 'sim:Ascend310P3' }
    expect(compareCommandLine(command)).toBe(
      "aqw compare --model '/m/my unet.onnx' --calibration calib --device sim:Ascend310P3",
    )
    const more = { ...command, loopCount: 100, inputShapes: { x: [1, 4], t: [1] } }
    expect(compareCommandLine(more)).toContain("--input-shape 'x:1,4;t:1' --loop-count 100")
  })
})

it('a choice of samples is written with their number only', () => {
  const all = { modelPath: 'm.onnx', calibrationPath: 'c', device: 'cpu', selection: 'spread' as const }
  expect(compareCommandLine(all)).not.toContain('spread')
  expect(calibrateCommandLine(all)).toBe('aqw calibrate m.onnx --data c')
  expect(compareCommandLine({ ...all, calibrationSamples: 4 })).toContain(
    '--count 4 --calibration-selection spread',
  )
})
