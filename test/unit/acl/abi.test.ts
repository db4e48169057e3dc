// Struct layouts, status names and the errors made of them. Layout constants are those of the public ACL headers.
import fc from 'fast-check'
import koffi, { type TypeObject } from 'koffi'
import { describe, expect, it } from 'vitest'
import { elementTypeOfAcl } from '../../../native/acl/constants.ts'
import { aclErrorName } from '../../../native/acl/error-codes.ts'
import { aclError, condenseReason } from '../../../native/acl/errors.ts'
import {
  BATCH_BYTES,
  decodeBatch,
  decodeHw,
  decodeIoDims,
  decodeUtilization,
  encodeIoDims,
  HW_BYTES,
  IO_DIMS_BYTES,
  UTILIZATION_BYTES,
} from '../../../native/acl/structs.ts'

// The C declarations, laid out by koffi with the platform's C rules: an independent check of our offsets.
const cIoDims = koffi.struct({
  name: koffi.array('char', 128),
  dimCount: 'size_t',
  dims: koffi.array('int64_t', 128),
})
const cBatch = koffi.struct({ batchCount: 'size_t', batch: koffi.array('uint64_t', 128) })
const cHw = koffi.struct({ hwCount: 'size_t', hw: koffi.array('uint64_t', 256) })
const cUtilization = koffi.struct({
  cube: 'int32_t',
  vector: 'int32_t',
  aicpu: 'int32_t',
  memory: 'int32_t',
  extend: 'void *',
})

function encoded(type: TypeObject, value: unknown): Buffer {
  const bytes = Buffer.alloc(koffi.sizeof(type))
  koffi.encode(bytes, type, value)
  return bytes
}

const padded = (values: number[], length: number) => [
  ...values,
  ...new Array<number>(length - values.length).fill(0),
]

describe('struct layouts', () => {
  it('have the sizes of the C structs', () => {
    expect(koffi.sizeof(cIoDims)).toBe(IO_DIMS_BYTES)
    expect(koffi.sizeof(cBatch)).toBe(BATCH_BYTES)
    expect(koffi.sizeof(cHw)).toBe(HW_BYTES)
    expect(koffi.sizeof(cUtilization)).toBe(UTILIZATION_BYTES)
  })

  it('reads what C wrote', () => {
    const io = encoded(cIoDims, { name: 'sample', dimCount: 4, dims: padded([1, -1, 64, 64], 128) })
    expect(decodeIoDims(io)).toEqual({ name: 'sample', dims: [1, -1, 64, 64] })
    expect(decodeBatch(encoded(cBatch, { batchCount: 3, batch: padded([1, 2, 8], 128) }))).toEqual([1, 2, 8])
    const hw = encoded(cHw, { hwCount: 2, hw: padded([416, 320, 832, 640], 256) })
    expect(decodeHw(hw)).toEqual([
      [416, 320],
      [832, 640],
    ])
    const utilization = encoded(cUtilization, { cube: 50, vector: -1, aicpu: 3, memory: -1, extend: null })
    expect(decodeUtilization(utilization)).toEqual({ cube: 50, vector: null, aicpu: 3, memory: null })
  })

  it('reads a name that fills its field, and the second struct of an array', () => {
    const first = encoded(cIoDims, { name: 'x'.repeat(127), dimCount: 1, dims: padded([5], 128) })
    const second = encoded(cIoDims, { name: '', dimCount: 0, dims: padded([], 128) })
    const both = Buffer.concat([first, second])
    both[127] = 'y'.charCodeAt(0)
    expect(decodeIoDims(both)).toEqual({ name: `${'x'.repeat(127)}y`, dims: [5] })
    expect(decodeIoDims(both, IO_DIMS_BYTES)).toEqual({ name: '', dims: [] })
  })

  it('writes dims that read back', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1, max: 2 ** 31 }), { maxLength: 128 }), (dims) => {
        expect(decodeIoDims(encodeIoDims(dims)).dims).toEqual(dims)
      }),
    )
    expect(() => encodeIoDims(new Array<number>(129).fill(1))).toThrow(RangeError)
  })

  it('refuses a count beyond the array', () => {
    const io = Buffer.alloc(IO_DIMS_BYTES)
    io.writeBigUInt64LE(129n, 128)
    expect(() => decodeIoDims(io)).toThrow(/129/)
    const batch = Buffer.alloc(BATCH_BYTES, 0xff)
    expect(() => decodeBatch(batch)).toThrow(RangeError)
  })
})

