// Opens the workspace database: WAL, foreign keys, schema migrations with a copy of the data before each.
import Database from 'better-sqlite3'
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import { reasonOf } from '../common/hashing.ts'
import type { WorkspaceLayout } from './location.ts'
import { migrations as allMigrations, type Migration } from './migrations.ts'

/** Copies kept in backups/; older ones are removed after a successful migration. */
const KEPT_BACKUPS = 10

export type Connection = Database.Database

/**
 * @throws E_WORKSPACE_NEWER when a later program wrote it, E_WORKSPACE_MIGRATION (the database is as before),
 *   E_WORKSPACE_DATABASE when it cannot be opened or is damaged
 */
export function openDatabase(
  layout: WorkspaceLayout,
  migrations: readonly Migration[] = allMigrations,
): Connection {
  let db: Connection | undefined
  try {
    db = new Database(layout.database, { timeout: 5000 })
    db.pragma('journal_mode = WAL')
    // Every commit reaches the disk: a finished measurement must survive a power cut.
    db.pragma('synchronous = FULL')
    db.pragma('foreign_keys = ON')
    migrate(db, layout, migrations)
    return db
  } catch (error) {
    db?.close()
    if (error instanceof AppError) throw error
    throw new AppError(
      'E_WORKSPACE_DATABASE',
      { path: layout.database, reason: reasonOf(error), backups: layout.backups },
      { cause: error },
    )
  }
}

function migrate(db: Connection, layout: WorkspaceLayout, migrations: readonly Migration[]): void {
  const present = Number(db.pragma('user_version', { simple: true }))
  const known = migrations.at(-1)?.version ?? 0
  if (present > known) {
    throw new AppError('E_WORKSPACE_NEWER', {
      path: layout.database,
      version: present,
      known,
      backups: layout.backups,
    })
  }
  let before = present
  for (const migration of migrations) {
    if (migration.version <= before) continue
    // A database that this program has just begun holds nothing to keep.
    const backup = present > 0 ? backUp(db, layout, before) : null
    applyMigration(db, layout, migration, backup)
    before = migration.version
  }
  if (before > present && present > 0) removeOldBackups(layout)
}

function applyMigration(
  db: Connection,
  layout: WorkspaceLayout,
  migration: Migration,
  backup: string | null,
): void {
  try {
    db.transaction(() => {
      db.exec(migration.sql)
      const broken = db.pragma('foreign_key_check') as unknown[]
      if (broken.length > 0) throw new Error(`${broken.length} rows refer to rows that do not exist`)
      db.pragma(`user_version = ${migration.version}`)
    })()
  } catch (error) {
    throw new AppError(
      'E_WORKSPACE_MIGRATION',
      { version: migration.version, path: layout.database, reason: reasonOf(error), backup: backup ?? '-' },
      { cause: error },
    )
  }
}

/** A consistent copy by VACUUM INTO, which also checks that every page can be read. */
function backUp(db: Connection, layout: WorkspaceLayout, version: number): string {
  mkdirSync(layout.backups, { recursive: true })
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-')
  const target = path.join(layout.backups, `workspace-v${version}-${stamp}.sqlite`)
  if (existsSync(target)) rmSync(target)
  db.prepare('VACUUM INTO ?').run(target)
  return target
}

function removeOldBackups(layout: WorkspaceLayout): void {
  const stampOf = (name: string): string => name.replace(/^workspace-v\d+-/, '')
  const names = readdirSync(layout.backups)
    .filter((name) => /^workspace-v\d+-.*\.sqlite$/.test(name))
    .sort((left, right) => (stampOf(left) < stampOf(right) ? -1 : 1))
  for (const name of names.slice(0, -KEPT_BACKUPS)) rmSync(path.join(layout.backups, name))
}
