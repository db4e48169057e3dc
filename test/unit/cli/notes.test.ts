// Notes in the log: a few of each kind.
import { expect, it } from 'vitest'
import { logNotes } from '../../../cli/runtime/notes.ts'
import { makeNote } from '../../../contract/interop.ts'
import { createLogger } from '../../../engine/common/log.ts'

it('shows five of each kind and counts the rest', () => {
  const lines: string[] = []
  const log = createLogger('info', (_level, line) => lines.push(line))
  const notes = Array.from({ length: 8 }, (_, index) =>
    makeNote('pair_dropped', { tensor: `t${index}`, readers: 'r' }),
  )
  logNotes(log, [...notes, makeNote('name_lost')])
  expect(lines).toHaveLength(7)
  expect(lines[4]).toContain('t4')
  expect(lines[5]).toBe('... and 3 more of these [pair_dropped]')
})
