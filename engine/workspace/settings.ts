// The table `settings`: one row per key, read with defaults for what is absent.
import { settingsSchema, type Settings, type SettingsPatch } from '../../contract/workspace.ts'
import type { Connection } from './database.ts'

export class SettingsStore {
  readonly #db: Connection

  constructor(db: Connection) {
    this.#db = db
  }

  /** A value that this version does not accept (written by another one) falls back to its default. */
  get(): Settings {
    const rows = this.#db.prepare<[], { key: string; value: string }>('SELECT * FROM settings').all()
    const stored: Record<string, unknown> = {}
    for (const row of rows) {
      const field = settingsSchema.shape[row.key as keyof Settings]
      if (!field) continue
      const parsed = field.safeParse(JSON.parse(row.value))
      if (parsed.success) stored[row.key] = parsed.data
    }
    return settingsSchema.parse(stored)
  }

  /** Writes the given fields; `ui` is merged key by key, an empty text removes a key. */
  set(patch: SettingsPatch): Settings {
    const write = this.#db.prepare(
      'INSERT INTO settings VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    )
    this.#db.transaction(() => {
      const { ui, ...plain } = patch
      for (const [key, value] of Object.entries(plain)) {
        if (value !== undefined) write.run(key, JSON.stringify(value))
      }
      if (ui) {
        const merged = { ...this.get().ui, ...ui }
        const kept = Object.entries(merged).filter(([, text]) => text !== '')
        write.run('ui', JSON.stringify(Object.fromEntries(kept)))
      }
    })()
    return this.get()
  }
}
