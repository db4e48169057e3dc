// One writer per workspace. The lock is an operating-system lock held through SQLite on a file of its own, so that it
// ends with the process, even on kill -9: there is no stale lock to guess about. A JSON file next to it says who holds it.
import Database from 'better-sqlite3'
import { readFileSync, rmSync } from 'node:fs'
import { z } from 'zod'
import { AppError } from '../../contract/errors/index.ts'
import { writeFileAtomic } from '../common/files.ts'
import type { WorkspaceLayout } from './location.ts'

const holderSchema = z.object({ pid: z.number().int(), since: z.string() })

export interface WorkspaceLock {
  release(): void
}

/** @throws E_WORKSPACE_LOCKED naming the process that has it, E_FILE_WRITE */
export function lockWorkspace(layout: WorkspaceLayout): WorkspaceLock {
  let connection: Database.Database | undefined
  try {
    connection = new Database(layout.lock, { timeout: 0 })
    connection.pragma('journal_mode = DELETE')
    connection.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    connection?.close()
    if (isBusy(error)) throw lockedError(layout)
    throw new AppError('E_FILE_WRITE', { path: layout.lock, reason: String(error) }, { cause: error })
  }
  const held = connection
  writeFileAtomic(
    layout.lockInfo,
    `${JSON.stringify({ pid: process.pid, since: new Date().toISOString() })}\n`,
  )
  return {
    release() {
      rmSync(layout.lockInfo, { force: true })
      held.close()
    },
  }
}

function isBusy(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED'))
}

function lockedError(layout: WorkspaceLayout): AppError {
  let holder: z.infer<typeof holderSchema> | undefined
  try {
    holder = holderSchema.parse(JSON.parse(readFileSync(layout.lockInfo, 'utf8')))
  } catch {
    // The holder writes this file right after taking the lock; in that moment it is not there yet.
    holder = undefined
  }
  return new AppError('E_WORKSPACE_LOCKED', {
    path: layout.root,
    pid: holder?.pid ?? '?',
    since: holder?.since ?? '?',
  })
}
