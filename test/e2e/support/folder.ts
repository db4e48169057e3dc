// A folder of the test's own, removed at its end.
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

export class Folder {
  readonly path = mkdtempSync(path.join(os.tmpdir(), 'aqw e2e '))

  file(...parts: string[]): string {
    return path.join(this.path, ...parts)
  }

  [Symbol.dispose](): void {
    // The engine may still be writing its last log line.
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}
