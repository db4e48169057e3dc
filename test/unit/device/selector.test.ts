// Device names as users type them.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatDeviceSelector } from '../../../contract/device.ts'
import { AppError } from '../../../contract/errors/index.ts'
import { parseDeviceSelector } from '../../../engine/device/selector.ts'
import { simulatedSocs } from '../../../engine/device/socs.ts'

describe('device names', () => {
  it.each([
    ['npu:0', { kind: 'npu', index: 0 }],
    ['npu', { kind: 'npu', index: 0 }],
    ['NPU:12', { kind: 'npu', index: 12 }],
    ['sim:Ascend310P3', { kind: 'simulated', soc: 'Ascend310P3' }],
    [' sim:ascend910b4 ', { kind: 'simulated', soc: 'Ascend910B4' }],
    ['cpu', { kind: 'cpu' }],
  ])('%s', (text, selector) => {
    expect(parseDeviceSelector(text)).toEqual(selector)
  })

  it('survives a round trip for every simulated SoC', () => {
    for (const soc of simulatedSocs) {
      expect(formatDeviceSelector(parseDeviceSelector(`sim:${soc.name}`))).toBe(`sim:${soc.name}`)
    }
    expect(simulatedSocs.map((soc) => soc.name)).toContain('Ascend910B4')
    expect(new Set(simulatedSocs.map((soc) => soc.name)).size).toBe(simulatedSocs.length)
  })

  it('names the nearest and all available devices when there is no such device', () => {
    const parse = () => parseDeviceSelector('sim:Ascend310P4')
    expect(parse).toThrow('There is no device "sim:Ascend310P4".')
    try {
      parse()
    } catch (error) {
      expect(error).toBeInstanceOf(AppError)
      const { code, details } = error as AppError
      expect(code).toBe('E_DEVICE_UNKNOWN')
      expect((details['nearest'] as string[])[0]).toMatch(/^sim:Ascend310P/)
      expect(details['available']).toContain('cpu')
    }
  })

  it.each(['', 'npu:', 'npu:-1', 'npu:256', 'npu:1000', 'gpu', 'sim:', 'cpu:0', 'sim:Ascend310P3;rm'])(
    'refuses "%s"',
    (text) => {
      expect(() => parseDeviceSelector(text)).toThrow(AppError)
    },
  )

  it('throws nothing but E_DEVICE_UNKNOWN for any text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (text) => {
        try {
          parseDeviceSelector(text)
        } catch (error) {
          expect((error as AppError).code).toBe('E_DEVICE_UNKNOWN')
        }
      }),
    )
  })
})
