// The small helpers everyone uses: nearest names, units, hashing, atomic files, log levels.
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  AtomicFile,
  checkWritable,
  makeTemporaryFolder,
  writeFileAtomic,
} from '../../../engine/common/files.ts'
import { canonicalJson, hashData, hashFile } from '../../../engine/common/hashing.ts'
import { createLogger } from '../../../engine/common/log.ts'
import { editDistance, nearestNames } from '../../../engine/common/nearest.ts'
import { formatBytes, formatCount, formatDuration, formatFigure } from '../../../engine/common/units.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'aqw-common-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('nearest names', () => {
  it('counts edits, a swap of neighbours as one', () => {
    expect(editDistance('kitten', 'sitting')).toBe(3)
    expect(editDistance('quant_mode', 'qaunt_mode')).toBe(1)
    expect(editDistance('', 'abc')).toBe(3)
  })

  it('puts the closest first and ignores case', () => {
    expect(nearestNames(['conv_out', 'conv_in', 'time_embedding'], 'Conv_Inn', 2)).toEqual([
      'conv_in',
      'conv_out',
    ])
  })
})

describe('units', () => {
  it('formats bytes, figures, counts and durations', () => {
    expect([0, 1023, 1024, 8_575_567].map(formatBytes)).toEqual(['0 B', '1023 B', '1.00 KiB', '8.18 MiB'])
    expect([0, 0.012345, 3.14159, 31.4159, 314.159, 3141.59].map(formatFigure)).toEqual([
      '0',
      '0.01235',
      '3.142',
      '31.42',
      '314.2',
      '3142',
    ])
    expect([999, 12_345, 859_520_964].map(formatCount)).toEqual(['999', '12.3 k', '859.5 M'])
    expect([5, 65, 7207].map(formatDuration)).toEqual(['0:05', '1:05', '2:00:07'])
  })
})

describe('folders to prepare files in', () => {
  it('stand beside the file, and are refused like the file where none can be made', () => {
    const made = makeTemporaryFolder(path.join(folder, 'out.om'))
    expect(path.dirname(made)).toBe(folder)
    // Writable by its permissions, and yet nothing can be made there.
    expect(() => makeTemporaryFolder('/proc/out.om')).toThrow(
      expect.objectContaining({ code: 'E_FILE_WRITE', message: expect.stringContaining('/proc/out.om') }),
    )
  })
})

describe('hashing', () => {
  it('does not depend on key order and skips undefined members', () => {
    expect(canonicalJson({ b: [1, { d: 2, c: null }], a: undefined })).toBe('{"b":[1,{"c":null,"d":2}]}')
    expect(hashData({ a: 1, b: 2 })).toBe(hashData({ b: 2, a: 1 }))
  })

  it('hashes a file like the whole buffer and names a missing one', () => {
    const file = path.join(folder, 'data')
    writeFileSync(file, Buffer.alloc(5_000_000, 7))
    expect(hashFile(file)).toBe(createHash('sha256').update(readFileSync(file)).digest('hex'))
    expect(() => hashFile(path.join(folder, 'none'))).toThrow(/none.*no such file/)
  })

  it('stops when asked to', () => {
    const file = path.join(folder, 'data')
    writeFileSync(file, 'x')
    expect(() => hashFile(file, AbortSignal.abort())).toThrow(
      expect.objectContaining({ code: 'E_CANCELLED' }),
    )
  })
})

describe('atomic files', () => {
  it('shows nothing under the final name until committed, and nothing at all once discarded', () => {
    const target = path.join(folder, 'out.bin')
    writeFileSync(target, 'old')
    const file = new AtomicFile(target)
    file.write(Buffer.from('new'))
    expect(readFileSync(target, 'utf8')).toBe('old')
    file.commit()
    file.discard()
    expect(readFileSync(target, 'utf8')).toBe('new')
    const other = new AtomicFile(target)
    other.write(Buffer.from('half'))
    other.discard()
    expect(readdirSync(folder)).toEqual(['out.bin'])
    expect(readFileSync(target, 'utf8')).toBe('new')
  })

  it('refuses a missing folder, a file as folder and a folder as file, naming them', () => {
    writeFileAtomic(path.join(folder, 'file'), 'x')
    const write = expect.objectContaining({ code: 'E_FILE_WRITE' })
    expect(() => checkWritable(path.join(folder, 'none', 'out'))).toThrow(write)
    expect(() => checkWritable(path.join(folder, 'file', 'out'))).toThrow(write)
    expect(() => checkWritable(folder)).toThrow(/it is a folder/)
    expect(() => writeFileAtomic(path.join(folder, 'none', 'out'), 'x')).toThrow(/none does not exist/)
  })
})

describe('logger', () => {
  it('drops what is below its level', () => {
    const lines: string[] = []
    const log = createLogger('warning', (level, message) => lines.push(`${level}: ${message}`))
    log.info('no')
    log.warning('yes')
    log.error('yes')
    expect(lines).toEqual(['warning: yes', 'error: yes'])
  })
})
