// Log lines: format and back, rotation, tail, continuation after a restart.
import fc from 'fast-check'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { formatLine, JobLog, parseLine } from '../../../engine/jobs/job-log.ts'

let folder: string
beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'log-'))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('log lines', () => {
  it('read back as written', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1 }),
        fc.constantFrom('debug' as const, 'info' as const, 'warning' as const, 'error' as const),
        fc.string().map((text) => text.replaceAll(/[\r\n\u2028\u2029]/g, ' ')),
        (seq, level, text) => {
          const line = { seq, at: '2026-01-02T03:04:05.678Z', level, text }
          expect(parseLine(formatLine(line))).toEqual(line)
        },
      ),
    )
  })
})

describe('JobLog', () => {
  it('splits lines, numbers them and continues after a restart', () => {
    const file = path.join(folder, 'job.log')
    new JobLog(file).write('info', 'one\ntwo')
    const again = new JobLog(file)
    again.write('error', 'three')
    expect(again.tail(10).map((line) => [line.seq, line.level, line.text])).toEqual([
      [1, 'info', 'one'],
      [2, 'info', 'two'],
      [3, 'error', 'three'],
    ])
    expect(again.tail(10, 2).map((line) => line.text)).toEqual(['three'])
  })

  it('rotates before the file grows without bound', () => {
    const file = path.join(folder, 'job.log')
    const log = new JobLog(file)
    const text = 'x'.repeat(8000)
    for (let index = 0; index < 1700; index++) log.write('info', text)
    expect(statSync(file).size).toBeLessThan(4.1 * 1024 * 1024)
    expect(existsSync(`${file}.2`)).toBe(true)
    expect(existsSync(`${file}.3`)).toBe(false)
  })
})
