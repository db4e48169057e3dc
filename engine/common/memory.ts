// Memory of this process.
import { readFileSync } from 'node:fs'
import process from 'node:process'

/**
 * Largest resident size so far, bytes. On Linux VmHWM (proc_pid_status(5)), which starts anew with the program;
 * getrusage's ru_maxrss also remembers the process that forked this one and would charge us for its size.
 */
export function peakResidentBytes(): number {
  if (process.platform === 'linux') {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
    if (found?.[1]) return Number(found[1]) * 1024
  }
  // libuv gives KiB on every platform.
  return process.resourceUsage().maxRSS * 1024
}
