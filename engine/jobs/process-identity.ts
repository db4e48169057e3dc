// Which process is meant by a stored id, and ending one that a crash left behind.
import { readFileSync } from 'node:fs'
import type { WorkerIdentity } from '../workspace/index.ts'

/** Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat, proc(5)); null elsewhere than Linux. */
export function processStartTime(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the command in parentheses and may itself hold blanks and parentheses.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return fields[19] ?? null
  } catch {
    return null
  }
}

/** Ends a process if it is still the one that was recorded. Without a start time it is left alone. */
export function endLeftOver(identity: WorkerIdentity): boolean {
  if (identity.startTime === null || processStartTime(identity.pid) !== identity.startTime) return false
  try {
    process.kill(identity.pid, 'SIGKILL')
    return true
  } catch {
    return false
  }
}
