// Samples leave a comparison and come back bit-exact; names in archives cannot leave their folder; ids sort by time.
import fc from 'fast-check'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { isSafeRelativePath } from '../../../engine/workspace/archive-format.ts'
import { newId } from '../../../engine/workspace/rows.ts'
import { fromBlob, joinSamples, splitSamples, toBlob } from '../../../engine/workspace/sample-arrays.ts'

const samples = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), {
  minLength: 64,
  maxLength: 200,
})
// JSON itself has no negative zero: what stands around the arrays is compared as JSON has it.
const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown)

describe('sample arrays', () => {
  it('come back as they were, wherever they stood and whatever stood around them', () => {
    fc.assert(
      fc.property(samples, json, fc.string(), (values, around, key) => {
        const document = { [key]: { 'a/b': [values, around], '~1': values }, around }
        const { data, arrays } = splitSamples(document)
        const stored = arrays.map((array) => ({ ...array, values: fromBlob(toBlob(array.values)) }))
        expect(arrays.length).toBeGreaterThanOrEqual(2)
        expect(joinSamples(JSON.parse(JSON.stringify(data)), stored)).toEqual(document)
      }),
      { numRuns: 50 },
    )
  })

  it('leave short arrays and arrays of other things in the JSON', () => {
    const document = { short: [1, 2, 3], names: Array.from({ length: 100 }, String) }
    expect(splitSamples(document)).toEqual({ data: document, arrays: [] })
  })
})

describe('names inside an archive', () => {
  it.each(['/etc/passwd', '../x', 'a/../../x', 'a/./b', 'a//b', 'C:/x', 'a\\..\\b', 'a\0b', '', 'a/'])(
    'refuses %j',
    (name) => expect(isSafeRelativePath(name)).toBe(false),
  )

  it('never resolves outside the folder when accepted', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('..', '.', 'a', '', '/', '\\', 'b.bin', '\0'), { maxLength: 6 }),
        (parts) => {
          const name = parts.join('/')
          fc.pre(isSafeRelativePath(name))
          expect(path.resolve('/root/folder', name).startsWith('/root/folder/')).toBe(true)
        },
      ),
    )
  })
})

describe('newId', () => {
  it('is a version 7 UUID with the time in front (RFC 9562, appendix A.6)', () => {
    // The RFC's example: 2022-02-22T14:22:22.000-05:00 is 017F22E2-79B0-7...
    expect(newId(1_645_557_742_000)).toMatch(/^017f22e2-79b0-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})
