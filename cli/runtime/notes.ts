// Notes on what was lost on the way between two forms, as log lines: a few of each kind, and how many more.
import { type InteropNote, noteText } from '../../contract/interop.ts'
import type { Logger } from '../../engine/common/log.ts'
import { systemLocale } from './host.ts'

const SHOWN = 5

export function logNotes(log: Logger, notes: readonly InteropNote[]): void {
  const locale = systemLocale(process.env)
  for (const alike of Map.groupBy(notes, (note) => note.code).values()) {
    for (const note of alike.slice(0, SHOWN)) log.info(noteText(note, locale))
    const more = alike.length - SHOWN
    if (more > 0) log.info(`... and ${more} more of these [${alike[0]?.code}]`)
  }
}
