// Data against model inputs on the host CPU, gears of compiled models, and the messages between the processes.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TensorSpec } from '../../../contract/device.ts'
import { downMessageSchema, upMessageSchema } from '../../../engine/device/messages.ts'
import { resolveFeeds } from '../../../engine/device/resolve-feeds.ts'
import { findGear, type Gears } from '../../../native/acl/gears.ts'

const input = (name: string, dims: number[], bytes = 0): TensorSpec => ({
  name,
  elementType: 'float32',
  dims,
  bytes,
})
const bytes = (count: number) => new Uint8Array(count)

describe('feeds', () => {
  const inputs = [input('x', [1, 2, 2], 16), input('n', [-1, 2])]

  it('takes exact sizes and infers one dynamic dimension', () => {
    const resolved = resolveFeeds('m.onnx', inputs, { x: bytes(16), n: bytes(24) }, {})
    expect(resolved.map((feed) => feed.dims)).toEqual([
      [1, 2, 2],
      [3, 2],
    ])
  })

  it.each([
    [{ x: bytes(16) }, {}, 'E_DEVICE_INPUT_MISSING'],
    [{ x: bytes(16), n: bytes(8), y: bytes(1) }, {}, 'E_DEVICE_INPUT_UNKNOWN'],
    [{ x: bytes(15), n: bytes(8) }, {}, 'E_DEVICE_INPUT_SIZE'],
    [{ x: bytes(16), n: bytes(9) }, {}, 'E_DEVICE_INPUT_SHAPE'],
    [{ x: bytes(16), n: bytes(8) }, { n: [1, 3] }, 'E_DEVICE_INPUT_SHAPE'],
    [{ x: bytes(16), n: bytes(8) }, { n: [2, 2] }, 'E_DEVICE_INPUT_SIZE'],
  ])('refuses bad data (%#)', (feeds, shapes, code) => {
    expect(() =>
      resolveFeeds('m.onnx', inputs, feeds as Record<string, Uint8Array>, shapes as Record<string, number[]>),
    ).toThrow(expect.objectContaining({ code }) as Error)
  })

  it('says both sizes and the shape', () => {
    expect(() => resolveFeeds('m.onnx', inputs, { x: bytes(15), n: bytes(8) }, {})).toThrow(
      'Input "x" of m.onnx: 15 bytes given, 16 needed for float32 [1, 2, 2].',
    )
  })
})

describe('gears', () => {
  const batch: Gears = { kind: 'batch', inputIndex: 1, values: [[1], [8], [4]] }
  const image: Gears = { kind: 'image', inputIndex: 1, values: [[416, 320], [832, 640]] } // prettier-ignore
  const dims: Gears = { kind: 'dims', inputIndex: 2, values: [[1, 40, 20], [1, 60, 30]] } // prettier-ignore
  const picture = [input('data', [-1, 3, 8, 8])]

  it('takes the gear of the given shape, or the largest', () => {
    expect(findGear('m', picture, batch, { data: [4, 3, 8, 8] })).toEqual({
      value: [4],
      shapes: [[4, 3, 8, 8]],
    })
    expect(findGear('m', picture, batch, {}).value).toEqual([8])
    const sized = [input('data', [1, 3, -1, -1])]
    expect(findGear('m', sized, image, { data: [1, 3, 416, 320] }).shapes).toEqual([[1, 3, 416, 320]])
    const two = [input('a', [1, -1]), input('b', [-1])]
    expect(findGear('m', two, dims, { b: [30] })).toEqual({ value: [1, 60, 30], shapes: [[1, 60], [30]] }) // prettier-ignore
  })

  it('lists the gears when none fits', () => {
    expect(() => findGear('m', picture, batch, { data: [2, 3, 8, 8] })).toThrow(
      expect.objectContaining({
        code: 'E_DEVICE_INPUT_SHAPE',
        hint: expect.stringContaining('[8, 3, 8, 8]; [4, 3, 8, 8]; [1, 3, 8, 8]') as string,
      }) as Error,
    )
  })
})

describe('messages', () => {
  it('accepts what the processes say', () => {
    const run = { type: 'run', handle: 1, feeds: { x: Uint8Array.of(1) } }
    expect(downMessageSchema.safeParse({ kind: 'request', id: 1, command: run }).success).toBe(true)
    expect(upMessageSchema.safeParse({ kind: 'ready' }).success).toBe(true)
  })

  it.each([
    { kind: 'request', id: 0, command: { type: 'close' } },
    { kind: 'request', id: 1, command: { type: 'run', handle: 1, feeds: { x: [1, 2] } } },
    { kind: 'request', id: 1, command: { type: 'eval', code: '1' } },
    { kind: 'request', id: 1, command: { type: 'unload', handle: -1 } },
  ])('refuses %j', (message) => {
    expect(downMessageSchema.safeParse(message).success).toBe(false)
  })

  it('never throws on nonsense', () => {
    fc.assert(
      fc.property(fc.anything(), (message) => {
        expect(typeof downMessageSchema.safeParse(message).success).toBe('boolean')
        expect(typeof upMessageSchema.safeParse(message).success).toBe('boolean')
      }),
    )
  })
})
