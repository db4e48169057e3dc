// Token sequences as bins.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { prepareTokens } from '../../../engine/preparation/index.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'aqw-tokens-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function source(name: string, content: unknown): string {
  const file = path.join(folder, name)
  writeFileSync(file, JSON.stringify(content))
  return file
}

const settings = { window: 3, list: 'sequences', dtype: 'int64' } as const

describe('token sequences', () => {
  it('become windows of ids; what does not fill one is left out', () => {
    const file = source('a.json', {
      sequences: [
        [1, 2, 3, 4, 5, 6, 7],
        [8, 9],
        [10, 11, 12],
      ],
    })
    const result = prepareTokens(file, path.join(folder, 'a'), settings)
    expect(result).toMatchObject({ files: 3, shape: [3], dtype: 'int64' })
    expect(readdirSync(result.folder)).toEqual(['00000.bin', '00001.bin', '00002.bin'])
    const last = readFileSync(path.join(result.folder, '00002.bin'))
    expect([0, 8, 16].map((at) => last.readBigInt64LE(at))).toEqual([10n, 11n, 12n])
  })

  it('a plain list, an input name and int32', () => {
    const file = source('b.json', [[7, 8, 9]])
    const result = prepareTokens(file, path.join(folder, 'b'), {
      ...settings,
      dtype: 'int32',
      input: 'input/ids',
    })
    const bytes = readFileSync(path.join(result.folder, '00000_input_ids.bin'))
    expect([0, 4, 8].map((at) => bytes.readInt32LE(at))).toEqual([7, 8, 9])
  })

  it.each([
    [{ sequences: 'no' }, 'E_PREPARE_SETTINGS'],
    [{ sequences: [[1, -2, 3]] }, 'E_PREPARE_SETTINGS'],
    [{ sequences: [[1]] }, 'E_PREPARE_COUNT'],
    [null, 'E_PREPARE_SETTINGS'],
  ])('refuses %j', (content, code) => {
    const file = source('bad.json', content)
    expect(() => prepareTokens(file, path.join(folder, 'bad'), settings)).toThrow(
      expect.objectContaining({ code }),
    )
  })
})