describe('status names', () => {
  it.each([
    [0, 'ACL_SUCCESS'],
    [100002, 'ACL_ERROR_REPEAT_INITIALIZE'],
    [107002, 'ACL_ERROR_RT_CONTEXT_NULL'],
    [145003, 'ACL_ERROR_GE_EXEC_MODEL_ID_INVALID'],
    [207018, 'ACL_ERROR_RT_DEVICE_OOM'],
    [500002, 'ACL_ERROR_GE_FAILURE'],
    [507899, 'ACL_ERROR_RT_DRV_INTERNAL_ERROR'],
  ])('%d is %s', (code, name) => {
    expect(aclErrorName(code)).toBe(name)
  })

  it('has no name for others', () => {
    expect(aclErrorName(42)).toBeNull()
  })
})

describe('errors', () => {
  it.each([
    ['aclInit', 100039, 'E_DEVICE_STUB_LIBRARY'],
    ['aclrtMalloc', 207001, 'E_DEVICE_MEMORY'],
    ['aclmdlLoadFromFile', 245000, 'E_DEVICE_MEMORY'],
    ['aclmdlLoadFromFile', 145006, 'E_DEVICE_MODEL_FILE'],
    ['aclmdlExecute', 145003, 'E_DEVICE_MODEL_ID'],
    ['aclmdlExecute', 145000, 'E_DEVICE_ARGUMENT'],
    ['aclmdlExecute', 507015, 'E_DEVICE_EXECUTION'],
    ['aclrtSynchronizeStream', 507046, 'E_DEVICE_TIMEOUT'],
    ['aclrtSetDevice', 507033, 'E_DEVICE_DRIVER'],
    ['aclrtMemcpy', 107002, 'E_DEVICE_CONTEXT'],
    ['aclrtRecordEvent', 107017, 'E_DEVICE_CALL'],
  ])('%s returning %d is %s', (call, status, code) => {
    expect(aclError(call, status, 'why')).toMatchObject({ code, details: { call, status, reason: 'why' } })
  })

  it('tells an .om of another SoC by the text of the Graph Engine', () => {
    const text = '[PID: 7] EZ9999: E10001: Model soc version is not support in this device.\n  Solution: none'
    const error = aclError('aclmdlLoadFromFile', 500002, text, { path: 'a.om', soc: 'Ascend310P3' })
    expect(error.code).toBe('E_DEVICE_MODEL_SOC')
    expect(error.message).toContain('a.om was compiled for another SoC than Ascend310P3')
  })

  it('names call, status and reason, and copes with no reason', () => {
    expect(aclError('aclrtMalloc', 207018, null).message).toBe(
      'Out of device memory in aclrtMalloc: ACL_ERROR_RT_DEVICE_OOM (207018). ',
    )
    expect(condenseReason(' a\n\tb '.repeat(1))).toBe('a b')
    expect(condenseReason('x'.repeat(5000))).toHaveLength(600)
  })
})

describe('data types', () => {
  it('uses the numbering of ACL', () => {
    expect([0, 1, 2, 3, 4, 9, 12, 27].map(elementTypeOfAcl)).toEqual([
      'float32',
      'float16',
      'int8',
      'int32',
      'uint8',
      'int64',
      'bool',
      'bfloat16',
    ])
    expect(elementTypeOfAcl(35)).toBe('other')
  })
})
